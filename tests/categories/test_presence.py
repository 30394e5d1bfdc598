from __future__ import annotations

import pytest
from attrs import evolve

from kazoo_bridge.categories.presence import presence
from kazoo_bridge.testing import EXAMPLE_ACCOUNT, CategoryHarness, make_event
from tests.categories.category_calls import patterns, refusal, topics


@pytest.mark.parametrize(
    ("binding", "pattern"),
    [
        ("presence.dialog.*", "dialog.voice%2Eexample%2Ecom.*"),
        ("presence.update.u@h", "update.voice%2Eexample%2Ecom.u%40h"),
        ("presence.mwi_updates.201", "mwi_updates.voice%2Eexample%2Ecom.201"),
    ],
)
def test_bindings(binding: str, pattern: str) -> None:
    every_id = pattern.rpartition(".")[0] + ".*"
    assert topics(presence, binding) == [("presence", every_id)]
    assert patterns(presence, binding) == [pattern]


@pytest.mark.parametrize("kind", ["dialog", "update", "mwi_updates"])
def test_a_binding_is_shown_without_its_first_word_and_accepted_so(kind: str) -> None:
    plan = presence.resolve_binding(f"presence.{kind}.*", EXAMPLE_ACCOUNT, False, 0.0)
    assert plan is not None
    assert plan.shown == f"{kind}.*"
    assert presence.resolve_binding(f"{kind}.*", EXAMPLE_ACCOUNT, False, 0.0) == plan


def test_subscribers_to_all_accounts_need_no_realm() -> None:
    assert patterns(presence, "presence.dialog.*", None) == ["dialog.*.*"]


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        ("presence.here.1", "event here not supported"),
        ("presence", "invalid format for presence subscription : "),
        ("presence.dialog", "invalid format for presence subscription : dialog"),
        ("presence.dialog.#", "invalid format for presence subscription : dialog, #"),
    ],
)
def test_refusals(binding: str, text: str) -> None:
    assert refusal(presence, binding) == text


@pytest.mark.parametrize("realm", ["", "*", "#"])
def test_an_account_without_a_realm_has_no_presence(realm: str) -> None:
    assert "has no realm" in refusal(presence, "presence.dialog.*", evolve(EXAMPLE_ACCOUNT, realm=realm))


def test_bindings_of_other_categories_are_not_known() -> None:
    assert presence.resolve_binding("call.x.y", EXAMPLE_ACCOUNT, False, 0.0) is None


def test_there_are_no_hooks() -> None:
    event = make_event("presence", "dialog.voice%2Eexample%2Ecom.c1", {"Event-Name": "dialog"})
    assert not list(presence.hooks)
    assert not list(presence.topics("dialog"))
    assert not list(presence.occurrences(event))


def test_subscribers_receive_the_presence_of_their_realm() -> None:
    harness = CategoryHarness(presence)
    client = harness.subscribe("presence.dialog.*")
    for realm in ("voice%2Eexample%2Ecom", "other%2Eexample%2Ecom"):
        harness.publish(make_event("presence", f"dialog.{realm}.c1", {"Event-Name": "dialog"}))
    assert [frame["routing_key"] for frame in client.frames] == ["dialog.voice%2Eexample%2Ecom.c1"]
