"""One channel that consumes: what happens to each delivery, and how the channel ends."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel

from kazoo_bridge.bus.amqp.consumer import channel_consumer
from kazoo_bridge.bus.amqp.consumer.channel_consumer import CANCEL_TIMEOUT, ChannelConsumer
from kazoo_bridge.bus.amqp.wire import frame_writer
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel
from kazoo_bridge.bus.amqp.wire.frame_reader import RawDelivery
from kazoo_bridge.bus.message_decoder import MessageDecoder
from kazoo_bridge.bus.queue_metrics import BodySizes
from kazoo_bridge.interfaces import Queue, Requeue
from kazoo_bridge.kazoo import Event
from tests.bus.amqp.fake_broker import FakeConnection, result_of
from tests.bus.harness import CapturedLog, FakeCompletion

QUEUE = Queue("q", prefetch=5)
ACK_1 = frame_writer.acknowledge(1, 1, True)
REJECT_1 = frame_writer.reject(1, 1)
REQUEUE_1 = frame_writer.requeue(1, 1)


class Harness:
    """A consumer on a fake connection; `events` are what its handler has received.

    `decoded` counts the messages that were decoded.
    """

    def __init__(self, queue: Queue = QUEUE, action: Callable[[Event], Any] = lambda _event: None) -> None:
        self.clock = Clock()
        self.connection = FakeConnection()
        self.events: list[Event] = []
        self.action = action
        connection: Any = self.connection
        self.channel = result_of(self.connection.open_channel())
        channel: Any = self.channel
        self.sizes = BodySizes()
        self.decoder = MessageDecoder(self.clock)
        self.decoded = 0
        decode = self.decoder.decode

        def count_decoded(*arguments: Any) -> Event | None:
            self.decoded += 1
            return decode(*arguments)

        decoder: Any = self.decoder
        decoder.decode = count_decoded
        self.consumer = ChannelConsumer(
            self.clock, connection, channel, queue, self._handle, self.decoder, self.sizes
        )
        result_of(self.consumer.start("q"))

    def _handle(self, event: Event) -> Any:
        self.events.append(event)
        return self.action(event)

    def sent(self) -> list[bytes]:
        """The frames that were sent by the end of the turn."""
        self.clock.advance(0)
        return self.connection.written


def test_it_sets_the_prefetch_and_consumes() -> None:
    harness = Harness()
    assert harness.connection.requests == ["qos 5", "consume q"]


def test_without_acknowledgement_there_is_no_prefetch_and_nothing_is_sent() -> None:
    harness = Harness(Queue("q", prefetch=5, acknowledge=False), action=lambda _event: fail(Requeue()))
    assert harness.connection.requests == ["consume without acknowledgement q"]
    harness.connection.deliver(1, b"{}")
    harness.connection.deliver(2, b"no json")
    harness.clock.advance(100)
    assert harness.sent() == []


def test_a_handled_event_is_acknowledged() -> None:
    harness = Harness()
    harness.connection.deliver(1, b'{"a":1}')
    assert harness.events == [Event("callevt", "call.x", {"a": 1}, b'{"a":1}', False)]
    assert harness.sent() == [ACK_1]


def test_an_event_is_acknowledged_when_the_deferred_of_its_handler_fires() -> None:
    finished: Deferred[None] = Deferred()
    harness = Harness(action=lambda _event: finished)
    harness.connection.deliver(1, b"{}")
    assert harness.sent() == []
    finished.callback(None)
    assert harness.sent() == [ACK_1]


@pytest.mark.parametrize("end", ["requeue", "cancel"])
def test_an_unfinished_event_is_requeued_after_a_delay(end: str) -> None:
    finished: Deferred[None] = Deferred()
    harness = Harness(action=lambda _event: finished)
    harness.connection.deliver(1, b"{}")
    if end == "requeue":
        finished.errback(Requeue())
    else:
        finished.cancel()
    harness.clock.advance(0.9)
    assert harness.sent() == []
    harness.clock.advance(1.1)
    assert harness.sent() == [REQUEUE_1]


@pytest.mark.parametrize("raised", [True, False])
def test_a_failed_event_is_logged_and_rejected(raised: bool) -> None:
    def action(_event: Event) -> Deferred[None]:
        if raised:
            raise RuntimeError("a bug")
        return fail(RuntimeError("a bug"))

    harness = Harness(action=action)
    with CapturedLog() as log:
        harness.connection.deliver(1, b"{}", key="call.EVENT.id")
    assert log.at_least(LogLevel.critical) == ["handling an event with routing key call.EVENT.id failed"]
    assert harness.decoder.failed == 1
    assert harness.sent() == [REJECT_1]


def test_a_message_that_cannot_be_decoded_is_logged_and_rejected() -> None:
    harness = Harness()
    with CapturedLog() as log:
        harness.connection.deliver(1, b"[]")
    [line] = log.at_least(LogLevel.warn)
    assert line.startswith(
        "dropped unreadable messages reason=not_an_object count=1 latest: "
        "exchange=callevt routing_key=call.x: the body is JSON"
    )
    assert harness.decoder.unreadable["not_an_object"] == 1
    assert (harness.events, harness.sent()) == ([], [REJECT_1])


@pytest.mark.parametrize("readable", [True, False])
def test_large_messages_leave_the_reactor_a_turn_in_between(readable: bool) -> None:
    harness = Harness()
    padding = b"x" * (channel_consumer.MAX_TURN_BYTES // 2)
    body = gzip.compress(b'{"a":"' + padding + b'"}') if readable else gzip.compress(padding)
    with CapturedLog():
        for tag in range(1, 6):
            harness.connection.deliver(tag, body, encoding="gzip")
        handled = harness.decoder.unreadable["not_json"] + len(harness.events)
        assert handled == (2 if readable else 1)
        harness.clock.advance(0)
    assert harness.decoder.unreadable["not_json"] + len(harness.events) == 5
    harness.connection.deliver(6, b"{}")
    harness.clock.advance(0)
    assert harness.events[-1].body == {}


def test_the_end_leaves_no_call_for_large_messages() -> None:
    harness = Harness(Queue("q", acknowledge=False))
    harness.connection.deliver(1, b'{"a":"' + b"x" * channel_consumer.MAX_TURN_BYTES + b'"}')
    harness.consumer.on_cancelled()
    assert harness.clock.getDelayedCalls() == []


def test_an_oversized_message_is_logged_and_rejected() -> None:
    harness = Harness()
    with CapturedLog() as log:
        harness.consumer.on_oversized(1, "callevt", "call.x", 2**30)
    [line] = log.at_least(LogLevel.warn)
    assert line.endswith("its body of 1073741824 bytes is too large")
    assert harness.decoder.unreadable["too_large"] == 1
    assert harness.sent() == [REJECT_1]


def test_messages_wait_undecoded_while_the_events_before_them_take_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(channel_consumer, "MAX_HELD_BYTES", 10)
    handled: list[Deferred[None]] = []

    def action(_event: Event) -> Deferred[None]:
        handled.append(Deferred())
        return handled[-1]

    harness = Harness(action=action)
    for tag in range(1, 6):
        harness.connection.deliver(tag, b'{"n":%d}' % tag)
    assert [event.body["n"] for event in harness.events] == [1, 2]
    handled[0].callback(None)
    assert [event.body["n"] for event in harness.events] == [1, 2, 3]
    handled[1].errback(RuntimeError("a bug"))
    handled[2].callback(None)
    assert [event.body["n"] for event in harness.events] == [1, 2, 3, 4, 5]


def test_many_waiting_messages_are_handled_without_recursion(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_consumer, "MAX_HELD_BYTES", 1)
    first: Deferred[None] = Deferred()
    waiting = [first]
    harness = Harness(action=lambda _event: waiting.pop() if waiting else succeed(None))
    for tag in range(1, 3001):
        harness.connection.deliver(tag, b"{}")
    assert len(harness.events) == 1
    first.callback(None)
    assert len(harness.events) == 3000
    assert harness.sent()[-1] == frame_writer.acknowledge(1, 3000, True)


def test_messages_that_wait_are_returned_to_the_queue_when_it_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_consumer, "MAX_HELD_BYTES", 1)
    finished: Deferred[None] = Deferred()
    harness = Harness(action=lambda _event: finished)
    harness.connection.deliver(1, b"{}")
    harness.connection.deliver(2, b"{}")
    stopping = Deferred.fromCoroutine(harness.consumer.stop())
    assert harness.sent() == [frame_writer.requeue(1, 2)]
    finished.callback(None)
    assert harness.sent() == [frame_writer.requeue(1, 2), ACK_1]
    result_of(stopping)


def test_after_stopping_open_events_are_settled_and_then_the_channel_is_closed() -> None:
    finished: Deferred[None] = Deferred()
    harness = Harness(action=lambda _event: finished)
    harness.connection.deliver(1, b"{}")
    result_of(harness.consumer.stop())
    assert harness.connection.requests[-1] == "cancel tag"
    harness.connection.deliver(2, b"{}")
    assert len(harness.events) == 1
    assert harness.connection.closed_channels == []
    finished.callback(None)
    assert harness.sent() == [ACK_1]
    assert harness.connection.closed_channels == [harness.channel]
    assert harness.clock.getDelayedCalls() == []


def test_stopping_waits_for_a_silent_broker_only_once() -> None:
    harness = Harness()
    harness.connection.holding = True
    stopping = Deferred.fromCoroutine(harness.consumer.stop())
    harness.clock.advance(CANCEL_TIMEOUT - 0.1)
    assert not stopping.called
    harness.clock.advance(0.1)
    assert stopping.called
    assert harness.connection.unresponsive
    again = Deferred.fromCoroutine(harness.consumer.stop())
    harness.clock.advance(0)
    assert again.called
    harness.connection.release()


@pytest.mark.parametrize("by", ["channel", "cancel"])
def test_it_ends_with_the_reason_when_the_broker_ends_it(by: str) -> None:
    unfinished: Deferred[None] = Deferred()
    harness = Harness(action=lambda _event: unfinished)
    harness.connection.deliver(1, b"{}")
    if by == "channel":
        harness.channel.close_by_broker(BrokerClosedChannel(404, "NOT_FOUND"))
        assert result_of(harness.consumer.ended) == "404 NOT_FOUND"
    else:
        harness.consumer.on_cancelled()
        assert "the broker cancelled it" in str(result_of(harness.consumer.ended))
        assert harness.connection.closed_channels == [harness.channel]
    assert harness.connection.reader.receiver(1) is None
    unfinished.callback(None)
    assert harness.sent() == []


def test_a_stopped_consumer_ends_without_a_reason() -> None:
    harness = Harness()
    result_of(harness.consumer.stop())
    harness.channel.close_by_broker(BrokerClosedChannel(200, "done"))
    assert result_of(harness.consumer.ended) is None


# -- messages that are received together


def numbered(*numbers: int) -> list[tuple[int, bytes]]:
    return [(number, b'{"n":%d}' % number) for number in numbers]


def test_messages_received_together_are_all_decoded_before_one_is_handled() -> None:
    decoded: list[int] = []
    harness = Harness(action=lambda _event: decoded.append(harness.decoded))
    harness.connection.deliver_together(*numbered(1, 2, 3))
    assert [event.body["n"] for event in harness.events] == [1, 2, 3]
    assert decoded == [3, 3, 3]
    assert harness.sent() == [frame_writer.acknowledge(1, tag, True) for tag in (1, 2, 3)]


def test_of_many_messages_a_bounded_number_is_decoded_at_once() -> None:
    decoded: list[int] = []
    harness = Harness(action=lambda _event: decoded.append(harness.decoded))
    harness.connection.deliver_together(*numbered(*range(1, 101)))
    assert [event.body["n"] for event in harness.events] == list(range(1, 101))
    assert max(number - position for position, number in enumerate(decoded)) == channel_consumer._MAX_BATCH


def test_nothing_is_handled_before_the_end_of_a_read() -> None:
    harness = Harness()
    harness.consumer.on_delivery(RawDelivery(1, False, "callevt", "call.x", None, b"{}"))
    assert (harness.events, harness.sizes.count) == ([], 1)
    harness.consumer.on_read_end()
    harness.consumer.on_read_end()
    assert len(harness.events) == 1


def test_an_unreadable_message_does_not_hold_up_its_batch() -> None:
    harness = Harness()
    with CapturedLog():
        harness.connection.deliver_together((1, b"{}"), (2, b"no json"), (3, b"{}"))
    assert len(harness.events) == 2
    assert b"".join(harness.sent()) == frame_writer.reject(1, 2) + ACK_1 + frame_writer.acknowledge(
        1, 3, True
    )


def test_a_batch_has_no_more_messages_than_there_is_memory_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_consumer, "MAX_HELD_BYTES", 10)
    handled: list[FakeCompletion] = []

    def action(_event: Event) -> FakeCompletion:
        handled.append(FakeCompletion())
        return handled[-1]

    harness = Harness(action=action)
    harness.connection.deliver_together(*numbered(*range(1, 6)))
    assert (harness.decoded, len(harness.events)) == (2, 2)
    handled[0].succeed()
    assert (harness.decoded, len(harness.events)) == (3, 3)
    for number in range(1, 5):
        handled[number].succeed()
    assert [event.body["n"] for event in harness.events] == [1, 2, 3, 4, 5]
    assert harness.consumer._held_bytes == 0


@pytest.mark.parametrize("acknowledge", [True, False])
def test_stopping_within_a_batch_returns_the_rest_of_it(acknowledge: bool) -> None:
    stopping: list[Deferred[None]] = []

    def action(event: Event) -> None:
        if event.body["n"] == 2:
            stopping.append(Deferred.fromCoroutine(harness.consumer.stop()))

    harness = Harness(Queue("q", acknowledge=acknowledge), action)
    harness.connection.deliver_together(*numbered(*range(1, 30)))
    assert [event.body["n"] for event in harness.events] == [1, 2]
    result_of(stopping[0])
    harness.clock.advance(1)
    sent = b"".join(harness.sent())
    if acknowledge:
        requeued = b"".join(frame_writer.requeue(1, tag) for tag in range(3, 30))
        assert sent == requeued + ACK_1 + frame_writer.acknowledge(1, 2, True)
    else:
        assert sent == b""
    assert harness.connection.closed_channels == [harness.channel]
    assert harness.consumer._held_bytes == 0


def test_the_end_within_a_batch_hands_out_no_more_of_it() -> None:
    harness = Harness(action=lambda _event: harness.consumer.on_cancelled())
    harness.connection.deliver_together(*numbered(1, 2, 3))
    assert len(harness.events) == 1
    assert harness.sent() == []
    assert harness.consumer._held_bytes == 0


# -- handlers that return a completion


def test_a_handler_that_returns_another_value_has_finished() -> None:
    harness = Harness(action=lambda _event: 7)
    harness.connection.deliver(1, b"{}")
    assert harness.sent() == [ACK_1]


@pytest.mark.parametrize("ends_at_once", [False, True])
@pytest.mark.parametrize(
    ("error", "frame"), [(None, ACK_1), (Requeue(), REQUEUE_1), (RuntimeError("a bug"), REJECT_1)]
)
def test_an_event_is_settled_when_the_completion_of_its_handler_ends(
    ends_at_once: bool, error: Exception | None, frame: bytes
) -> None:
    completion = FakeCompletion()

    def end() -> None:
        if error is None:
            completion.succeed()
        else:
            completion.fail(error)

    if ends_at_once:
        end()
    harness = Harness(action=lambda _event: completion)
    with CapturedLog():
        harness.connection.deliver(1, b"{}")
        if not ends_at_once:
            assert harness.sent() == []
            end()
    harness.clock.advance(2)
    assert harness.sent() == [frame]
