from __future__ import annotations

import math
from typing import Any

import pytest
from attrs import evolve
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import Occurrence, StorageUnavailable
from kazoo_bridge.webhooks.delivery import retry_worker
from kazoo_bridge.webhooks.delivery.destination_circuits import CIRCUIT_HOOKS, PROBE_GROUP
from kazoo_bridge.webhooks.delivery.dispatcher import make_delivery
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.sender import Outcome
from tests.webhooks.fakes import respond
from tests.webhooks.harness import REQUEST_TIMEOUT, Harness, make_harness, results_of
from tests.webhooks.hook_factory import ACCOUNT, CATALOGUE, stored_hook


def test_quick_retries_then_the_schedule_then_dead() -> None:
    agent, harness = make_harness()
    harness.deliver(harness.hook(retries=2))
    harness.pump(130)
    assert agent.times == pytest.approx([0, 2, 4, 14, 114], abs=1.5)
    assert harness.deliveries.statuses == ["dead"]
    (row,) = harness.deliveries.rows.values()
    assert row.delivery.attempts == 5
    retries_left = [attempt.document["retries_left"] for attempt in harness.attempts.stored]
    assert retries_left == [2, 1] + ["retries exceeded"] * 3
    assert len({attempt.document["event_id"] for attempt in harness.attempts.stored}) == 1
    harness.stop()
    assert not harness.clock.getDelayedCalls()


def test_a_success_ends_the_retries() -> None:
    agent, harness = make_harness()
    harness.deliver(harness.hook(retries=1))
    harness.pump(1)
    agent.reachable = True
    harness.pump(1.5)
    respond(agent.hanging[0], 200)
    harness.pump(1)
    assert harness.deliveries.rows == {}
    assert len(agent.times) == 2


@pytest.mark.parametrize("like_kazoo", [False, True])
def test_a_bad_status_is_retried_unless_configured_otherwise(like_kazoo: bool) -> None:
    agent, harness = make_harness(reachable=True, retry_bad_status=not like_kazoo)
    harness.deliver(harness.hook(retries=1))
    respond(agent.hanging[0], 503)
    harness.pump(3)
    assert len(agent.times) == (1 if like_kazoo else 2)
    assert harness.deliveries.statuses == (["dead"] if like_kazoo else ["pending"])


def test_a_receiver_can_postpone_the_retry() -> None:
    agent, harness = make_harness(reachable=True)
    harness.deliver(harness.hook(retries=1))
    respond(agent.hanging[0], 503, {"Retry-After": "30"})
    harness.pump(29)
    assert len(agent.times) == 1
    harness.pump(2)
    assert len(agent.times) == 2


def test_after_410_the_delivery_is_paused_until_the_hook_is_enabled_again() -> None:
    agent, harness = make_harness(reachable=True)
    hook = harness.hook()
    harness.deliver(hook)
    respond(agent.hanging[0], 410)
    harness.pump(3)
    assert [hook_id for _, hook_id, *_ in harness.disabled] == ["h1"]
    assert (len(agent.times), harness.deliveries.statuses) == (1, ["held"])
    harness.registry.put(hook)
    harness.paused.on_hook_loaded("h1", True)
    harness.pump(0.1)
    assert len(agent.times) == 2


@pytest.mark.parametrize("deleted", [False, True])
def test_a_hook_that_ends_while_its_delivery_waits_for_a_slot_gets_no_request(deleted: bool) -> None:
    agent, harness = make_harness(reachable=True, total=1)
    slot = harness.acquire(harness.hook("h2"))
    harness.store(harness.hook(), "e1")
    harness.pump(1)
    assert harness.retry_worker.in_flight == 1
    harness.registry.remove("h1")
    if deleted:
        del harness.hooks.hooks["h1"]
    harness.scheduler.release(slot, None)
    harness.pump(2)
    assert (agent.hooks, harness.scheduler.in_flight) == ([], 0)
    assert harness.deliveries.statuses == ([] if deleted else ["held"])


