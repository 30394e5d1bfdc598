from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import UNTIL_ENABLED, StoredHook, Suspension
from kazoo_bridge.webhooks.delivery.destination_circuits import CIRCUIT_HOOKS
from kazoo_bridge.webhooks.delivery.missed_events import TOO_OLD
from kazoo_bridge.webhooks.egress.own_faults import OwnFault
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.notification_sender import RETRY_INTERVAL
from tests.webhooks.fakes import FakeAgent, respond
from tests.webhooks.harness import Harness, make_harness, results_of
from tests.webhooks.hook_factory import CATALOGUE


def suspend(
    harness: Harness, hook_id: str = "h1", *, next_probe: float = 30.0, probes: int = 0, **document: Any
) -> Hook:
    """A suspended hook, since the time 0."""
    enabled = harness.hook(hook_id, **document)
    stored = harness.hooks.hooks[hook_id]
    disabled = {**stored.document, "enabled": False, "disable_reason": "too many failed attempts"}
    harness.hooks.hooks[hook_id] = evolve(
        stored, document=disabled, suspension=Suspension(0.0, next_probe, probes)
    )
    hook = Hook.from_document(harness.hooks.hooks[hook_id], CATALOGUE)
    assert (enabled.suspended, hook.suspended) == (False, True)
    harness.registry.put(hook)
    return hook


def make_suspended(
    *events: str, reachable: bool = True, probes: int = 0, **options: Any
) -> tuple[FakeAgent, Harness]:
    """A suspended hook for which these events wait; its probe is due after 30 seconds."""
    agent, harness = make_harness(reachable=reachable, **options)
    harness.store(suspend(harness, probes=probes), *events, next_attempt=UNTIL_ENABLED)
    return agent, harness


def stored(harness: Harness) -> StoredHook:
    return harness.hooks.hooks["h1"]


def probe(harness: Harness) -> None:
    """Let the time of the first probe come."""
    harness.pump(29.5, step=0.5)
    assert harness.prober.results == {}
    harness.pump(2, step=0.5)


def test_a_success_enables_the_hook_and_is_published() -> None:
    agent, harness = make_suspended("e1", "e2")
    probe(harness)
    assert [body for body in agent.bodies if "call_id" in body] == agent.bodies[:1]
    respond(agent.hanging[0], 200)
    assert stored(harness).document["enabled"] is True
    assert "disable_reason" not in stored(harness).document
    assert stored(harness).suspension is None
    ((exchange, key, body),) = harness.bus.published
    assert (exchange, key) == ("notifications", "notifications.webhook.recovered")
    assert (body["Hook-ID"], body["Event-Name"]) == ("h1", "webhook_recovered")
    assert harness.prober.results == {"success": 1}
    harness.pump(1)
    respond(agent.hanging[1], 200)
    harness.pump(1)
    assert harness.deliveries.rows == {}


def test_after_a_failure_the_delivery_waits_as_before() -> None:
    agent, harness = make_suspended("e1")
    probe(harness)
    respond(agent.hanging[0], 500)
    harness.pump(1)
    (row,) = harness.deliveries.rows.values()
    assert (row.status, row.delivery.attempts, row.lease_until) == ("held", 0, 0.0)
    assert stored(harness).suspension == Suspension(0.0, 30.0 + 72.0, 1)
    assert harness.prober.results == {"failure": 1}
    assert harness.bus.published == []


def test_a_failed_probe_does_not_count_against_the_hook() -> None:
    agent, harness = make_suspended("e1")
    probe(harness)
    respond(agent.hanging[0], 500)
    harness.pump(1)
    (attempt,) = harness.attempts.stored
    assert (attempt.failed, attempt.revision) == (True, "")


def test_after_a_while_other_deliveries_are_sent_too() -> None:
    agent, harness = make_suspended("e1", "e2", "e3", probes=4)
    probe(harness)
    assert harness.deliveries.event_ids[:2] == ["e1", "e2"]
    leased = [row.delivery.event_id for row in harness.deliveries.rows.values() if row.lease_until]
    assert leased == ["e2"]
    respond(agent.hanging[0], 500)


def test_a_hook_that_another_node_probes_is_left_alone() -> None:
    agent, harness = make_suspended("e1")
    harness.hooks.manual = True
    work = results_of(Deferred.fromCoroutine(harness.prober.start_due()))
    harness.clock.advance(0)
    assert work == []
    harness.hooks.answer()
    harness.hooks.manual = False
    assert agent.hooks == []


def test_a_hook_that_has_failed_for_too_long_is_given_up() -> None:
    agent, harness = make_suspended("e1", "e2", give_up_after=20.0)
    with capturedLogs() as logs:
        probe(harness)
        respond(agent.hanging[0], 500)
        harness.pump(1)
    assert harness.deliveries.statuses == ["dead", "dead"]
    assert (stored(harness).document["enabled"], stored(harness).suspension) == (False, None)
    assert harness.prober.results == {"failure": 1, "given_up": 1}
    (log,) = [log for log in logs if "given up" in log["log_format"]]
    assert (log["hook_id"], log["count"]) == ("h1", 2)
    known = harness.registry.find("h1")
    assert known is not None
    assert (known.suspended, known.failed) == (False, True)


