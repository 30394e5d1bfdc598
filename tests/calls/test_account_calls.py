from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import capturedLogs

from kazoo_bridge.calls import account_calls
from kazoo_bridge.calls.account_calls import (
    ENDED_TTL,
    MAX_MISSING_REPLIES,
    NEW_CALL_GRACE,
    AccountCalls,
    CallsDiff,
)
from kazoo_bridge.calls.channel_queries import ChannelReport, merge_replies
from kazoo_bridge.kazoo import Event, to_gregorian
from tests.calls.switch import ACCOUNT, listed


def make_report(*call_ids: str, node: str = "one", **channel: Any) -> ChannelReport:
    body = {"Node": node, "Channels": [listed(call_id, **channel) for call_id in call_ids]}
    return merge_replies([Event("targeted", "us", body, b"")], ACCOUNT)


def apply(calls: AccountCalls, name: str, call_id: str = "call-1", now: float = 0, **body: Any) -> CallsDiff:
    keys = {key.replace("_", "-"): value for key, value in body.items()}
    return calls.apply_event(name, {"Call-ID": call_id, **keys}, now)


@pytest.fixture
def calls() -> AccountCalls:
    return AccountCalls(ACCOUNT)


def test_an_event_of_a_new_call_makes_it_known(calls: AccountCalls) -> None:
    diff = apply(calls, "CHANNEL_CREATE")
    assert [call["call_id"] for call in diff.changed] == ["call-1"]
    assert list(calls.calls) == ["call-1"]


def test_an_event_without_news_changes_nothing(calls: AccountCalls) -> None:
    apply(calls, "CHANNEL_ANSWER")
    assert apply(calls, "CHANNEL_ANSWER") == CallsDiff([], ())


@pytest.mark.parametrize("call_id", [None, 5, "", "x" * 513])
def test_an_event_without_a_valid_call_id_is_ignored(calls: AccountCalls, call_id: Any) -> None:
    assert apply(calls, "CHANNEL_CREATE", call_id) == CallsDiff()
    assert calls.calls == {}


def test_the_longest_call_id_is_followed(calls: AccountCalls) -> None:
    apply(calls, "CHANNEL_CREATE", "x" * 512)
    assert list(calls.calls) == ["x" * 512]


def test_an_end_removes_the_call_once(calls: AccountCalls) -> None:
    apply(calls, "CHANNEL_CREATE")
    assert apply(calls, "CHANNEL_DESTROY") == CallsDiff((), ["call-1"])
    assert apply(calls, "CHANNEL_DESTROY") == CallsDiff((), [])


@pytest.mark.parametrize("moving", [True, "true"])
def test_a_call_that_moves_to_another_switch_stays(calls: AccountCalls, moving: Any) -> None:
    apply(calls, "CHANNEL_CREATE")
    assert apply(calls, "CHANNEL_DESTROY", Channel_Moving=moving) == CallsDiff()
    assert list(calls.calls) == ["call-1"]


def test_retrieving_unparks_the_call_in_the_slot(calls: AccountCalls) -> None:
    apply(calls, "PARK_PARKED", "parked", Parking_Slot="101")
    diff = apply(calls, "PARK_RETRIEVED", "retriever", Parking_Slot="101")
    assert [(call["call_id"], call["state"]) for call in diff.changed] == [("parked", "answered")]
    assert list(calls.calls) == ["parked"]


def test_an_ended_call_comes_back_with_neither_late_events_nor_late_reports(calls: AccountCalls) -> None:
    apply(calls, "CHANNEL_DESTROY", now=10)
    assert apply(calls, "CHANNEL_HOLD", now=11) == CallsDiff()
    assert calls.reconcile(make_report("call-1"), queried_at=10, now=12) == CallsDiff([], [])
    apply(calls, "CHANNEL_CREATE", now=13)
    assert list(calls.calls) == ["call-1"]


def test_ended_calls_are_remembered_for_their_time_to_live(calls: AccountCalls) -> None:
    apply(calls, "CHANNEL_DESTROY", "first", now=10)
    apply(calls, "CHANNEL_DESTROY", "second", now=11)
    report = make_report("first", "second")
    calls.reconcile(report, queried_at=0, now=10 + ENDED_TTL)
    assert calls.calls == {}
    calls.reconcile(report, queried_at=0, now=10.5 + ENDED_TTL)
    assert list(calls.calls) == ["first"]
    calls.reconcile(report, queried_at=0, now=11.5 + ENDED_TTL)
    assert sorted(calls.calls) == ["first", "second"]


def test_a_call_that_ends_again_is_remembered_from_then_on(calls: AccountCalls) -> None:
    apply(calls, "CHANNEL_DESTROY", "first", now=0)
    apply(calls, "CHANNEL_DESTROY", "second", now=50)
    apply(calls, "CHANNEL_DESTROY", "first", now=100)
    calls.reconcile(make_report("first", "second"), queried_at=0, now=60 + ENDED_TTL)
    assert list(calls.calls) == ["second"]


