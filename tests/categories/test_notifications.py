from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import capturedLogs

from kazoo_bridge.categories.notification_types import NOTIFICATION_TYPES
from kazoo_bridge.categories.notifications import notifications
from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.kazoo import normalize
from kazoo_bridge.testing import EXAMPLE_ACCOUNT, CategoryHarness, make_event
from kazoo_bridge.topics import matches
from tests.categories.category_calls import ACCOUNT, OTHER, occurrences, patterns, refusal, topics

CALLFLOW = "webhook"


@pytest.mark.parametrize("name", [one.name for one in NOTIFICATION_TYPES if one.name != CALLFLOW])
def test_the_payload(name: str) -> None:
    body = {
        "Event-Category": "notification",
        "Event-Name": name,
        "Account-ID": ACCOUNT,
        "Some-Field": {"In-Side": [1, None]},
        "Gone": None,
    }
    (occurrence,) = occurrences(notifications, body)
    added = name == "webhook_recovered"
    assert occurrence == Occurrence("notifications", ACCOUNT, normalize(body), {"type": name}, addition=added)
    assert occurrence.payload["some_field"] == {"in_side": [1, None]}
    assert "gone" not in occurrence.payload


@pytest.mark.parametrize(
    "body",
    [
        {"Account-ID": ACCOUNT},
        {"account_id": ACCOUNT, "Account-ID": OTHER},
        {"account": {"_id": ACCOUNT}},
        {"Details": {"Account-ID": ACCOUNT}},
        {"Details": {"Custom-Channel-Vars": {"Account-ID": ACCOUNT}}},
        {"Account-ID": ACCOUNT, "id": "something else", "Details": "text", "account": 7},
    ],
)
def test_where_a_notification_names_its_account(body: dict[str, Any]) -> None:
    assert occurrences(notifications, {"Event-Name": "register", **body})[0].account_id == ACCOUNT


def test_other_events_and_events_without_an_account() -> None:
    assert occurrences(notifications, {"Event-Name": "skel", "Account-ID": ACCOUNT}) == []
    assert occurrences(notifications, {"Event-Name": "system_alert", "Message": "m"})[0].account_id is None


def test_a_callflow_sends_an_inline_hook() -> None:
    hook = {"_id": "h", "uri": "http://x.example/", "pvt_account_id": ACCOUNT}
    (occurrence,) = occurrences(
        notifications,
        {"Event-Name": "webhook", "Hook": hook, "Data": {"Call-ID": "c", "N": None}},
    )
    assert occurrence == Occurrence(
        "notifications", ACCOUNT, {"call_id": "c"}, {"type": "webhook"}, inline_hook=hook
    )


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Hook": {"uri": "http://x/"}},
        {"Data": {}},
        {"Hook": [], "Data": {}},
        {"Hook": {}, "Data": {}},
        {"Hook": {"uri": 1}, "Data": {}},
        {"Hook": {"uri": "http://x/"}, "Data": "d"},
    ],
)
def test_a_callflow_without_a_usable_hook_is_logged(body: dict[str, Any]) -> None:
    with capturedLogs() as logs:
        assert (
            occurrences(
                notifications,
                {"Event-Name": "webhook", **body},
                "notifications.webhook.callflow",
            )
            == []
        )
    assert [log["routing_key"] for log in logs] == ["notifications.webhook.callflow"]


def test_bindings() -> None:
    assert topics(notifications, "notification.voicemail_new") == [
        ("notifications", "notifications.voicemail.new")
    ]
    assert patterns(notifications, "notification.*") == [f"notification.{ACCOUNT}.*"]
    assert notifications.resolve_binding("call.x", EXAMPLE_ACCOUNT, False, 0.0) is None


def test_super_admins_can_subscribe_to_more() -> None:
    assert patterns(notifications, "notification.*", superadmin=True) == [
        f"notification.{ACCOUNT}.*",
        f"notification.{ACCOUNT}.superadmin.*",
    ]
    assert patterns(notifications, "notification.system_alert", None, superadmin=True) == [
        "notification.*.superadmin.system_alert"
    ]
    assert not any("system_alert" in binding for binding in notifications.bindings)


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        ("notification.nothing", "event nothing not supported"),
        ("notification.system_alert", "event system_alert not supported"),
        ("notification.register.x", "invalid format for notification subscription : register, x"),
    ],
)
def test_refusals(binding: str, text: str) -> None:
    assert refusal(notifications, binding) == text


def test_only_super_admins_receive_system_alerts() -> None:
    alert = make_event(
        "notifications", "notifications.system.alert", {"Event-Name": "system_alert", "Account-ID": ACCOUNT}
    )
    (event,) = notifications.subscriber_events(alert)
    assert event.key == f"notification.{ACCOUNT}.superadmin.system_alert"
    assert not matches(f"notification.{ACCOUNT}.*", event.key)
    harness = CategoryHarness(notifications)
    plain = harness.subscribe("notification.*")
    superadmin = harness.subscribe("notification.*", superadmin=True)
    harness.publish(alert)
    assert (len(plain.frames), len(superadmin.frames)) == (0, 1)


def test_a_notification_without_an_account_reaches_the_subscribers_of_all_accounts_only() -> None:
    harness = CategoryHarness(notifications)
    one, all_accounts = harness.subscribe("notification.*"), harness.subscribe("notification.*", None)
    harness.publish(make_event("notifications", "notifications.sip.register", {"Event-Name": "register"}))
    assert (len(one.frames), len(all_accounts.frames)) == (0, 1)