def test_a_delivery_that_cannot_be_sent_is_dead_and_the_next_one_is_taken() -> None:
    agent, harness = make_harness(reachable=True)
    hook = suspend(harness, format="json")
    broken = harness.delivery(hook, "e1", bad=object())
    harness.deliveries.enqueue([(broken, UNTIL_ENABLED, "")])
    harness.store(hook, "e2", next_attempt=UNTIL_ENABLED)
    probe(harness)
    assert len(agent.hanging) == 1
    assert harness.deliveries.statuses == ["dead", "held"]
    respond(agent.hanging[0], 500)


def test_while_the_storage_is_unavailable_the_hook_stays_suspended() -> None:
    agent, harness = make_suspended("e1")
    probe(harness)
    harness.hooks.down = True
    with capturedLogs() as logs:
        respond(agent.hanging[0], 200)
    assert [log["hook_id"] for log in logs if "not completed" in log["log_format"]] == ["h1"]
    harness.hooks.down = False
    assert stored(harness).suspension is not None


def test_a_hook_recovers_without_a_bus() -> None:
    agent, harness = make_suspended("e1")
    harness.bus.down = True
    probe(harness)
    respond(agent.hanging[0], 200)
    assert stored(harness).document["enabled"] is True
    harness.bus.down = False
    harness.clock.advance(RETRY_INTERVAL)
    assert [key for _, key, _ in harness.bus.published] == ["notifications.webhook.recovered"]


def test_stopping_waits_for_a_probe() -> None:
    agent, harness = make_suspended("e1")
    probe(harness)
    stopped = results_of(harness.retry_worker.stopService())
    assert stopped == []
    respond(agent.hanging[0], 500)
    assert stopped == [None]


def test_a_probe_that_found_only_old_events_is_made_with_the_next_event() -> None:
    agent, harness = make_suspended("e1", "e2", probes=2)
    hook = suspend(harness, probes=2, max_age_s=10)
    probe(harness)
    assert (agent.hooks, harness.deliveries.rows) == ([], {})
    assert harness.missed.totals == {TOO_OLD: 2}
    assert stored(harness).suspension == Suspension(0.0, 35.0, 2)
    harness.pump(60, step=1)
    harness.store(hook, "e3", next_attempt=UNTIL_ENABLED)
    harness.pump(5.5)
    assert agent.hooks == ["h1"]
    respond(agent.hanging[0], 200)
    assert stored(harness).document["enabled"] is True


def test_a_fault_of_this_node_is_no_failed_probe() -> None:
    agent, harness = make_suspended("e1", give_up_after=20.0)
    probe(harness)
    agent.hanging[0].errback(OwnFault("no name server"))
    harness.pump(1)
    assert harness.prober.results == {}
    assert stored(harness).suspension == Suspension(0.0, 30.0 + 72.0, 0)
    assert harness.deliveries.statuses == ["held"]


@pytest.mark.parametrize("now", ["deleted", "enabled", "disabled by a person"])
def test_a_hook_that_is_no_longer_suspended_when_its_turn_comes_is_not_probed(now: str) -> None:
    agent, harness = make_suspended("e1", per_hook=1)
    hook = harness.registry.find("h1")
    assert hook is not None
    slot = harness.acquire(hook)
    probe(harness)
    if now == "enabled":
        harness.registry.put(evolve(hook, enabled=True, suspended=False))
    else:
        harness.registry.remove("h1")
    harness.scheduler.release(slot, None)
    harness.pump(1)
    assert agent.hooks == []
    assert harness.scheduler.in_flight == 0


def test_the_claim_of_a_delivery_outlasts_the_time_out_of_its_hook() -> None:
    agent, harness = make_harness(reachable=True)
    harness.store(suspend(harness, timeout_ms=30_000), "e1", next_attempt=UNTIL_ENABLED)
    probe(harness)
    (row,) = harness.deliveries.rows.values()
    assert row.lease_until >= 30.0 + 30.0 + 5.0
    respond(agent.hanging[0], 500)


def test_hooks_that_cannot_be_used_are_not_found_again_and_again() -> None:
    _, harness = make_suspended("e1")
    broken = evolve(stored(harness), id="h2", document={"enabled": False}, suspension=Suspension(0.0, 1.0))
    harness.hooks.hooks["h2"] = broken
    with capturedLogs():
        harness.pump(2)
    suspension = harness.hooks.hooks["h2"].suspension
    assert suspension is not None
    assert suspension.next_probe > 60.0


def test_a_probe_is_not_made_when_others_have_just_failed_to_connect() -> None:
    agent, harness = make_harness(reachable=False)
    for number in range(20):
        harness.store(suspend(harness, f"h{number:02}"), "e1", next_attempt=UNTIL_ENABLED)
    probe(harness)
    assert len(agent.times) == CIRCUIT_HOOKS
    assert harness.prober.results == {"failure": 20}
    for stored_hook in harness.hooks.hooks.values():
        assert stored_hook.suspension is not None
        assert (stored_hook.suspension.probes, stored_hook.suspension.next_probe > 60) == (1, True)


def test_a_probe_without_an_attempt_gives_a_hook_up_in_time() -> None:
    agent, harness = make_harness(reachable=False, give_up_after=20.0)
    for number in range(20):
        harness.store(suspend(harness, f"h{number:02}"), "e1", next_attempt=UNTIL_ENABLED)
    probe(harness)
    assert len(agent.times) == CIRCUIT_HOOKS
    assert harness.prober.results == {"failure": 20, "given_up": 20}