def test_deliveries_of_a_deleted_hook_are_deleted() -> None:
    _, harness = make_harness()
    harness.deliver(harness.hook())
    harness.registry.remove("h1")
    harness.hooks.hooks.clear()
    harness.pump(4)
    assert harness.deliveries.rows == {}


def test_another_node_takes_over_when_a_lease_ends() -> None:
    agent, harness = make_harness(started=False)
    harness.store(harness.hook(), "e1")
    harness.deliveries.claim("a node that died", 0.0, 20.0, {"h1": 1})
    harness.start()
    harness.pump(19)
    assert agent.times == []
    harness.pump(2)
    assert len(agent.times) == 1


def test_a_lease_outlasts_the_request() -> None:
    _, harness = make_harness(started=False, reachable=True)
    harness.store(harness.hook(), "e1")
    harness.start()
    harness.pump(0.1)
    (row,) = harness.deliveries.rows.values()
    assert row.lease_until == REQUEST_TIMEOUT + 10


def test_the_events_of_one_call_come_in_order_and_calls_do_not_wait_for_each_other() -> None:
    agent, harness = make_harness(reachable=True, per_hook=8)
    hook = harness.hook(ordered=True)
    for number in range(3):
        harness.deliver(hook, f"a{number}", call_id="a", number=number)
    harness.deliver(hook, "b0", call_id="b", number=0)
    harness.pump(1)
    assert agent.bodies == ["call_id=a&number=0", "call_id=b&number=0"]
    respond(agent.hanging[0], 500)
    harness.pump(1)
    assert len(agent.bodies) == 2
    harness.pump(1.5)
    assert agent.bodies[2:] == ["call_id=a&number=0"]
    for number in (1, 2):
        respond(agent.hanging[-1], 200)
        harness.pump(1)
        assert agent.bodies[-1] == f"call_id=a&number={number}"


def test_a_failing_receiver_is_only_probed() -> None:
    agent, harness = make_harness(reachable=True, per_hook=2)
    hook = harness.hook(retries=4)
    for number in range(10):
        harness.deliver(hook, f"e{number}")
        for hanging in agent.unanswered:
            respond(hanging, 500)
    harness.pump(2.5)
    before = len(agent.times)
    assert harness.scheduler.circuit_open("h1")
    assert len(agent.unanswered) == 1
    respond(agent.hanging[-1], 200)
    harness.pump(0.5)
    assert not harness.scheduler.circuit_open("h1")
    assert len(agent.times) == before + 2


def test_a_hanging_receiver_uses_only_its_own_slots() -> None:
    agent, harness = make_harness(reachable=True)
    hanging, healthy = harness.hook("hanging"), harness.hook("healthy")
    for number in range(20):
        harness.deliver(hanging, f"h{number}")
    harness.pump(REQUEST_TIMEOUT * 3)
    harness.deliver(healthy, "f")
    assert agent.hooks[-1] == "healthy"
    assert harness.scheduler.load("hanging") <= 2


def test_stopping_releases_what_waits_and_lets_requests_end() -> None:
    agent, harness = make_harness(reachable=True, started=False, per_hook=2, per_account=2, total=2)
    harness.store(harness.hook(), "e1", "e2")
    other = harness.acquire(harness.hook("other"))
    harness.start()
    harness.clock.advance(0.01)
    assert (len(agent.times), harness.scheduler.queued, harness.retry_worker.in_flight) == (1, 1, 2)
    stopped = results_of(harness.retry_worker.stopService())
    assert (stopped, harness.scheduler.queued) == ([], 0)
    respond(agent.hanging[0], 200)
    assert stopped == [None]
    harness.scheduler.release(other, None)
    harness.writer.stopService()
    assert harness.deliveries.event_ids == ["e2"]
    assert all(row.lease_until == 0 for row in harness.deliveries.rows.values())
    assert len(agent.times) == 1


