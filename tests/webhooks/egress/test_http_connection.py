from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web._newclient import Request
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers
from twisted.web.iweb import IBodyProducer

from kazoo_bridge.webhooks.egress.http_connection import (
    MAX_FRAMED_BYTES,
    MAX_HEAD_BYTES,
    BodyTooLong,
    BoundedClient,
    BoundedClientFactory,
    HeadTooLong,
)
from kazoo_bridge.webhooks.http.body_producer import BytesProducer
from tests.webhooks.harness import results_of


class Connection:
    """A connected client; `idle` and `lost` are what it has reported."""

    def __init__(self) -> None:
        self.idle: list[BoundedClient] = []
        self.lost: list[BoundedClient] = []
        self.transport = StringTransport()
        self.client = BoundedClientFactory(self.idle.append, self.lost.append).buildProtocol(None)
        self.client.makeConnection(self.transport)

    def request(self, body: IBodyProducer | None = None) -> list[Any]:
        headers = Headers({b"Host": [b"hook.example"]})
        return results_of(self.client.request(Request(b"POST", b"/", headers, body, persistent=True)))


def test_a_short_body_is_on_the_wire_before_a_response_can_come() -> None:
    connection = Connection()
    results = connection.request(BytesProducer(b"a=1"))
    assert connection.transport.value().endswith(b"\r\n\r\na=1")
    connection.client.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert results[0].code == 200
    assert connection.idle == [connection.client]
    assert not connection.transport.disconnecting


def test_a_connection_notes_the_first_byte_of_each_response() -> None:
    connection = Connection()
    for _ in range(2):
        connection.request()
        assert not connection.client.response_began
        connection.client.dataReceived(b"H")
        assert connection.client.response_began
        connection.client.dataReceived(b"TTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nx",
        b"HTTP/1.1 204 No Content\r\n\r\nx",
        b"HTTP/1.1 99999 OK\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_a_connection_with_surplus_bytes_or_without_a_status_is_not_used_again(response: bytes) -> None:
    connection = Connection()
    connection.request(BytesProducer(b"a=1"))
    connection.client.dataReceived(response)
    assert connection.idle == []
    assert connection.transport.disconnecting


class Body(Protocol):
    """Collects a body, and why it ended."""

    def __init__(self) -> None:
        self.received, self.reasons = b"", list[Failure]()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.reasons.append(reason)


@pytest.mark.parametrize("chunk", [b"1\r\na\r\n", b"1;e=" + b"x" * 900 + b"\r\na\r\n"])
def test_the_framing_of_a_body_is_bounded(chunk: bytes) -> None:
    connection, body = Connection(), Body()
    results = connection.request()
    connection.client.dataReceived(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    results[0].deliverBody(body)
    sent = 0
    while not connection.transport.disconnecting:
        connection.client.dataReceived(chunk * 20)
        sent += 20 * len(chunk)
    assert MAX_FRAMED_BYTES < sent < MAX_FRAMED_BYTES + 20_000
    failed: Any = body.reasons[0].value
    assert failed.reasons[0].check(BodyTooLong)


def test_a_body_within_the_limit_leaves_the_connection_usable() -> None:
    connection, body = Connection(), Body()
    for _ in range(3):
        results = connection.request()
        connection.client.dataReceived(b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + b"x" * 60_000)
        results[0].deliverBody(body)
    assert len(body.received) == 180_000
    assert len(connection.idle) == 3


def test_a_closed_connection_is_reported() -> None:
    connection = Connection()
    connection.client.connectionLost(Failure(ConnectionResetError()))
    assert connection.lost == [connection.client]


@pytest.mark.parametrize(
    "endless", [b"X: y\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"x"], ids=["headers", "1xx", "status"]
)
def test_a_head_is_bounded(endless: bytes) -> None:
    connection = Connection()
    results = connection.request()
    if endless.startswith(b"X:"):
        connection.client.dataReceived(b"HTTP/1.1 200 OK\r\n")
    for _ in range(2 * MAX_HEAD_BYTES // len(endless)):
        connection.client.dataReceived(endless)
        if connection.transport.disconnecting:
            break
    assert connection.transport.disconnecting
    failure = results[0]
    assert failure.check(ResponseFailed)
    assert failure.value.reasons[0].check(HeadTooLong)
