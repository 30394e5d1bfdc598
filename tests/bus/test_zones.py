"""A bus of several zones: the suite of all buses, and what is particular to zones."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest.mock import patch

import pytest
from attrs import define, field
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import LogLevel
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.bus.zones import ZonedBus
from kazoo_bridge.interfaces import BusUnavailable, EventHandler, IConsumer, Queue, Topic
from kazoo_bridge.kazoo import Event
from tests.bus.harness import CapturedLog, RecordingHandler
from tests.bus.ibus_suite import BusHarness, IBusSuite, captured_log

__all__ = ["TestZonedBus", "captured_log"]

_now = SynchronousTestCase()
result_of, failure_of, no_result = _now.successResultOf, _now.failureResultOf, _now.assertNoResult

CALLS = Topic("callevt", "call.*.*")
FAXES = Topic("faxes", "fax.#")
FEDERATED = Queue(topics=frozenset({CALLS}), acknowledge=False, federated=True)


@pytest.fixture
def harness() -> Iterator[BusHarness]:
    home = EmbeddedBus(reactor)
    bus = ZonedBus(reactor, home, [EmbeddedBus(reactor)])
    bus.startService()
    yield BusHarness(bus, home.publish_raw, bus.stopService)
    bus.stopService()


class TestZonedBus(IBusSuite):
    pass


class StubbornBus(EmbeddedBus):
    """A bus that does with bindings what the test says, and whose consumers are never cancelled."""

    answer: Deferred[None]

    def consume(self, queue: Queue, handler: EventHandler) -> IConsumer:
        consumer = super().consume(queue, handler)
        stubborn: Any = consumer
        stubborn.bind = stubborn.unbind = lambda _topic: self.answer
        stubborn.cancel = Deferred
        return consumer


@define(eq=False)
class ZonesHarness:
    """A home zone and two others, started."""

    clock: Clock = field(factory=Clock)
    home: EmbeddedBus = field(init=False)
    one: EmbeddedBus = field(init=False)
    two: StubbornBus = field(init=False)
    bus: ZonedBus = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.home, self.one = EmbeddedBus(self.clock), EmbeddedBus(self.clock)
        self.two = StubbornBus(self.clock)
        self.bus = ZonedBus(self.clock, self.home, [self.one, self.two])
        self.bus.startService()

    def publish(self, bus: EmbeddedBus, number: int, topic: str = "call.EVENT.id", **body: Any) -> None:
        result_of(bus.publish("callevt", topic, {"n": number, **body}))
        self.clock.advance(0)

    def publish_everywhere(self) -> None:
        for number, bus in enumerate((self.home, self.one, self.two)):
            self.publish(bus, number)


@pytest.fixture
def zones() -> Iterator[ZonesHarness]:
    made = ZonesHarness()
    yield made
    made.bus.stopService()
    assert made.clock.getDelayedCalls() == []


def test_a_federated_consumer_receives_from_every_zone(zones: ZonesHarness) -> None:
    seen = RecordingHandler()
    consumer = zones.bus.consume(FEDERATED, seen)
    assert verifyObject(IConsumer, consumer)
    result_of(consumer.when_running())
    zones.publish_everywhere()
    assert seen.numbers == [0, 1, 2]


def test_all_other_consumers_receive_from_the_home_zone_only(zones: ZonesHarness) -> None:
    seen, durable = RecordingHandler(), RecordingHandler()
    zones.bus.consume(Queue(topics=frozenset({CALLS})), seen)
    zones.bus.consume(Queue("durable", frozenset({CALLS}), durable=True), durable)
    zones.publish_everywhere()
    assert seen.numbers == durable.numbers == [0]


def test_bindings_change_in_every_zone(zones: ZonesHarness) -> None:
    seen = RecordingHandler()
    consumer = zones.bus.consume(Queue(acknowledge=False, federated=True), seen)
    zones.two.answer = Deferred()
    result_of(consumer.bind(CALLS))
    zones.publish(zones.home, 1)
    zones.publish(zones.one, 2)
    result_of(consumer.unbind(CALLS))
    zones.publish(zones.home, 3)
    zones.publish(zones.one, 4)
    assert seen.numbers == [1, 2]


def test_nothing_waits_for_a_zone_that_does_not_answer(zones: ZonesHarness) -> None:
    consumer = zones.bus.consume(FEDERATED, RecordingHandler())
    zones.two.answer = Deferred()
    for changing in (consumer.bind(FAXES), consumer.unbind(FAXES), consumer.cancel()):
        result_of(changing)


def test_a_refusal_in_another_zone_is_logged_at_most_once_a_minute(
    zones: ZonesHarness, captured_log: CapturedLog
) -> None:
    consumer = zones.bus.consume(FEDERATED, RecordingHandler())
    for _ in range(3):
        zones.two.answer = fail(BusUnavailable("access refused"))
        result_of(consumer.bind(FAXES))
    said = captured_log.at_least(LogLevel.warn)
    assert said == ["bindings refused in zone 2 count=1 latest: fax.# on exchange faxes: access refused"]
    zones.clock.advance(60)
    assert "bindings refused in zone 2 count=2" in captured_log.at_least(LogLevel.warn)[-1]


def test_a_refusal_in_the_home_zone_is_that_of_the_consumer(zones: ZonesHarness) -> None:
    consumer = zones.bus.consume(FEDERATED, RecordingHandler())
    zones.two.answer = Deferred()
    assert failure_of(consumer.bind(Topic("no-exchange", "#"))).check(BusUnavailable)


def test_a_cancelled_consumer_handles_nothing_more_from_any_zone(zones: ZonesHarness) -> None:
    seen = RecordingHandler()
    consumer = zones.bus.consume(FEDERATED, seen)
    result_of(consumer.cancel())
    # The broker of the second zone does not know of it yet.
    zones.publish_everywhere()
    assert seen.events == []


def test_a_zone_that_comes_back_counts_as_a_start(zones: ZonesHarness) -> None:
    consumer: Any = zones.bus.consume(FEDERATED, RecordingHandler())
    before = consumer.start_count
    consumer._others[1].consumer.start_count += 1
    assert consumer.start_count == before + 1


def test_a_reply_goes_to_the_zone_that_the_request_came_from(zones: ZonesHarness) -> None:
    question, answer = Topic("callevt", "question.a.b"), Topic("targeted", "asker")
    zones.bus.consume(
        Queue(topics=frozenset({question}), acknowledge=False, federated=True),
        lambda event: zones.bus.reply(event, {"n": event.body["n"]}),
    )
    replies = {bus: RecordingHandler() for bus in (zones.home, zones.one, zones.two)}
    for number, (bus, handler) in enumerate(replies.items()):
        bus.consume(Queue(topics=frozenset({answer})), handler)
        zones.publish(bus, number, question.pattern, **{"Server-ID": "asker"})
        zones.clock.advance(0)
    assert [handler.numbers for handler in replies.values()] == [[0], [1], [2]]


def test_an_event_from_another_zone_is_like_one_from_home(zones: ZonesHarness) -> None:
    seen = RecordingHandler()
    zones.bus.consume(FEDERATED, seen)
    for bus in (zones.home, zones.one):
        zones.publish(bus, 1, **{"Server-ID": "asker"})
    home, other = seen.events
    names = ("exchange", "routing_key", "body", "raw", "redelivered")
    assert [getattr(home, name) for name in names] == [getattr(other, name) for name in names]
    assert isinstance(other, Event)


def test_messages_and_requests_are_published_in_the_home_zone(zones: ZonesHarness) -> None:
    seen = {bus: RecordingHandler() for bus in (zones.home, zones.one)}
    for bus, handler in seen.items():
        bus.consume(Queue(topics=frozenset({CALLS})), handler)
    result_of(zones.bus.publish("callevt", "call.a.b", {}))
    asking = zones.bus.request("callevt", "call.c.d", {}, timeout=1)
    zones.clock.advance(0)
    assert seen[zones.home].keys == ["call.a.b", "call.c.d"]
    assert seen[zones.one].keys == []
    zones.clock.advance(1)
    assert result_of(asking) == []


def test_a_zone_that_is_away_is_degraded_and_the_bus_is_available(zones: ZonesHarness) -> None:
    registry = CollectorRegistry()
    zones.bus.register_metrics(registry)
    assert zones.bus.degraded() == []
    zones.two.stopService()
    assert zones.bus.degraded() == ["zone 2: the embedded bus has not been started"]
    assert zones.bus.unavailable_reason() is None
    with patch.object(zones.one, "missing_bindings", lambda: ["exchange x does not exist"]):
        assert zones.bus.degraded()[0] == "zone 1: exchange x does not exist"
        text = generate_latest(registry).decode()
        assert 'kazoo_bridge_zone_bindings_missing{zone="1"} 1.0\n' in text
        assert 'kazoo_bridge_zone_bindings_missing{zone="2"} 0.0\n' in text
    with patch.object(zones.two, "connects", lambda: {"consuming": 3}):
        text = generate_latest(registry).decode()
        assert 'kazoo_bridge_zone_connects_total{connection="consuming",zone="2"} 3.0\n' in text
    text = generate_latest(registry).decode()
    assert 'kazoo_bridge_zone_up{zone="1"} 1.0\nkazoo_bridge_zone_up{zone="2"} 0.0\n' in text
    assert "kazoo_bridge_events_unreadable_total" in text
    zones.home.stopService()
    assert zones.bus.unavailable_reason() == "the embedded bus has not been started"