def test_stopping_waits_for_the_active_poll_and_claims_nothing_more() -> None:
    _, harness = make_harness(started=False)
    harness.store(harness.hook(), "e1")
    harness.deliveries.manual = True
    harness.start()
    stopped = results_of(harness.retry_worker.stopService())
    assert stopped == []
    harness.deliveries.answer()
    assert stopped == [None]
    assert harness.deliveries.claims == []


def test_a_delivery_that_gets_no_slot_in_time_is_released_and_claimed_again() -> None:
    agent, harness = make_harness(reachable=True, per_hook=1, total=1, per_account=1)
    hook = harness.hook()
    harness.store(hook, "e1")
    slot = harness.acquire(harness.hook("other"))
    harness.pump(6.9)
    assert agent.times == []
    assert (harness.retry_worker.in_flight, len(harness.deliveries.claims)) == (1, 2)
    harness.scheduler.release(slot, None)
    harness.pump(0.1)
    assert len(agent.times) == 1


def test_while_the_storage_is_unavailable_nothing_is_lost_and_one_line_is_logged() -> None:
    agent, harness = make_harness()
    harness.deliver(harness.hook(retries=4))
    harness.pump(1)
    with capturedLogs() as logs:
        harness.deliveries.down = True
        harness.pump(10)
    assert len([log for log in logs if log["log_level"].name == "warn"]) == 1
    assert len(agent.times) == 1
    harness.deliveries.down = False
    harness.pump(3)
    assert len(agent.times) >= 2
    with capturedLogs() as logs:
        harness.deliveries.down = True
        harness.pump(3)
    assert [log for log in logs if "due deliveries cannot be read" in log["log_format"]]


def test_a_result_is_written_when_the_storage_is_available_again() -> None:
    agent, harness = make_harness()
    harness.deliver(harness.hook())
    harness.pump(1)
    agent.reachable = True
    harness.pump(1.5)
    harness.deliveries.down = True
    respond(agent.hanging[0], 200)
    harness.pump(5)
    harness.deliveries.down = False
    harness.pump(2)
    assert harness.deliveries.rows == {}
    assert len(agent.times) == 2


INLINE: dict[str, Any] = {"_id": "inline", "uri": "http://receiver.example/b", "retries": 1}


def test_an_inline_hook_is_tried_again_with_its_own_document() -> None:
    agent, harness = make_harness()
    occurrence = Occurrence("notifications", ACCOUNT, {"call_id": "1"}, inline_hook=INLINE)
    hook = Hook.from_event(ACCOUNT, "notifications", INLINE)
    harness.dispatcher.deliver(hook, make_delivery(hook, occurrence, "e", 0.0))
    harness.pump(3)
    assert agent.hooks == ["inline", "inline"]


def test_an_inline_hook_that_is_invalid_makes_a_dead_delivery() -> None:
    _, harness = make_harness(started=False)
    occurrence = Occurrence("notifications", ACCOUNT, {"call_id": "1"}, inline_hook={"uri": "nonsense"})
    harness.writer.enqueue(make_delivery(harness.hook(), occurrence, "e1", 0), 0, "slow")
    harness.start()
    harness.pump(1)
    (row,) = harness.deliveries.rows.values()
    assert (row.status, "is invalid" in row.reason) == ("dead", True)


@pytest.mark.parametrize(
    ("retries", "requests"),
    [(0.0, 1), (1.0, 2), (2.0, 3), ("1", 2), (99, 5), (-1.0, 1), (math.nan, 3), (True, 3)],
)
def test_quick_retries_of_an_inline_hook(retries: Any, requests: int) -> None:
    agent, harness = make_harness()
    document = {"uri": "http://receiver.example/b", "retries": retries}
    hook = Hook.from_event(ACCOUNT, "notifications", document)
    occurrence = Occurrence("notifications", ACCOUNT, {"call_id": "1"}, inline_hook=document)
    harness.dispatcher.deliver(hook, make_delivery(hook, occurrence, "e", 0.0))
    harness.pump(9.5)
    assert len(agent.times) == requests
    harness.pump(130)
    assert harness.deliveries.statuses == ["dead"]


