from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.interfaces import HookType
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue
from kazoo_bridge.webhooks.hooks.hook_document import DocumentRules, InvalidDocument
from tests.webhooks.hook_factory import ACCOUNT, make_hook

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
CATALOGUE = HookCatalogue.from_types([NOTIFICATIONS, OBJECT, CONFERENCE])
RULES = DocumentRules.from_catalogue(CATALOGUE)


def errors(
    hook: str, custom_data: Any = None, *, superadmin: bool = False
) -> dict[str, dict[str, dict[str, Any]]]:
    given = {"name": "n", "uri": "http://x.example/", "hook": hook} | (
        {} if custom_data is None else {"custom_data": custom_data}
    )
    try:
        RULES.validate(given, superadmin=superadmin)
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
def test_good_choices(hook: str, custom_data: Any) -> None:
    assert errors(hook, custom_data) == {}


@pytest.mark.parametrize("custom_data", [None, {}, {"own": "x"}])
def test_a_choice_is_required(custom_data: Any) -> None:
    assert {field: list(rules) for field, rules in errors("object", custom_data).items()} == {
        "custom_data.type": ["required"],
        "custom_data.action": ["required"],
    }


def test_a_wrong_choice() -> None:
    wrong = errors("object", {"type": "users", "action": "doc_edited"})["custom_data.type"]["enum"]
    assert (wrong["target"], wrong["cause"]) == (["all", "user"], "users")


@pytest.mark.parametrize("value", [1, ["user"], {"a": 1}, None])
def test_a_choice_that_is_no_text(value: Any) -> None:
    assert errors("object", {"type": value, "action": "all"})["custom_data.type"].keys() >= {"type"}


def test_what_only_superadmins_may_choose() -> None:
    assert errors("notifications", {"type": "system_alert"}, superadmin=True) == {}
    wrong = errors("notifications", {"type": "system_alert"})["custom_data.type"]["enum"]
    assert "system_alert" not in wrong["target"]


def test_an_unknown_hook() -> None:
    assert errors("channel_destroyed")["hook"]["enum"]["target"] == [
        "all",
        "conference",
        "inbound_fax",
        "notifications",
        "object",
    ]


def test_a_name_of_former_times() -> None:
    event, selectors = CATALOGUE.resolve_alias("inbound_fax", {"type": "whatever"})
    assert event == "notifications"
    assert selectors == {"type": {"inbound_fax", "inbound_fax_error"}}


def test_a_hook_that_an_event_brings() -> None:
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
def test_a_brought_hook_with_an_unusable_id(hook_id: Any) -> None:
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
def test_a_brought_hook_with_an_unusable_uri(uri: Any) -> None:
    with pytest.raises(InvalidDocument) as refused:
        Hook.from_event(ACCOUNT, "notifications", {"uri": uri})
    assert "uri" in refused.value.errors


def test_brought_hooks_queue_by_account_and_receiver_as_their_ids_change() -> None:
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
