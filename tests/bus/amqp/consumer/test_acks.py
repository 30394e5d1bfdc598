"""What is told to the broker about deliveries, and when."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kazoo_bridge.bus.amqp.consumer.backoff import Backoff
from twisted.internet.task import Clock

from kazoo_bridge.bus.amqp.consumer.acks import BATCH_SIZE, AckBatcher


class Told:
    """Reads what was written, one list for each write: ("ack", tag, multiple), ("reject", tag), ("nack", tag)."""

    def __init__(self) -> None:
        self.writes: list[list[tuple[object, ...]]] = []

    def __call__(self, data: bytes) -> None:
        found: list[tuple[object, ...]] = []
        while data:
            kind, channel, size, klass, method, tag, bits, end = struct.unpack_from("!BHIHHQBB", data)
            assert (kind, channel, size, klass, end) == (1, 5, 13, 60, 0xCE)
            found.append(
                {80: ("ack", tag, bool(bits)), 90: ("reject", tag, bits), 120: ("nack", tag, bits)}[method]
            )
            data = data[21:]
        self.writes.append(found)


class Account:
    def __init__(self, deliveries: int) -> None:
        self.clock = Clock()
        self.told = Told()
        self.settlement = AckBatcher(self.clock, 5, self.told, Backoff(jitter=lambda: 0.0))
        for tag in range(1, deliveries + 1):
            self.settlement.delivered(tag)


def test_a_run_from_the_oldest_on_is_one_frame_at_the_end_of_the_turn() -> None:
    account = Account(10)
    for tag in (3, 1, 2):
        account.settlement.ack(tag)
    assert account.told.writes == []
    account.clock.advance(0)
    assert account.told.writes == [[("ack", 3, True)]]
    assert account.clock.getDelayedCalls() == []


def test_what_lies_behind_an_open_one_is_acknowledged_alone_in_the_same_write() -> None:
    account = Account(6)
    for tag in (1, 3, 5):
        account.settlement.ack(tag)
    account.clock.advance(0)
    assert account.told.writes == [[("ack", 1, True), ("ack", 3, False), ("ack", 5, False)]]
    account.settlement.ack(2)
    account.settlement.ack(4)
    account.clock.advance(0)
    # Number 5 is settled already; the broker would close the channel over a second acknowledgement.
    assert account.told.writes[1:] == [[("ack", 4, True)]]
    assert account.settlement.open == 1


def test_a_full_batch_is_told_at_once() -> None:
    account = Account(BATCH_SIZE)
    for tag in range(1, BATCH_SIZE + 1):
        assert account.told.writes == []
        account.settlement.ack(tag)
    assert account.told.writes == [[("ack", BATCH_SIZE, True)]]
    account.clock.advance(0)
    assert len(account.told.writes) == 1


def test_a_rejection_goes_before_what_would_acknowledge_it() -> None:
    account = Account(3)
    account.settlement.reject(2)
    account.settlement.ack(1)
    account.settlement.ack(3)
    account.clock.advance(0)
    assert account.told.writes == [[("reject", 2, 0), ("ack", 3, True)]]
    assert account.settlement.open == 0


def test_unfinished_ones_are_given_back_after_a_while_that_grows() -> None:
    account = Account(4)
    account.settlement.requeue_later(1)
    account.clock.advance(0.5)
    account.settlement.requeue_later(2)
    assert account.told.writes == []
    account.clock.pump([0.5, 0])
    assert account.told.writes == [[("nack", 1, 2), ("nack", 2, 2)]]
    account.settlement.requeue_later(3)
    account.clock.pump([1.9, 0])
    assert len(account.told.writes) == 1
    account.clock.pump([0.1, 0])
    assert account.told.writes[1:] == [[("nack", 3, 2)]]


def test_nothing_is_told_after_the_channel_has_gone() -> None:
    account = Account(3)
    account.settlement.requeue_later(1)
    account.settlement.ack(2)
    account.settlement.close()
    for settle in (account.settlement.ack, account.settlement.reject, account.settlement.requeue_later):
        settle(3)
    account.settlement.flush()
    account.clock.advance(100)
    assert account.told.writes == []
    assert account.clock.getDelayedCalls() == []


def test_draining_gives_back_what_waits_and_tells_when_all_is_settled() -> None:
    account = Account(3)
    drained: list[bool] = []
    account.settlement.ack(1)
    account.settlement.requeue_later(2)
    account.settlement.drain(lambda: drained.append(True))
    assert account.told.writes == [[("nack", 2, 2), ("ack", 1, True)]]
    assert drained == []
    account.settlement.ack(3)
    account.clock.advance(0)
    assert account.told.writes[1:] == [[("ack", 3, True)]]
    assert drained == [True]
    assert account.clock.getDelayedCalls() == []


@given(
    st.permutations(range(1, 30)),
    st.lists(st.sampled_from("frl"), min_size=29, max_size=29),
    st.integers(1, 7),
)
def test_every_delivery_is_settled_exactly_once(order: list[int], ends: list[str], turn: int) -> None:
    """The broker's view: no tag twice, none missing, and multiple only up to a tag that is open."""
    account = Account(29)
    for number, tag in enumerate(order):
        {"f": account.settlement.ack, "r": account.settlement.reject, "l": account.settlement.requeue_later}[
            ends[number]
        ](tag)
        if number % turn == 0:
            account.clock.advance(0)
    account.clock.pump([40, 0, 40, 0])
    open_tags = set(range(1, 30))
    for write in account.told.writes:
        for kind, tag, bits in write:
            assert tag in open_tags
            covered = {one for one in open_tags if one <= tag} if kind == "ack" and bits else {tag}  # type: ignore[operator]
            if kind == "ack":
                assert all(ends[order.index(one)] == "f" for one in covered)
            open_tags -= covered
    assert open_tags == set()
    assert account.settlement.open == 0


@pytest.mark.parametrize("jitter", [0.0, 1.0])
def test_backoff_doubles_up_to_a_limit(jitter: float) -> None:
    backoff = Backoff(1, 5, jitter=lambda: jitter)
    factor = 1 - jitter / 4
    assert [backoff.delay() for _ in range(5)] == [1 * factor, 2 * factor, 4 * factor, 5 * factor, 5 * factor]
    backoff.reset()
    assert backoff.delay() == factor
