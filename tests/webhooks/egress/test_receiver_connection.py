from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IPullProducer
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived
from zope.interface.verify import verifyObject

from kazoo_bridge.webhooks.egress.destination import Origin
from kazoo_bridge.webhooks.egress.receiver_connection import ReceiverConnection
from kazoo_bridge.webhooks.egress.receiver_response import (
    MAX_BODY_BYTES,
    MAX_FRAMED_BYTES,
    MAX_HEAD_BYTES,
    BodyTooLong,
    HeadTooLong,
    MalformedResponse,
)

REQUEST = b"POST / HTTP/1.1\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\n"
EMPTY = OK + b"Content-Length: 0\r\n\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"


class ClosingTransport(StringTransport):
    """`aborted` is true if the connection was closed at once."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True
        self.disconnecting = True

    def more(self) -> None:
        """Send what was written, then ask for more."""
        assert self.producer is not None
        producer: Any = self.producer
        producer.resumeProducing()


class Connection:
    """A connection with its owner, and the handler of all its requests.

    `idle`, `closing` and `lost` count what it has reported; `results` are responses and errors.
    """

    def __init__(self) -> None:
        self.idle = self.closing = self.lost = 0
        self.results: list[Any] = []
        self.transport = ClosingTransport()
        self.client = ReceiverConnection(self, Origin("http", "hook.example", 80))
        self.client.makeConnection(self.transport)

    def connection_idle(self, connection: ReceiverConnection) -> None:
        assert not connection.is_busy
        self.idle += 1

    def connection_closing(self, connection: ReceiverConnection) -> None:
        self.closing += 1

    def connection_lost(self, connection: ReceiverConnection) -> None:
        self.lost += 1

    def response_received(self, response: Any) -> None:
        self.results.append(response)

    def connection_failed(self, error: Exception) -> None:
        self.results.append(error)

    def request(self, data: bytes = REQUEST, head_only: bool = False) -> None:
        self.client.send(self, data, head_only)

    def receive(self, *pieces: bytes) -> None:
        for piece in pieces:
            if not self.transport.disconnecting:
                self.client.dataReceived(piece)

    def lose(self) -> None:
        self.client.connectionLost(Failure(ConnectionDone()))

    @property
    def reason(self) -> Any:
        """Why the response could not be read."""
        (failed,) = self.results
        error = failed.error if hasattr(failed, "error") else failed
        assert type(error) is ResponseFailed
        return error.reasons[0].value


def answered(*pieces: bytes, head_only: bool = False) -> Connection:
    """Return a connection whose request was answered with these bytes."""
    connection = Connection()
    connection.request(head_only=head_only)
    connection.receive(*pieces)
    return connection


def test_a_request_is_one_write() -> None:
    connection = Connection()
    connection.request(b"head and body")
    assert connection.transport.value() == b"head and body"
    assert connection.client.request_sent
    assert connection.transport.producer is None


def test_requests_follow_each_other() -> None:
    connection = Connection()
    for number in range(3):
        connection.request()
        assert not connection.client.response_began
        connection.receive(b"HTTP/1.1 200 OK%d\r\nX: %d\r\nContent-Length: 2\r\n\r\n" % (number, number))
        assert connection.client.response_began
        connection.receive(b"b%d" % number)
        assert connection.idle == number + 1
    assert [(one.status, one.version, one.phrase, one.body) for one in connection.results] == [
        (200, "1.1", b"OK%d" % number, b"b%d" % number) for number in range(3)
    ]
    assert [one.headers[0] for one in connection.results] == [(b"X", b"%d" % n) for n in range(3)]
    assert connection.closing == 0


# -- what ends a response, and whether the connection is used again


@pytest.mark.parametrize(
    ("response", "body"),
    [
        (EMPTY, b""),
        (OK + b"Content-Length: 2\r\n\r\nok", b"ok"),
        (CHUNKED + b"2\r\nok\r\n0\r\n\r\n", b"ok"),
        (CHUNKED + b"2;x=y\r\nok\r\n1\r\n!\r\n0\r\nTrailer: x\r\n\r\n", b"ok!"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", b""),
        (b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\nContent-Length: 2\r\n\r\nok", b"ok"),
        (b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" * 3 + EMPTY, b""),
        (b"HTTP/1.1 103 Early\r\nConnection: close\r\n\r\n" + EMPTY, b""),
        (EMPTY.replace(b"\r\n", b"\n"), b""),
        (OK + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n", b""),
        (OK + b"Content-Length: 65536\r\n\r\n" + b"x" * 65536, b"x" * 65536),
        (OK + b"Content-Length: 2\r\n\r\n\r\n", b"\r\n"),
    ],
)
def test_a_complete_response_leaves_the_connection_usable(response: bytes, body: bytes) -> None:
    for size in (len(response), 1, 7):
        connection = answered(*(response[at : at + size] for at in range(0, len(response), size)))
        assert [(one.status // 100 in (2, 3), one.body, one.error) for one in connection.results] == [
            (True, body, None)
        ]
        assert (connection.idle, connection.closing) == (1, 0)
        assert (b"X", b"y") not in connection.results[0].headers


@pytest.mark.parametrize(
    "response",
    [
        EMPTY + OK,
        EMPTY + b"x",
        EMPTY + b"\r\n",
        EMPTY + b"\r\n\r\n",
        OK + b"Content-Length: 2\r\n\r\nok\r\n",
        CHUNKED + b"0\r\n\r\nx",
        CHUNKED + b"2\r\nok\r\n0\r\n\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\nx",
        OK + b"Connection: close\r\nContent-Length: 0\r\n\r\n",
        OK + b"Connection: x, Close\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 199 OK\r\n\r\nHTTP/1.1 042 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_other_connections_are_not_used_again(response: bytes) -> None:
    connection = answered(response)
    assert len(connection.results) == 1
    assert connection.idle == 0
    assert connection.transport.disconnecting


def test_the_end_of_the_connection_is_the_end_of_a_body_without_a_length() -> None:
    connection = answered(OK + b"\r\nhal", b"lo")
    assert connection.results == []
    connection.lose()
    (response,) = connection.results
    assert (response.body, response.error, response.ends_at_close) == (b"hallo", None, True)


@pytest.mark.parametrize("head", [OK + b"Content-Length: 9\r\n\r\nhal", CHUNKED + b"9\r\nhal"])
def test_a_body_that_ends_early_has_an_error(head: bytes) -> None:
    connection = answered(head)
    connection.lose()
    assert isinstance(connection.reason, ConnectionDone)
    assert (connection.results[0].status, connection.results[0].body) == (200, b"hal")


def test_a_connection_that_ends_without_a_head() -> None:
    for received, error in (((), ResponseNeverReceived), ((b"HTTP/1.1 2",), ResponseFailed)):
        connection = answered(*received)
        connection.lose()
        assert [type(one) for one in connection.results] == [error]
        assert connection.lost == 1


def test_a_response_to_head_has_no_body() -> None:
    connection = answered(OK + b"Content-Length: 5\r\n\r\n", head_only=True)
    assert (connection.results[0].status, connection.idle) == (200, 0)
    assert connection.transport.disconnecting


def test_bytes_without_a_request_close_the_connection() -> None:
    connection = answered(EMPTY)
    connection.client.dataReceived(OK)
    assert connection.transport.aborted
    assert len(connection.results) == 1


def test_a_lost_connection_is_freed_at_once() -> None:
    connection = answered(EMPTY)
    connection.lose()
    freed = weakref.ref(connection.client)
    gc.disable()
    try:
        del connection.client
        assert freed() is None
    finally:
        gc.enable()


# -- bounds


@pytest.mark.parametrize(
    "endless", [b"X: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"\r\n", b"X" * 65536], ids=str
)
def test_a_head_is_bounded(endless: bytes) -> None:
    connection = answered(OK if endless.startswith(b"X") else b"")
    for _ in range(1 + 2 * MAX_HEAD_BYTES // len(endless)):
        connection.receive(endless)
    assert connection.transport.disconnecting
    assert isinstance(connection.reason, HeadTooLong)


def test_a_head_within_the_bound_is_read() -> None:
    connection = answered(OK + b"X: " + b"y" * (MAX_HEAD_BYTES - 200) + b"\r\nContent-Length: 0\r\n\r\n")
    assert connection.results[0].status == 200


@pytest.mark.parametrize("chunk", [b"1\r\na\r\n", b"1;e=" + b"x" * 900 + b"\r\na\r\n"])
@pytest.mark.parametrize("at_once", [1, 20, 100_000])
def test_the_framing_of_a_body_is_bounded(chunk: bytes, at_once: int) -> None:
    connection, sent = answered(CHUNKED), 0
    while not connection.transport.disconnecting:
        connection.receive(chunk * at_once)
        sent += at_once * len(chunk)
    assert sent > MAX_FRAMED_BYTES
    assert isinstance(connection.reason, BodyTooLong)
    assert len(connection.results[0].body) < MAX_BODY_BYTES


@pytest.mark.parametrize(
    "head", [OK + b"Content-Length: 99999999\r\n\r\n", OK + b"\r\n", CHUNKED + b"fffffff\r\n"]
)
@pytest.mark.parametrize("size", [1000, 65536, 1_000_000])
def test_the_beginning_of_a_long_body_is_kept(head: bytes, size: int) -> None:
    connection = answered(head, *[b"x" * size] * (1 + MAX_BODY_BYTES // size))
    (response,) = connection.results
    assert (response.status, response.body, response.error) == (200, b"x" * MAX_BODY_BYTES, None)
    assert connection.transport.disconnecting


@pytest.mark.parametrize(
    "response",
    [
        b"<html>",
        b"SSH-2.0-x y z\r\n\r\n",
        b"\x00\xff\x00\n",
        b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nzzz",
        b"HTTP/1.1 101 Switching\r\n\r\n",
        OK + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        OK + b"Content-Length: -2\r\n\r\n",
        OK + b"Content-Length: 2, 3\r\n\r\nok",
        OK + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n",
        OK + b"Transfer-Encoding: smoke\r\n\r\n",
        OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: smoke\r\n\r\n0\r\n\r\n",
        OK + b" folded first\r\n\r\n",
        OK + b"no colon\r\n\r\n",
    ],
)
def test_what_is_not_http_is_refused(response: bytes) -> None:
    connection = answered(response)
    assert isinstance(connection.reason, MalformedResponse)
    assert not hasattr(connection.results[0], "status")
    assert connection.transport.disconnecting


@pytest.mark.parametrize(
    "body", [b"zebra\r\n", b"-5\r\nhallo\r\n", b"5\r\nhalloWELT\r\n", b"1" * 30, b"5\nhallo\n0\n\n"]
)
def test_broken_chunks_leave_the_status(body: bytes) -> None:
    connection = answered(CHUNKED, body)
    assert isinstance(connection.reason, MalformedResponse)
    assert connection.results[0].status == 200
    assert connection.transport.disconnecting


# -- requests that the receiver does not read


LONG = b"x" * 200_000


def test_a_long_request_waits_for_the_receiver() -> None:
    connection = Connection()
    connection.request(LONG)
    verifyObject(IPullProducer, connection.client)
    connection.transport.more()
    assert connection.transport.value() == LONG[:65536]
    for _ in range(4):
        assert not connection.client.request_sent
        connection.transport.more()
    assert connection.client.request_sent
    assert connection.transport.value() == LONG
    assert connection.transport.producer is None
    connection.receive(EMPTY)
    assert connection.idle == 1


def test_an_early_answer_waits_until_the_request_is_sent() -> None:
    connection = Connection()
    connection.request(LONG)
    connection.receive(EMPTY)
    assert connection.results == []
    for _ in range(5):
        connection.transport.more()
    assert connection.results[0].status == 200
    assert connection.idle == 0
    assert connection.transport.disconnecting


@pytest.mark.parametrize("ends", [lambda one: one.lose(), lambda one: one.receive(b"x")])
def test_an_early_answer_counts_when_the_rest_cannot_be_sent(ends: Any) -> None:
    connection = Connection()
    connection.request(LONG)
    connection.receive(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
    ends(connection)
    assert [(one.status, one.body) for one in connection.results] == [(413, b"no")]
    assert connection.idle == 0


def test_an_early_answer_that_is_no_http_ends_the_request() -> None:
    connection = Connection()
    connection.request(LONG)
    connection.receive(b"nonsense\r\n")
    assert isinstance(connection.reason, MalformedResponse)
    assert connection.transport.aborted
    assert connection.transport.producer is None


def test_a_connection_that_is_lost_while_a_request_is_sent() -> None:
    connection = Connection()
    connection.request(LONG)
    connection.lose()
    connection.client.stopProducing()
    connection.client.resumeProducing()
    assert [type(one) for one in connection.results] == [RequestTransmissionFailed]