@pytest.mark.parametrize(
    ("retries", "requests"), [(0.0, 1), (1.0, 2), (2.0, 3), ("2", 3), ("x", 3), (None, 3)]
)
def test_quick_retries_of_a_hook_from_an_older_database(retries: Any, requests: int) -> None:
    agent, harness = make_harness()
    stored = stored_hook()
    stored = evolve(stored, document={**stored.document, "retries": retries})
    hook = Hook.from_document(stored, CATALOGUE)
    harness.registry.put(hook)
    harness.hooks.hooks[hook.id] = stored
    harness.deliver(hook)
    harness.pump(9.5)
    assert len(agent.times) == requests
    harness.pump(130)
    assert harness.deliveries.statuses == ["dead"]


def test_a_defect_with_one_delivery_is_logged_and_ends_nothing_else() -> None:
    agent, harness = make_harness(started=False)
    first, second = harness.hook("h1"), harness.hook("h2")
    harness.store(first, "e1")
    harness.store(second, "e2")
    harness.registry.remove("h1")
    harness.hooks.error = RuntimeError("a defect")
    with capturedLogs() as logs:
        harness.start()
        harness.pump(1)
    assert agent.hooks == ["h2"]
    assert "a defect" in [str(log["log_failure"].value) for log in logs if "log_failure" in log]
    assert harness.retry_worker.in_flight == 0


# -- how many deliveries of each hook are claimed


def claimed(harness: Harness) -> list[dict[str, int]]:
    return [dict(counts) for counts in harness.deliveries.claims]


def store_many(harness: Harness, *hook_ids: str, count: int = 100) -> list[Hook]:
    hooks = [harness.hook(hook_id) for hook_id in hook_ids]
    for hook in hooks:
        harness.store(hook, *(f"{hook.id}-{number}" for number in range(count)))
    return hooks


def test_claims_are_bounded_by_the_slots_of_a_hook() -> None:
    _, harness = make_harness(reachable=True, started=False, per_hook=3)
    store_many(harness, "h1")
    harness.start()
    assert claimed(harness) == [{"h1": 3}]


def test_claims_are_bounded_for_one_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry_worker, "MAX_CLAIM", 2)
    _, harness = make_harness(reachable=True, started=False, per_hook=8)
    store_many(harness, "h1")
    harness.start()
    assert claimed(harness) == [{"h1": 2}]


def test_claims_are_bounded_and_shared_by_all_hooks() -> None:
    _, harness = make_harness(reachable=True, started=False, total=4, per_account=4, per_hook=8)
    store_many(harness, "h1", "h2", "h3")
    harness.start()
    # Twice as many as there are slots, the same number for each hook.
    assert claimed(harness) == [{"h1": 2, "h2": 2, "h3": 2}]


def test_what_is_claimed_already_counts() -> None:
    _, harness = make_harness(reachable=True, started=False, total=2, per_account=2, per_hook=3)
    store_many(harness, "h1", count=3)
    harness.start()
    store_many(harness, "h2")
    harness.pump(1.1)
    assert claimed(harness) == [{"h1": 3}, {"h2": 1}]


def test_nothing_is_claimed_when_as_much_is_in_flight_as_may_be() -> None:
    _, harness = make_harness(reachable=True, started=False, total=2, per_account=2, per_hook=4)
    store_many(harness, "h1", count=4)
    harness.start()
    store_many(harness, "h2")
    harness.pump(3)
    assert claimed(harness) == [{"h1": 4}]


def test_hooks_with_open_circuit_leave_half_of_the_claims_to_others() -> None:
    _, harness = make_harness(reachable=True, started=False, total=2, per_account=2, per_hook=8)
    for hook in store_many(harness, "dead1", "dead2", "dead3"):
        harness.open_circuit(hook)
    store_many(harness, "healthy1")
    harness.start()
    assert claimed(harness) == [{"healthy1": 4, "dead1": 1, "dead2": 1}]


