"""The embedded bus: the suite, and what only a clock can show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from kazoo_bridge.bus import embedded_queue
from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.interfaces import BusUnavailable, IConsumer, Queue, Requeue, Topic
from kazoo_bridge.kazoo import Event
from tests.bus.ibus_suite import CALLS, DURABLE, BusAtWork, Holder, IBusSuite, Recorder, complaints

__all__ = ["TestEmbeddedBus", "complaints"]

_now = SynchronousTestCase()
result_of, failure_of, no_result = _now.successResultOf, _now.failureResultOf, _now.assertNoResult


@pytest.fixture
def at_work() -> Iterator[BusAtWork]:
    before = set(reactor.getDelayedCalls())
    bus = EmbeddedBus(reactor)
    bus.startService()
    yield BusAtWork(bus, bus.publish_raw)
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


def turns(clock: Clock, seconds: float = 0) -> None:
    """Let the seconds pass, and then everything happen that is due."""
    clock.advance(seconds)
    while any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
        clock.advance(0)


def test_before_it_is_started_it_says_so(clock: Clock) -> None:
    bus = EmbeddedBus(clock)
    assert bus.unavailable_reason() == "the embedded bus has not been started"
    failure_of(bus.publish("callevt", "call.a.b", {}), BusUnavailable)
    consumer = bus.consume(DURABLE, Recorder())
    running = consumer.when_running()
    no_result(running)
    bus.startService()
    result_of(running)
    result_of(consumer.when_running())
    assert bus.unavailable_reason() is None


def test_a_question_to_a_bus_that_is_never_started_fails_in_time(clock: Clock) -> None:
    bus = EmbeddedBus(clock)
    asked = bus.request("callevt", "question", {}, timeout=3)
    clock.advance(2.9)
    no_result(asked)
    clock.advance(0.1)
    assert "has not been started" in failure_of(asked, BusUnavailable).getErrorMessage()
    assert clock.getDelayedCalls() == []


def test_waiting_for_a_consumer_that_is_cancelled_or_no_longer_waited_for(clock: Clock) -> None:
    bus = EmbeddedBus(clock)
    consumer = bus.consume(DURABLE, Recorder())
    given_up, waiting = consumer.when_running(), consumer.when_running()
    given_up.cancel()
    failure_of(given_up, CancelledError)
    result_of(consumer.cancel())
    failure_of(waiting, CancelledError)
    failure_of(consumer.when_running(), CancelledError)
    bus.startService()


def test_messages_wait_while_it_is_stopped(clock: Clock, bus: EmbeddedBus) -> None:
    seen = Recorder()
    bus.consume(DURABLE, seen)
    publish(bus, 1, 2)
    bus.stopService()
    assert clock.getDelayedCalls() == []
    assert bus.unavailable_reason() is not None
    assert seen.events == []
    bus.startService()
    turns(clock)
    assert seen.numbers == [1, 2]


def test_stopping_loses_nothing_that_waits_to_come_again(clock: Clock, bus: EmbeddedBus) -> None:
    seen = Recorder(lambda event: None if event.redelivered else fail(Requeue()))
    bus.consume(DURABLE, seen)
    publish(bus, 1, 2)
    turns(clock)
    publish(bus, 3)
    bus.stopService()
    assert clock.getDelayedCalls() == []
    bus.startService()
    turns(clock)
    assert seen.numbers == [1, 2, 1, 2, 3]


def test_unfinished_after_stopping_comes_again_when_started(clock: Clock, bus: EmbeddedBus) -> None:
    seen = Holder()
    bus.consume(DURABLE, seen)
    publish(bus, 1)
    turns(clock)
    bus.stopService()
    seen.held[0].errback(Requeue())
    assert clock.getDelayedCalls() == []
    bus.startService()
    turns(clock)
    assert [(event.body["n"], event.redelivered) for event in seen.events] == [(1, False), (1, True)]


def test_what_comes_again_waits_and_takes_its_old_place(clock: Clock, bus: EmbeddedBus) -> None:
    seen = Recorder(lambda event: None if event.redelivered else fail(Requeue()))
    bus.consume(Queue("q", frozenset({CALLS}), durable=True, prefetch=2), seen)
    publish(bus, 1, 2, 3, 4)
    turns(clock)
    turns(clock, embedded_queue.REDELIVERY_DELAY / 2)
    assert seen.numbers == [1, 2]
    turns(clock, embedded_queue.REDELIVERY_DELAY / 2)
    assert seen.numbers[:4] == [1, 2, 1, 2]
    turns(clock, embedded_queue.REDELIVERY_DELAY)
    assert seen.numbers == [1, 2, 1, 2, 3, 4, 3, 4]


def test_cancelled_work_is_unfinished_work(clock: Clock, bus: EmbeddedBus) -> None:
    seen = Holder()
    bus.consume(DURABLE, seen)
    publish(bus, 1)
    turns(clock)
    seen.held[0].cancel()
    turns(clock, embedded_queue.REDELIVERY_DELAY)
    assert seen.numbers == [1, 1]


def test_without_acknowledgement_nothing_comes_again(clock: Clock, bus: EmbeddedBus) -> None:
    seen = Recorder(lambda _event: fail(Requeue()))
    bus.consume(Queue("", frozenset({CALLS}), acknowledge=False), seen)
    publish(bus, 1)
    turns(clock, 10 * embedded_queue.REDELIVERY_DELAY)
    assert seen.numbers == [1]


def test_turns_are_taken(clock: Clock, bus: EmbeddedBus) -> None:
    consumers = [Recorder() for _ in range(3)]
    for seen in consumers:
        bus.consume(DURABLE, seen)
    publish(bus, *range(9))
    turns(clock)
    assert [len(seen.events) for seen in consumers] == [3, 3, 3]


def test_a_long_queue_leaves_turns_to_others(clock: Clock, bus: EmbeddedBus) -> None:
    by_then: list[int] = []

    def let_others(event: Event) -> None:
        if event.body["n"] == 0:
            clock.callLater(0, lambda: by_then.append(len(seen.events)))

    seen = Recorder(let_others)
    bus.consume(DURABLE, seen)
    publish(bus, *range(1000))
    turns(clock)
    assert 0 < by_then[0] < 1000
    assert seen.numbers == list(range(1000))


def test_a_consumer_may_cancel_itself_and_others_from_its_handler(clock: Clock, bus: EmbeddedBus) -> None:
    consumers: list[IConsumer] = []

    def cancel_all(_event: Event) -> None:
        for consumer in consumers:
            result_of(consumer.cancel())

    first, second = Recorder(cancel_all), Recorder(cancel_all)
    consumers += [bus.consume(DURABLE, first), bus.consume(DURABLE, second)]
    publish(bus, 1, 2, 3)
    turns(clock)
    assert len(first.events) + len(second.events) == 1
    rest = Recorder()
    bus.consume(DURABLE, rest)
    turns(clock)
    assert rest.numbers == [2, 3]


def test_a_queue_that_has_gone_leaves_nothing_behind(clock: Clock, bus: EmbeddedBus) -> None:
    seen = Holder()
    consumer = bus.consume(Queue("", frozenset({CALLS})), seen)
    publish(bus, 1, 2)
    turns(clock)
    publish(bus, 3)
    seen.held.pop().errback(Requeue())
    result_of(consumer.cancel())
    seen.held.pop().errback(Requeue())
    result_of(consumer.bind(Topic("callevt", "#")))
    result_of(consumer.unbind(Topic("callevt", "#")))
    publish(bus, 4)
    assert clock.getDelayedCalls() == []
    assert seen.numbers == [1, 2]


def test_a_handler_that_returns_nonsense_has_finished(clock: Clock, bus: EmbeddedBus) -> None:
    def nonsense(_event: Event) -> Any:
        return 7

    seen = Recorder(nonsense)
    bus.consume(Queue("q", frozenset({CALLS}), prefetch=1), seen)
    publish(bus, 1, 2)
    turns(clock)
    assert seen.numbers == [1, 2]


def test_a_full_queue_drops_the_oldest_and_says_so(
    clock: Clock, bus: EmbeddedBus, complaints: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_queue, "MAX_MESSAGES", 3)
    monkeypatch.setattr(embedded_queue, "_LOG_INTERVAL", 4)
    result_of(bus.consume(DURABLE, Recorder()).cancel())
    publish(bus, *range(8))
    assert len(complaints) == 2
    assert DURABLE.name in complaints[0]
    assert "call.EVENT.id" in complaints[0]
    seen = Recorder()
    bus.consume(DURABLE, seen)
    turns(clock)
    assert seen.numbers == [5, 6, 7]


def test_a_queue_is_bounded_in_bytes_too(
    clock: Clock, bus: EmbeddedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_queue, "MAX_BYTES", 250)
    result_of(bus.consume(DURABLE, Recorder()).cancel())
    for number in range(5):
        result_of(bus.publish("callevt", "call.a.b", {"n": number, "pad": "x" * 80}))
    seen = Recorder()
    bus.consume(DURABLE, seen)
    turns(clock)
    assert seen.numbers == [3, 4]
    result_of(bus.publish("callevt", "call.a.b", {"n": 5, "pad": "x" * 1000}))
    turns(clock)
    assert seen.numbers == [3, 4, 5]


def test_stopping_ends_questions_with_what_came(clock: Clock, bus: EmbeddedBus) -> None:
    def answer(question: Event) -> Deferred[None]:
        return bus.publish("targeted", question.body["Server-ID"], {"Msg-ID": question.message_id})

    bus.consume(Queue("", frozenset({Topic("callevt", "answered")})), answer)
    answered = bus.request("callevt", "answered", {}, timeout=100)
    unanswered = bus.request("callevt", "unanswered", {}, timeout=100)
    turns(clock)
    no_result(answered)
    bus.stopService()
    assert len(result_of(answered)) == 1
    failure_of(unanswered, BusUnavailable)
    assert clock.getDelayedCalls() == []
