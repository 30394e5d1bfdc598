"""The queue of the embedded bus: its limits, its subscriptions, and pausing."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.logger import LogLevel

from kazoo_bridge.bus import embedded_queue
from kazoo_bridge.bus.embedded_queue import REDELIVERY_DELAY, EmbeddedQueue, QueuedMessage
from kazoo_bridge.bus.message_decoder import MessageDecoder
from kazoo_bridge.interfaces import Requeue
from kazoo_bridge.kazoo import Event
from kazoo_bridge.log_throttle import LOG_INTERVAL
from tests.bus.harness import CapturedLog, FakeCompletion, RecordingHandler


class Harness:
    """A queue on a clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.queue = EmbeddedQueue(self.clock, "q", durable=True, decoder=MessageDecoder(self.clock))
        self.queue.resume()

    def put(self, *numbers: int, padding: int = 0) -> None:
        for number in numbers:
            raw = f'{{"n":{number},"pad":"{"x" * padding}"}}'.encode()
            self.queue.put(QueuedMessage("callevt", f"call.{number}", raw))

    def advance(self, seconds: float = 0) -> None:
        """Advance the clock, then run everything that is due."""
        self.clock.advance(seconds)
        while any(call.getTime() <= self.clock.seconds() for call in self.clock.getDelayedCalls()):
            self.clock.advance(0)


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_a_full_queue_drops_its_oldest_messages_and_logs_that_once_in_a_while(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_queue, "MAX_MESSAGES", 3)
    with CapturedLog() as log:
        harness.put(*range(8))
        assert log.at_least(LogLevel.warn) == [
            "queue q is full (3 messages, 48 bytes): dropped its 1 oldest, the latest call.0; 1 in total"
        ]
        harness.advance(LOG_INTERVAL)
    assert log.at_least(LogLevel.warn)[1:] == [
        "queue q is full (3 messages, 48 bytes): dropped its 4 oldest, the latest call.4; 5 in total"
    ]
    handler = RecordingHandler()
    harness.queue.add_consumer(handler, 0, acknowledge=True)
    harness.advance()
    assert handler.numbers == [5, 6, 7]


def test_a_queue_is_limited_in_bytes_but_keeps_its_newest_message(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_queue, "MAX_BYTES", 250)
    harness.put(*range(5), padding=80)
    assert len(harness.queue) == 2
    harness.put(5, padding=1000)
    assert len(harness.queue) == 1


def test_prefetch_limits_only_with_acknowledgement(harness: Harness) -> None:
    waiting: Deferred[None] = Deferred()
    limited, unlimited = RecordingHandler(lambda _event: waiting), RecordingHandler(lambda _event: waiting)
    harness.queue.add_consumer(limited, 1, acknowledge=True)
    harness.queue.add_consumer(unlimited, 1, acknowledge=False)
    harness.put(*range(5))
    harness.advance()
    assert (len(limited.events), len(unlimited.events)) == (1, 4)


def test_each_delivery_has_its_own_event(harness: Harness) -> None:
    def change(event: Event) -> Deferred[None]:
        assert isinstance(event.body, dict)
        event.body["n"] += 1
        return fail(Requeue())

    handler = RecordingHandler(change)
    harness.queue.add_consumer(handler, 1, acknowledge=True)
    harness.put(1)
    harness.advance()
    harness.advance(REDELIVERY_DELAY)
    assert [(event.body["n"], event.redelivered) for event in handler.events] == [(2, False), (2, True)]


def test_a_paused_queue_delivers_nothing_and_leaves_no_delayed_call(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_queue, "MAX_MESSAGES", 2)
    handler = RecordingHandler(lambda event: None if event.redelivered else fail(Requeue()))
    harness.queue.add_consumer(handler, 1, acknowledge=True)
    harness.put(1)
    harness.advance()
    with CapturedLog():
        harness.put(2, 3, 4)
        harness.queue.pause()
    assert harness.clock.getDelayedCalls() == []
    harness.queue.resume()
    harness.advance()
    assert handler.numbers == [1, 3]


def test_removing_the_last_consumer_keeps_the_messages(harness: Harness) -> None:
    handler = RecordingHandler(lambda _event: fail(Requeue()))
    subscription = harness.queue.add_consumer(handler, 0, acknowledge=True)
    harness.put(1, 2)
    harness.advance()
    assert harness.queue.has_consumers
    harness.queue.remove_consumer(subscription)
    assert not harness.queue.has_consumers
    assert len(harness.queue) == 2
    assert harness.clock.getDelayedCalls() == []


def test_a_completion_is_acknowledged_when_it_ends(harness: Harness) -> None:
    completions = [FakeCompletion(), FakeCompletion().succeed(), FakeCompletion()]
    handler = RecordingHandler(lambda event: completions[event.body["n"]])
    harness.queue.add_consumer(handler, 1, acknowledge=True)
    harness.put(0, 1, 2)
    harness.advance()
    assert handler.numbers == [0]
    completions[0].succeed()
    harness.advance()
    assert handler.numbers == [0, 1, 2]
    completions.append(FakeCompletion())
    harness.put(3)
    harness.advance()
    assert handler.numbers == [0, 1, 2]
    completions[2].succeed()
    harness.advance()
    assert handler.numbers == [0, 1, 2, 3]


@pytest.mark.parametrize("ends_at_once", [False, True])
def test_a_completion_that_requeues_is_delivered_again(harness: Harness, ends_at_once: bool) -> None:
    completions = [FakeCompletion(), FakeCompletion().succeed()]
    if ends_at_once:
        completions[0].fail(Requeue())
    handler = RecordingHandler(lambda event: completions[event.redelivered])
    harness.queue.add_consumer(handler, 1, acknowledge=True)
    harness.put(1)
    harness.advance()
    if not ends_at_once:
        completions[0].fail(Requeue())
    harness.advance(REDELIVERY_DELAY / 2)
    assert len(handler.events) == 1
    harness.advance(REDELIVERY_DELAY)
    assert [event.redelivered for event in handler.events] == [False, True]
    assert len(harness.queue) == 0


def test_a_completion_that_fails_is_logged_and_its_message_dropped(harness: Harness) -> None:
    completion = FakeCompletion()
    handler = RecordingHandler(lambda _event: completion)
    subscription = harness.queue.add_consumer(handler, 1, acknowledge=True)
    harness.put(1)
    harness.advance()
    with CapturedLog() as log:
        completion.fail(RuntimeError("a bug"))
    assert log.at_least(LogLevel.critical) == ["handling an event with routing key call.1 failed"]
    harness.advance(REDELIVERY_DELAY)
    assert (len(handler.events), len(harness.queue), subscription.unacknowledged) == (1, 0, 0)