def test_probes_that_are_claimed_already_count() -> None:
    _, harness = make_harness(reachable=True, started=False, total=2, per_account=2, per_hook=8)
    for hook in store_many(harness, "dead1", "dead2"):
        harness.open_circuit(hook)
    harness.start()
    for hook in store_many(harness, "dead3"):
        harness.open_circuit(hook)
    harness.pump(1.1)
    assert claimed(harness) == [{"dead1": 1, "dead2": 1}]


def test_probes_that_have_ended_count_no_longer() -> None:
    agent, harness = make_harness(reachable=True, started=False, total=4, per_account=4, per_hook=8)
    for hook in store_many(harness, "dead1"):
        harness.open_circuit(hook)
    harness.start()
    for _ in range(6):
        respond(agent.hanging[-1], 500)
        harness.pump(1.1)
    assert claimed(harness) == [{"dead1": 1}] * 7


def test_hooks_are_served_in_turn() -> None:
    agent, harness = make_harness(reachable=True, started=False, total=1, per_account=1, per_hook=2)
    store_many(harness, "h1", "h2", "h3", "h4", "h5", count=2)
    harness.start()
    while agent.unanswered:
        respond(agent.unanswered[0], 200)
        harness.pump(1.1)
    assert [hook_id for counts in claimed(harness) for hook_id in counts] == [
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
    ] * 2


def test_many_hooks_are_all_served() -> None:
    agent, harness = make_harness(reachable=True, started=False, total=4, per_account=8, per_hook=2)
    store_many(harness, *(f"h{number:02}" for number in range(20)), count=2)
    harness.start()
    harness.pump(1)
    assert harness.retry_worker.in_flight == 8
    served: set[str] = set()
    for _ in range(60):
        served.update(agent.hooks)
        for hanging in agent.unanswered:
            respond(hanging, 200)
        harness.pump(1)
    assert len(served) == 20
    assert not harness.deliveries.rows


def test_a_lease_outlasts_the_longest_time_out_of_the_hooks() -> None:
    _, harness = make_harness(reachable=True, started=False)
    harness.store(harness.hook("h1", timeout_ms=100), "e1")
    harness.store(harness.hook("h2", timeout_ms=30_000), "e2")
    harness.start()
    harness.pump(0.1)
    assert {row.lease_until for row in harness.deliveries.rows.values()} == {30 + 10}
    harness.stop()


class DefectiveAttemptRunner:
    """Raises `error`."""

    def __init__(self, harness: Harness, error: Exception) -> None:
        self.dropped, self.destinations = harness.dropped, harness.destinations
        self.error = error

    async def attempt(self, *_: Any) -> Any:
        raise self.error


def test_a_stored_delivery_that_raises_is_dead_with_one_traceback() -> None:
    _, harness = make_harness()
    harness.store(harness.hook(), "e1")
    defective: Any = DefectiveAttemptRunner(harness, KeyError("x"))
    harness.retry_worker._attempt_runner = defective
    with capturedLogs() as logs:
        harness.pump(200, step=1)
    assert harness.deliveries.statuses == ["dead"]
    assert len([log for log in logs if "log_failure" in log]) == 1


def test_a_stored_delivery_is_released_when_the_storage_becomes_unavailable() -> None:
    _, harness = make_harness()
    harness.store(harness.hook(), "e1")
    unavailable = StorageUnavailable("the disk is full")
    defective: Any = DefectiveAttemptRunner(harness, unavailable)
    harness.retry_worker._attempt_runner = defective
    with capturedLogs() as logs:
        harness.pump(1.5)
    assert harness.deliveries.claims != []
    assert [(row.status, row.lease_until) for row in harness.deliveries.rows.values()] == [("pending", 0.0)]
    assert not [log for log in logs if "log_failure" in log]


