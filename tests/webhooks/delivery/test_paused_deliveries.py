from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs

from kazoo_bridge.interfaces import UNTIL_ENABLED, StorageUnavailable
from tests.webhooks.harness import make_harness, results_of


def test_a_hook_that_is_enabled_gets_its_deliveries_at_once() -> None:
    agent, harness = make_harness()
    harness.clock.advance(0.5)
    harness.store(harness.hook(), "e1")
    harness.deliveries.pause("h1")
    harness.paused.on_hook_loaded("h1", True)
    harness.clock.advance(0)
    assert harness.deliveries.resumed == ["h1"]
    assert agent.hooks == ["h1"]


def test_a_hook_that_stays_enabled_has_no_paused_deliveries() -> None:
    _, harness = make_harness()
    harness.paused.on_hook_loaded("h1", False)
    assert harness.deliveries.resumed == []


def test_a_changed_hook_is_no_longer_considered_failing() -> None:
    _, harness = make_harness()
    hook = harness.hook()
    harness.open_circuit(hook)
    harness.paused.on_hook_loaded("h1", False)
    assert not harness.scheduler.circuit_open("h1")


def test_a_node_that_sends_nothing_resumes_nothing() -> None:
    _, harness = make_harness(started=False)
    harness.paused.on_hook_loaded("h1", True)
    assert harness.deliveries.resumed == []


def test_while_the_storage_is_unavailable_resuming_is_repeated_later() -> None:
    agent, harness = make_harness()
    hook = harness.hook()
    harness.store(hook, "e1")
    harness.deliveries.pause("h1")
    harness.pump(0.5)
    harness.deliveries.down = True
    with capturedLogs() as logs:
        harness.paused.on_hook_loaded("h1", True)
    assert [(log["hook_id"], log["reason"].__class__) for log in logs] == [("h1", StorageUnavailable)]
    harness.deliveries.down = False
    harness.pump(29)
    assert agent.hooks == []
    harness.pump(2)
    assert agent.hooks == ["h1"]


def test_many_wishes_to_resume_a_hook_are_two_writes() -> None:
    _, harness = make_harness()
    harness.hook()
    harness.pump(0.5)
    harness.deliveries.manual = True
    for _ in range(100):
        harness.paused.resume_soon("h1")
    assert harness.deliveries.resumed == ["h1"]
    harness.deliveries.answer()
    assert harness.deliveries.resumed == ["h1", "h1"]
    harness.paused.resume_soon("h1")
    assert harness.deliveries.resumed == ["h1"] * 3


def test_paused_deliveries_of_enabled_hooks_are_resumed_on_start() -> None:
    agent, harness = make_harness(started=False)
    harness.store(harness.hook(), "e1")
    harness.deliveries.pause("h1")
    harness.start()
    harness.pump(1)
    assert len(agent.times) == 1


def test_paused_deliveries_are_looked_for_every_half_minute() -> None:
    _, harness = make_harness(started=False)
    harness.clock.advance(1000)
    hook = harness.hook()

    def resume_enabled() -> list[str]:
        assert results_of(Deferred.fromCoroutine(harness.paused.resume_enabled())) == [None]
        return harness.deliveries.resumed

    assert resume_enabled() == []
    harness.store(hook, "e1")
    harness.deliveries.pause("h1")
    harness.clock.advance(29)
    assert resume_enabled() == []
    harness.clock.advance(1)
    assert resume_enabled() == ["h1"]


def test_paused_deliveries_of_disabled_hooks_stay_paused() -> None:
    _, harness = make_harness(started=False)
    harness.store(harness.hook(), "e1")
    harness.registry.remove("h1")
    harness.deliveries.pause("h1")
    harness.start()
    harness.pump(1)
    assert harness.deliveries.statuses == ["held"]


def test_paused_deliveries_of_deleted_hooks_are_deleted() -> None:
    _, harness = make_harness(started=False)
    for hook_id in ("h1", "h2"):
        harness.store(harness.hook(hook_id), f"of {hook_id}", next_attempt=UNTIL_ENABLED)
        harness.registry.remove(hook_id)
    del harness.hooks.hooks["h2"]
    with capturedLogs() as logs:
        harness.start()
        harness.pump(1)
    assert harness.deliveries.event_ids == ["of h1"]
    assert [log["hook_id"] for log in logs if log["log_level"] is LogLevel.warn] == ["h2"]


def test_deliveries_are_paused_when_the_hook_exists_and_deleted_otherwise() -> None:
    _, harness = make_harness(started=False)
    harness.store(harness.hook("h1"), "e1")
    harness.store(harness.hook("h2"), "e2")
    del harness.hooks.hooks["h2"]
    with capturedLogs() as logs:
        for hook_id in ("h1", "h2"):
            done = results_of(Deferred.fromCoroutine(harness.paused.pause_or_delete(hook_id)))
            assert done == [None]
    assert [(log["log_level"], log["hook_id"]) for log in logs] == [(LogLevel.warn, "h2")]
    assert [(row.delivery.hook_id, row.status) for row in harness.deliveries.rows.values()] == [
        ("h1", "held")
    ]


def test_deliveries_of_hooks_of_another_source_rest_until_these_are_there_again() -> None:
    agent, harness = make_harness(started=False)
    for event_id in ("pending", "pending too"):
        harness.store(harness.hook("h1"), event_id)
    harness.store(harness.hook("h2"), "held", next_attempt=UNTIL_ENABLED)
    for hook_id in ("h1", "h2"):
        harness.registry.remove(hook_id)
        del harness.hooks.hooks[hook_id]
        harness.deliveries.elsewhere.add(hook_id)
    with capturedLogs() as logs:
        harness.start()
        harness.pump(100)
    assert agent.hooks == []
    assert harness.deliveries.statuses == ["held"] * 3
    # Each once: they are not looked for again.
    assert sorted((log["hook_id"], log["count"]) for log in logs) == [("h1", 2), ("h2", 1)]
    for hook_id in ("h1", "h2"):
        harness.hook(hook_id)
    harness.pump(31)
    assert set(agent.hooks) == {"h1", "h2"}
