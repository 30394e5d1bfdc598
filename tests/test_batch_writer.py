from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.batch_writer import RETRY_INTERVAL, BatchWriter
from kazoo_bridge.interfaces import StorageUnavailable
from tests.webhooks.harness import results_of


@define(eq=False)
class NumberWriter(BatchWriter):
    """Writes numbers, or fails with `error`. With `slow` set, a write lasts until `finish`."""

    pending: list[int] = field(init=False, factory=list)
    written: list[list[int]] = field(init=False, factory=list)
    error: Exception | None = field(init=False, default=None)
    slow: bool = field(init=False, default=False)
    active: list[Deferred[None]] = field(init=False, factory=list)

    content = "numbers"
    collect_interval = 0.5

    def add(self, number: int) -> None:
        self.pending.append(number)
        self.schedule_flush()

    async def _write_batches(self) -> None:
        if self.error is not None:
            raise self.error
        batch, self.pending = self.pending, []
        if self.slow:
            self.active.append(Deferred())
            await self.active[-1]
        self.written.append(batch)

    def finish(self) -> None:
        self.active.pop().callback(None)


def make_writer(*, started: bool = True) -> tuple[NumberWriter, Clock]:
    clock = Clock()
    writer = NumberWriter(clock)
    if started:
        writer.startService()
    return writer, clock


def test_what_is_collected_within_the_interval_is_written_together() -> None:
    writer, clock = make_writer()
    writer.add(1)
    clock.advance(0.4)
    writer.add(2)
    assert writer.written == []
    clock.advance(0.1)
    assert writer.written == [[1, 2]]
    writer.add(3)
    clock.advance(0.5)
    assert writer.written == [[1, 2], [3]]


def test_flush_writes_now() -> None:
    writer, _ = make_writer()
    writer.add(1)
    assert results_of(writer.flush()) == [None]
    assert writer.written == [[1]]


def test_flushes_during_a_write_share_the_following_one() -> None:
    writer, _ = make_writer()
    writer.slow = True
    writer.add(1)
    first = results_of(writer.flush())
    writer.add(2)
    others = [results_of(writer.flush()) for _ in range(3)]
    assert (first, others, len(writer.active)) == ([], [[]] * 3, 1)
    writer.finish()
    assert (first, others, len(writer.active)) == ([None], [[]] * 3, 1)
    writer.finish()
    assert others == [[None]] * 3
    assert writer.written == [[1], [2]]


def test_while_the_storage_is_unavailable_writing_is_repeated_and_logged_once() -> None:
    writer, clock = make_writer()
    writer.error = StorageUnavailable("the disk is full")
    with capturedLogs() as logs:
        writer.add(1)
        clock.advance(0.5)
        clock.advance(RETRY_INTERVAL)
        writer.error = None
        clock.advance(RETRY_INTERVAL / 2)
        assert writer.written == []
        clock.advance(RETRY_INTERVAL / 2)
        assert writer.written == [[1]]
        writer.add(2)
        clock.advance(0.5)
    assert [(log["log_level"].name, log["content"]) for log in logs] == [
        ("warn", "numbers"),
        ("info", "numbers"),
    ]
    assert str(logs[0]["reason"]) == "the disk is full"
    assert not clock.getDelayedCalls()


def test_each_outage_is_logged() -> None:
    writer, clock = make_writer()
    with capturedLogs() as logs:
        for error in (StorageUnavailable(""), None, StorageUnavailable("")):
            writer.error = error
            writer.add(1)
            clock.advance(RETRY_INTERVAL)
    assert [log["log_level"].name for log in logs] == ["warn", "info", "warn"]


def test_flush_of_an_unavailable_storage_fires() -> None:
    writer, _ = make_writer()
    writer.error = StorageUnavailable("the disk is full")
    assert results_of(writer.flush()) == [None]


def test_another_error_fails_the_flush_and_is_logged_otherwise() -> None:
    writer, clock = make_writer()
    writer.error = ValueError("a defect")
    (failure,) = results_of(writer.flush())
    assert failure.check(ValueError)
    with capturedLogs() as logs:
        writer.add(1)
        clock.advance(0.5)
    assert [log["content"] for log in logs] == ["numbers"]
    assert logs[0]["log_failure"].check(ValueError)
    writer.error = None
    assert results_of(writer.flush()) == [None]


def test_stopping_writes_once_and_leaves_no_delayed_call() -> None:
    writer, clock = make_writer()
    writer.add(1)
    assert results_of(writer.stopService()) == [None]
    assert (writer.written, clock.getDelayedCalls()) == ([[1]], [])


def test_stopping_while_the_storage_is_unavailable_ends() -> None:
    writer, clock = make_writer()
    writer.error = StorageUnavailable("the disk is full")
    writer.add(1)
    assert results_of(writer.stopService()) == [None]
    assert (writer.pending, clock.getDelayedCalls()) == ([1], [])
