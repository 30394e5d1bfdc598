"""What bindings listen to, and what they are refused with: the table of KAZOO's own, and ours."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from kazoo_bridge.interfaces import Account, BindingPlan, BindingRefused, IBindingCategory
from kazoo_bridge.kazoo import Event
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.topics import matches
from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue

ID = "3f0a9c51d7e84b62a1c05d9e7b2f4860"
OTHER = "b" * 32
DB = "account%2F3f%2F0a%2F9c51d7e84b62a1c05d9e7b2f4860"
ACCOUNT = Account(ID, "n", "voice.example.com")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC).timestamp()
CATALOGUE = BindingCatalogue.from_categories(find_categories())
CALLS = ["CREATE", "ANSWER", "DESTROY", "HOLD", "UNHOLD", "BRIDGE"]
EVENTS = [*(f"CHANNEL_{name}" for name in CALLS), "PARK_PARKED", "PARK_RETRIEVED", "PARK_ABANDONED"]


def listening(
    binding: str, account: Account | None = ACCOUNT, *, superadmin: bool = False, now: float = NOW
) -> BindingPlan:
    return CATALOGUE.resolve(binding, account, superadmin, now)[1]


def topics(binding: str, account: Account | None = ACCOUNT, **more: Any) -> list[tuple[str, str]]:
    return [
        (source.topic.exchange, source.topic.pattern)
        for source in listening(binding, account, **more).filters
    ]


def patterns(binding: str, account: Account | None = ACCOUNT, **more: Any) -> list[str]:
    return [source.pattern for source in listening(binding, account, **more).filters]


SAME = [
    ("fax.status.*", "faxes", f"fax.status.{ID}.*"),
    ("fax.status.202611-f1", "faxes", f"fax.status.{ID}.202611-f1"),
    ("fax.object.doc_created", "configuration", f"doc_created.{DB}-202611.fax.*"),
    ("fax.object.*", "configuration", f"*.{DB}-202611.fax.*"),
    ("object.doc_created.user", "configuration", f"doc_created.{DB}.user.*"),
    ("object.*.device", "configuration", f"*.{DB}.device.*"),
    ("object.doc_edited.call_recording", "configuration", f"doc_edited.{DB}-202611.call_recording.*"),
    ("doc_created.*.user.*", "configuration", f"doc_created.{DB}.user.*"),
    ("doc_edited.account%2Fbb%2Fbb%2Fx.user.u1", "configuration", f"doc_edited.{DB}.user.u1"),
    ("conference.event.c1.*", "conference", f"conference.event.*.{ID}.c1.*"),
    ("conference.event.*.*", "conference", f"conference.event.*.{ID}.*.*"),
    ("conference.command.c1", "conference", "conference.command.c1"),
    ("presence.dialog.*", "presence", "dialog.voice%2Eexample%2Ecom.*"),
    ("presence.update.u@h", "presence", "update.voice%2Eexample%2Ecom.u%40h"),
    ("presence.mwi_updates.201", "presence", "mwi_updates.voice%2Eexample%2Ecom.201"),
]


@pytest.mark.parametrize(("binding", "exchange", "pattern"), SAME)
def test_bindings_whose_keys_are_the_brokers(binding: str, exchange: str, pattern: str) -> None:
    assert topics(binding) == [(exchange, pattern)]
    assert patterns(binding) == [pattern]


def test_call_bindings() -> None:
    assert topics("call.CHANNEL_CREATE.*") == [("callevt", "call.CHANNEL_CREATE.*")]
    assert patterns("call.CHANNEL_CREATE.*") == [f"call.{ID}.CHANNEL_CREATE.*"]
    assert patterns("call.CHANNEL_HOLD.a%40b%2Ec") == [f"call.{ID}.CHANNEL_HOLD.a%40b%2Ec"]
    assert patterns("call.CHANNEL_HOLD.a@b") == [f"call.{ID}.CHANNEL_HOLD.a%40b"]
    assert sorted(patterns("call.*.c1")) == sorted(f"call.{ID}.{event}.c1" for event in EVENTS)
    assert patterns("call.PARK_PARKED.*", None) == ["call.*.PARK_PARKED.*"]


def test_objects_of_every_type_are_in_both_databases() -> None:
    assert patterns("object.doc_deleted.*") == [f"doc_deleted.{DB}.*.*", f"doc_deleted.{DB}-202611.*.*"]
    assert patterns("object.*.*", None) == ["*.*.*.*"]


def test_parking_and_notification_bindings() -> None:
    assert patterns("parking.*") == [f"parking.{ID}.*"] * 3
    assert topics("parking.PARK_PARKED") == [("callevt", "call.PARK_PARKED.*")]
    assert topics("notification.voicemail_new") == [("notifications", "notifications.voicemail.new")]
    assert patterns("notification.*") == [f"notification.{ID}.*"]
    assert patterns("notification.*", superadmin=True) == [
        f"notification.{ID}.*",
        f"notification.{ID}.superadmin.*",
    ]
    assert patterns("notification.system_alert", None, superadmin=True) == [
        "notification.*.superadmin.system_alert"
    ]


REFUSED = [
    ("call.CHANNEL_DISCONNECTED.*", "event CHANNEL_DISCONNECTED not supported"),
    ("call.CHANNEL_CREATE", "invalid format for call subscription : CHANNEL_CREATE"),
    ("call.CHANNEL_CREATE.a.b", "invalid format for call subscription : CHANNEL_CREATE, a, b"),
    ("call.CHANNEL_CREATE.", "invalid format for call subscription : CHANNEL_CREATE, "),
    ("call.CHANNEL_CREATE.#", "invalid format for call subscription : CHANNEL_CREATE, #"),
    ("call", "invalid format for call subscription : "),
    ("object.doc_created.planet", "event doc_created.planet not supported"),
    ("object.#.user", "event #.user not supported"),
    ("object.doc_created", "invalid format for object subscription : doc_created"),
    ("doc_created.*.user", "invalid format for object subscription : *, user"),
    ("fax.object.create", "event create not supported"),
    ("fax.status", "invalid format for fax subscription : status"),
    ("conference.command.*", "ConferenceId required"),
    ("conference.event.c1", "invalid format for conference subscription : event, c1"),
    ("presence.here.1", "event here not supported"),
    ("presence", "invalid format for presence subscription : "),
    ("presence.dialog", "invalid format for presence subscription : dialog"),
    ("notification.nothing", "event nothing not supported"),
    ("notification.system_alert", "event system_alert not supported"),
    ("parking.NO", "event NO not supported"),
    ("planets.*", "no available subscriptions to requested binding planets.*"),
    ("", "no available subscriptions to requested binding "),
    ("#", "no available subscriptions to requested binding #"),
]


@pytest.mark.parametrize(("binding", "text"), REFUSED)
def test_refusals(binding: str, text: str) -> None:
    with pytest.raises(BindingRefused) as caught:
        listening(binding)
    assert str(caught.value) == text


@pytest.mark.parametrize("written", ["%2A", "%23", "%2a", "#"])
@pytest.mark.parametrize(
    "binding",
    ["conference.command.{}", "conference.event.{}.*", "fax.status.{}", "presence.dialog.{}", "call.*.{}"],
)
def test_no_spelling_of_a_wildcard_is_an_id(binding: str, written: str) -> None:
    with pytest.raises(BindingRefused, match="invalid format for"):
        listening(binding.format(written))


@pytest.mark.parametrize("realm", ["", "*", "#"])
def test_no_realm_no_presence(realm: str) -> None:
    with pytest.raises(BindingRefused, match="has no realm"):
        listening("presence.dialog.*", Account(ID, "n", realm))


def month(*when: int) -> list[str]:
    found = patterns("fax.object.doc_created", now=datetime(*when, tzinfo=UTC).timestamp())  # type: ignore[arg-type, misc]
    return [pattern.removeprefix(f"doc_created.{DB}-").removesuffix(".fax.*") for pattern in found]


def test_the_turn_of_a_month() -> None:
    assert month(2026, 12, 31, 22, 59) == ["202612"]
    assert month(2026, 12, 31, 23, 0) == ["202612", "202701"]
    assert month(2027, 1, 1, 0, 59) == ["202612", "202701"]
    assert month(2027, 1, 1, 1, 1) == ["202701"]


def until(*when: int) -> datetime:
    found = listening("object.*.*", now=datetime(*when, tzinfo=UTC).timestamp()).until  # type: ignore[arg-type, misc]
    assert found is not None
    return datetime.fromtimestamp(found, UTC)


def test_what_depends_on_the_month_says_until_when() -> None:
    assert until(2026, 11, 24) == datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert until(2026, 11, 30, 23, 0) == datetime(2026, 12, 1, 1, tzinfo=UTC)
    assert until(2026, 12, 1, 0, 30) == datetime(2026, 12, 1, 1, tzinfo=UTC)
    assert until(2026, 12, 1, 1, 0) == datetime(2026, 12, 31, 23, tzinfo=UTC)
    assert listening("object.doc_created.user").until is None


def told(exchange: str, routing_key: str, **body: Any) -> list[tuple[str, str | None]]:
    event = Event(exchange, routing_key, body, b"")
    return [
        (one.key, one.account_id)
        for category in CATALOGUE.categories
        for one in category.subscriber_events(event)
        if exchange in _listens(category)
    ]


def _listens(category: IBindingCategory) -> set[str]:
    account, found = ACCOUNT, set()
    for binding in category.bindings:
        for word in ("CALL_ID", "FAX_ID", "CONFERENCE_ID", "USER"):
            binding = binding.replace(f"{{{word}}}", "*" if word != "CONFERENCE_ID" else "c1")
        answer = category.resolve_binding(binding.replace("{ACTION}", "*"), account, True, NOW)
        assert answer is not None, binding
        found |= {source.topic.exchange for source in answer.filters}
    return found


def test_what_the_catalogue_lists_can_be_subscribed_to() -> None:
    listed = CATALOGUE.by_category()
    assert set(listed) == {
        "call",
        "calls",
        "conference",
        "fax",
        "notification",
        "object",
        "parking",
        "presence",
    }
    assert listed["call"][0] == "call.CHANNEL_CREATE.{CALL_ID}"
    assert len(listed["object"]) == 30
    assert "notification.system_alert" not in listed["notification"]


def test_keys_of_events() -> None:
    variables = {"Custom-Channel-Vars": {"Account-ID": ID}}
    calls = told("callevt", "call.PARK_PARKED.x%2Ey", **{"Event-Name": "PARK_PARKED"}, **variables)
    assert sorted(calls) == sorted(
        [(f"call.{ID}.PARK_PARKED.x%2Ey", None), (f"parking.{ID}.PARK_PARKED", None)]
    )
    assert told("callevt", "call.status_req.channels", **{"Event-Name": "query_channels_req"}) == []
    alert = told(
        "notifications", "notifications.system.alert", **{"Event-Name": "system_alert", "Account-ID": ID}
    )
    assert alert == [(f"notification.{ID}.superadmin.system_alert", None)]
    assert not matches(f"notification.{ID}.*", alert[0][0])
    assert ("conference.command.c1", OTHER) in told(
        "conference", "conference.command.c1", **{"Account-ID": OTHER}
    )
