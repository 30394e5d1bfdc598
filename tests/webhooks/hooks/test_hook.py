from __future__ import annotations

import json
import math
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.interfaces import HookType, Occurrence, Secret
from kazoo_bridge.webhooks.hooks.delivery_options import DeliveryOptions
from kazoo_bridge.webhooks.hooks.hook import _USUAL_URI, Hook
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue
from kazoo_bridge.webhooks.hooks.hook_document import (
    InvalidDocument,
    coerce_document,
    document_schema,
    uri_problem,
)
from kazoo_bridge.webhooks.hooks.signing_keys import generate_secret
from tests.webhooks.hook_factory import ACCOUNT, CATALOGUE, make_hook, stored_hook

PROPERTIES = document_schema(["channel_create"])["properties"]
TYPES = {"integer": int, "number": float, "boolean": bool}
NOT_NUMBERS: list[Any] = [True, False, None, "two", "", [2], {}, math.nan, 10**400]
BOOLEAN = [name for name, schema in PROPERTIES.items() if schema["type"] == "boolean"]


def from_stored(**document: Any) -> Hook:
    """The hook of a document that contains these values without validation."""
    stored = stored_hook()
    return Hook.from_document(evolve(stored, document={**stored.document, **document}), CATALOGUE)


# -- from_document


@pytest.mark.parametrize("rate_limit", [5, 5.0])
def test_the_rate_limit_is_a_float(rate_limit: float) -> None:
    hook = from_stored(rate_limit=rate_limit)
    assert (type(hook.rate_limit), hook.rate_limit) == (float, 5.0)


def test_a_stored_document_is_parsed() -> None:
    secrets = (Secret(generate_secret()),)
    stored = stored_hook(
        "h7", hook="object", custom_data={"type": "user", "action": "all", "own": "1"}, modifiers={"a": "b"},
        http_verb="PUT", format="json", retries=3, ordered=True, rate_limit=0.5, include_subaccounts=True,
    )  # fmt: skip
    hook = Hook.from_document(evolve(stored, secrets=secrets), CATALOGUE)
    assert (hook.id, hook.account_id, hook.event, hook.revision) == ("h7", ACCOUNT, "object", "1-x")
    assert (hook.verb, hook.format, hook.retries, hook.rate_limit) == ("put", "json", 3, 0.5)
    assert (hook.ordered, hook.include_subaccounts, hook.enabled) == (True, True, True)
    assert (hook.custom_data, hook.modifiers) == ({"own": "1"}, {"a": "b"})
    assert hook.selectors == {"type": {"user"}}
    assert hook.secrets == secrets


def test_the_choices_of_a_plugins_hook_select_and_are_not_sent() -> None:
    catalogue = HookCatalogue.from_types(
        [
            HookType(
                "agent_status",
                "Agent Status",
                "",
                modifiers={
                    "status": {"type": "array", "items": ["ready", "wrapup"], "default": "all"},
                    "queue": {"type": "array", "items": ["sales"], "default": "all"},
                },
            )
        ]
    )
    custom_data = {"status": "all", "queue": "sales", "type": "mine", "own": "1"}
    stored = stored_hook(custom_data=custom_data)
    document = {**stored.document, "hook": "agent_status"}
    hook = Hook.from_document(evolve(stored, document=document), catalogue)
    assert hook.custom_data == {"type": "mine", "own": "1"}
    assert hook.selectors == {"queue": {"sales"}}


def test_uri_custom_data_and_secrets_are_not_in_the_repr() -> None:
    stored = stored_hook(uri="http://u:hunter2@h/", custom_data={"k": "hunter2"})
    secret = generate_secret()
    hook = Hook.from_document(
        evolve(stored, secrets=(Secret(secret),), headers={"x-a": "hunter2"}), CATALOGUE
    )
    assert "hunter2" not in repr(hook)
    assert secret not in repr(hook)


@pytest.mark.parametrize("name", ["hook", "uri", "http_verb", "enabled"])
def test_a_document_without_a_required_key_cannot_be_parsed(name: str) -> None:
    stored = stored_hook()
    document = {key: value for key, value in stored.document.items() if key != name}
    with pytest.raises(KeyError):
        Hook.from_document(evolve(stored, document=document), CATALOGUE)