def test_only_the_last_ended_calls_are_remembered(
    calls: AccountCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_calls, "MAX_ENDED", 2)
    for number in range(4):
        apply(calls, "CHANNEL_DESTROY", f"call-{number}")
    calls.reconcile(make_report(*[f"call-{number}" for number in range(4)]), queried_at=0, now=1)
    assert list(calls.calls) == ["call-0", "call-1"]


def test_further_calls_than_the_maximum_are_not_followed(
    calls: AccountCalls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_calls, "MAX_CALLS", 2)
    with capturedLogs() as logged:
        for number in range(4):
            apply(calls, "CHANNEL_CREATE", f"call-{number}")
    assert list(calls.calls) == ["call-0", "call-1"]
    assert [(event["account_id"], event["limit"]) for event in logged] == [(ACCOUNT, 2)]
    apply(calls, "CHANNEL_DESTROY", "call-0")
    apply(calls, "CHANNEL_CREATE", "call-4")
    assert list(calls.calls) == ["call-1", "call-4"]


def test_a_report_adds_changes_and_removes_calls(calls: AccountCalls) -> None:
    calls.reconcile(make_report("gone", "held"), queried_at=0, now=0)
    diff = calls.reconcile(make_report("new", "held", is_onhold=True), queried_at=60, now=60)
    assert [call["call_id"] for call in diff.changed] == ["held", "new"]
    assert list(diff.removed) == ["gone"]
    assert {call["state"] for call in calls.calls.values()} == {"held"}


@pytest.mark.parametrize(("event_at", "state"), [(10, "held"), (9.9, "answered")])
def test_an_event_since_the_query_overrides_its_report(
    calls: AccountCalls, event_at: float, state: str
) -> None:
    apply(calls, "CHANNEL_HOLD", now=event_at)
    calls.reconcile(make_report("call-1", destination="2001"), queried_at=10, now=11)
    assert calls.calls["call-1"]["state"] == state
    assert calls.calls["call-1"]["to"] == "2001"


@pytest.mark.parametrize(("queried_at", "known"), [(NEW_CALL_GRACE, True), (NEW_CALL_GRACE + 0.1, False)])
def test_a_call_may_be_missing_while_it_is_new(calls: AccountCalls, queried_at: float, known: bool) -> None:
    apply(calls, "CHANNEL_CREATE", now=0)
    calls.reconcile(make_report(), queried_at=queried_at, now=queried_at)
    assert bool(calls.calls) == known


def test_calls_of_a_node_that_does_not_reply_are_tolerated_a_few_times(calls: AccountCalls) -> None:
    calls.reconcile(make_report("call-1", node="slow"), queried_at=0, now=0)
    assert not calls.has_unconfirmed
    for _ in range(MAX_MISSING_REPLIES):
        assert calls.reconcile(make_report(node="one"), queried_at=60, now=60) == CallsDiff([], [])
        assert calls.has_unconfirmed
    assert calls.reconcile(make_report(node="one"), queried_at=60, now=60) == CallsDiff([], ["call-1"])
    assert not calls.has_unconfirmed


def test_a_node_that_replies_again_confirms_its_calls(calls: AccountCalls) -> None:
    report, empty = make_report("call-1", node="slow"), make_report(node="one")
    for _ in range(3):
        calls.reconcile(report, queried_at=60, now=60)
        for _ in range(MAX_MISSING_REPLIES):
            calls.reconcile(empty, queried_at=60, now=60)
        assert list(calls.calls) == ["call-1"]


def test_the_time_in_state(calls: AccountCalls) -> None:
    apply(calls, "CHANNEL_CREATE", now=100)
    apply(calls, "CHANNEL_ANSWER", now=110)
    apply(calls, "CHANNEL_BRIDGE", now=111)
    assert calls.calls["call-1"]["state_since"] == to_gregorian(110)
    calls.reconcile(make_report("call-1", "call-2"), 120, 121)
    assert calls.calls["call-1"]["state_since"] == to_gregorian(110)
    assert "state_since" not in calls.calls["call-2"]
    calls.reconcile(make_report("call-1", is_onhold=True), 130, 131)
    assert calls.calls["call-1"]["state_since"] == to_gregorian(131)
    apply(calls, "PARK_PARKED", now=140, Parking_Slot="101")
    apply(calls, "PARK_RETRIEVED", "call-3", now=150, Parking_Slot="101")
    assert calls.calls["call-1"]["state_since"] == to_gregorian(150)


def test_a_recording_goes_on_through_replies(calls: AccountCalls) -> None:
    apply(calls, "CHANNEL_ANSWER", now=100)
    apply(calls, "RECORD_START", now=101)
    calls.reconcile(make_report("call-1"), 120, 121)
    assert calls.calls["call-1"]["recording"] is True
    apply(calls, "RECORD_STOP", now=130)
    assert "recording" not in calls.calls["call-1"]
