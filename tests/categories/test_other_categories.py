"""Every category but calls: what becomes of KAZOO's messages, good and bad."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from kazoo_bridge.categories import conference, fax_status, messages, notifications, objects, parking
from kazoo_bridge.categories.notification_types import NOTIFICATION_TYPES
from kazoo_bridge.interfaces import IEventCategory, Occurrence
from kazoo_bridge.kazoo import Event, account_db, encode_key_part, monthly_db, normalize
from kazoo_bridge.topics import TopicTable

ACCOUNT, OTHER = "3f0a9c51d7e84b62a1c05d9e7b2f4860", "c40b8d2e6f1a4795b3d80e7c52a9f613"
CATEGORIES = [
    conference.conference,
    fax_status.fax_status,
    messages.messages,
    notifications.notifications,
    objects.objects,
    parking.parking,
]


def occurrences(
    category: Any, body: dict[str, Any], routing_key: str = "", exchange: str = "x"
) -> list[Occurrence]:
    return list(category.occurrences(Event(exchange, routing_key, body, b"")))


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)
def test_they_are_categories(category: Any) -> None:
    assert verifyObject(IEventCategory, category)
    for hook in category.hooks:
        assert hook.samples
        assert list(category.topics(hook.id))


# -- parking


@pytest.mark.parametrize("name", ["PARK_PARKED", "PARK_RETRIEVED", "PARK_ABANDONED"])
def test_parking(name: str) -> None:
    body = {
        "Node": "n",
        "Msg-ID": "m",
        "App-Name": "a",
        "App-Version": "v",
        "Event-Category": "call_event",
        "Event-Name": name,
        "Call-ID": "c",
        "Parking-Slot": "101",
        "Nothing": None,
        "Custom-Channel-Vars": {"Account-ID": ACCOUNT},
    }
    payload = {"event_name": name, "call_id": "c", "parking_slot": "101", "account_id": ACCOUNT}
    assert occurrences(parking.parking, body) == [Occurrence("parking", ACCOUNT, payload)]


def test_parking_without_an_account_and_other_events() -> None:
    assert occurrences(parking.parking, {"Event-Name": "PARK_PARKED"})[0].account_id is None
    assert occurrences(parking.parking, {"Event-Name": "CHANNEL_CREATE"}) == []


# -- objects


def change(action: str, database: str, kind: str, document_id: str = "d1", **more: Any) -> dict[str, Any]:
    return {
        "Event-Category": "configuration",
        "Event-Name": action,
        "ID": document_id,
        "Database": database,
        "Type": kind,
        "Rev": "1-a",
        **more,
    }


@pytest.mark.parametrize(
    "database", [account_db(ACCOUNT), monthly_db(ACCOUNT, 2026, 11), account_db(ACCOUNT).replace("%2F", "/")]
)
@pytest.mark.parametrize("kind", objects.TYPES)
@pytest.mark.parametrize("action", objects.ACTIONS)
def test_objects(action: str, kind: str, database: str) -> None:
    payload = {"id": "d1", "account_id": ACCOUNT, "action": action, "type": kind}
    expected = [Occurrence("object", ACCOUNT, payload, {"type": kind, "action": action})]
    assert occurrences(objects.objects, change(action, database, kind, Doc={"secret": 1})) == expected


def test_a_type_that_no_hook_can_choose_by_name() -> None:
    """Hooks for all types hear of it, as in KAZOO."""
    (occurrence,) = occurrences(objects.objects, change("doc_edited", account_db(ACCOUNT), "menu"))
    assert (occurrence.payload["type"], occurrence.selectors) == (
        "menu",
        {"type": "menu", "action": "doc_edited"},
    )


@pytest.mark.parametrize("flag", [True, "true"])
def test_a_soft_deleted_object_is_deleted(flag: Any) -> None:
    (occurrence,) = occurrences(
        objects.objects, change("doc_edited", account_db(ACCOUNT), "user", **{"Is-Soft-Deleted": flag})
    )
    assert occurrence.payload["action"] == occurrence.selectors["action"] == "doc_deleted"


def test_in_the_aggregate_database_the_account_is_the_document() -> None:
    (occurrence,) = occurrences(
        objects.objects, change("doc_edited", "accounts", "account", ACCOUNT, **{"Account-ID": OTHER})
    )
    assert occurrence.account_id == occurrence.payload["account_id"] == ACCOUNT


@pytest.mark.parametrize(
    "body",
    [
        change("doc_edited", "webhooks", "webhook"),
        change("doc_edited", "webhooks", "user"),
        change("doc_edited", "accounts", "account", "no account id"),
        change("db_created", account_db(ACCOUNT), "user"),
        change("doc_edited", "system_config", "user"),
        {"Event-Name": "doc_edited"},
        {"Event-Name": "doc_edited", "Type": ["user"], "Database": {}, "ID": 7},
    ],
)
def test_what_is_no_accounts_object(body: dict[str, Any]) -> None:
    assert occurrences(objects.objects, body) == []


# -- notifications


@pytest.mark.parametrize("kind", NOTIFICATION_TYPES, ids=lambda kind: kind.name)
def test_notifications(kind: Any) -> None:
    if kind.name == "webhook":
        return
    body = {
        "Event-Category": "notification",
        "Event-Name": kind.name,
        "Account-ID": ACCOUNT,
        "Some-Field": {"In-Side": [1, None]},
        "Gone": None,
    }
    (occurrence,) = occurrences(notifications.notifications, body)
    assert occurrence == Occurrence(
        "notifications",
        ACCOUNT,
        normalize(body),
        {"type": kind.name},
        superadmin_only=kind.name in ("system_alert", "webhook_disabled"),
    )
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
def test_where_the_account_stands(body: dict[str, Any]) -> None:
    assert (
        occurrences(notifications.notifications, {"Event-Name": "register", **body})[0].account_id == ACCOUNT
    )


def test_what_is_no_notification() -> None:
    assert occurrences(notifications.notifications, {"Event-Name": "skel", "Account-ID": ACCOUNT}) == []
    assert (
        occurrences(notifications.notifications, {"Event-Name": "system_alert", "Message": "m"})[0].account_id
        is None
    )


def test_a_callflow_brings_its_own_hook() -> None:
    hook = {"_id": "h", "uri": "http://x.example/", "pvt_account_id": ACCOUNT}
    (occurrence,) = occurrences(
        notifications.notifications,
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
def test_a_callflow_that_brings_no_hook_is_told_of(body: dict[str, Any]) -> None:
    with capturedLogs() as logs:
        assert (
            occurrences(
                notifications.notifications,
                {"Event-Name": "webhook", **body},
                "notifications.webhook.callflow",
            )
            == []
        )
    assert [log["routing_key"] for log in logs] == ["notifications.webhook.callflow"]


# -- messages


@pytest.mark.parametrize("kind", ["sms", "mms"])
def test_messages(kind: str) -> None:
    body = {
        "Event-Category": kind,
        "Event-Name": "inbound",
        "Message-ID": "m1",
        "Account-ID": ACCOUNT,
        "From": "+4722555019",
        "To": "+15555550142",
        "Body": "Hei på deg 👋",
        "Route-Type": "offnet",
        "Charges": 0.02,
        "Route-ID": "r",
    }
    payload = {
        "id": "m1",
        "account_id": ACCOUNT,
        "type": kind,
        "from": "+4722555019",
        "to": "+15555550142",
        "body": "Hei på deg 👋",
        "origin": "offnet",
        "charges": 0.02,
    }
    assert occurrences(messages.messages, body) == [Occurrence(kind, ACCOUNT, payload)]
    assert occurrences(messages.messages, {**body, "Event-Name": "outbound"}) == []


# -- conferences and faxes


def test_conferences() -> None:
    body = {
        "Event-Category": "conference",
        "Event-Name": "event",
        "Event": "add-member",
        "Node": "n",
        "Conference-ID": "c1",
        "Instance-ID": "i1",
        "Call-ID": "call",
        "Custom-Channel-Vars": {"Account-ID": ACCOUNT, "Fetch-ID": "f"},
    }
    payload = {
        "event_name": "event",
        "event": "add-member",
        "conference_id": "c1",
        "instance_id": "i1",
        "call_id": "call",
        "account_id": ACCOUNT,
    }
    assert occurrences(conference.conference, body) == [
        Occurrence("conference", ACCOUNT, payload, {"type": "add-member"})
    ]
    del body["Custom-Channel-Vars"]
    assert (
        occurrences(conference.conference, body, f"conference.event.add-member.{ACCOUNT}.c1.call")[
            0
        ].account_id
        == ACCOUNT
    )
    assert occurrences(conference.conference, body, "conference.event")[0].account_id is None
    assert occurrences(conference.conference, {**body, "Event-Name": "command"}) == []


def test_fax_status() -> None:
    body = {
        "Event-Category": "fax",
        "Event-Name": "status",
        "Job-ID": "j",
        "Fax-State": "send",
        "Page": 2,
        "Server-ID": "s",
    }
    payload = {"event_name": "status", "job_id": "j", "fax_state": "send", "page": 2, "account_id": ACCOUNT}
    assert occurrences(fax_status.fax_status, body, f"fax.status.{ACCOUNT}.j") == [
        Occurrence("fax_status", ACCOUNT, payload, {"type": "send"})
    ]
    assert (
        occurrences(fax_status.fax_status, {"Event-Name": "status", "Account-ID": ACCOUNT})[0].selectors == {}
    )
    assert occurrences(fax_status.fax_status, {"Event-Name": "query_status"}) == []


# -- all of them

#: As KAZOO writes them.
KEYS = {
    "parking": ("callevt", f"call.PARK_PARKED.{encode_key_part('a.b@1.2.3.4')}"),
    "object": (
        "configuration",
        f"doc_edited.{encode_key_part(account_db(ACCOUNT))}.user.{encode_key_part('d.1')}",
    ),
    "notifications": ("notifications", "notifications.voicemail.new"),
    "sms": ("im", "sms.inbound.offnet.m1"),
    "mms": ("im", "mms.inbound.offnet.m1"),
    "conference": ("conference", f"conference.event.add-member.{ACCOUNT}.c1.call"),
    "fax_status": ("faxes", f"fax.status.{ACCOUNT}.j1"),
}


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)
def test_kazoos_keys_are_listened_to(category: Any) -> None:
    for hook in category.hooks:
        exchange, key = KEYS[hook.id]
        table: TopicTable[str] = TopicTable()
        for topic in category.topics(hook.id):
            assert topic.exchange == exchange
            table.add(topic.pattern, "x")
        assert table.match(key) == ["x"]


HOSTILE: list[Any] = [None, 7, True, "text", [], ["x"], {}, {"a": {"b": [None]}}, "\ud800", -1.5]


@pytest.mark.parametrize("category", CATEGORIES, ids=lambda category: category.name)
@pytest.mark.parametrize("value", HOSTILE, ids=repr)
def test_wrong_types_everywhere_harm_nobody(category: Any, value: Any) -> None:
    fields = [
        *(
            "Account-ID",
            "Custom-Channel-Vars",
            "Database",
            "ID",
            "Type",
            "Is-Soft-Deleted",
            "Hook",
            "Data",
            "Event",
            "Fax-State",
            "Details",
        ),
        *(
            "Event-Category",
            "Message-ID",
            "From",
            "account",
            "account_id",
            "Channel-Name",
            "Channel-Is-Loopback",
        ),
    ]
    names = ["PARK_PARKED", "doc_edited", "webhook", "register", "inbound", "event", "status", value]
    for name in names:
        for routing_key in ("", "a.b.c.d.e", f"fax.status.{ACCOUNT}.x"):
            with capturedLogs():
                for occurrence in occurrences(
                    category, {"Event-Name": name, **dict.fromkeys(fields, value)}, routing_key
                ):
                    assert occurrence.account_id is None or occurrence.account_id == ACCOUNT
                    assert all(isinstance(chosen, str) for chosen in occurrence.selectors.values())
