from __future__ import annotations

from typing import Any, cast

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.event_traces import EventTraces
from kazoo_bridge.interfaces import IDirectory, IHookStore, Occurrence
from kazoo_bridge.kazoo import Event, to_gregorian
from kazoo_bridge.webhooks.attempts.attempt_document import AttemptFormat
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.delivery.dispatcher import delivery_id
from kazoo_bridge.webhooks.event_explainer import MAX_EVENTS, MAX_HOOKS, EventExplainer
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.occurrence_trace import trace_occurrence
from tests.deferreds import result_of
from tests.webhooks.fakes import FakeAttemptStore, FakeDirectory, FakeHookStore
from tests.webhooks.hook_factory import CATALOGUE, RULES

ACCOUNT, PARENT, STRANGER = "a" * 32, "b" * 32, "c" * 32
EVENT_ID = "msg_" + "1" * 32


class Harness:
    """An explainer of an account and its parent, at the time 100."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(100)
        self.hooks = FakeHookStore()
        self.recorder = AttemptRecorder(
            self.clock, FakeAttemptStore(), False, AttemptFormat(0, 1000), traced=10
        )
        self.traces = EventTraces(self.clock.seconds, 100)
        self.explainer = EventExplainer(
            self.clock,
            CATALOGUE,
            cast(IHookStore, self.hooks),
            cast(IDirectory, FakeDirectory({ACCOUNT: (PARENT,), PARENT: ()})),
            self.recorder,
            self.traces,
        )

    def add(self, account_id: str = ACCOUNT, **document: Any) -> str:
        given = {"name": "n", "uri": "http://receiver.example/", "hook": "channel_create", **document}
        return self.hooks.add(account_id, RULES.validate(given)).id

    def happen(self, *fired: str, account_id: str | None = ACCOUNT, **occurrence: Any) -> None:
        """An event of the call ``c1`` that fired these hooks."""
        happened = Occurrence("channel_create", account_id, {}, **occurrence)
        matches = [(Hook.from_document(self.hooks.hooks[one], CATALOGUE), happened) for one in fired]
        event = Event("callevt", "call.CHANNEL_CREATE.c1", {"Msg-ID": "m1", "Call-ID": "c1"}, b"")
        self.traces.add(event, EVENT_ID if fired else "", (trace_occurrence(happened, matches),))

    def explain(self, wanted: str = "c1", accounts: Any = None) -> list[dict[str, Any]]:
        explaining = Deferred.fromCoroutine(self.explainer.explain([wanted], accounts))
        while not explaining.called:
            assert self.clock.getDelayedCalls(), "it waits for nothing"
            self.clock.advance(0)
        return result_of(explaining)

    def occurrence(self, **arguments: Any) -> dict[str, Any]:
        ((one,),) = (event["occurrences"] for event in self.explain(**arguments))
        return cast("dict[str, Any]", one)


def test_hooks_that_fired_and_hooks_that_did_not() -> None:
    its = Harness()
    fired, other, above = its.add(), its.add(hook="channel_answer"), its.add(PARENT)
    its.add(STRANGER)
    disabled = its.add(enabled=False)
    its.happen(fired)
    (event,) = its.explain()
    assert {name: event[name] for name in ("received", "msg_id", "call_id", "event_id")} == {
        "received": 100.0,
        "msg_id": "m1",
        "call_id": "c1",
        "event_id": EVENT_ID,
    }
    (occurrence,) = event["occurrences"]
    made = delivery_id(EVENT_ID, fired)
    assert occurrence["fired"] == [{"hook_id": fired, "delivery_id": made, "delivered": None}]
    # Those of the same type are first, then those of the account itself.
    assert [(one["hook_id"], one["reason"]) for one in occurrence["not_fired"]] == [
        (disabled, "it is disabled"),
        (above, f"the event is of account {ACCOUNT}, and include_subaccounts is false"),
        (other, "it is for channel_answer, the event is channel_create"),
    ]
    its.recorder.count_success(Hook.from_document(its.hooks.hooks[fired], CATALOGUE), 101.0, made)
    assert its.occurrence()["fired"][0]["delivered"] == 101.0


def test_an_event_with_two_occurrences_for_a_hook_makes_two_deliveries() -> None:
    its = Harness()
    hook_id = its.add()
    occurrence = Occurrence("channel_create", ACCOUNT, {})
    kept = trace_occurrence(
        occurrence, [(Hook.from_document(its.hooks.hooks[hook_id], CATALOGUE), occurrence)]
    )
    its.traces.add(Event("callevt", "k", {"Call-ID": "c1"}, b""), EVENT_ID, (kept, kept))
    first, second = its.explain()[0]["occurrences"]
    assert first["fired"][0]["delivery_id"] == delivery_id(EVENT_ID, hook_id)
    assert second["fired"][0]["delivery_id"] == delivery_id(f"{EVENT_ID}.1", hook_id)


def test_hooks_that_are_newer_than_the_event() -> None:
    its = Harness()
    created, changed, broken = its.add(), its.add(), its.add()
    hooks = its.hooks.hooks
    hooks[created] = evolve(hooks[created], created=to_gregorian(200))
    hooks[changed] = evolve(hooks[changed], modified=to_gregorian(200))
    hooks[broken] = evolve(hooks[broken], document={})
    its.happen()
    reasons = {one["hook_id"]: one["reason"] for one in its.occurrence()["not_fired"]}
    assert reasons[created] == "it was created after the event"
    assert reasons[changed].startswith("it matches now")
    assert "changed after the event" in reasons[changed]
    assert reasons[broken].startswith("its document cannot be used")


def test_an_account_sees_its_own_events_and_hooks_only() -> None:
    its = Harness()
    above, own = its.add(PARENT, include_subaccounts=True), its.add()
    its.happen(above)
    shown = its.occurrence(accounts={ACCOUNT})
    assert shown["fired"] == []
    assert [one["hook_id"] for one in shown["not_fired"]] == [own]
    assert its.explain(accounts={STRANGER}) == []
    assert [one["hook_id"] for one in its.occurrence(accounts={ACCOUNT, PARENT})["fired"]] == [above]


def test_events_without_other_hooks() -> None:
    its = Harness()
    its.add()
    its.happen(account_id=None)
    assert "names no account" in its.occurrence()["note"]
    its = Harness()
    its.add()
    its.happen(inline_hook={"_id": "x"})
    assert "contains its hook" in its.occurrence()["note"]


def test_a_storage_that_is_away_is_a_note() -> None:
    its = Harness()
    its.happen(its.add())
    its.hooks.down = True
    shown = its.occurrence()
    assert (len(shown["fired"]), shown["note"]) == (1, "other hooks cannot be read: the disk is full")
    # Which of them are the account's own is not known.
    assert its.occurrence(accounts={ACCOUNT})["fired"] == []


def test_the_number_of_explained_hooks_is_bounded_after_those_of_other_accounts_are_left_out() -> None:
    its = Harness()
    its.hooks.max_hooks = 10_000
    for _ in range(MAX_HOOKS + 2):
        its.add(PARENT)
    own = its.add(hook="channel_answer")
    its.happen()
    shown = its.occurrence()
    assert (len(shown["not_fired"]), shown["note"]) == (MAX_HOOKS, "3 more hooks did not fire")
    assert [one["hook_id"] for one in its.occurrence(accounts={ACCOUNT})["not_fired"]] == [own]


def test_the_events_of_other_accounts_take_no_places() -> None:
    its = Harness()
    its.happen()
    for _ in range(MAX_EVENTS):
        its.happen(account_id=STRANGER)
    assert len(its.explain(accounts={ACCOUNT})) == 1
    assert len(its.explain()) == MAX_EVENTS


def test_the_ids_of_deliveries_are_those_of_the_whole_event() -> None:
    its = Harness()
    hook_id = its.add(PARENT, include_subaccounts=True)
    hook = Hook.from_document(its.hooks.hooks[hook_id], CATALOGUE)
    kept = []
    for account_id in (STRANGER, ACCOUNT):
        occurrence = Occurrence("channel_create", account_id, {})
        kept.append(trace_occurrence(occurrence, [(hook, occurrence)]))
    its.traces.add(Event("callevt", "k", {"Call-ID": "c1"}, b""), EVENT_ID, tuple(kept))
    ((shown,),) = (event["occurrences"] for event in its.explain(accounts={ACCOUNT, PARENT}))
    assert shown["fired"][0]["delivery_id"] == delivery_id(f"{EVENT_ID}.1", hook_id)


def test_hooks_are_read_once_for_all_events_of_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    its = Harness()
    its.add()
    for _ in range(3):
        its.happen()
    read: list[Any] = []
    for_accounts = its.hooks.for_accounts

    def noted(account_ids: Any) -> Any:
        read.append(list(account_ids))
        return for_accounts(account_ids)

    monkeypatch.setattr(FakeHookStore, "for_accounts", lambda _self, account_ids: noted(account_ids))
    assert len(its.explain()) == 3
    assert read == [[ACCOUNT, PARENT]]
    its.hooks.down = True
    assert all("cannot be read" in event["occurrences"][0]["note"] for event in its.explain())
    assert len(read) == 2


def test_others_are_served_between_two_events() -> None:
    its = Harness()
    its.add()
    for _ in range(2):
        its.happen()
    explaining = Deferred.fromCoroutine(its.explainer.explain(["c1"], None))
    assert not explaining.called
    its.clock.advance(0)
    assert len(result_of(explaining)) == 2
