from __future__ import annotations

import random

from kazoo_bridge.interfaces import Suspension
from kazoo_bridge.webhooks.delivery.probe_schedule import ProbeSchedule
from tests.webhooks.harness import LongestDelays


class ShortestDelays(random.Random):
    """Chooses always the shortest delay."""

    def uniform(self, a: float, b: float) -> float:
        return a


def delays(schedule: ProbeSchedule, count: int) -> list[float]:
    suspension, found = schedule.begin(0.0), []
    found.append(suspension.next_probe)
    for _ in range(count):
        now = suspension.next_probe
        suspension = schedule.advance(suspension, now)
        found.append(suspension.next_probe - now)
    return found


def test_delays_double_up_to_ten_minutes() -> None:
    assert delays(ProbeSchedule(30.0, 1.0, ShortestDelays()), 6) == [30, 60, 120, 240, 480, 600, 600]
    assert delays(ProbeSchedule(30.0, 1.0, LongestDelays()), 6) == [36, 72, 144, 288, 576, 600, 600]


def test_any_number_of_probes_is_possible() -> None:
    suspension = Suspension(0.0, 0.0, 10**6)
    assert ProbeSchedule(30.0, 1.0).advance(suspension, 5.0) == Suspension(0.0, 605.0, 10**6 + 1)


def test_hooks_that_are_suspended_together_are_not_probed_together() -> None:
    schedule = ProbeSchedule(30.0, 1.0, random.Random(1))
    assert len({schedule.begin(0.0).next_probe for _ in range(20)}) == 20


def test_it_is_over_after_its_time() -> None:
    schedule = ProbeSchedule(30.0, 100.0)
    suspension = Suspension(50.0, 60.0)
    assert not schedule.is_over(suspension, 149.9)
    assert schedule.is_over(suspension, 150.0)
