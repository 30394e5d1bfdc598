from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from kazoo_bridge.interfaces import HookType
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue
from kazoo_bridge.webhooks.hooks.hook_document import DocumentRules, InvalidDocument

NOTIFICATIONS = HookType(
    "notifications",
    "Notifications",
    "",
    modifiers={
        "type": {
            "type": "object",
            "items": {"all": {}, "inbound_fax": {}, "inbound_fax_error": {}, "system_alert": {}},
        }
    },
    superadmin_values=frozenset({"system_alert"}),
    aliases={"inbound_fax": {"type": frozenset({"inbound_fax", "inbound_fax_error"})}},
)
OBJECT = HookType(
    "object",
    "Object",
    "",
    modifiers={"type": {"type": "array", "items": ["all", "user"]}, "action": {"items": ["doc_edited"]}},
)
CONFERENCE = HookType(
    "conference",
    "Conference",
    "",
    modifiers={"type": {"type": "array", "items": ["start"], "default": "all"}},
)
AGENT = HookType(
    "agent_status",
    "Agent Status",
    "",
    modifiers={"status": {"type": "array", "items": ["ready", "wrapup"], "default": "all"}},
)
CATALOGUE = HookCatalogue.from_types([NOTIFICATIONS, OBJECT, CONFERENCE])
RULES = DocumentRules.from_catalogue(CATALOGUE)


def errors(hook: str, custom_data: Any = None) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    given = {"name": "n", "uri": "http://x.example/", "hook": hook} | (
        {} if custom_data is None else {"custom_data": custom_data}
    )
    try:
        RULES.validate(given)
    except InvalidDocument as error:
        return error.errors
    return {}


@pytest.mark.parametrize(
    ("hook", "custom_data"),
    [
        ("all", None),
        ("inbound_fax", None),
        ("notifications", {"type": "all"}),
        ("notifications", {"type": "inbound_fax", "own": "x"}),
        ("object", {"type": "user", "action": "all"}),
        ("conference", None),
        ("conference", {"type": "start"}),
    ],
)
def test_valid_modifiers(hook: str, custom_data: Any) -> None:
    assert errors(hook, custom_data) == {}


@pytest.mark.parametrize("custom_data", [None, {}, {"own": "x"}])
def test_a_modifier_without_default_is_required(custom_data: Any) -> None:
    assert {field: list(rules) for field, rules in errors("object", custom_data).items()} == {
        "custom_data.type": ["required"],
        "custom_data.action": ["required"],
    }


def test_an_unknown_value_is_refused() -> None:
    wrong = errors("object", {"type": "users", "action": "doc_edited"})["custom_data.type"]["enum"]
    assert (wrong["target"], wrong["cause"]) == (["all", "user"], "users")


@pytest.mark.parametrize("value", [1, ["user"], {"a": 1}, None])
def test_a_value_that_is_no_text_is_refused(value: Any) -> None:
    assert errors("object", {"type": value, "action": "all"})["custom_data.type"].keys() >= {"type"}


def test_values_that_are_listed_for_superadmins_only_are_valid_for_all() -> None:
    assert errors("notifications", {"type": "system_alert"}) == {}
    wrong = errors("notifications", {"type": "system_alarm"})["custom_data.type"]["enum"]
    assert "system_alert" not in wrong["target"]


def test_an_unknown_hook_is_refused_with_all_ids() -> None:
    assert errors("channel_destroyed")["hook"]["enum"]["target"] == [
        "all",
        "conference",
        "everything",
        "inbound_fax",
        "notifications",
        "object",
    ]


def test_an_alias_is_resolved_with_its_own_selectors() -> None:
    event, selectors = CATALOGUE.resolve_alias("inbound_fax", {"type": "whatever"})
    assert event == "notifications"
    assert selectors == {"type": {"inbound_fax", "inbound_fax_error"}}


@pytest.mark.parametrize(
    ("custom_data", "selectors"),
    [
        ({"type": "user", "action": "all", "own": "x"}, {"type": frozenset({"user"})}),
        ({"type": "all"}, {}),
        ({}, {}),
    ],
)
def test_modifiers_become_selectors(
    custom_data: dict[str, Any], selectors: dict[str, frozenset[str]]
) -> None:
    event, chosen = CATALOGUE.resolve_alias("object", custom_data)
    assert (event, dict(chosen)) == ("object", selectors)


def test_an_unknown_hook_has_no_selectors() -> None:
    assert CATALOGUE.resolve_alias("all", {"type": "user"}) == ("all", {})


def test_the_first_of_equal_ids_is_used_and_an_id_overrides_an_alias() -> None:
    first = HookType("a", "First", "", aliases={"old": {"x": frozenset({"1"})}, "b": {}})
    second = HookType("a", "Second", "", aliases={"old": {"x": frozenset({"2"})}})
    catalogue = HookCatalogue.from_types([first, second, HookType("b", "B", "")])
    assert catalogue.types["a"] is first
    assert catalogue.resolve_alias("old", {}) == ("a", {"x": frozenset({"1"})})
    assert catalogue.resolve_alias("b", {}) == ("b", {})
    assert catalogue.ids == ["a", "all", "b", "everything", "old"]


@pytest.mark.parametrize(
    ("event", "keys"),
    [
        ("agent_status", {"status"}),
        ("conference", {"type"}),
        ("object", {"type", "action"}),
        ("notifications", {"type", "action"}),
        ("all", {"type", "action"}),
        ("everything", {"type", "action"}),
    ],
)
def test_the_keys_that_select(event: str, keys: set[str]) -> None:
    catalogue = HookCatalogue.from_types([*CATALOGUE.types.values(), AGENT])
    assert catalogue.selector_keys(event) == keys
