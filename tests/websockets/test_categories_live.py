"""Events of every category reach the account that they belong to, and no other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_twisted

from kazoo_bridge.kazoo import account_db, monthly_db
from kazoo_bridge.storage import phone_numbers
from tests.websockets.stage import CHILD, RESELLER, TOP, Stage

pytestmark = pytest.mark.timeout(30)


def _month(account: str) -> str:
    now = datetime.now(UTC)
    return monthly_db(account, now.year, now.month)


def _db(account: str) -> str:
    return account_db(account)


REALM = {RESELLER: "reseller%2Eexample%2Ecom", CHILD: "child%2Eexample%2Ecom"}

LIVE: list[tuple[str, str, Any, dict[str, Any]]] = [
    (
        "object.doc_edited.user",
        "configuration",
        lambda one: f"doc_edited.{_db(one)}.user.u1",
        {"Event-Name": "doc_edited"},
    ),
    (
        "doc_edited.*.user.*",
        "configuration",
        lambda one: f"doc_edited.{_db(one)}.user.u1",
        {"Event-Name": "doc_edited"},
    ),
    (
        "object.*.*",
        "configuration",
        lambda one: f"doc_created.{_month(one)}.fax.f1",
        {"Event-Name": "doc_created"},
    ),
    (
        "fax.object.doc_created",
        "configuration",
        lambda one: f"doc_created.{_month(one)}.fax.f1",
        {"Event-Name": "doc_created"},
    ),
    ("fax.status.*", "faxes", lambda one: f"fax.status.{one}.f1", {"Event-Name": "status"}),
    (
        "conference.event.c1.*",
        "conference",
        lambda one: f"conference.event.add-member.{one}.c1.call",
        {"Event-Name": "event"},
    ),
    (
        "conference.event.*.*",
        "conference",
        lambda one: f"conference.event.add-member.{one}.c2.call",
        {"Event-Name": "event"},
    ),
    ("presence.dialog.*", "presence", lambda one: f"dialog.{REALM[one]}.c1", {"Event-Name": "dialog"}),
    (
        "presence.mwi_updates.201",
        "presence",
        lambda one: f"mwi_updates.{REALM[one]}.201",
        {"Event-Name": "mwi_update"},
    ),
]


@pytest.mark.parametrize(("binding", "exchange", "key", "body"), LIVE, ids=[row[0] for row in LIVE])
@pytest_twisted.ensureDeferred
async def test_events_whose_key_says_whose_they_are(
    stage: Stage, binding: str, exchange: str, key: Any, body: dict[str, Any]
) -> None:
    client, top = await stage.client(), await stage.client(TOP)
    await client.ask("subscribe", {"account_id": RESELLER, "binding": binding})
    await top.ask("subscribe", {"account_id": "*", "binding": binding})
    for account in (CHILD, RESELLER):
        await stage.publish(exchange, key(account), **{"Msg-ID": account, **body})
    event = await client.event()
    assert (event["routing_key"], event["subscribed_key"], event["data"]["msg_id"]) == (
        key(RESELLER),
        binding,
        RESELLER,
    )
    assert [(await top.event())["data"]["msg_id"] for _ in range(2)] == [CHILD, RESELLER]
    assert not client.events.pending


@pytest_twisted.ensureDeferred
async def test_notifications_and_parked_calls(stage: Stage) -> None:
    client, top = await stage.client(), await stage.client(TOP)
    await client.ask("subscribe", {"account_id": RESELLER, "bindings": ["notification.*", "parking.*"]})
    await top.ask("subscribe", {"account_id": "*", "binding": "notification.*"})
    for account in (CHILD, RESELLER):
        await stage.publish(
            "notifications",
            "notifications.system.alert",
            **{"Event-Name": "system_alert", "Account-ID": account},
        )
        await stage.publish(
            "notifications",
            "notifications.voicemail.new",
            **{"Event-Name": "voicemail_new", "Account-ID": account},
        )
        await stage.call(account, "PARK_PARKED")
    events = [await client.event() for _ in range(2)]
    assert [(event["name"], event["subscription_key"]) for event in events] == [
        ("voicemail_new", f"notification.{RESELLER}.*"),
        ("PARK_PARKED", f"parking.{RESELLER}.*"),
    ]
    assert [(await top.event())["name"] for _ in range(4)] == ["system_alert", "voicemail_new"] * 2
    assert not client.events.pending


@pytest_twisted.ensureDeferred
async def test_a_call_without_an_account_is_that_of_the_numbers_owner(stage: Stage) -> None:
    owner, other, top = await stage.client(), await stage.client(CHILD), await stage.client(TOP)
    for client, account in ((owner, RESELLER), (other, CHILD), (top, "*")):
        await client.ask(
            "subscribe", {"account_id": account, "bindings": ["call.CHANNEL_CREATE.*", "parking.*"]}
        )
    await stage.bridge.database.write(
        lambda connection: phone_numbers.insert(connection, RESELLER, "4722555019", 0.0)
    )
    await stage.bridge.directory.load()
    for number in ("+4722555019", "+4722555020"):
        for name in ("CHANNEL_CREATE", "PARK_PARKED"):
            await stage.call(None, name, Request=f"{number}@carrier.example.com")
    await stage.call(CHILD)
    assert [(await owner.event())["subscription_key"] for _ in range(2)] == [
        f"call.{RESELLER}.CHANNEL_CREATE.*",
        f"parking.{RESELLER}.*",
    ]
    assert (await other.event())["routing_key"] == f"call.{CHILD}.CHANNEL_CREATE.call-1"
    shown = [
        event["routing_key"]
        for event in [await top.event() for _ in range(5)]
        if event["subscribed_key"] != "parking.*"
    ]
    assert shown == [f"call.{whose}.CHANNEL_CREATE.call-1" for whose in (RESELLER, "undefined", CHILD)]
    assert not owner.events.pending


@pytest_twisted.ensureDeferred
async def test_commands_to_a_conference_are_kept_from_those_they_do_not_concern(stage: Stage) -> None:
    client = await stage.client()
    await client.ask("subscribe", {"account_id": RESELLER, "binding": "conference.command.c1"})
    for account in ({"Account-ID": CHILD}, {}, {"Account-ID": RESELLER}):
        await stage.publish(
            "conference",
            "conference.command.c1",
            **{"Event-Name": "command", "Application-Name": "mute", **account},
        )
    assert "account_id" not in (await client.event())["data"]
    assert (await client.event())["data"]["account_id"] == RESELLER


@pytest_twisted.ensureDeferred
async def test_one_event_for_two_bindings_comes_twice(stage: Stage) -> None:
    client = await stage.client()
    await client.ask(
        "subscribe", {"account_id": RESELLER, "bindings": ["call.*.*", "call.CHANNEL_CREATE.call-1"]}
    )
    await stage.call(RESELLER, call_id="other")
    await stage.call(RESELLER)
    events = [await client.event() for _ in range(3)]
    assert sorted((event["data"]["call_id"], event["subscribed_key"]) for event in events) == [
        ("call-1", "call.*.*"),
        ("call-1", "call.CHANNEL_CREATE.call-1"),
        ("other", "call.*.*"),
    ]


@pytest_twisted.ensureDeferred
async def test_the_broker_is_asked_only_for_what_somebody_wants(stage: Stage) -> None:
    one, two = await stage.client(), await stage.client(CHILD)
    topics = stage.bridge.websockets.fanout.index.topics
    await one.ask("subscribe", {"account_id": RESELLER, "binding": "call.CHANNEL_CREATE.*"})
    await two.ask("subscribe", {"account_id": CHILD, "binding": "call.CHANNEL_CREATE.*"})
    await two.ask("subscribe", {"account_id": CHILD, "binding": "call.CHANNEL_CREATE.*"})
    assert {(topic.pattern, count) for topic, count in topics.items()} == {("call.CHANNEL_CREATE.*", 2)}
    await one.ask("unsubscribe", {"account_id": RESELLER, "binding": "call.CHANNEL_CREATE.*"})
    await stage.call(CHILD)
    assert (await two.event())["name"] == "CHANNEL_CREATE"
    await two.close()
    assert not topics
