"""Acknowledgements, rejections and requeues: which frames are sent, and when."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from kazoo_bridge.bus.amqp.connection.reconnecting import RETRY_DELAY
from kazoo_bridge.bus.amqp.consumer.acks import ACK_INTERVAL, BATCH_SIZE, AckBatcher


class FakeWriter:
    """Parses the frames of each write: ("ack", tag, multiple), ("reject", tag, 0), ("nack", tag, 2)."""

    def __init__(self) -> None:
        self.writes: list[list[tuple[str, int, int]]] = []

    def __call__(self, data: bytes) -> None:
        found: list[tuple[str, int, int]] = []
        while data:
            kind, channel, size, klass, method, tag, bits, end = struct.unpack_from("!BHIHHQBB", data)
            assert (kind, channel, size, klass, end) == (1, 5, 13, 60, 0xCE)
            found.append(
                {80: ("ack", tag, bool(bits)), 90: ("reject", tag, bits), 120: ("nack", tag, bits)}[method]
            )
            data = data[21:]
        self.writes.append(found)


class Harness:
    """A batcher with so many deliveries. It requeues after 1, 2, 3, … seconds."""

    def __init__(self, deliveries: int) -> None:
        self.clock = Clock()
        self.writer = FakeWriter()
        self.acks = AckBatcher(self.clock, 5, self.writer, lambda attempt: 1.0 + attempt)
        for tag in range(1, deliveries + 1):
            self.acks.delivered(tag)


def test_finished_deliveries_from_the_oldest_on_are_one_frame_at_the_end_of_the_turn() -> None:
    harness = Harness(10)
    for tag in (3, 1, 2):
        harness.acks.ack(tag)
    assert harness.writer.writes == []
    harness.clock.advance(ACK_INTERVAL)
    assert harness.writer.writes == [[("ack", 3, True)]]
    assert harness.clock.getDelayedCalls() == []


def test_deliveries_after_an_unsettled_one_are_acknowledged_one_by_one_in_the_same_write() -> None:
    harness = Harness(6)
    for tag in (1, 3, 5):
        harness.acks.ack(tag)
    harness.clock.advance(ACK_INTERVAL)
    assert harness.writer.writes == [[("ack", 1, True), ("ack", 3, False), ("ack", 5, False)]]
    harness.acks.ack(2)
    harness.acks.ack(4)
    harness.clock.advance(ACK_INTERVAL)
    # Number 5 is settled already; the broker would close the channel over a second acknowledgement.
    assert harness.writer.writes[1:] == [[("ack", 4, True)]]
    assert harness.acks.unsettled == 1


def test_a_full_batch_is_sent_at_once() -> None:
    harness = Harness(BATCH_SIZE)
    for tag in range(1, BATCH_SIZE + 1):
        assert harness.writer.writes == []
        harness.acks.ack(tag)
    assert harness.writer.writes == [[("ack", BATCH_SIZE, True)]]
    harness.clock.advance(ACK_INTERVAL)
    assert len(harness.writer.writes) == 1


def test_a_quarter_of_the_prefetch_is_sent_at_once() -> None:
    writer = FakeWriter()
    acks = AckBatcher(Clock(), 5, writer, prefetch=8)
    for tag in range(1, 5):
        acks.delivered(tag)
        acks.ack(tag)
    assert writer.writes == [[("ack", 2, True)], [("ack", 4, True)]]


def test_a_rejection_is_sent_before_the_acknowledgement_that_covers_its_tag() -> None:
    harness = Harness(3)
    harness.acks.reject(2)
    harness.acks.ack(1)
    harness.acks.ack(3)
    harness.clock.advance(ACK_INTERVAL)
    assert harness.writer.writes == [[("reject", 2, 0), ("ack", 3, True)]]
    assert harness.acks.unsettled == 0


def test_deliveries_are_requeued_after_a_delay_that_grows() -> None:
    harness = Harness(4)
    harness.acks.requeue_later(1)
    harness.clock.advance(0.5)
    harness.acks.requeue_later(2)
    assert harness.writer.writes == []
    harness.clock.pump([0.5, 0])
    assert harness.writer.writes == [[("nack", 1, 2), ("nack", 2, 2)]]
    harness.acks.requeue_later(3)
    harness.clock.pump([1.9, 0])
    assert len(harness.writer.writes) == 1
    harness.clock.pump([0.1, 0])
    assert harness.writer.writes[1:] == [[("nack", 3, 2)]]


def test_nothing_is_sent_after_closing() -> None:
    harness = Harness(3)
    harness.acks.requeue_later(1)
    harness.acks.ack(2)
    harness.acks.close()
    for settle in (harness.acks.ack, harness.acks.reject, harness.acks.requeue_later):
        settle(3)
    harness.acks.flush()
    harness.clock.advance(100)
    assert harness.writer.writes == []
    assert harness.clock.getDelayedCalls() == []


def test_draining_requeues_at_once_and_reports_when_all_is_settled() -> None:
    harness = Harness(3)
    drained: list[bool] = []
    harness.acks.ack(1)
    harness.acks.requeue_later(2)
    harness.acks.drain(lambda: drained.append(True))
    assert harness.writer.writes == [[("nack", 2, 2), ("ack", 1, True)]]
    assert drained == []
    harness.acks.ack(3)
    harness.clock.advance(ACK_INTERVAL)
    assert harness.writer.writes[1:] == [[("ack", 3, True)]]
    assert drained == [True]
    assert harness.clock.getDelayedCalls() == []


@given(
    st.permutations(range(1, 30)),
    st.lists(st.sampled_from("frl"), min_size=29, max_size=29),
    st.integers(1, 7),
)
def test_every_delivery_is_settled_exactly_once(order: list[int], ends: list[str], batch: int) -> None:
    """The broker's view: no tag twice, none missing, and multiple only up to a tag that is open."""
    harness = Harness(29)
    for number, tag in enumerate(order):
        {"f": harness.acks.ack, "r": harness.acks.reject, "l": harness.acks.requeue_later}[ends[number]](tag)
        if number % batch == 0:
            harness.clock.advance(ACK_INTERVAL)
    harness.clock.pump([40, 0, 40, 0])
    open_tags = set(range(1, 30))
    for write in harness.writer.writes:
        for kind, tag, bits in write:
            assert tag in open_tags
            covered = {one for one in open_tags if one <= tag} if kind == "ack" and bits else {tag}
            if kind == "ack":
                assert all(ends[order.index(one)] == "f" for one in covered)
            open_tags -= covered
    assert open_tags == set()
    assert harness.acks.unsettled == 0


def test_a_redelivered_success_resets_the_delay() -> None:
    harness = Harness(3)
    for tag in (1, 2):
        harness.acks.requeue_later(tag)
        harness.clock.pump([2.0, 0])
    assert len(harness.writer.writes) == 2
    harness.acks.reset_backoff()
    harness.acks.requeue_later(3)
    harness.clock.pump([1.0, 0])
    assert harness.writer.writes[2:] == [[("nack", 3, 2)]]


def test_the_default_delay_doubles_up_to_half_a_minute_with_a_second_of_jitter() -> None:
    for attempt, base in enumerate([1, 2, 4, 8, 16, 30, 30]):
        assert base <= RETRY_DELAY(attempt) <= base + 1
