"""Stored deliveries and results, and their order while the storage refuses some of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from kazoo_bridge import batch_writer
from kazoo_bridge.interfaces import Delivery, StorageUnavailable
from kazoo_bridge.webhooks.attempts.attempt_in_flight import AttemptResult
from kazoo_bridge.webhooks.delivery import delivery_writer
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter, OrderingBarrier
from tests.webhooks.fakes import FakeDeliveryStore
from tests.webhooks.harness import results_of


def delivery(event_id: str, ordering_key: str = "", hook_id: str = "h1") -> Delivery:
    return Delivery(
        f"{hook_id}-{event_id}", hook_id, "a" * 32, "channel_create", event_id, {}, 0.0, ordering_key
    )


class Harness:
    def __init__(self) -> None:
        self.clock, self.store = Clock(), FakeDeliveryStore()
        self.due: list[float] = []
        self.writer = DeliveryWriter(self.clock, self.store, on_due=self.due.append)
        self.writer.startService()

    def enqueue(self, event_id: str, ordering_key: str = "", next_attempt: float | None = 0.0) -> list[Any]:
        """Enqueue a delivery and wait until that has been written."""
        results = self.begin(event_id, ordering_key, next_attempt)
        self.clock.advance(0.02)
        return results

    def begin(self, event_id: str, ordering_key: str = "", next_attempt: float | None = 0.0) -> list[Any]:
        return results_of(self.writer.enqueue(delivery(event_id, ordering_key), next_attempt, "slow"))

    def claim(self, *event_ids: str) -> list[Delivery]:
        for event_id in event_ids:
            self.enqueue(event_id)
        claimed: list[Delivery] = results_of(self.store.claim("me", 0.0, 100.0, {"h1": 100}))[0]
        self.due.clear()
        return claimed


def refused(results: list[Any]) -> bool:
    return bool(results) and bool(results[0].check(StorageUnavailable))


def test_deliveries_are_collected_and_written_together() -> None:
    harness = Harness()
    results = [harness.begin(f"e{number}") for number in range(3)]
    assert (results, harness.store.writes) == ([[]] * 3, 0)
    harness.clock.advance(0.01)
    assert (results, harness.store.writes) == ([[None]] * 3, 1)


def test_large_numbers_are_written_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_writer, "BATCH_SIZE", 2)
    harness = Harness()
    results = [harness.begin(f"e{number}") for number in range(5)]
    harness.clock.advance(0.01)
    assert (results, harness.store.writes) == ([[None]] * 5, 3)
    assert harness.store.event_ids == ["e0", "e1", "e2", "e3", "e4"]


def test_the_earliest_time_is_reported_once_it_is_written() -> None:
    harness = Harness()
    harness.begin("e1", next_attempt=30.0)
    harness.begin("e2", next_attempt=20.0)
    harness.begin("e3", next_attempt=None)
    assert harness.due == []
    harness.clock.advance(0.01)
    assert harness.due == [20.0]


def test_of_dead_deliveries_no_time_is_reported() -> None:
    harness = Harness()
    harness.enqueue("e1", next_attempt=None)
    assert (harness.due, harness.store.statuses) == ([], ["dead"])


def test_a_delivery_that_cannot_be_encoded_does_not_fail_the_others() -> None:
    class PickyStore(FakeDeliveryStore):
        def enqueue(self, waiting: Sequence[tuple[Delivery, float | None, str]]) -> Deferred[None]:
            if any(one.event_id == "odd" for one, *_ in waiting):
                return fail(TypeError("not JSON serializable"))
            return super().enqueue(waiting)

    harness = Harness()
    harness.writer = DeliveryWriter(harness.clock, PickyStore(), on_due=harness.due.append)
    results = [harness.begin(name) for name in ("e1", "odd", "e2")]
    harness.clock.advance(0.01)
    assert (results[0], results[2]) == ([None], [None])
    assert results[1][0].check(TypeError)


def test_results_are_written() -> None:
    harness = Harness()
    first, second, third, fourth = harness.claim("e1", "e2", "e3", "e4")
    harness.writer.record_result(first, AttemptResult(True, 1))
    harness.writer.record_result(second, AttemptResult(False, 2, 50.0, "answered 500"))
    harness.writer.record_result(third, AttemptResult(False, 3, None, "answered 404"))
    harness.writer.release(fourth)
    harness.clock.advance(0.01)
    assert [
        (
            row.delivery.event_id,
            row.status,
            row.delivery.attempts,
            row.next_attempt,
            row.reason,
            row.lease_until,
        )
        for row in harness.store.rows.values()
    ] == [
        ("e2", "pending", 2, 50.0, "answered 500", 0.0),
        ("e3", "dead", 3, 0.0, "answered 404", 0.0),
        ("e4", "pending", 0, 0.0, "slow", 0.0),
    ]
    # Claims are free again now, and the retry is due later.
    assert harness.due == [harness.clock.seconds(), 50.0]


def test_a_release_alone_is_written() -> None:
    harness = Harness()
    (claimed,) = harness.claim("e1")
    harness.writer.release(claimed)
    harness.clock.advance(0.01)
    assert [row.lease_until for row in harness.store.rows.values()] == [0.0]


def test_results_wait_while_the_storage_is_unavailable() -> None:
    harness = Harness()
    claimed = harness.claim("e1", "e2", "e3", "e4")
    harness.store.down = True
    harness.writer.record_result(claimed[0], AttemptResult(True, 1))
    harness.writer.record_result(claimed[1], AttemptResult(False, 1, None, "answered 404"))
    harness.clock.advance(0.01)
    harness.writer.record_result(claimed[2], AttemptResult(False, 1, 9.0, "answered 500"))
    harness.writer.release(claimed[3])
    harness.clock.advance(batch_writer.RETRY_INTERVAL)
    assert len(harness.store.rows) == 4
    assert harness.due == []
    harness.store.down = False
    harness.clock.advance(batch_writer.RETRY_INTERVAL)
    assert harness.store.statuses == ["dead", "pending", "pending"]
    assert harness.store.rows["h1-e3"].next_attempt == 9.0
    assert [row.lease_until for row in harness.store.rows.values()] == [0.0] * 3


def test_results_during_a_failed_write_are_not_lost() -> None:
    harness = Harness()
    first, second = harness.claim("e1", "e2")
    harness.store.manual = True
    harness.writer.record_result(first, AttemptResult(False, 1, 7.0, "answered 500"))
    harness.clock.advance(0.01)
    harness.writer.record_result(second, AttemptResult(False, 1, 8.0, "answered 500"))
    ((write, _),) = harness.store.waiting
    harness.store.manual = False
    write.errback(StorageUnavailable("the disk is full"))
    harness.clock.advance(batch_writer.RETRY_INTERVAL)
    assert [row.next_attempt for row in harness.store.rows.values()] == [7.0, 8.0]


def test_after_a_failed_write_later_deliveries_of_the_ordering_key_fail_too() -> None:
    harness = Harness()
    harness.store.down = True
    first = harness.enqueue("e1", "call 1")
    harness.store.down = False
    second, other = harness.enqueue("e2", "call 1"), harness.enqueue("o1", "call 2")
    assert refused(first)
    assert refused(second)
    assert (other, harness.store.event_ids) == ([None], ["o1"])
    # The broker redelivers in the order in which they failed, after one that is out of order.
    for name in ("e2", "e1", "e2", "e3"):
        harness.begin(name, "call 1")
    harness.clock.advance(0.02)
    assert harness.store.event_ids == ["o1", "e1"]
    for name in ("e2", "e3"):
        harness.enqueue(name, "call 1")
    assert harness.store.event_ids == ["o1", "e1", "e2", "e3"]


def test_deliveries_without_ordering_key_do_not_block_each_other() -> None:
    harness = Harness()
    harness.store.down = True
    assert refused(harness.enqueue("e1"))
    harness.store.down = False
    assert harness.enqueue("e2") == [None]


def test_deliveries_that_were_about_to_be_written_fail_with_the_first() -> None:
    harness = Harness()
    harness.store.manual = True
    first = harness.enqueue("e1", "call 1")
    second, other = harness.enqueue("e2", "call 1"), harness.enqueue("o1", "call 2")
    ((write, _),) = harness.store.waiting
    harness.store.manual = False
    write.errback(StorageUnavailable("the disk is full"))
    assert (refused(first), refused(second)) == (True, True)
    assert other == [None]
    harness.store.rows.pop("h1-e1")  # the fake has added it before it failed
    assert harness.store.event_ids == ["o1"]
    assert refused(harness.enqueue("e2", "call 1"))
    assert harness.enqueue("e1", "call 1") == [None]


def test_a_failed_delivery_blocks_for_a_minute() -> None:
    harness = Harness()
    harness.store.down = True
    harness.enqueue("e1", "call 1")
    harness.store.down = False
    harness.clock.advance(59)
    assert refused(harness.enqueue("e2", "call 1"))
    harness.clock.advance(1)
    # Now e2 is the first that has failed within a minute.
    assert refused(harness.enqueue("e3", "call 1"))
    assert harness.enqueue("e2", "call 1") == [None]


def test_stopping_writes_what_has_been_collected() -> None:
    harness = Harness()
    results = harness.begin("e1")
    assert results_of(harness.writer.stopService()) == [None]
    assert results == [None]
    assert not harness.clock.getDelayedCalls()


def test_the_barrier_blocks_for_a_minute() -> None:
    clock = Clock()
    barrier = OrderingBarrier(clock)
    barrier.write_failed(delivery("e1", "call 1"))
    clock.advance(59.9)
    assert barrier.blocks(delivery("e2", "call 1"))
    clock.advance(60 - clock.seconds())
    assert not barrier.blocks(delivery("e2", "call 1"))


def test_the_barrier_remembers_a_bounded_number_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery_writer, "_MAX_BLOCKED_KEYS", 2)
    barrier = OrderingBarrier(Clock())
    for number in range(3):
        barrier.write_failed(delivery("e1", f"call {number}"))
    assert [barrier.blocks(delivery("e2", f"call {number}")) for number in range(3)] == [False, True, True]


def test_the_barrier_distinguishes_hooks() -> None:
    barrier = OrderingBarrier(Clock())
    barrier.write_failed(delivery("e1", "call 1"))
    assert not barrier.blocks(delivery("e2", "call 1", hook_id="h2"))
    barrier.written(delivery("e1", "call 1", hook_id="h2"))
    assert barrier.blocks(delivery("e2", "call 1"))


def test_the_barrier_blocks_until_all_failed_deliveries_are_written() -> None:
    barrier = OrderingBarrier(Clock())
    first, second, third = (delivery(f"e{number}", "call 1") for number in range(3))
    barrier.write_failed(first)
    barrier.write_failed(second)
    assert not barrier.blocks(first)
    assert barrier.blocks(second)
    barrier.written(first)
    assert not barrier.blocks(second)
    assert barrier.blocks(third)
    barrier.written(second)
    assert not barrier.blocks(third)


def test_flush_of_nothing_ends_at_once() -> None:
    harness = Harness()
    assert results_of(harness.writer.flush()) == [None]
    assert (harness.store.writes, harness.due) == (0, [])
