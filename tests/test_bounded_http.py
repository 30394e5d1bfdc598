"""A pool of connections and bodies; how clients use both is in `test_http` and `test_http_client`, too."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss

from kazoo_bridge.bounded_http import BodyTooLarge, abort, make_pool, read_body

_now = SynchronousTestCase()


class FakeTransport:
    """Counts how its connection was closed."""

    def __init__(self) -> None:
        self.aborted = self.lost = 0

    def abortConnection(self) -> None:
        self.aborted += 1

    def loseConnection(self) -> None:
        self.lost += 1


class ProxyTransport:
    """Like that of a response's body, which cannot abort by itself."""

    def __init__(self, producer: object) -> None:
        self._producer = producer
        self.lost = 0

    def loseConnection(self) -> None:
        self.lost += 1


class FakeBody:
    """A response whose body the test sends."""

    def __init__(self) -> None:
        self.transport = FakeTransport()

    def deliverBody(self, protocol: Protocol) -> None:
        self.protocol: Any = protocol
        protocol.makeConnection(self.transport)

    def send(self, *parts: bytes) -> None:
        for part in parts:
            self.protocol.dataReceived(part)

    def end(self, reason: Exception) -> None:
        self.protocol.connectionLost(Failure(reason))


@pytest.mark.parametrize("reason", [ResponseDone(), PotentialDataLoss()])
def test_a_whole_body(reason: Exception) -> None:
    body = FakeBody()
    reading = read_body(body, 4)  # type: ignore[arg-type]
    body.send(b"ab", b"cd")
    assert not reading.called
    body.end(reason)
    assert _now.successResultOf(reading) == b"abcd"
    assert body.transport.aborted == 0


def test_a_body_that_is_cut_is_none() -> None:
    body = FakeBody()
    reading = read_body(body, 4)  # type: ignore[arg-type]
    body.send(b"ab")
    body.end(ConnectionLost())
    _now.failureResultOf(reading, ConnectionLost)


def test_a_body_that_is_too_large_closes_its_connection_once() -> None:
    body = FakeBody()
    reading = read_body(body, 4)  # type: ignore[arg-type]
    body.send(b"ab", b"cde", b"f")
    assert "more than 4 bytes" in str(_now.failureResultOf(reading, BodyTooLarge).value)
    body.end(ConnectionLost())
    assert (body.transport.aborted, body.transport.lost) == (1, 0)


def test_cancelling_closes_the_connection() -> None:
    body = FakeBody()
    reading = read_body(body, 4)  # type: ignore[arg-type]
    reading.cancel()
    body.send(b"late")
    body.end(ConnectionLost())
    _now.failureResultOf(reading, CancelledError)
    assert body.transport.aborted == 1


def test_the_connection_behind_a_proxy_is_aborted_if_it_can_be() -> None:
    connection = FakeTransport()
    abort(ProxyTransport(connection))
    assert (connection.aborted, connection.lost) == (1, 0)
    proxy = ProxyTransport(None)
    abort(proxy)
    assert proxy.lost == 1


def test_a_pool_has_its_bounds_and_logs_nothing() -> None:
    pool = make_pool(Clock(), 3, 20.0)
    assert (pool.persistent, pool.maxPersistentPerHost, pool.cachedConnectionTimeout) == (True, 3, 20.0)
    assert pool._factory.noisy is False
    assert not make_pool(Clock(), 0, 0.0).persistent
