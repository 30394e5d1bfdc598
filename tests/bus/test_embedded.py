"""The embedded bus: the suite, and what only a clock can show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from kazoo_bridge.bus import embedded_queue
from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.interfaces import BusUnavailable, IConsumer, Queue, Requeue, Topic
from kazoo_bridge.kazoo import Event
from tests.bus.harness import HoldingHandler, RecordingHandler
from tests.bus.ibus_suite import CALLS, DURABLE, BusHarness, IBusSuite, captured_log

__all__ = ["TestEmbeddedBus", "captured_log"]

_now = SynchronousTestCase()
result_of, failure_of, no_result = _now.successResultOf, _now.failureResultOf, _now.assertNoResult


@pytest.fixture
def harness() -> Iterator[BusHarness]:
    before = set(reactor.getDelayedCalls())
    bus = EmbeddedBus(reactor)
    bus.startService()
    yield BusHarness(bus, bus.publish_raw, bus.stopService)
    bus.stopService()
    assert set(reactor.getDelayedCalls()) <= before


class TestEmbeddedBus(IBusSuite):
    pass


# -- on a clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bus(clock: Clock) -> EmbeddedBus:
    made = EmbeddedBus(clock)
    made.startService()
    return made


def publish(bus: EmbeddedBus, *numbers: int) -> None:
    for number in numbers:
        result_of(bus.publish("callevt", "call.EVENT.id", {"n": number}))


def run_due_calls(clock: Clock, seconds: float = 0) -> None:
    """Advance the clock, then run everything that is due."""
    clock.advance(seconds)
    while any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
        clock.advance(0)


def test_before_it_is_started_it_is_unavailable(clock: Clock) -> None:
    bus = EmbeddedBus(clock)
    assert bus.unavailable_reason() == "the embedded bus has not been started"
    failure_of(bus.publish("callevt", "call.a.b", {}), BusUnavailable)
    consumer = bus.consume(DURABLE, RecordingHandler())
    running = consumer.when_running()
    no_result(running)
    bus.startService()
    result_of(running)
    result_of(consumer.when_running())
    assert bus.unavailable_reason() is None


def test_a_request_to_a_bus_that_is_never_started_fails_after_its_timeout(clock: Clock) -> None:
    bus = EmbeddedBus(clock)
    requested = bus.request("callevt", "question", {}, timeout=3)
    clock.advance(2.9)
    no_result(requested)
    clock.advance(0.1)
    assert "has not been started" in failure_of(requested, BusUnavailable).getErrorMessage()
    assert clock.getDelayedCalls() == []


def test_waiting_for_a_consumer_ends_when_either_is_cancelled(clock: Clock) -> None:
    bus = EmbeddedBus(clock)
    consumer = bus.consume(DURABLE, RecordingHandler())
    given_up, waiting = consumer.when_running(), consumer.when_running()
    given_up.cancel()
    failure_of(given_up, CancelledError)
    result_of(consumer.cancel())
    failure_of(waiting, CancelledError)
    failure_of(consumer.when_running(), CancelledError)
    bus.startService()


def test_messages_wait_while_it_is_stopped(clock: Clock, bus: EmbeddedBus) -> None:
    seen = RecordingHandler()
    bus.consume(DURABLE, seen)
    publish(bus, 1, 2)
    bus.stopService()
    assert clock.getDelayedCalls() == []
    assert bus.unavailable_reason() is not None
    assert seen.events == []
    bus.startService()
    run_due_calls(clock)
    assert seen.numbers == [1, 2]


def test_unacknowledged_messages_are_counted(clock: Clock, bus: EmbeddedBus) -> None:
    registry = CollectorRegistry()
    bus.register_metrics(registry)
    holding = HoldingHandler()
    bus.consume(DURABLE, holding)
    bus.consume(Queue("free", DURABLE.topics, acknowledge=False), lambda _event: Deferred())
    publish(bus, 1, 2)
    run_due_calls(clock)
    assert registry.get_sample_value("kazoo_bridge_unacknowledged") == 2
    holding.finish()
    assert registry.get_sample_value("kazoo_bridge_unacknowledged") == 1


def test_stopping_keeps_events_that_wait_for_redelivery(clock: Clock, bus: EmbeddedBus) -> None:
    seen = RecordingHandler(lambda event: None if event.redelivered else fail(Requeue()))
    bus.consume(DURABLE, seen)
    publish(bus, 1, 2)
    run_due_calls(clock)
    publish(bus, 3)
    bus.stopService()
    assert clock.getDelayedCalls() == []
    bus.startService()
    run_due_calls(clock)
    assert seen.numbers == [1, 2, 1, 2, 3]


def test_an_event_that_fails_after_stopping_is_redelivered_after_starting(
    clock: Clock, bus: EmbeddedBus
) -> None:
    seen = HoldingHandler()
    bus.consume(DURABLE, seen)
    publish(bus, 1)
    run_due_calls(clock)
    bus.stopService()
    seen.held[0].errback(Requeue())
    assert clock.getDelayedCalls() == []
    bus.startService()
    run_due_calls(clock)
    assert [(event.body["n"], event.redelivered) for event in seen.events] == [(1, False), (1, True)]


def test_a_redelivered_event_waits_and_takes_its_old_place(clock: Clock, bus: EmbeddedBus) -> None:
    seen = RecordingHandler(lambda event: None if event.redelivered else fail(Requeue()))
    bus.consume(Queue("q", frozenset({CALLS}), durable=True, prefetch=2), seen)
    publish(bus, 1, 2, 3, 4)
    run_due_calls(clock)
    run_due_calls(clock, embedded_queue.REDELIVERY_DELAY / 2)
    assert seen.numbers == [1, 2]
    run_due_calls(clock, embedded_queue.REDELIVERY_DELAY / 2)
    assert seen.numbers[:4] == [1, 2, 1, 2]
    run_due_calls(clock, embedded_queue.REDELIVERY_DELAY)
    assert seen.numbers == [1, 2, 1, 2, 3, 4, 3, 4]


def test_a_cancelled_event_is_redelivered(clock: Clock, bus: EmbeddedBus) -> None:
    seen = HoldingHandler()
    bus.consume(DURABLE, seen)
    publish(bus, 1)
    run_due_calls(clock)
    seen.held[0].cancel()
    run_due_calls(clock, embedded_queue.REDELIVERY_DELAY)
    assert seen.numbers == [1, 1]


def test_without_acknowledgement_nothing_is_redelivered(clock: Clock, bus: EmbeddedBus) -> None:
    seen = RecordingHandler(lambda _event: fail(Requeue()))
    bus.consume(Queue("", frozenset({CALLS}), acknowledge=False), seen)
    publish(bus, 1)
    run_due_calls(clock, 10 * embedded_queue.REDELIVERY_DELAY)
    assert seen.numbers == [1]


def test_consumers_of_a_queue_take_turns(clock: Clock, bus: EmbeddedBus) -> None:
    consumers = [RecordingHandler() for _ in range(3)]
    for seen in consumers:
        bus.consume(DURABLE, seen)
    publish(bus, *range(9))
    run_due_calls(clock)
    assert [len(seen.events) for seen in consumers] == [3, 3, 3]


def test_a_long_queue_does_not_block_the_reactor(clock: Clock, bus: EmbeddedBus) -> None:
    by_then: list[int] = []

    def let_others(event: Event) -> None:
        if event.body["n"] == 0:
            clock.callLater(0, lambda: by_then.append(len(seen.events)))

    seen = RecordingHandler(let_others)
    bus.consume(DURABLE, seen)
    publish(bus, *range(1000))
    run_due_calls(clock)
    assert 0 < by_then[0] < 1000
    assert seen.numbers == list(range(1000))


def test_a_consumer_may_cancel_itself_and_others_from_its_handler(clock: Clock, bus: EmbeddedBus) -> None:
    consumers: list[IConsumer] = []

    def cancel_all(_event: Event) -> None:
        for consumer in consumers:
            result_of(consumer.cancel())

    first, second = RecordingHandler(cancel_all), RecordingHandler(cancel_all)
    consumers += [bus.consume(DURABLE, first), bus.consume(DURABLE, second)]
    publish(bus, 1, 2, 3)
    run_due_calls(clock)
    assert len(first.events) + len(second.events) == 1
    rest = RecordingHandler()
    bus.consume(DURABLE, rest)
    run_due_calls(clock)
    assert rest.numbers == [2, 3]


def test_a_deleted_queue_leaves_nothing_behind(clock: Clock, bus: EmbeddedBus) -> None:
    seen = HoldingHandler()
    consumer = bus.consume(Queue("", frozenset({CALLS})), seen)
    publish(bus, 1, 2)
    run_due_calls(clock)
    publish(bus, 3)
    seen.held.pop().errback(Requeue())
    result_of(consumer.cancel())
    seen.held.pop().errback(Requeue())
    result_of(consumer.bind(Topic("callevt", "#")))
    result_of(consumer.unbind(Topic("callevt", "#")))
    publish(bus, 4)
    assert clock.getDelayedCalls() == []
    assert seen.numbers == [1, 2]


def test_a_handler_that_returns_another_value_has_finished(clock: Clock, bus: EmbeddedBus) -> None:
    def nonsense(_event: Event) -> Any:
        return 7

    seen = RecordingHandler(nonsense)
    bus.consume(Queue("q", frozenset({CALLS}), prefetch=1), seen)
    publish(bus, 1, 2)
    run_due_calls(clock)
    assert seen.numbers == [1, 2]


def test_stopping_ends_requests_with_the_replies_that_arrived(clock: Clock, bus: EmbeddedBus) -> None:
    def respond(request: Event) -> Deferred[None]:
        return bus.publish("targeted", request.body["Server-ID"], {"Msg-ID": request.message_id})

    bus.consume(Queue("", frozenset({Topic("callevt", "answered")})), respond)
    answered = bus.request("callevt", "answered", {}, timeout=100)
    unanswered = bus.request("callevt", "unanswered", {}, timeout=100)
    run_due_calls(clock)
    no_result(answered)
    bus.stopService()
    assert len(result_of(answered)) == 1
    failure_of(unanswered, BusUnavailable)
    assert clock.getDelayedCalls() == []