@pytest.mark.parametrize("inline_hook", [{"uri": 5}, ["no hook"]])
def test_a_stored_delivery_with_an_unusable_inline_hook_is_dead(inline_hook: Any) -> None:
    agent, harness = make_harness()
    delivery = evolve(harness.delivery(harness.hook()), inline_hook=inline_hook)
    harness.deliveries.enqueue([(delivery, 0.0, "")])
    with capturedLogs():
        harness.pump(2)
    assert (agent.times, harness.deliveries.statuses) == ([], ["dead"])


def test_deliveries_of_an_account_that_has_moved_away_are_dropped() -> None:
    agent, harness = make_harness(reachable=True)
    parent, child = "b" * 32, ACCOUNT
    harness.directory.known[child] = (parent,)
    harness.store(harness.hook("parents", parent), "e1", next_attempt=5.0)
    harness.store(harness.hook("own", child), "e1", next_attempt=5.0)
    harness.directory.known[child] = ("c" * 32,)
    harness.pump(6)
    assert len(agent.hanging) == 1
    assert harness.missed.totals == {"account_moved": 1}
    assert [row.delivery.hook_id for row in harness.deliveries.rows.values()] == ["own"]


@pytest.mark.parametrize("down", [False, True])
def test_deliveries_of_an_account_that_is_not_known_are_made(down: bool) -> None:
    agent, harness = make_harness(reachable=True)
    harness.directory.down = down
    harness.store(harness.hook("parents", "b" * 32), "e1")
    harness.pump(1)
    assert len(agent.hanging) == 1
    assert harness.missed.totals.total() == 0


# -- destinations that cannot be connected to


def test_of_an_unreachable_destination_one_group_is_attempted_each_second() -> None:
    agent, harness = make_harness(total=64, per_account=64, per_hook=32)
    for number in range(20):
        harness.store(harness.hook(f"h{number:02}"), *(f"e{event}" for event in range(20)), next_attempt=5.0)
    harness.pump(4.9)
    for number in range(CIRCUIT_HOOKS):
        harness.destinations.record(
            harness.hook(f"other{number}"), Outcome(False, error="refused", unreachable=True)
        )
    harness.pump(10)
    assert len(agent.times) in range(8 * PROBE_GROUP, 10 * PROBE_GROUP + 1)
    # Six events of one hook suspend it, so they come together.
    assert agent.hooks[:PROBE_GROUP] == ["h00"] * PROBE_GROUP
    assert {row.lease_until for row in harness.deliveries.rows.values()} == {0.0}


def test_when_it_answers_everything_is_due_at_once() -> None:
    agent, harness = make_harness(reachable=True, total=64, per_account=64, per_hook=32)
    for number in range(20):
        harness.store(harness.hook(f"h{number:02}"), "e1", next_attempt=5.0)
    harness.pump(4.9)
    for number in range(CIRCUIT_HOOKS):
        harness.destinations.record(
            harness.hook(f"other{number}"), Outcome(False, error="refused", unreachable=True)
        )
    harness.pump(2)
    assert len(agent.hanging) == 1
    respond(agent.hanging[0], 500)
    harness.pump(0.1)
    assert len(agent.hanging) == 20


def test_what_was_claimed_before_others_failed_is_released() -> None:
    agent, harness = make_harness(total=64, per_account=64, per_hook=32)
    for number in range(30):
        harness.store(harness.hook(f"h{number:02}"), "e1", next_attempt=1.0)
    harness.pump(1.5)
    assert max(map(len, harness.deliveries.claims)) == 30
    assert len(agent.times) == CIRCUIT_HOOKS
    harness.pump(0.2)
    attempts = [row.delivery.attempts for row in harness.deliveries.rows.values()]
    assert sorted(attempts) == [0] * (30 - CIRCUIT_HOOKS) + [1] * CIRCUIT_HOOKS
