"""A consumer that cannot start or bind: what it says, and how it recovers."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import LogLevel

from kazoo_bridge.bus.amqp.consumer.bindings import ANSWER_TIMEOUT
from kazoo_bridge.bus.amqp.consumer.consumer import AmqpConsumer
from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.interfaces import BusUnavailable, Queue, Topic
from tests.bus.amqp.fake_broker import FakeConnection
from tests.integration.amqp_harness import CapturedLog

FIRST, LATER = Topic("callevt", "call.first"), Topic("callevt", "call.later")
NOT_RUNNING = "consumer of queue q is not running yet"


class Harness:
    """A consumer on a fake connection."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.connection = FakeConnection()
        self.consumer = AmqpConsumer(self.clock, Queue("q", frozenset({FIRST})), lambda _event: None)

    def connect(self) -> None:
        connection: Any = self.connection
        self.consumer.connected(connection, Topology(connection))

    @property
    def patterns(self) -> set[str]:
        return {key for _, key in self.connection.bound}


def test_it_is_not_ready_while_the_broker_does_not_answer() -> None:
    its = Harness()
    its.connection.holding = True
    its.connect()
    assert its.consumer.unavailable_reason() == NOT_RUNNING
    waiting = its.consumer.bind(LATER)
    assert not waiting.called
    its.connection.release()
    assert waiting.called
    assert its.consumer.unavailable_reason() is None
    assert its.patterns == {"call.first", "call.later"}
    its.connection.holding = True
    gone = its.consumer.unbind(LATER)
    its.clock.advance(ANSWER_TIMEOUT + 1)
    assert (
        its.consumer.unavailable_reason()
        == "the broker has not answered about the bindings of queue q for 5 seconds"
    )
    its.connection.release()
    assert gone.called
    assert its.consumer.unavailable_reason() is None


def test_a_bug_while_it_starts_is_logged_and_it_starts_again() -> None:
    its = Harness()
    its.connection.failing = RuntimeError("a bug")
    with CapturedLog() as log:
        its.connect()
    assert its.consumer.unavailable_reason() == "consumer of queue q is not running: RuntimeError: a bug"
    assert "starting the consumer of queue q failed" in log.at_least(LogLevel.critical)
    waiting = its.consumer.bind(LATER)
    its.connection.failing = None
    its.clock.advance(1)
    assert its.consumer.unavailable_reason() is None
    assert waiting.called
    assert its.patterns == {"call.first", "call.later"}


def test_a_bug_while_it_binds_is_trouble_until_it_is_bound() -> None:
    its = Harness()
    its.connect()
    its.connection.failing = RuntimeError("a bug")
    waiting = its.consumer.bind(LATER)
    assert its.consumer.unavailable_reason() == "queue q cannot be bound: a bug"
    its.connection.failing = None
    its.clock.advance(1)
    assert its.consumer.unavailable_reason() is None
    assert waiting.called
    assert its.consumer.topics == {FIRST, LATER}


def test_what_is_refused_at_the_start_is_trouble() -> None:
    its = Harness()
    its.connection.refused = {"call.first"}
    its.connect()
    assert (
        its.consumer.unavailable_reason()
        == "queue q is not bound to call.first on exchange callevt: no access for call.first"
    )
    refused = its.consumer.bind(Topic("callevt", "call.first"))
    failures: list[Any] = []
    refused.addErrback(failures.append)
    assert failures[0].check(BusUnavailable)
    its.connection.refused.clear()
    its.clock.advance(30)
    assert its.consumer.unavailable_reason() is None


def test_nobody_waits_for_a_connection_that_is_gone_or_a_consumer_that_is_cancelled() -> None:
    its = Harness()
    assert its.consumer.bind(LATER).called
    its.connection.holding = True
    its.connect()
    waiting = its.consumer.bind(Topic("callevt", "call.more"))
    its.consumer.disconnected()
    assert waiting.called
    assert its.consumer.unavailable_reason() == NOT_RUNNING
    its.connection = FakeConnection(holding=True)
    its.connect()
    waiting = its.consumer.unbind(LATER)
    its.consumer.cancel()
    assert waiting.called
    assert not its.clock.getDelayedCalls()
