from __future__ import annotations

import gzip
import resource
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted
from attrs import define, evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionLost, ConnectionRefusedError, NoRouteError
from twisted.internet.error import TimeoutError as ConnectTimeout
from twisted.internet.task import Clock
from twisted.web.iweb import IAgent
from zope.interface import implementer

from kazoo_bridge import __version__
from kazoo_bridge.webhooks.egress import EgressPolicy, HostNotFound, guarded_agent
from kazoo_bridge.webhooks.egress.receiver_response import MAX_BODY_BYTES
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from tests.webhooks.doors import Door
from tests.webhooks.harness import results_of
from tests.webhooks.hostile_receiver import HostileConnection, HostileReceiver, assert_nothing_left
from tests.webhooks.receiving import Receiver
from tests.webhooks.recording_agent import RecordingAgent

#: Seconds: for tests in which an attempt must, and must not, run into its time-out.
SHORT_TIMEOUT, LONG_TIMEOUT = 0.5, 30
OPEN = EgressPolicy.from_config([], [])
OK = b"HTTP/1.1 200 OK\r\n"
HEAD_TOO_LONG = "HeadTooLong: the answer's headers are longer than 32 KiB"
CLOSED_EARLY = "the receiver closed the connection before its answer was complete"
MALFORMED = "MalformedResponse: the answer is not HTTP/1.1"
NO_STATUS = "the answer is not HTTP/1.1: it has no status"


class Harness:
    """A sender, a good receiver, and any number of bad ones."""

    def __init__(self, agent: Any, pool: Any, door: Door) -> None:
        self.sender = Sender(reactor, agent, LONG_TIMEOUT, pool=pool)
        self.door = door
        self.good = Receiver()
        self.good_url = ""
        self.bad: list[HostileReceiver] = []

    def send(self, request: HookRequest, **changes: Any) -> Deferred[Outcome]:
        """Send a request with a sender of these changed options."""
        return self.door(evolve(self.sender, **changes), request)

    async def attempt(
        self,
        behave: Callable[[HostileConnection], None],
        *,
        on_connect: bool = False,
        request_timeout: float = LONG_TIMEOUT,
    ) -> Outcome:
        """Send to a receiver that misbehaves, and meanwhile to a good one.

        Returns the result of the former when its connection is closed.
        """
        receiver = HostileReceiver(behave, on_connect)
        self.bad.append(receiver)
        url = await receiver.start()
        sender = evolve(self.sender, request_timeout=request_timeout)
        attempt = self.door(sender, HookRequest("POST", f"{url}/x", {"X-Hook-ID": "h"}, b"a=1"))
        meanwhile = await self.send(HookRequest("POST", self.good_url, {}, b"b=2"))
        assert meanwhile.success
        outcome = await attempt
        await receiver.all_closed()
        assert receiver.connections == 1
        return outcome


@pytest_twisted.async_yield_fixture
async def harness(door: Door) -> AsyncIterator[Harness]:
    before = set(reactor.getDelayedCalls())
    agent, pool = guarded_agent(reactor, OPEN, 5)
    harness = Harness(agent, pool, door)
    harness.good_url = await harness.good.start()
    yield harness
    for receiver in harness.bad:
        await receiver.stop()
    await harness.good.stop()
    await pool.close()
    await assert_nothing_left(before)


def sends(data: bytes) -> Callable[[HostileConnection], None]:
    return lambda connection: connection.send(data)


def sends_and_closes(data: bytes) -> Callable[[HostileConnection], None]:
    def behave(connection: HostileConnection) -> None:
        connection.send(data)
        connection.close()

    return behave


def sends_and_resets(data: bytes) -> Callable[[HostileConnection], None]:
    def behave(connection: HostileConnection) -> None:
        if data:
            connection.send(data)
        connection.reset()

    return behave


def sends_forever(data: bytes, again: bytes) -> Callable[[HostileConnection], None]:
    def behave(connection: HostileConnection) -> None:
        connection.send(data)
        connection.send_forever(again)

    return behave


