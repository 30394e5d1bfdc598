"""Keeping a connection: it is reported when it begins and ends, and established again."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError

from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.connection.reconnecting import (
    CLOSE_TIMEOUT,
    RECONNECT_DELAY,
    RETRY_DELAY,
    ReconnectingConnection,
)
from kazoo_bridge.config import AmqpUri
from tests.bus.amqp.fake_broker import result_of
from tests.bus.amqp.memory_broker import MemoryBroker


class Harness:
    """A connection to a broker in memory; `reports` has True for each connection and False for each loss."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.reports: list[bool] = []
        self.reconnecting = ReconnectingConnection(
            broker.clock,
            [AmqpUri("broker")],
            lambda uri: BrokerConnection(broker.clock, uri.vhost),
            lambda _connection: self.reports.append(True),
            lambda: self.reports.append(False),
        )

    def start(self) -> None:
        self.reconnecting.startService()
        self.broker.settle()


@pytest.fixture
def harness(broker: MemoryBroker) -> Harness:
    return Harness(broker)


def test_it_reports_the_connection_and_says_before_that_there_is_none(harness: Harness) -> None:
    assert harness.reconnecting.unavailable_reason() == "no connection to amqp://broker:5672/ yet"
    harness.start()
    assert harness.reports == [True]
    assert harness.reconnecting.unavailable_reason() is None


def test_a_lost_connection_is_reported_and_established_again(harness: Harness) -> None:
    harness.start()
    first = harness.reconnecting.connection
    harness.broker.drop_all()
    assert harness.reports == [True, False]
    assert (
        harness.reconnecting.unavailable_reason()
        == "no connection to amqp://broker:5672/: the connection broke"
    )
    harness.broker.clock.advance(2)
    harness.broker.settle()
    assert harness.reports == [True, False, True]
    assert harness.reconnecting.connection is not first


def test_a_closed_connection_is_unavailable_before_its_transport_is_gone(harness: Harness) -> None:
    harness.start()
    assert harness.reconnecting.connection is not None
    harness.reconnecting.connection.abort("a test")
    assert harness.reconnecting.unavailable_reason() == "the connection has ended: a test"
    assert harness.reports == [True]


def test_attempts_become_rarer_with_jitter() -> None:
    for attempt in range(20):
        base = min(0.5 * 1.5**attempt, 30)
        assert base <= RECONNECT_DELAY(attempt) <= base + 1
        assert RETRY_DELAY(attempt) <= 31


def test_stopping_closes_the_connection_with_the_handshake(harness: Harness) -> None:
    harness.start()
    [transport] = harness.broker.connections
    stopping = harness.reconnecting.stop()
    stopped = Deferred.fromCoroutine(stopping)
    harness.broker.settle()
    assert stopped.called
    assert transport.methods[-1] == "connection.close"
    assert harness.reports == [True, False]
    harness.broker.clock.advance(60)
    assert harness.broker.connections == []


def test_stopping_does_not_wait_for_a_silent_broker(harness: Harness) -> None:
    harness.start()
    harness.broker.silent = True
    stopped = Deferred.fromCoroutine(harness.reconnecting.stop())
    harness.broker.settle()
    assert not stopped.called
    for _ in range(2):
        harness.broker.clock.advance(CLOSE_TIMEOUT)
        harness.broker.settle()
    assert result_of(stopped) is None
    assert harness.broker.clock.getDelayedCalls() == []


def test_stopping_while_there_is_no_connection_ends_the_attempts(harness: Harness) -> None:
    harness.broker.errors["broker"] = ConnectionRefusedError()
    harness.start()
    stopped = Deferred.fromCoroutine(harness.reconnecting.stop())
    assert result_of(stopped) is None
    assert harness.broker.clock.getDelayedCalls() == []
