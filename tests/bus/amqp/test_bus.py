"""The bus over AMQP on a broker in memory: what only a clock can show.

`integration/test_amqp_bus.py` has the rest.
"""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from zope.interface.verify import verifyObject

from kazoo_bridge.bus.amqp import AmqpBus
from kazoo_bridge.bus.amqp.binding_probe import PROBE_INTERVAL
from kazoo_bridge.bus.amqp.wire.frame_writer import HEARTBEAT_FRAME
from kazoo_bridge.config import AmqpUri
from kazoo_bridge.interfaces import BusUnavailable, IBus, IConsumer, Queue, Topic
from kazoo_bridge.kazoo import Event
from tests.bus.amqp.fake_broker import failure_of, result_of
from tests.bus.amqp.memory_broker import BrokerTransport, MemoryBroker


class Harness:
    """A bus on a broker in memory."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.bus = AmqpBus(broker.clock, [AmqpUri("broker")])

    def start(self) -> None:
        self.bus.startService()
        self.broker.settle()
        assert self.bus.unavailable_reason() is None

    def request(self, timeout: float = 60.0) -> Deferred[list[Event]]:
        requested = self.bus.request("callevt", "question", {"a": 1}, timeout=timeout)
        self.broker.settle()
        return requested

    def reply(self, number: int = -1) -> None:
        """Reply to a request."""
        *_, body = self.broker.published[number]
        server_id = body["Server-ID"]
        self.broker.deliver(server_id, "targeted", server_id, orjson.dumps({"Msg-ID": body["Msg-ID"]}))

    def drop(self, connection: int) -> None:
        """End the consuming connection (0) or the publishing one (1)."""
        self.broker.connections[connection].drop(ConnectionLost())


@pytest.fixture
def harness(broker: MemoryBroker) -> Harness:
    made = Harness(broker)
    made.start()
    return made


def test_it_is_a_bus_with_consumers(broker: MemoryBroker) -> None:
    bus = AmqpBus(broker.clock, [AmqpUri("broker")])
    assert verifyObject(IBus, bus)
    assert verifyObject(IConsumer, bus.consume(Queue(), lambda _event: None))


def test_it_needs_a_broker() -> None:
    reactor: Any = None
    with pytest.raises(ValueError, match="at least one AMQP URI"):
        AmqpBus(reactor, [])


def test_it_consumes_and_publishes_over_two_connections(harness: Harness) -> None:
    events: list[Event] = []
    harness.bus.consume(Queue("q", frozenset({Topic("callevt", "#")})), events.append)
    harness.broker.settle()
    harness.broker.deliver("q", "callevt", "call.x", b'{"a":1}')
    assert [event.body for event in events] == [{"a": 1}]
    published = harness.bus.publish("callevt", "call.y", {"b": 2})
    harness.broker.settle()
    assert result_of(published) is None
    assert harness.broker.published == [("callevt", "call.y", {"b": 2})]
    consuming, publishing = harness.broker.connections
    assert "basic.consume" in consuming.methods
    assert "basic.publish" in publishing.methods


def test_without_a_connection_publishing_fails_at_once(harness: Harness) -> None:
    harness.drop(1)
    error = failure_of(harness.bus.publish("callevt", "call.y", {}))
    assert isinstance(error, BusUnavailable)
    assert str(error) == harness.bus.unavailable_reason()


def test_a_lost_connection_ends_a_request_without_replies(harness: Harness) -> None:
    requested = harness.request()
    harness.drop(0)
    assert isinstance(failure_of(requested), BusUnavailable)


def test_a_lost_connection_ends_a_request_with_the_replies_that_arrived(harness: Harness) -> None:
    requested = harness.request()
    harness.reply()
    assert not requested.called
    harness.drop(0)
    assert len(result_of(requested)) == 1


def test_a_lost_connection_ends_a_request_that_is_not_confirmed(harness: Harness) -> None:
    harness.broker.confirming = False
    requested = harness.request()
    assert len(harness.broker.published) == 1
    harness.drop(0)
    assert isinstance(failure_of(requested), BusUnavailable)


def test_the_loss_of_the_publishing_connection_does_not_end_a_request(harness: Harness) -> None:
    requested = harness.request()
    harness.drop(1)
    assert not requested.called
    harness.reply()
    harness.broker.clock.advance(60)
    assert len(result_of(requested)) == 1


def test_a_request_during_an_outage_is_sent_after_it(harness: Harness) -> None:
    harness.request(timeout=1).addErrback(lambda _failure: None)
    harness.broker.clock.advance(1)
    harness.broker.published.clear()
    harness.broker.drop_all()
    requested = harness.request()
    assert not requested.called
    harness.broker.clock.advance(2)
    harness.broker.settle()
    assert len(harness.broker.published) == 1
    harness.reply()
    harness.broker.clock.advance(60)
    assert len(result_of(requested)) == 1


@pytest.mark.parametrize("lost", [(1,), (1, 0)], ids=["publishing", "both"])
def test_a_request_waits_for_the_connection_to_publish_over(harness: Harness, lost: tuple[int, ...]) -> None:
    """Either connection may be back first: each has its own delay, with a part at random."""
    harness.request(timeout=1).addErrback(lambda _failure: None)
    harness.broker.clock.advance(1)
    harness.broker.published.clear()
    for connection in lost:
        harness.drop(connection)
    requested = harness.request()
    for _ in range(8):
        harness.broker.clock.advance(0.25)
        harness.broker.settle()
    assert len(harness.broker.published) == 1
    harness.reply()
    harness.broker.clock.advance(60)
    assert len(result_of(requested)) == 1


def test_a_request_without_a_connection_to_publish_over_fails_after_its_timeout(harness: Harness) -> None:
    harness.broker.errors["broker"] = ConnectionRefusedError()
    harness.drop(1)
    requested = harness.request(timeout=5)
    harness.broker.clock.advance(4.9)
    assert not requested.called
    harness.broker.clock.advance(0.1)
    error = failure_of(requested)
    assert isinstance(error, BusUnavailable)
    assert str(error) == harness.bus.unavailable_reason()


class FreezingHarness(Harness):
    """A bus on a broker that sends heartbeats on its connections, except on frozen ones."""

    def __init__(self, broker: MemoryBroker) -> None:
        super().__init__(broker)
        self.bus = AmqpBus(broker.clock, [AmqpUri("broker", heartbeat=1)])
        self.events: list[Event] = []
        self.consumer = self.bus.consume(Queue("q", frozenset({Topic("callevt", "#")})), self.events.append)
        self.start()
        self.consuming, self.publishing = broker.connections

    def pass_time(self, seconds: float, *frozen: BrokerTransport) -> None:
        for _ in range(round(seconds * 4)):
            for connection in list(self.broker.connections):
                if connection not in frozen:
                    connection.send(HEARTBEAT_FRAME)
            self.broker.clock.advance(0.25)
            self.broker.settle()

    def check(self) -> None:
        """Check that an event arrives and a message is published."""
        self.broker.deliver("q", "callevt", "call.x", b"{}")
        assert len(self.events) == 1
        published = self.bus.publish("callevt", "call.y", {})
        self.broker.settle()
        assert result_of(published) is None
        assert self.bus.unavailable_reason() is None


def test_after_a_freeze_that_both_connections_notice_everything_starts_again(broker: MemoryBroker) -> None:
    harness = FreezingHarness(broker)
    broker.silent = True
    harness.pass_time(3, harness.consuming, harness.publishing)
    assert "no sign of life for 2 seconds" in str(harness.bus.unavailable_reason())
    broker.silent = False
    harness.pass_time(15)  # an attempt to log in may have begun during the freeze: it ends after 10 seconds
    assert harness.consumer.start_count == 2
    harness.check()


@pytest.mark.parametrize("noticing", ["consuming", "publishing"])
def test_a_freeze_that_one_connection_notices_before_its_end_leaves_the_other_alone(
    broker: MemoryBroker, noticing: str
) -> None:
    harness = FreezingHarness(broker)
    harness.pass_time(2.5, getattr(harness, noticing))
    assert harness.bus.unavailable_reason() is not None
    harness.pass_time(15)
    assert harness.consumer.start_count == (2 if noticing == "consuming" else 1)
    harness.check()


def test_stopping_ends_requests_at_once_and_leaves_no_delayed_call(harness: Harness) -> None:
    answered, unanswered = harness.request(), harness.request()
    harness.reply(0)
    stopping = harness.bus.stopService()
    assert len(result_of(answered)) == 1
    assert isinstance(failure_of(unanswered), BusUnavailable)
    harness.broker.settle()
    assert result_of(stopping) is None
    assert harness.broker.clock.getDelayedCalls() == []
    assert harness.bus.unavailable_reason() == "the bus is not started"


def test_its_metrics_are_those_of_the_messages_and_the_queue(harness: Harness) -> None:
    registry = CollectorRegistry()
    harness.bus.register_metrics(registry)
    samples = generate_latest(registry).decode()
    assert "kazoo_bridge_queue_messages NaN" in samples
    assert 'kazoo_bridge_events_unreadable_total{reason="not_json"} 0.0' in samples


def test_connections_and_unacknowledged_messages_are_counted(harness: Harness) -> None:
    registry = CollectorRegistry()
    harness.bus.register_metrics(registry)

    def connects(connection: str) -> float | None:
        return registry.get_sample_value("kazoo_bridge_bus_connects_total", {"connection": connection})

    assert (connects("consuming"), connects("publishing")) == (1, 1)
    finished: Deferred[None] = Deferred()
    harness.bus.consume(Queue("q", frozenset({Topic("callevt", "#")}), prefetch=5), lambda _event: finished)
    harness.broker.settle()
    harness.broker.deliver("q", "callevt", "call.x", b"{}")
    assert registry.get_sample_value("kazoo_bridge_unacknowledged") == 1
    finished.callback(None)
    harness.broker.clock.advance(1)
    harness.broker.settle()
    assert registry.get_sample_value("kazoo_bridge_unacknowledged") == 0
    harness.drop(0)
    harness.broker.clock.advance(10)
    harness.broker.settle()
    assert (connects("consuming"), connects("publishing")) == (2, 1)


def test_it_probes_every_exchange_that_it_uses(harness: Harness) -> None:
    harness.bus.consume(
        Queue("q", frozenset({Topic("callevt", "call.#")}), durable=True), lambda _event: None
    )
    harness.broker.settle()
    harness.broker.clock.advance(PROBE_INTERVAL)
    harness.broker.settle()
    [(exchange, key, body)] = harness.broker.published
    assert (exchange, body) == ("callevt", {})
    assert key.startswith("kazoo_bridge-probe-")