@pytest.mark.parametrize(
    "behave",
    [
        lambda connection: None,
        lambda connection: connection.trickle(OK + b"X: "),
        lambda connection: connection.trickle(b"HTTP/1.1 200 "),
        lambda connection: connection.trickle(OK + b"Content-Length: 1000000\r\n\r\n"),
        lambda connection: connection.trickle(OK + b"\r\n"),
        sends(OK + b"Content-Length: 5\r\n\r\nhal"),
        sends(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhal"),
        sends(OK[:9]),
        sends(b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "slow head", "slow status", "slow body", "slow body without length", "half a body",
         "half a chunk", "half a status", "only 100"],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_the_whole_attempt_is_bounded_in_time(
    harness: Harness, behave: Callable[[HostileConnection], None]
) -> None:
    outcome = await harness.attempt(behave, request_timeout=SHORT_TIMEOUT)
    assert (outcome.success, outcome.status, outcome.error) == (
        False,
        None,
        "no complete answer within 0.5 s",
    )


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (sends_forever(OK, b"X-Again: and again\r\n"), HEAD_TOO_LONG),
        (sends_forever(OK + b"X-Long: ", b"x" * 65536), HEAD_TOO_LONG),
        (sends_forever(OK + b"X: 1\r\n", b" folded\r\n"), HEAD_TOO_LONG),
        (sends_forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), HEAD_TOO_LONG),
        (sends_forever(b"", b"\r\n" * 32768), HEAD_TOO_LONG),
        (sends_forever(b"", b"x" * 65536), MALFORMED),
        (sends(OK + b"Transfer-Encoding: smoke\r\n\r\n"), MALFORMED),
        (sends(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), MALFORMED),
        (sends(OK + b"Content-Length: -5\r\n\r\n"), MALFORMED),
        (sends(OK + b"no colon\r\n\r\n"), MALFORMED),
        (sends(OK + b" folded first\r\n\r\n"), "the answer is not HTTP/1.1"),
        (sends(b"<html>old</html>\r\n"), MALFORMED),
        (sends(b"\x00\xff\x00\n"), MALFORMED),
        (sends(b"HTTP/1.1 zweihundert OK\r\n\r\n"), MALFORMED),
        (sends(b"SSH-2.0-x y z\r\n\r\n"), "the answer is not HTTP/1.1"),
        (sends(b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n"), MALFORMED),
        (sends(b"HTTP/1.1 99999999 OK\r\nContent-Length: 0\r\n\r\n"), MALFORMED),
        (sends(b"HTTP/1.1 000 OK\r\nContent-Length: 0\r\n\r\n"), NO_STATUS),
        (sends(b"HTTP/1.1 199 OK\r\n\r\nHTTP/1.1 042 OK\r\n\r\n"), NO_STATUS),
        (sends(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), MALFORMED),
        (sends(b"ICE/1.0 200 OK\r\nContent-Length: 0\r\n\r\n"), MALFORMED),
        (sends(b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"), MALFORMED),
        (sends(b"HTTP/1.1 101 X\r\n\r\n"), MALFORMED),
        (sends(OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), MALFORMED),
        (lambda connection: connection.trickle(b"x"), MALFORMED),
        (sends_and_closes(b""), CLOSED_EARLY),
        (sends_and_closes(OK + b"X: 1\r\n"), CLOSED_EARLY),
        (sends_and_resets(b""), CLOSED_EARLY),
        (sends_and_resets(OK + b"X: 1\r\n"), CLOSED_EARLY),
    ],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_a_response_that_is_no_http_is_a_failure_with_a_reason(
    harness: Harness, behave: Callable[[HostileConnection], None], reason: str
) -> None:
    outcome = await harness.attempt(behave)
    assert outcome.status is None
    assert reason in outcome.error
    # Nothing that the receiver has sent is repeated.
    assert "folded" not in outcome.error
    assert "html" not in outcome.error
    assert harness.bad[0].sent_bytes < 16 * 1024 * 1024


@pytest.mark.parametrize(
    "behave", [lambda connection: connection.close(), lambda connection: connection.reset()]
)
@pytest_twisted.ensureDeferred
async def test_a_connection_that_is_closed_at_once(
    harness: Harness, behave: Callable[[HostileConnection], None]
) -> None:
    outcome = await harness.attempt(behave, on_connect=True)
    assert outcome.status is None
    assert "the receiver closed the connection" in outcome.error


@pytest.mark.parametrize(
    "behave",
    [
        sends_forever(OK + b"Content-Length: 8000000000\r\n\r\n", b"x" * 65536),
        sends_forever(OK + b"\r\n", b"x" * 65536),
        sends_forever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        sends_forever(OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffff\r\n", b"x" * 65536),
    ],
    ids=["length", "until the end", "chunks", "one chunk"],
)
@pytest_twisted.ensureDeferred
async def test_the_beginning_of_an_endless_body_is_read(
    harness: Harness, behave: Callable[[HostileConnection], None]
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = await harness.attempt(behave)
    assert (outcome.success, outcome.status, len(outcome.body)) == (True, 200, MAX_BODY_BYTES)
    assert harness.bad[0].sent_bytes < 32 * 1024 * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest_twisted.ensureDeferred
async def test_compressed_bodies_are_not_decoded(harness: Harness) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)[:60_000]
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    outcome = await harness.attempt(sends_and_closes(head + bomb))
    assert outcome.success
    assert outcome.body == bomb


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"5\r\nhalloWELT\r\n0\r\n\r\n", "not HTTP/1.1"),
        (b"zebra\r\nhallo\r\n0\r\n\r\n", "not HTTP/1.1"),
        (b"-5\r\nhallo\r\n0\r\n\r\n", "not HTTP/1.1"),
        (b"x" * 5000, "not HTTP/1.1"),
        (b"0\r\n" + b"T: x\r\n" * 40000, "BodyTooLong: the answer's body is longer than 128 KiB"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_the_status_counts_although_the_body_is_broken(
    harness: Harness, body: bytes, reason: str
) -> None:
    good = await harness.attempt(sends(OK + b"Transfer-Encoding: chunked\r\n\r\n" + body))
    assert (good.success, good.status, good.error) == (True, 200, "")
    bad = await harness.attempt(sends(b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n" + body))
    assert (bad.success, bad.status) == (False, 500)
    assert reason in bad.error


@pytest_twisted.ensureDeferred
async def test_a_body_that_is_cut_short_by_a_reset(harness: Harness) -> None:
    outcome = await harness.attempt(sends_and_resets(b"HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\nhalf"))
    assert not outcome.success


@pytest_twisted.ensureDeferred
async def test_bytes_after_the_response_end_the_connection(harness: Harness) -> None:
    twice = OK + b"Content-Length: 0\r\n\r\n" + b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"
    outcome = await harness.attempt(sends(twice))
    assert outcome.success


@pytest_twisted.ensureDeferred
async def test_a_receiver_that_reads_nothing_and_sends_no_http(harness: Harness) -> None:
    def behave(connection: HostileConnection) -> None:
        connection.transport.pauseProducing()  # type: ignore[union-attr] # connected
        connection.send(b"nonsense\r\n")

    receiver = HostileReceiver(behave, on_connect=True)
    harness.bad.append(receiver)
    url = await receiver.start()
    outcome = await harness.send(HookRequest("POST", url, {}, b"x" * 20_000_000))
    assert outcome.status is None
    assert "not HTTP/1.1" in outcome.error
    for connection in receiver.open_connections:
        # A paused socket does not notice that the peer has closed.
        connection.transport.resumeProducing()  # type: ignore[union-attr] # connected
    await receiver.all_closed()


def test_an_attempt_without_a_response_ends_with_the_request_timeout() -> None:
    clock = Clock()
    request = HookRequest("POST", "http://hook.example/", {}, b"a=1")
    results = results_of(Deferred.fromCoroutine(Sender(clock, RecordingAgent(), 7.5).send(request)))
    clock.advance(7.4)
    assert not results
    clock.advance(0.2)
    assert results == [Outcome(False, error="no complete answer within 7.5 s")]
    assert [one.failure_reason for one in results] == ["timeout"]
    assert results[0].connection_failed
    assert not results[0].unreachable


@implementer(IAgent)
@define
class FailingAgent:
    """Fails each request with `error`."""

    error: Exception

    def request(self, *_: Any) -> Deferred[Any]:
        return fail(self.error)


@pytest.mark.parametrize(
    ("error", "unreachable"),
    [
        (ConnectionRefusedError(), True),
        (ConnectTimeout(), True),
        (HostNotFound("x"), True),
        (ConnectionLost(), False),
        (NoRouteError(), False),
    ],
)
def test_whether_the_receiver_cannot_be_connected_to(error: Exception, unreachable: bool) -> None:
    agent: Any = FailingAgent(error)
    request = HookRequest("POST", "http://hook.example/", {}, b"a=1")
    (outcome,) = results_of(Deferred.fromCoroutine(Sender(Clock(), agent, 5).send(request)))
    assert (outcome.success, outcome.unreachable) == (False, unreachable)


@pytest.mark.parametrize(("keep", "headers"), [(True, {"X-Reply": "1"}), (False, {})])
@pytest_twisted.ensureDeferred
async def test_headers_of_a_success_are_kept_where_they_are_recorded(
    harness: Harness, keep: bool, headers: dict[str, str]
) -> None:
    response = OK + b"X-Reply: 1\r\nContent-Length: 0\r\n\r\n"
    receiver = HostileReceiver(sends(response))
    harness.bad.append(receiver)
    request = HookRequest("POST", await receiver.start(), {}, b"a=1")
    outcome = await harness.send(request, keep_success_headers=keep)
    assert outcome.success
    assert not outcome.connection_failed
    assert {name: value for name, value in outcome.headers.items() if name == "X-Reply"} == headers


@pytest_twisted.ensureDeferred
async def test_headers_of_a_failure_are_kept(harness: Harness) -> None:
    response = b"HTTP/1.1 500 X\r\nX-Reply: a\r\nX-Reply: b\r\nContent-Length: 2\r\n\r\nno"
    receiver = HostileReceiver(sends(response))
    harness.bad.append(receiver)
    request = HookRequest("POST", await receiver.start(), {}, b"a=1")
    outcome = await harness.send(request, keep_success_headers=False)
    assert (outcome.success, outcome.status, outcome.error, outcome.body) == (False, 500, "", b"no")
    assert outcome.headers["X-Reply"] == "a, b"
    assert "Content-Encoding" not in outcome.headers


@pytest.mark.parametrize("own", [{}, {"user-AGENT": "mine"}])
@pytest_twisted.ensureDeferred
async def test_the_product_names_itself_unless_the_request_does(
    harness: Harness, own: dict[str, str]
) -> None:
    await harness.send(HookRequest("POST", harness.good_url, own, b"a=1"))
    assert harness.good.received[0].headers["user-agent"] == (
        "mine" if own else f"kazoo_bridge/{__version__}"
    )


def test_headers_and_body_are_not_in_the_repr() -> None:
    assert "secret" not in repr(Outcome(True, 200, headers={"X": "secret"}, body=b"secret"))
