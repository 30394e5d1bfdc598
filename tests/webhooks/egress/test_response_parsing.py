"""Responses that hypothesis makes: read like by Twisted's own client, and never with an exception."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from attrs import frozen
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool, PartialDownloadError, readBody

from kazoo_bridge.webhooks.egress.receiver_response import (
    MAX_BODY_BYTES,
    ReceiverResponse,
    end_to_end_headers,
)
from tests.webhooks.egress.memory_connections import OK, MemoryPool
from tests.webhooks.harness import results_of

_NAMES = st.sampled_from([b"X-A", b"x-b", b"Server", b"Set-Cookie", b"ETAG", b"Content-Type"])
_VALUES = st.binary(max_size=12).map(lambda raw: bytes(0x21 + byte % 0x5E for byte in raw))
_HEADERS = st.lists(st.tuples(_NAMES, _VALUES), max_size=5)


@frozen
class Written:
    """A response as a receiver sends it. `cuts` say where its packets end; `closes` after it."""

    data: bytes
    cuts: list[int]

    @property
    def packets(self) -> list[bytes]:
        ends = sorted({0, len(self.data), *(cut % (len(self.data) + 1) for cut in self.cuts)})
        return [self.data[start:end] for start, end in pairwise(ends)]


@st.composite
def well_formed(draw: Any) -> Written:
    status = draw(st.sampled_from([200, 200, 201, 204, 299, 304, 404, 500, 999]))
    body = draw(st.binary(max_size=60))
    version = draw(st.sampled_from([b"1.1", b"1.1", b"1.0"]))
    lines = [b"HTTP/%b %d %b" % (version, status, draw(_VALUES))]
    headers = draw(_HEADERS)
    framing = draw(st.sampled_from(["length", "chunked", "close"]))
    if status in (204, 304):
        framing, body = "none", b""
    if framing == "length":
        headers.append((b"content-Length", b"%d" % len(body)))
    elif framing == "chunked":
        headers.append((b"Transfer-encoding", b"Chunked"))
        size = draw(st.integers(1, 20))
        pieces = [body[start : start + size] for start in range(0, len(body), size)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    connection = draw(st.sampled_from([b"", b"", b"close", b"keep-alive", b"x, Close"]))
    if connection:
        headers.append((b"Connection", connection))
    lines += [b"%b: %b" % header for header in draw(st.permutations(headers))]
    interim = draw(
        st.sampled_from([b"", b"", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Hint\r\nX: y\r\n\r\n"])
    )
    newline = draw(st.sampled_from([b"\r\n", b"\r\n", b"\n"]))
    head = newline.join([*lines, b"", b""])
    return Written(interim + head + body, draw(st.lists(st.integers(0, 2000), max_size=6)))


class TwistedClient:
    """One request of Twisted's own agent."""

    def __init__(self) -> None:
        clock = Clock()
        self.transport = StringTransport()
        self.pool = HTTPConnectionPool(clock)
        agent = Agent.usingEndpointFactory(clock, self, self.pool)
        self.bodies: list[Any] = []
        sending = agent.request(b"GET", b"http://hook.example/")
        sending.addCallback(self._read)
        self.responses = results_of(sending)

    def endpointForURI(self, uri: Any) -> Any:
        return self

    def connect(self, factory: Any) -> Any:
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(self.transport)
        return succeed(self.protocol)

    def _read(self, response: Any) -> Any:
        self.bodies = results_of(readBody(response).addErrback(self._body_until_the_end))
        return response

    def _body_until_the_end(self, failure: Failure) -> Any:
        failure.trap(PartialDownloadError)
        ended: Any = failure.value
        return ended.response

    @property
    def is_idle(self) -> bool:
        return self.protocol.state == "QUIESCENT" and not self.transport.disconnecting


def read_by_pool(packets: list[bytes]) -> tuple[MemoryPool, list[Any]]:
    """Return the pool and the results of a request that was answered with these packets, then the end."""
    memory = MemoryPool()
    exchange = memory.begin()
    for packet in packets:
        if memory.states == ["busy"]:
            memory.connections[0].dataReceived(packet)
    if memory.states == ["busy"]:
        memory.lose(0)
    return memory, exchange.results


@settings(deadline=None)
@given(well_formed())
def test_well_formed_responses_are_read_like_by_twisted(written: Written) -> None:
    twisted = TwistedClient()
    for packet in written.packets:
        twisted.protocol.dataReceived(packet)
    was_idle = twisted.is_idle
    if not twisted.bodies:
        twisted.protocol.connectionLost(Failure(ConnectionDone()))
    (expected,) = twisted.responses
    memory, (response,) = read_by_pool(written.packets)
    assert isinstance(response, ReceiverResponse)
    assert (response.status, response.phrase) == (expected.code, expected.phrase)
    assert end_to_end_headers(response.headers) == expected.headers
    assert response.error is None
    assert [response.body] == twisted.bodies
    # Twisted uses some connections again that the receiver closes: it reads neither the version nor "Close".
    if memory.states == ["idle"]:
        assert was_idle
    elif was_idle:
        assert b"lose" in written.data or b"HTTP/1.0" in written.data


@st.composite
def mutated(draw: Any) -> Written:
    """Draw a response with some bytes replaced, inserted, removed or repeated."""
    written = draw(well_formed())
    data = bytearray(written.data)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        kind = draw(st.sampled_from(["replace", "insert", "remove", "repeat"]))
        piece = draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from(
                    [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\r\n\r\n", b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\n",
                     b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"HTTP/1.1 101 X\r\n\r\n",
                     b"Connection: upgrade\r\nUpgrade: x\r\n", b"ffffffffffffffff\r\n", b"x" * 5000, OK]
                ),
            )
        )  # fmt: skip
        if kind == "insert":
            data[at:at] = piece
        elif kind == "replace":
            data[at : at + len(piece)] = piece
        elif kind == "remove":
            del data[at : at + draw(st.integers(1, 20))]
        else:
            data[at:at] = data[at : at + draw(st.integers(1, 200))]
    return Written(bytes(data), draw(st.lists(st.integers(0, 10_000), max_size=8)))


@settings(deadline=None, max_examples=300)
@given(mutated())
def test_whatever_is_received_a_request_has_one_result(written: Written) -> None:
    memory, results = read_by_pool(written.packets)
    assert len(results) == 1
    if isinstance(results[0], ReceiverResponse):
        assert len(results[0].body) <= MAX_BODY_BYTES
    (state,) = memory.states
    assert state in ("idle", "lost")
    # A connection that is used again reads the next response, and nothing that was left of the first.
    following = memory.begin()
    memory.connections[-1].dataReceived(b"HTTP/1.1 418 Next\r\nX: y\r\nContent-Length: 2\r\n\r\nok")
    assert len(memory.connections) == (1 if state == "idle" else 2)
    (response,) = following.results
    assert (response.status, response.phrase, response.body, response.headers) == (
        418,
        b"Next",
        b"ok",
        [(b"X", b"y"), (b"Content-Length", b"2")],
    )
    assert len(results) == 1
    assert memory.states[-1] == "idle"


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=6))
def test_arbitrary_bytes_have_one_result(packets: list[bytes]) -> None:
    _, results = read_by_pool([packet for packet in packets if packet])
    assert len(results) == 1
