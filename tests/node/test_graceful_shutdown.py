from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogEvent, capturedLogs, formatEvent

from kazoo_bridge.node.graceful_shutdown import MINIMUM_TIMEOUT, STEP_TIMEOUT, TOTAL_TIMEOUT, ShutdownSequence


async def _wait_for(result: Deferred[None]) -> None:
    await result


class Harness:
    """Runs steps that end when their Deferreds fire. `ended` has the times at which steps were over."""

    def __init__(self, *steps: Deferred[None], bounded: bool = False) -> None:
        self.clock = Clock()
        self.forced: Deferred[None] = Deferred()
        self.sequence = ShutdownSequence(self.clock, self.forced)
        self.ended: list[float] = []
        self.done = Deferred.fromCoroutine(self._run(steps, bounded))

    async def _run(self, steps: tuple[Deferred[None], ...], bounded: bool) -> None:
        for number, step in enumerate(steps):
            await self.sequence.run_step(f"step {number}", _wait_for(step), bounded=bounded)
            self.ended.append(self.clock.seconds())

    def wait(self, seconds: float) -> None:
        for _ in range(round(seconds / 0.5)):
            self.clock.advance(0.5)


@pytest.fixture
def logged() -> Iterator[Sequence[LogEvent]]:
    """The events that are logged during the test."""
    with capturedLogs() as events:
        yield events


def test_steps_that_end_take_only_their_time(logged: Sequence[LogEvent]) -> None:
    first, second = Deferred[None](), Deferred[None]()
    harness = Harness(first, second)
    harness.clock.advance(2)
    first.callback(None)
    second.callback(None)
    assert harness.ended == [2, 2]
    assert harness.clock.getDelayedCalls() == []
    assert not logged


def test_steps_that_never_end_are_abandoned_within_the_total_time(logged: Sequence[LogEvent]) -> None:
    steps = [Deferred[None]() for _ in range(6)]
    harness = Harness(*steps)
    harness.wait(50)
    assert harness.ended[:3] == [STEP_TIMEOUT, 2 * STEP_TIMEOUT, 3 * STEP_TIMEOUT]
    assert harness.ended[-1] == TOTAL_TIMEOUT + 3 * MINIMUM_TIMEOUT
    assert harness.clock.getDelayedCalls() == []
    assert [event["step"] for event in logged] == [f"step {number}" for number in range(6)]
    for step in steps:
        step.callback(None)
    assert len(harness.ended) == 6


def test_a_step_that_ends_late_does_not_end_the_next_one() -> None:
    first, second = Deferred[None](), Deferred[None]()
    harness = Harness(first, second)
    harness.wait(STEP_TIMEOUT)
    first.callback(None)
    assert harness.ended == [STEP_TIMEOUT]
    second.callback(None)
    assert harness.ended == [STEP_TIMEOUT, STEP_TIMEOUT]


def test_a_forced_shutdown_waits_the_minimum_for_each_step() -> None:
    harness = Harness(*[Deferred[None]() for _ in range(3)])
    harness.clock.advance(2)
    harness.forced.callback(None)
    harness.wait(10)
    assert harness.ended == [2 + MINIMUM_TIMEOUT, 2 + 2 * MINIMUM_TIMEOUT, 2 + 3 * MINIMUM_TIMEOUT]


def test_forcing_does_not_prolong_a_step_that_is_about_to_be_abandoned() -> None:
    harness = Harness(Deferred[None]())
    harness.wait(STEP_TIMEOUT - 0.5)
    harness.forced.callback(None)
    harness.clock.advance(0.5)
    assert harness.ended == [STEP_TIMEOUT]


def test_bounded_work_has_no_time_limit() -> None:
    step = Deferred[None]()
    harness = Harness(step, bounded=True)
    harness.wait(2 * TOTAL_TIMEOUT)
    assert harness.ended == []
    step.callback(None)
    assert harness.ended == [2 * TOTAL_TIMEOUT]


def test_a_failed_step_is_logged_and_the_next_one_runs(logged: Sequence[LogEvent]) -> None:
    first, second = Deferred[None](), Deferred[None]()
    harness = Harness(first, second)
    first.errback(ValueError("odd"))
    second.callback(None)
    assert harness.ended == [0, 0]
    (event,) = logged
    assert formatEvent(event) == "shutdown step failed step=step 0"
    assert event["log_failure"].check(ValueError)
