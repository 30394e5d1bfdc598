from __future__ import annotations

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred

from kazoo_bridge.config import Webhooks
from kazoo_bridge.interfaces import AccountLimits, Suspension
from kazoo_bridge.kazoo import GREGORIAN_OFFSET
from kazoo_bridge.webhooks.attempts.health import HealthReport
from tests.webhooks.fakes import FakeLimitStore, respond
from tests.webhooks.harness import make_harness, results_of
from tests.webhooks.hook_factory import ACCOUNT, stored_hook


class Harness:
    """Health with a window of 60 seconds, of hooks whose receivers answer as the test says."""

    def __init__(self) -> None:
        self.agent, self.parts = make_harness(reachable=True)
        self.parts.clock.advance(1000)
        self.limits = FakeLimitStore()
        self.health = HealthReport(
            self.parts.clock,
            Webhooks(attempt_failure_expiry_ms=60_000),
            self.parts.attempts,
            self.limits,
            self.parts.deliveries,
            self.parts.missed_events,
            self.parts.recorder,
            self.parts.scheduler,
        )

    def deliver(self, hook_id: str, status: int) -> None:
        hook = self.parts.registry.get(hook_id) or self.parts.hook(hook_id, retries=0)
        self.parts.deliver(hook, f"{hook_id}-{len(self.agent.hanging)}")
        respond(self.agent.hanging[-1], status)
        self.parts.clock.advance(0.1)

    def report(self, *hook_ids: str) -> Any:
        hooks = [stored_hook(hook_id) for hook_id in hook_ids]
        (report,) = results_of(Deferred.fromCoroutine(self.health.for_hooks(hooks)))
        return report


NOTHING = {
    "successes": 0,
    "failures": 0,
    "failures_in_window": 0,
    "deliveries_waiting": 0,
    "deliveries_dead": 0,
    "events_missed": 0,
    "missed_by_reason": {},
}


def test_a_hook_without_attempts() -> None:
    assert Harness().report("h1") == {"h1": NOTHING}


def test_no_hooks() -> None:
    assert Harness().report() == {}


def test_successes_and_failures_of_several_hooks() -> None:
    harness = Harness()
    harness.deliver("h1", 200)
    harness.deliver("h2", 500)
    harness.parts.clock.advance(30)
    harness.deliver("h1", 500)
    harness.deliver("h1", 200)
    report = harness.report("h1", "h2", "h3")
    assert {name: report["h1"][name] for name in NOTHING} == {
        "successes": 2,
        "failures": 1,
        "failures_in_window": 1,
        "deliveries_waiting": 1,
        "deliveries_dead": 0,
        "events_missed": 0,
        "missed_by_reason": {},
    }
    assert report["h1"]["last_success"] == report["h1"]["last_failure"] == 1030 + GREGORIAN_OFFSET
    assert (report["h2"]["failures"], report["h2"]["last_failure"]) == (1, 1000 + GREGORIAN_OFFSET)
    assert "last_success" not in report["h2"]
    assert report["h3"] == NOTHING


def test_failures_outside_of_the_window_are_not_counted() -> None:
    harness = Harness()
    harness.deliver("h1", 500)
    harness.parts.clock.advance(59)
    assert harness.report("h1")["h1"]["failures_in_window"] >= 1
    harness.limits.limits[ACCOUNT] = AccountLimits(attempt_failure_expiry_ms=58_000)
    assert harness.report("h1")["h1"]["failures_in_window"] == 0


def test_failures_of_an_earlier_revision_are_not_counted() -> None:
    harness = Harness()
    harness.deliver("h1", 500)
    changed = evolve(stored_hook("h1"), revision="2-x")
    (report,) = results_of(Deferred.fromCoroutine(harness.health.for_hook(changed)))
    assert (report["failures"], report["failures_in_window"]) == (1, 0)


def test_deliveries_in_memory_and_in_the_store_are_waiting() -> None:
    harness = Harness()
    hook = harness.parts.hook("h1")
    harness.parts.deliver(hook, "in flight")
    harness.parts.store(hook, "stored", next_attempt=5000.0)
    assert harness.report("h1")["h1"]["deliveries_waiting"] == 2


def test_dead_deliveries_and_missed_events_are_counted() -> None:
    harness = Harness()
    hook = harness.parts.hook("h1")
    harness.parts.store(hook, "dead", next_attempt=None)
    harness.parts.missed_events.missed.update(
        {("h1", "disabled"): 3, ("h1", "undeliverable"): 1, ("h2", "x"): 9}
    )
    report = harness.report("h1")["h1"]
    assert (report["deliveries_dead"], report["deliveries_waiting"]) == (1, 0)
    assert report["events_missed"] == 4
    assert report["missed_by_reason"] == {"disabled": 3, "undeliverable": 1}


def test_a_suspended_hook_shows_its_next_probe() -> None:
    harness = Harness()
    hook = evolve(stored_hook("h1"), suspension=Suspension(1000.0, 1060.0, 2))
    (report,) = results_of(Deferred.fromCoroutine(harness.health.for_hook(hook)))
    assert report["suspended_since"] == 1000 + GREGORIAN_OFFSET
    assert (report["next_probe"], report["probes"]) == (1060 + GREGORIAN_OFFSET, 2)
