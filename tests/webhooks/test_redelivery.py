from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.webhooks.delivery.delivery_factory import make_delivery
from kazoo_bridge.webhooks.hooks.hook import Hook
from tests.webhooks.answers import answer
from tests.webhooks.hook_factory import ACCOUNT
from tests.webhooks.stage import REQUEST_TIMEOUT, ended, scripted


def test_quick_retries_two_seconds_apart_then_the_schedule_then_death() -> None:
    agent, stage = scripted()
    stage.deliver(stage.hook(retries=2))
    stage.pump(130)
    assert agent.asked == pytest.approx([0, 2, 4, 14, 114], abs=1.5)
    assert stage.statuses == ["dead"]
    (row,) = stage.deliveries.rows.values()
    assert row.delivery.attempts == 5
    assert [attempt.document["retries_left"] for attempt in stage.kept.attempts] == [2, 1] + [
        "retries exceeded"
    ] * 3
    assert len({attempt.document["event_id"] for attempt in stage.kept.attempts}) == 1
    stage.stop()
    assert not stage.clock.getDelayedCalls()


def test_a_success_ends_it() -> None:
    agent, stage = scripted()
    stage.deliver(stage.hook(retries=1))
    stage.pump(1)
    agent.reachable = True
    stage.pump(1.5)
    answer(agent.hanging[0], 200)
    stage.pump(1)
    assert stage.deliveries.rows == {}
    assert len(agent.asked) == 2


@pytest.mark.parametrize("strict", [False, True])
def test_a_bad_status_is_retried_unless_kazoos_way_is_wanted(strict: bool) -> None:
    agent, stage = scripted(reachable=True)
    object.__setattr__(stage.schedule, "retry_bad_status", not strict)
    stage.deliver(stage.hook(retries=1))
    answer(agent.hanging[0], 503)
    stage.pump(3)
    assert len(agent.asked) == (1 if strict else 2)
    assert stage.statuses == (["dead"] if strict else ["pending"])


def test_the_receiver_may_ask_for_more_time() -> None:
    agent, stage = scripted(reachable=True)
    stage.deliver(stage.hook(retries=1))
    answer(agent.hanging[0], 503, {"Retry-After": "30"})
    stage.pump(29)
    assert len(agent.asked) == 1
    stage.pump(2)
    assert len(agent.asked) == 2


def test_a_receiver_that_is_gone_disables_its_hook_and_what_waits_is_held() -> None:
    agent, stage = scripted(reachable=True)
    hook = stage.hook()
    stage.deliver(hook)
    answer(agent.hanging[0], 410)
    stage.pump(3)
    assert [hook_id for hook_id, _ in stage.disabled] == ["h1"]
    assert (len(agent.asked), stage.statuses) == (1, ["held"])
    stage.registry.put(hook)
    ended(Deferred.fromCoroutine(stage.redelivery.hook_enabled("h1")))
    stage.pump(1)
    assert len(agent.asked) == 2


def test_deliveries_of_a_hook_that_is_no_more_are_forgotten() -> None:
    _, stage = scripted()
    stage.deliver(stage.hook())
    stage.registry.remove("h1")
    stage.known.clear()
    stage.pump(4)
    assert stage.deliveries.rows == {}


def test_what_was_left_held_by_accident_is_released() -> None:
    agent, stage = scripted(started=False)
    hook = stage.hook()
    stage.deliveries.enqueue([(stage.delivery(hook), 0.0, "")])
    stage.deliveries.pause("h1")
    stage.start()
    stage.pump(1)
    assert len(agent.asked) == 1


def test_another_node_takes_over_when_a_lease_runs_out() -> None:
    agent, stage = scripted(started=False)
    stage.deliveries.enqueue([(stage.delivery(stage.hook()), 0.0, "")])
    stage.deliveries.claim("a node that died", 0.0, 20.0, {"h1": 1})
    stage.start()
    stage.pump(19)
    assert agent.asked == []
    stage.pump(2)
    assert len(agent.asked) == 1


def test_the_events_of_one_call_come_in_order_and_calls_do_not_wait_for_each_other() -> None:
    agent, stage = scripted(reachable=True, per_hook=8)
    hook = stage.hook(ordered=True)
    for number in range(3):
        stage.deliver(hook, f"a{number}", call_id="a", number=number)
    stage.deliver(hook, "b0", call_id="b", number=0)
    stage.pump(1)
    assert agent.bodies == ["call_id=a&number=0", "call_id=b&number=0"]
    answer(agent.hanging[0], 500)
    stage.pump(1)
    assert len(agent.bodies) == 2
    stage.pump(1.5)
    assert agent.bodies[2:] == ["call_id=a&number=0"]
    for number in (1, 2):
        answer(agent.hanging[-1], 200)
        stage.pump(1)
        assert agent.bodies[-1] == f"call_id=a&number={number}"


