"""The numbers of hook documents on their way from a client, an event or the storage to the retry schedule."""

from __future__ import annotations

import math
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred

from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.webhooks.delivery.delivery_factory import make_delivery
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_document import InvalidDocument, coerce_document, document_schema
from kazoo_bridge.webhooks.http.signing import BadSecret, updated_secrets
from tests.webhooks.hook_factory import ACCOUNT, CATALOGUE, RULES, stored_hook
from tests.webhooks.stage import scripted

GOOD = {"name": "n", "uri": "http://receiver.example/", "hook": "channel_create"}
PROPERTIES = document_schema(["channel_create"])["properties"]
TYPES = {"integer": int, "number": float, "boolean": bool}
TYPED = [name for name, rules in PROPERTIES.items() if rules["type"] in TYPES]
NUMERIC = [name for name in TYPED if PROPERTIES[name]["type"] != "boolean"]
BOOLEAN = [name for name in TYPED if name not in NUMERIC]
NO_NUMBERS = [True, False, None, "two", "", [2], {}, math.nan, 10**400]


def test_the_schema_has_numbers() -> None:
    assert {"retries", "rate_limit"} <= set(NUMERIC)


@pytest.mark.parametrize("name", NUMERIC)
def test_every_accepted_form_becomes_the_exact_type(name: str) -> None:
    kind = TYPES[PROPERTIES[name]["type"]]
    for form in (2, 2.0, "2"):
        value = RULES.validate({**GOOD, name: form})[name]
        assert (type(value), value) == (kind, 2)
    for limit in ("minimum", "maximum"):
        value = RULES.validate({**GOOD, name: float(PROPERTIES[name][limit])})[name]
        assert (type(value), value) == (kind, PROPERTIES[name][limit])


@pytest.mark.parametrize("name", NUMERIC)
def test_every_other_form_is_refused_with_field_and_rule(name: str) -> None:
    for form in [*NO_NUMBERS, math.inf, *([1.5] if PROPERTIES[name]["type"] == "integer" else [])]:
        with pytest.raises(InvalidDocument) as refused:
            RULES.validate({**GOOD, name: form})
        assert {field: list(rules) for field, rules in refused.value.errors.items()} == {name: ["type"]}, form
    for form, rule in (
        (PROPERTIES[name]["minimum"] - 1.0, "minimum"),
        (PROPERTIES[name]["maximum"] + 1.0, "maximum"),
    ):
        with pytest.raises(InvalidDocument) as refused:
            RULES.validate({**GOOD, name: form})
        assert {field: list(rules) for field, rules in refused.value.errors.items()} == {name: [rule]}


@pytest.mark.parametrize("name", BOOLEAN)
def test_a_number_is_no_boolean(name: str) -> None:
    for form in (0, 1, 1.0, "1"):
        with pytest.raises(InvalidDocument) as refused:
            RULES.validate({**GOOD, name: form})
        assert list(refused.value.errors[name]) == ["type"]


@pytest.mark.parametrize("name", NUMERIC)
def test_a_stored_number_is_read_in_the_exact_type_and_range(name: str) -> None:
    stored, rules = stored_hook(), PROPERTIES[name]
    for form in (2, 2.0, "2", -1, 10.0**9, 1.5, math.inf, *NO_NUMBERS):
        changed = evolve(stored, document={**stored.document, name: form})
        value = getattr(Hook.from_document(changed, CATALOGUE), name)
        assert type(value) is TYPES[rules["type"]], form
        assert rules["minimum"] <= value <= rules["maximum"] or (
            value == 0 and name not in coerce_document(changed.document)
        ), form


@pytest.mark.parametrize("name", BOOLEAN)
def test_a_stored_boolean_is_read_or_the_hook_is_refused(name: str) -> None:
    stored = stored_hook()
    for form, expected in ((True, True), (False, False), ("true", True), ("false", False)):
        assert (
            getattr(
                Hook.from_document(evolve(stored, document={**stored.document, name: form}), CATALOGUE), name
            )
            is expected
        )
    for form in (0, 1, 1.0, "yes", None, math.nan):
        with pytest.raises(TypeError, match=name):
            Hook.from_document(evolve(stored, document={**stored.document, name: form}), CATALOGUE)


@pytest.mark.parametrize(
    ("form", "requests"),
    [(0.0, 1), (1.0, 2), (2.0, 3), ("1", 2), (99, 5), (-1.0, 1), (math.nan, 3), (True, 3)],
)
def test_a_hook_that_an_event_brings_is_retried_as_it_says(form: Any, requests: int) -> None:
    agent, stage = scripted()
    document = {"uri": "http://receiver.example/b", "retries": form}
    hook = Hook.from_event(ACCOUNT, "notifications", document)
    assert type(hook.retries) is int
    occurrence = Occurrence("notifications", ACCOUNT, {"call_id": "1"}, inline_hook=document)
    Deferred.fromCoroutine(stage.dispatcher.deliver(hook, make_delivery(hook, occurrence, "e", 0.0)))
    stage.pump(9.5)
    assert len(agent.asked) == requests
    stage.pump(130)
    assert stage.statuses == ["dead"]


@pytest.mark.parametrize(("form", "requests"), [(0.0, 1), (1.0, 2), (2.0, 3), ("2", 3), ("x", 3), (None, 3)])
def test_a_hook_of_an_older_database_is_retried_as_it_says(form: Any, requests: int) -> None:
    agent, stage = scripted()
    stored = stored_hook()
    hook = Hook.from_document(evolve(stored, document={**stored.document, "retries": form}), CATALOGUE)
    stage.registry.put(hook)
    stage.known.add(hook.id)
    Deferred.fromCoroutine(stage.dispatcher.deliver(hook, stage.delivery(hook), redelivered=False))
    stage.pump(9.5)
    assert len(agent.asked) == requests
    stage.pump(130)
    assert stage.statuses == ["dead"]


@pytest.mark.parametrize("form", [60, 60.0])
def test_the_overlap_of_secrets_is_an_integer(form: Any) -> None:
    (_, replaced) = (
        updated_secrets(
            {"secret": True, "secret_overlap_seconds": form},
            updated_secrets({"secret": True}, (), 0) or (),
            100.0,
        )
        or ()
    )
    assert replaced.expires == 160.0


@pytest.mark.parametrize(
    ("form", "rule"),
    [
        (True, "type"),
        (1.5, "type"),
        (math.nan, "type"),
        (10**400, "type"),
        (-1.0, "minimum"),
        (1e9, "maximum"),
    ],
)
def test_overlaps_are_refused_with_their_rule(form: Any, rule: str) -> None:
    with pytest.raises(BadSecret) as refused:
        updated_secrets({"secret": True, "secret_overlap_seconds": form}, (), 0)
    assert list(refused.value.errors["secret_overlap_seconds"]) == [rule]
