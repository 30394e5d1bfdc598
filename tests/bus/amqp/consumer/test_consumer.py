"""A consumer over channels and connections: when it is unavailable, and how it recovers."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from zope.interface.verify import verifyObject

from kazoo_bridge.bus.amqp.consumer.bindings import ANSWER_TIMEOUT
from kazoo_bridge.bus.amqp.consumer.consumer import HEALTHY_AFTER, AmqpConsumer
from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel, ConnectionGone
from kazoo_bridge.bus.message_decoder import MessageDecoder
from kazoo_bridge.interfaces import BusUnavailable, IConsumer, Queue, Topic
from tests.bus.amqp.fake_broker import FakeConnection, failure_of, result_of
from tests.bus.harness import CapturedLog

FIRST, LATER = Topic("callevt", "call.first"), Topic("callevt", "call.later")
NOT_RUNNING = "consumer of queue q is not running yet"


class Harness:
    """A consumer on a fake connection. It starts again after 1, 2, … seconds."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.connection = FakeConnection()
        self.consumer = AmqpConsumer(
            self.clock,
            Queue("q", frozenset({FIRST})),
            lambda _event: None,
            MessageDecoder(self.clock),
            lambda attempt: 1.0 + attempt,
        )

    def connect(self) -> None:
        connection: Any = self.connection
        self.consumer.connected(connection, Topology(connection))

    @property
    def patterns(self) -> set[str]:
        return {key for _, key in self.connection.bound}


def test_it_is_unavailable_while_the_broker_does_not_answer() -> None:
    harness = Harness()
    harness.connection.holding = True
    harness.connect()
    assert harness.consumer.unavailable_reason() == NOT_RUNNING
    waiting = harness.consumer.bind(LATER)
    assert not waiting.called
    harness.connection.release()
    assert waiting.called
    assert harness.consumer.unavailable_reason() is None
    assert harness.patterns == {"call.first", "call.later"}
    harness.connection.holding = True
    gone = harness.consumer.unbind(LATER)
    harness.clock.advance(ANSWER_TIMEOUT + 1)
    assert (
        harness.consumer.unavailable_reason()
        == "the broker has not answered about the bindings of queue q for 5 seconds"
    )
    harness.connection.release()
    assert gone.called
    assert harness.consumer.unavailable_reason() is None


def test_an_unexpected_failure_to_start_is_logged_and_it_starts_again() -> None:
    harness = Harness()
    harness.connection.failing = RuntimeError("a bug")
    with CapturedLog() as log:
        harness.connect()
    assert harness.consumer.unavailable_reason() == "consumer of queue q is not running: RuntimeError: a bug"
    assert "starting the consumer of queue q failed" in log.at_least(LogLevel.critical)
    waiting = harness.consumer.bind(LATER)
    harness.connection.failing = None
    harness.clock.advance(1)
    assert harness.consumer.unavailable_reason() is None
    assert waiting.called
    assert harness.patterns == {"call.first", "call.later"}


def test_an_unexpected_failure_to_bind_makes_it_unavailable_until_it_is_bound() -> None:
    harness = Harness()
    harness.connect()
    harness.connection.failing = RuntimeError("a bug")
    waiting = harness.consumer.bind(LATER)
    assert harness.consumer.unavailable_reason() == "queue q cannot be bound: a bug"
    harness.connection.failing = None
    harness.clock.advance(1)
    assert harness.consumer.unavailable_reason() is None
    assert waiting.called
    assert harness.consumer.topics == {FIRST, LATER}


def test_a_topic_that_is_refused_at_the_start_makes_it_unavailable() -> None:
    harness = Harness()
    harness.connection.refused = {"call.first"}
    harness.connect()
    assert (
        harness.consumer.unavailable_reason()
        == "queue q is not bound to call.first on exchange callevt: no access for call.first"
    )
    refused = harness.consumer.bind(Topic("callevt", "call.first"))
    failures: list[Any] = []
    refused.addErrback(failures.append)
    assert failures[0].check(BusUnavailable)
    harness.connection.refused.clear()
    harness.clock.advance(30)
    assert harness.consumer.unavailable_reason() is None


def test_no_caller_waits_after_a_lost_connection_or_a_cancelled_consumer() -> None:
    harness = Harness()
    assert harness.consumer.bind(LATER).called
    harness.connection.holding = True
    harness.connect()
    waiting = harness.consumer.bind(Topic("callevt", "call.more"))
    harness.consumer.disconnected()
    assert waiting.called
    assert harness.consumer.unavailable_reason() == NOT_RUNNING
    harness.connection = FakeConnection(holding=True)
    harness.connect()
    waiting = harness.consumer.unbind(LATER)
    harness.consumer.cancel()
    assert waiting.called
    assert not harness.clock.getDelayedCalls()