def test_a_receiver_that_keeps_failing_is_only_probed() -> None:
    agent, stage = scripted(reachable=True, per_hook=2)
    hook = stage.hook(retries=4)
    for number in range(10):
        stage.deliver(hook, f"e{number}")
        for hanging in agent.hanging:
            if not hanging.called:
                answer(hanging, 500)
    stage.pump(2.5)
    before = len(agent.asked)
    assert stage.turns.circuit_open("h1")
    assert sum(not hanging.called for hanging in agent.hanging) == 1
    answer(agent.hanging[-1], 200)
    stage.pump(0.5)
    assert not stage.turns.circuit_open("h1")
    assert len(agent.asked) == before + 2


def test_a_hanging_receiver_costs_time_outs_of_its_own_only() -> None:
    agent, stage = scripted(reachable=True)
    hangs, fine = stage.hook("hangs"), stage.hook("fine")
    for number in range(20):
        stage.deliver(hangs, f"h{number}")
    stage.pump(REQUEST_TIMEOUT * 3)
    stage.deliver(fine, "f")
    assert agent.hooks[-1] == "fine"
    assert stage.turns.load("hangs") <= 2


def test_stopping_gives_back_what_waits_and_lets_the_rest_end() -> None:
    agent, stage = scripted(reachable=True, started=False, per_hook=2)
    hook = stage.hook()
    turn = stage.turns.acquire(hook)
    stage.deliveries.enqueue([(stage.delivery(hook, f"e{number}"), 0.0, "") for number in range(2)])
    stage.start()
    stage.clock.advance(0.01)
    other = stage.turns.acquire(hook)
    assert (len(agent.asked), turn.granted.called, other.granted.called) == (1, True, False)
    stopped = ended(stage.redelivery.stopService())
    assert stopped == []
    answer(agent.hanging[0], 200)
    assert stopped == [None]
    stage.pending.stopService()
    assert len(stage.deliveries.rows) == 1
    assert all(row.lease_until == 0 for row in stage.deliveries.rows.values())


def test_while_the_storage_refuses_nothing_is_lost_and_one_line_is_logged() -> None:
    agent, stage = scripted()
    stage.deliver(stage.hook(retries=4))
    stage.pump(1)
    with capturedLogs() as logs:
        stage.deliveries.down = True
        stage.pump(10)
    assert len([log for log in logs if log["log_level"].name == "warn"]) == 1
    assert len(agent.asked) == 1
    stage.deliveries.down = False
    stage.pump(3)
    assert len(agent.asked) >= 2


def test_what_became_of_a_delivery_is_written_when_the_storage_is_back() -> None:
    agent, stage = scripted()
    stage.deliver(stage.hook())
    stage.pump(1)
    agent.reachable = True
    stage.pump(1.5)
    stage.deliveries.down = True
    answer(agent.hanging[0], 200)
    stage.pump(5)
    stage.deliveries.down = False
    stage.pump(2)
    assert stage.deliveries.rows == {}
    assert len(agent.asked) == 2


def test_a_brought_hook_is_tried_again_as_it_was_brought() -> None:
    agent, stage = scripted()
    document = {"_id": "brought", "uri": "http://receiver.example/b", "retries": 1}
    occurrence = Occurrence("notifications", ACCOUNT, {"call_id": "1"}, inline_hook=document)
    hook = Hook.from_event(ACCOUNT, "notifications", document)
    work = stage.dispatcher.deliver(hook, make_delivery(hook, occurrence, "e", 0.0))
    Deferred.fromCoroutine(work)
    stage.pump(3)
    assert agent.hooks == ["brought", "brought"]


def test_a_brought_hook_that_cannot_be_read_any_more_is_given_up() -> None:
    _, stage = scripted(started=False)
    occurrence = Occurrence("notifications", ACCOUNT, {"call_id": "1"}, inline_hook={"uri": "nonsense"})
    stage.pending.enqueue(make_delivery(stage.hook(), occurrence, "e1", 0), 0, "slow")
    stage.start()
    stage.pump(1)
    assert stage.statuses == ["dead"]


def test_of_many_hooks_no_more_is_claimed_than_can_be_sent_soon_and_each_has_its_turn() -> None:
    agent, stage = scripted(reachable=True, started=False, total=4, per_account=8, per_hook=2)
    for number in range(20):
        hook = stage.hook(f"h{number:02}")
        for event in range(2):
            stage.pending.enqueue(stage.delivery(hook, f"e{number}-{event}"), 0, "slow")
    stage.start()
    stage.pump(1)
    assert stage.redelivery.in_flight == 8
    served: set[str] = set()
    for _ in range(60):
        served.update(agent.hooks)
        for hanging in [one for one in agent.hanging if not one.called]:
            answer(hanging, 200)
        stage.pump(1)
    assert len(served) == 20
    assert not stage.deliveries.rows
