from __future__ import annotations

import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.interfaces import StorageUnavailable, StorageUnusable
from kazoo_bridge.node.storage_wait import RETRY_DELAY, StorageWait


@define
class Harness:
    """Work that raises `errors` one after another, and then succeeds."""

    errors: list[Exception]
    clock: Clock = field(factory=Clock)
    attempts: int = 0
    waiting: int = 0
    wait: StorageWait = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.wait = StorageWait(self.clock, lambda attempt: float(attempt))

    async def work(self) -> None:
        self.attempts += 1
        if self.errors:
            raise self.errors.pop(0)

    async def on_waiting(self) -> None:
        self.waiting += 1

    def run(self) -> list[object]:
        """Start; the list gets the result."""
        results: list[object] = []
        Deferred.fromCoroutine(self.wait.run(self.work, self.on_waiting)).addBoth(results.append)
        return results


def test_a_storage_that_is_there_is_not_waited_for() -> None:
    harness = Harness([])
    assert harness.run() == [None]
    assert (harness.attempts, harness.waiting, harness.wait.problem) == (1, 0, None)


def test_the_work_is_repeated_after_growing_pauses_until_the_storage_is_there() -> None:
    harness = Harness([StorageUnavailable("away"), StorageUnavailable("locked")])
    with capturedLogs() as logged:
        results = harness.run()
        assert (harness.waiting, harness.wait.problem) == (1, "away")
        harness.clock.advance(1)
        assert (harness.attempts, harness.waiting, harness.wait.problem) == (2, 1, "locked")
        harness.clock.advance(1)
        assert harness.attempts == 2
        harness.clock.advance(1)
    assert results == [None]
    assert harness.wait.problem is None
    assert [formatEvent(event) for event in logged] == [
        "waiting for the storage reason=away",
        "waiting for the storage reason=locked",
        "the storage is there",
    ]


def test_what_no_wait_can_change_is_raised_at_once() -> None:
    error = StorageUnusable("the schema is too new")
    harness = Harness([error])
    (failure,) = harness.run()
    assert getattr(failure, "value", None) is error
    assert harness.waiting == 0


def test_stop_ends_the_wait_and_leaves_no_delayed_call() -> None:
    harness = Harness([StorageUnavailable("away")])
    results = harness.run()
    harness.wait.stop()
    (failure,) = results
    assert isinstance(getattr(failure, "value", None), CancelledError)
    assert harness.clock.getDelayedCalls() == []


def test_stop_before_the_wait_prevents_it() -> None:
    harness = Harness([StorageUnavailable("away")])
    harness.wait.stop()
    (failure,) = harness.run()
    assert isinstance(getattr(failure, "value", None), StorageUnavailable)


@pytest.mark.parametrize(("attempt", "least", "most"), [(1, 0.5, 3), (20, 15, 16)])
def test_pauses_are_bounded(attempt: int, least: float, most: float) -> None:
    assert least <= RETRY_DELAY(attempt) <= most