@pytest.fixture
def running() -> Harness:
    harness = Harness()
    harness.connect()
    assert harness.consumer.unavailable_reason() is None
    return harness


def test_it_is_a_consumer(running: Harness) -> None:
    assert verifyObject(IConsumer, running.consumer)


@pytest.mark.parametrize("topic", [Topic("callevt", "ü" * 128), Topic("x" * 256, "#")])
def test_a_topic_that_amqp_cannot_carry_is_refused(running: Harness, topic: Topic) -> None:
    with pytest.raises(ValueError, match="255"):
        AmqpConsumer(
            running.clock,
            Queue("q", frozenset({topic})),
            lambda _event: None,
            MessageDecoder(running.clock),
        )
    assert isinstance(failure_of(running.consumer.bind(topic)), ValueError)
    assert running.consumer.topics == {FIRST}


def test_it_starts_again_after_a_delay_that_grows_until_it_ran_for_long(running: Harness) -> None:
    closed = BrokerClosedChannel(404, "NOT_FOUND")
    for delay in (1.0, 2.0, 3.0):
        running.connection.channels[-1].close_by_broker(closed)
        assert running.consumer.unavailable_reason() == "consumer of queue q is not running: 404 NOT_FOUND"
        running.clock.advance(delay - 0.1)
        assert running.consumer.unavailable_reason() is not None
        running.clock.advance(0.1)
        assert running.consumer.unavailable_reason() is None
    assert running.consumer.start_count == 4
    running.clock.advance(HEALTHY_AFTER + 1)
    running.connection.channels[-1].close_by_broker(closed)
    running.clock.advance(1)
    assert running.consumer.unavailable_reason() is None


def test_waiting_for_the_start() -> None:
    harness = Harness()
    waiting, given_up = harness.consumer.when_running(), harness.consumer.when_running()
    given_up.cancel()
    assert isinstance(failure_of(given_up), CancelledError)
    assert not waiting.called
    harness.connect()
    assert result_of(waiting) is None
    assert result_of(harness.consumer.when_running()) is None
    harness.consumer.disconnected()
    assert not harness.consumer.when_running().called


def test_waiting_for_the_start_of_a_cancelled_consumer_fails() -> None:
    harness = Harness()
    waiting = harness.consumer.when_running()
    result_of(harness.consumer.cancel())
    for one in (waiting, harness.consumer.when_running()):
        assert isinstance(failure_of(one), CancelledError)
    harness.connect()
    assert harness.connection.requests == []


def test_a_waiter_may_cancel_another_when_it_fires() -> None:
    harness = Harness()
    first, second = harness.consumer.when_running(), harness.consumer.when_running()
    first.addCallback(lambda _: second.cancel())
    harness.connect()
    assert result_of(first) is None
    assert isinstance(failure_of(second), CancelledError)


def test_cancelling_while_it_waits_to_start_again_leaves_no_delayed_call(running: Harness) -> None:
    running.connection.channels[-1].close_by_broker(BrokerClosedChannel(404, "NOT_FOUND"))
    assert running.clock.getDelayedCalls() != []
    result_of(running.consumer.cancel())
    assert running.clock.getDelayedCalls() == []


def test_cancelling_while_it_starts_ends_the_start() -> None:
    harness = Harness()
    harness.connection.holding = True
    harness.connect()
    harness.consumer.cancel()
    harness.connection.release()
    assert harness.connection.requests[-2:] == ["consume q", "cancel tag"]
    assert len(harness.connection.closed_channels) == 1


def test_cancelling_ends_the_deliveries(running: Harness) -> None:
    result_of(running.consumer.cancel())
    assert running.connection.requests[-1] == "cancel tag"
    assert len(running.connection.closed_channels) == 1


def test_suspending_and_flushing_without_a_connection_do_nothing() -> None:
    harness = Harness()
    assert result_of(harness.consumer.suspend()) is None
    harness.consumer.flush()
    assert harness.connection.requests == []


def test_lost_bindings_count_as_an_interruption() -> None:
    harness = Harness()
    harness.connect()
    harness.connection.bound.clear()
    harness.consumer.rebind("im")
    assert (harness.consumer.start_count, harness.patterns) == (1, set())
    harness.consumer.rebind("callevt")
    assert (harness.consumer.start_count, harness.patterns) == (2, {"call.first"})


def test_a_suspended_consumer_does_not_start_again_on_its_connection() -> None:
    """The broker may have closed its channel before the bus closes the connection."""
    harness = Harness()
    harness.connect()
    with CapturedLog() as log:
        result_of(harness.consumer.suspend())
        harness.connection.channels[-1].close_by_broker(ConnectionGone("the channel was closed"))
    assert log.at_least(LogLevel.warn) == []
    assert harness.clock.getDelayedCalls() == []
