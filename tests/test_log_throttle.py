"""At most one log line in every interval, and no occurrence left out of the count."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from kazoo_bridge.log_throttle import LogThrottle


class Harness:
    """A throttle on a clock; `reports` has the time, the number and the example of every report."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.reports: list[tuple[float, int, str]] = []
        self.throttle = LogThrottle(self.clock, self._on_report, interval=60.0)

    def _on_report(self, count: int, example: str) -> None:
        self.reports.append((self.clock.seconds(), count, example))


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_the_first_occurrence_is_reported_at_once(harness: Harness) -> None:
    harness.throttle.count("first")
    assert harness.reports == [(0, 1, "first")]


def test_further_ones_are_reported_together_with_the_latest_example(harness: Harness) -> None:
    for example in "abcd":
        harness.throttle.count(example)
    harness.clock.advance(59)
    assert harness.reports == [(0, 1, "a")]
    harness.clock.advance(1)
    assert harness.reports == [(0, 1, "a"), (60, 3, "d")]
    assert harness.throttle.total == 4


def test_after_a_quiet_interval_the_next_one_is_reported_at_once(harness: Harness) -> None:
    harness.throttle.count("a")
    harness.clock.advance(60)
    assert harness.clock.getDelayedCalls() == []
    harness.clock.advance(5)
    harness.throttle.count("b")
    assert harness.reports == [(0, 1, "a"), (65, 1, "b")]


def test_stopping_reports_the_rest_and_leaves_no_delayed_call(harness: Harness) -> None:
    harness.throttle.stop()
    assert harness.reports == []
    for example in "ab":
        harness.throttle.count(example)
    harness.throttle.stop()
    assert harness.reports == [(0, 1, "a"), (0, 1, "b")]
    assert harness.clock.getDelayedCalls() == []
    harness.throttle.count("c")
    assert harness.reports[-1] == (0, 1, "c")


@given(st.lists(st.floats(0, 100), max_size=30))
def test_every_occurrence_is_reported_once_and_no_two_reports_are_closer_than_the_interval(
    pauses: list[float],
) -> None:
    harness = Harness()
    for pause in pauses:
        harness.throttle.count()
        harness.clock.advance(pause)
    harness.clock.advance(60)
    times = [when for when, _, _ in harness.reports]
    assert sum(count for _, count, _ in harness.reports) == len(pauses) == harness.throttle.total
    assert all(later - earlier >= 60 - 1e-6 for earlier, later in pairwise(times))
