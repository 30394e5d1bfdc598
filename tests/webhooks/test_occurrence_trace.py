from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve

from kazoo_bridge.interfaces import Occurrence, Suspension
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.occurrence_trace import OccurrenceTrace, silence_reason, trace_occurrence
from tests.webhooks.hook_factory import CATALOGUE, make_hook, stored_hook

ACCOUNT, PARENT = "a" * 32, "b" * 32


def trace_of(hook: str = "channel_create", **occurrence: Any) -> OccurrenceTrace:
    return OccurrenceTrace._make(trace_occurrence(Occurrence(hook, ACCOUNT, {}, **occurrence), []))


def test_an_occurrence_is_kept_without_its_payload() -> None:
    occurrence = Occurrence("object", ACCOUNT, {"secret": 1}, {"type": "user"}, addition=True)
    kept = OccurrenceTrace._make(trace_occurrence(occurrence, [(make_hook("h1"), occurrence)]))
    assert kept == ("object", ACCOUNT, {"type": "user"}, False, True, False, False, ("h1",))
    assert not hasattr(kept, "payload")
    assert trace_of(inline_hook={}).inline


@pytest.mark.parametrize(
    ("hook", "occurrence", "reason"),
    [
        ({"hook": "channel_answer"}, {}, "it is for channel_answer, the event is channel_create"),
        ({"enabled": False}, {}, "it is disabled"),
        (
            {"account_id": PARENT},
            {},
            f"the event is of account {ACCOUNT}, and include_subaccounts is false",
        ),
        (
            {"include_internal_legs": False},
            {"internal_leg": True},
            "the event is of a leg inside the switch, and include_internal_legs is false",
        ),
        (
            {"hook": "all"},
            {"addition": True},
            "the event is an addition to KAZOO's, which hooks for all do not receive",
        ),
        ({"hook": "all"}, {"hook": "conference"}, "it is for all, the event is conference"),
        ({}, {"superadmin_only": True}, "the event is for hooks of super-admins only"),
        (
            {"hook": "object", "custom_data": {"type": "user"}},
            {"hook": "object", "selectors": {"type": "device"}},
            "its custom_data selects type user, the event has device",
        ),
        (
            {"modifiers": {"direction": "inbound"}},
            {},
            "its modifiers reject the event's values of direction",
        ),
        ({}, {}, "it matches now: it has changed since the event, or was not in the node's memory"),
    ],
)
def test_why_a_hook_did_not_fire(hook: dict[str, Any], occurrence: dict[str, Any], reason: str) -> None:
    assert silence_reason(make_hook(**hook), trace_of(**occurrence), ()) == reason


def test_hooks_that_would_fire_have_another_reason() -> None:
    matches_now = silence_reason(make_hook(), trace_of(), ())
    for hook, occurrence in (
        (make_hook(account_id=PARENT, include_subaccounts=True), trace_of()),
        (make_hook(), trace_of(internal_leg=True)),
        (make_hook(hook="everything"), trace_of(addition=True)),
        (make_hook(), trace_of(addition=True)),
    ):
        assert silence_reason(hook, occurrence, ()) == matches_now
    assert silence_reason(make_hook(), trace_of(superadmin_only=True), {ACCOUNT}) == matches_now
    suspended = evolve(stored_hook(enabled=False), suspension=Suspension(0.0, 1.0))
    assert silence_reason(Hook.from_document(suspended, CATALOGUE), trace_of(), ()) == matches_now