@pytest.mark.parametrize("name", ["retries", "rate_limit"])
def test_a_stored_number_is_read_in_the_exact_type_and_range(name: str) -> None:
    schema = PROPERTIES[name]
    for form in (2, 2.0, "2", -1, 10.0**9, 1.5, math.inf, *NOT_NUMBERS):
        value = getattr(from_stored(**{name: form}), name)
        assert type(value) is TYPES[schema["type"]], form
        in_range = schema["minimum"] <= value <= schema["maximum"]
        assert in_range or (value == 0 and name not in coerce_document({name: form})), form


@pytest.mark.parametrize("name", BOOLEAN)
def test_a_stored_boolean_is_read_or_the_hook_is_refused(name: str) -> None:
    for form, expected in ((True, True), (False, False), ("true", True), ("false", False)):
        assert getattr(from_stored(**{name: form}), name) is expected
    for unusable in (0, 1, 1.0, "yes", None, math.nan):
        with pytest.raises(TypeError, match=name):
            from_stored(**{name: unusable})


@given(st.from_regex(_USUAL_URI, fullmatch=True))
def test_a_usual_uri_is_well_formed(uri: str) -> None:
    assert uri_problem(uri) is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("uri", None),
        ("uri", ["http://receiver.example/"]),
        *(
            ("uri", uri)
            for uri in ("", "not a uri", "javascript:x", "//x", "http://[::x/", "http://h:99999/")
        ),
        ("http_verb", "delete"),
        ("http_verb", 7),
        ("format", "xml"),
        ("format", {}),
        ("custom_data", ["a"]),
        ("modifiers", "a"),
    ],
)
def test_what_another_program_has_stored_is_refused_unless_it_can_be_used(key: str, value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        from_stored(**{key: value})


@pytest.mark.parametrize(
    ("form", "retries"), [(0.0, 0), (1.0, 1), (2.0, 2), ("2", 2), (99, 4), ("x", 2), (None, 2)]
)
def test_the_retries_of_an_older_database_are_an_integer(form: Any, retries: int) -> None:
    hook = from_stored(retries=form)
    assert (type(hook.retries), hook.retries) == (int, retries)


# -- from_event


@pytest.mark.parametrize(
    ("form", "retries"),
    [(0.0, 0), (1.0, 1), (2.0, 2), ("1", 1), (99, 4), (-1.0, 0), (math.nan, 2), (True, 2)],
)
def test_the_retries_of_an_event_s_hook_are_an_integer(form: Any, retries: int) -> None:
    hook = Hook.from_event(ACCOUNT, "notifications", {"uri": "http://receiver.example/", "retries": form})
    assert (type(hook.retries), hook.retries) == (int, retries)


def test_the_hook_of_an_event_is_parsed() -> None:
    document = {"_id": "x", "uri": "https://a.example/", "http_verb": "GET", "retries": 9, "format": "json"}
    hook = Hook.from_event(ACCOUNT, "notifications", {**document, "custom_data": {"type": "t", "own": "1"}})
    assert (hook.id, hook.verb, hook.retries, hook.custom_data, hook.format, hook.revision) == (
        "x",
        "get",
        4,
        {"own": "1"},
        "json",
        "",
    )


@pytest.mark.parametrize("hook_id", [{}, None, "", "a\r\nb: c", "x" * 65, 7])
def test_an_invalid_id_or_number_of_an_event_s_hook_is_replaced(hook_id: Any) -> None:
    hook = Hook.from_event(
        ACCOUNT, "notifications", {"uri": "http://x", "_id": hook_id, "retries": True, "custom_data": []}
    )
    assert (hook.id, hook.uri, hook.verb, hook.format, hook.retries) == (
        "callflow",
        "http://x",
        "post",
        "form-data",
        2,
    )


@pytest.mark.parametrize("uri", [None, 1, "ftp://x/", "http://x/\r\nA: b", "//x"])
def test_an_invalid_uri_of_an_event_s_hook_is_refused(uri: Any) -> None:
    with pytest.raises(InvalidDocument) as refused:
        Hook.from_event(ACCOUNT, "notifications", {"uri": uri})
    assert "uri" in refused.value.errors


def test_the_hooks_of_events_share_a_queue_by_account_and_receiver() -> None:
    one, two = (
        Hook.from_event(ACCOUNT, "notifications", {"_id": name, "uri": "https://u:p@Shop.example/x?y"})
        for name in ("1", "2")
    )
    assert one.queue_key == two.queue_key == f"{ACCOUNT} shop.example"
    assert (
        Hook.from_event("b" * 32, "notifications", {"_id": "1", "uri": "https://shop.example/"}).queue_key
        != one.queue_key
    )
    assert make_hook("h1").queue_key == "h1"


@pytest.mark.parametrize(
    ("given", "modifiers"), [({"direction": "inbound"}, {"direction": "inbound"}), ([], {}), ("x", {})]
)
def test_the_modifiers_of_an_event_s_hook_are_an_object(given: Any, modifiers: dict[str, Any]) -> None:
    document = {"uri": "http://receiver.example/", "modifiers": given}
    assert Hook.from_event(ACCOUNT, "notifications", document).modifiers == modifiers


# -- matches


@pytest.mark.parametrize(
    ("document", "internal_leg", "matches"),
    [
        ({}, True, True),
        ({"include_internal_legs": False}, True, False),
        ({"include_internal_legs": False}, False, True),
        ({"modifiers": {"direction": "inbound"}}, False, True),
        ({"modifiers": {"direction": "outbound"}}, False, False),
        ({"modifiers": {"direction": ["outbound", "inbound"]}}, False, True),
        ({"modifiers": {"direction": ["outbound"]}}, False, False),
        ({"modifiers": {"direction": []}}, False, True),
        ({"modifiers": {"absent": "anything"}}, False, True),
        ({"modifiers": {"answered": True}}, False, True),
        ({"modifiers": {"answered": 1}}, False, False),
        ({"modifiers": {"answered": [1, 2]}}, False, False),
        ({"modifiers": {"answered": [1, True]}}, False, True),
        ({"hook": "object", "custom_data": {"type": "user", "action": "all"}}, False, True),
        ({"hook": "object", "custom_data": {"type": "device", "action": "all"}}, False, False),
        ({"hook": "object"}, False, True),
        ({"hook": "all", "custom_data": {"type": "device"}}, False, True),
    ],
)
def test_which_occurrences_match(document: dict[str, Any], internal_leg: bool, matches: bool) -> None:
    occurrence = Occurrence(
        "channel_create",
        ACCOUNT,
        {"direction": "inbound", "answered": True},
        {"type": "user", "action": "doc_edited"},
        internal_leg=internal_leg,
    )
    assert make_hook(**document).matches(occurrence) is matches


def test_an_inline_hook_has_no_options_and_takes_invalid_operators_for_plain_values() -> None:
    document = {
        "uri": "http://h/",
        "headers": {"X-A": "1"},
        "success_codes": ["2xx"],
        "max_age_s": 1,
        "modifiers": {"k": {"$bad": 1}, "n": {"$prefix": "a"}},
    }
    hook = Hook.from_event(ACCOUNT, "notifications", document)
    assert (hook.headers, hook.options) == ({}, DeliveryOptions())
    for payload, fires in (({"k": {"$bad": 1}, "n": "ab"}, True), ({"k": 1}, False), ({"n": "b"}, False)):
        assert hook.matches(Occurrence("notifications", ACCOUNT, payload)) is fires


def test_hooks_share_what_is_equal_in_most_of_them() -> None:
    one, other = make_hook("one"), make_hook("other", custom_data={}, modifiers={})
    for name in ("custom_data", "modifiers", "selectors", "headers", "options", "signing_keys", "_filter"):
        assert getattr(one, name) is getattr(other, name), name
    accounts = [json.loads(f'["{ACCOUNT}"]')[0] for _ in range(2)]
    assert accounts[0] is not accounts[1]
    assert len({id(make_hook("h", account).account_id) for account in accounts}) == 1


@pytest.mark.parametrize("name", ["enabled", "include_subaccounts", "include_internal_legs", "ordered"])
def test_a_flag_that_is_no_boolean_is_refused(name: str) -> None:
    with pytest.raises(TypeError):
        from_stored(**{name: "perhaps"})
