"""Events of every category reach the account that they belong to, and no other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_twisted

from kazoo_bridge.kazoo import account_db, monthly_db
from kazoo_bridge.storage import phone_numbers
from tests.websockets.harness import CHILD, RESELLER, TOP, Harness

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
        lambda account: f"doc_edited.{_db(account)}.user.u1",
        {"Event-Name": "doc_edited"},
    ),
    (
        "doc_edited.*.user.*",
        "configuration",
        lambda account: f"doc_edited.{_db(account)}.user.u1",
        {"Event-Name": "doc_edited"},
    ),
    (
        "object.*.*",
        "configuration",
        lambda account: f"doc_created.{_month(account)}.fax.f1",
        {"Event-Name": "doc_created"},
    ),
    (
        "fax.object.doc_created",
        "configuration",
        lambda account: f"doc_created.{_month(account)}.fax.f1",
        {"Event-Name": "doc_created"},
    ),
    ("fax.status.*", "faxes", lambda account: f"fax.status.{account}.f1", {"Event-Name": "status"}),
    (
        "conference.event.c1.*",
        "conference",
        lambda account: f"conference.event.add-member.{account}.c1.call",
        {"Event-Name": "event"},
    ),
    (
        "conference.event.*.*",
        "conference",
        lambda account: f"conference.event.add-member.{account}.c2.call",
        {"Event-Name": "event"},
    ),
    (
        "presence.dialog.*",
        "presence",
        lambda account: f"dialog.{REALM[account]}.c1",
        {"Event-Name": "dialog"},
    ),
    (
        "presence.mwi_updates.201",
        "presence",
        lambda account: f"mwi_updates.{REALM[account]}.201",
        {"Event-Name": "mwi_update"},
    ),
]


@pytest.mark.parametrize(("binding", "exchange", "key", "body"), LIVE, ids=[row[0] for row in LIVE])
@pytest_twisted.ensureDeferred
async def test_events_with_the_account_in_their_key(
    harness: Harness, binding: str, exchange: str, key: Any, body: dict[str, Any]
) -> None:
    client, top = await harness.connect(), await harness.connect(TOP)
    await client.request("subscribe", {"account_id": RESELLER, "binding": binding})
    await top.request("subscribe", {"account_id": "*", "binding": binding})
    for account in (CHILD, RESELLER):
        await harness.publish(exchange, key(account), **{"Msg-ID": account, **body})
    event = await client.event()
    assert (event["routing_key"], event["subscribed_key"], event["data"]["msg_id"]) == (
        key(RESELLER),
        binding.removeprefix("presence."),
        RESELLER,
    )
    assert [(await top.event())["data"]["msg_id"] for _ in range(2)] == [CHILD, RESELLER]
    assert not client.events.pending


@pytest.mark.parametrize("ending", ["presence.dialog.*", "dialog.*"])
@pytest_twisted.ensureDeferred
async def test_presence_is_shown_without_its_first_word(harness: Harness, ending: str) -> None:
    client = await harness.connect()
    bindings = ["presence.dialog.*", "presence.update.*", "dialog.*"]
    answer = await client.request("subscribe", {"account_id": RESELLER, "bindings": bindings})
    assert answer["data"] == {"subscribed": ["dialog.*", "update.*"]}
    await harness.publish("presence", f"dialog.{REALM[RESELLER]}.c1", **{"Event-Name": "dialog"})
    event = await client.event()
    assert (event["subscribed_key"], event["subscription_key"]) == (
        "dialog.*",
        f"dialog.{REALM[RESELLER]}.*",
    )
    assert not client.events.pending
    answer = await client.request("unsubscribe", {"account_id": RESELLER, "binding": ending})
    assert answer["data"] == {"unsubscribed": ["dialog.*"], "subscribed": ["update.*"]}


@pytest_twisted.ensureDeferred
async def test_notifications_and_parked_calls(harness: Harness) -> None:
    client, top = await harness.connect(), await harness.connect(TOP)
    await client.request("subscribe", {"account_id": RESELLER, "bindings": ["notification.*", "parking.*"]})
    await top.request("subscribe", {"account_id": "*", "binding": "notification.*"})
    for account in (CHILD, RESELLER):
        await harness.publish(
            "notifications",
            "notifications.system.alert",
            **{"Event-Name": "system_alert", "Account-ID": account},
        )
        await harness.publish(
            "notifications",
            "notifications.voicemail.new",
            **{"Event-Name": "voicemail_new", "Account-ID": account},
        )
        await harness.publish_call(account, "PARK_PARKED")
    events = [await client.event() for _ in range(2)]
    assert [(event["name"], event["subscription_key"]) for event in events] == [
        ("voicemail_new", f"notification.{RESELLER}.*"),
        ("PARK_PARKED", f"parking.{RESELLER}.*"),
    ]
    assert [(await top.event())["name"] for _ in range(4)] == ["system_alert", "voicemail_new"] * 2
    assert not client.events.pending


@pytest_twisted.ensureDeferred
async def test_a_call_without_an_account_belongs_to_the_owner_of_the_called_number(harness: Harness) -> None:
    owner, other, top = await harness.connect(), await harness.connect(CHILD), await harness.connect(TOP)
    for client, account in ((owner, RESELLER), (other, CHILD), (top, "*")):
        await client.request(
            "subscribe", {"account_id": account, "bindings": ["call.CHANNEL_CREATE.*", "parking.*"]}
        )
    await harness.node.database.write(
        lambda connection: phone_numbers.insert(connection, RESELLER, "4722555019", 0.0)
    )
    await harness.node.directory.load()
    for number in ("+4722555019", "+4722555020"):
        for name in ("CHANNEL_CREATE", "PARK_PARKED"):
            await harness.publish_call(None, name, Request=f"{number}@carrier.example.com")
    await harness.publish_call(CHILD)
    assert [(await owner.event())["subscription_key"] for _ in range(2)] == [
        f"call.{RESELLER}.CHANNEL_CREATE.*",
        f"parking.{RESELLER}.*",
    ]
    assert (await other.event())["routing_key"] == f"call.{CHILD}.CHANNEL_CREATE.call-1"
    keys = [
        event["routing_key"]
        for event in [await top.event() for _ in range(5)]
        if event["subscribed_key"] != "parking.*"
    ]
    assert keys == [
        f"call.{account_id}.CHANNEL_CREATE.call-1" for account_id in (RESELLER, "undefined", CHILD)
    ]
    assert not owner.events.pending


@pytest_twisted.ensureDeferred
async def test_commands_to_another_accounts_conference_are_not_delivered(harness: Harness) -> None:
    client = await harness.connect()
    await client.request("subscribe", {"account_id": RESELLER, "binding": "conference.command.c1"})
    for account in ({"Account-ID": CHILD}, {}, {"Account-ID": RESELLER}):
        await harness.publish(
            "conference",
            "conference.command.c1",
            **{"Event-Name": "command", "Application-Name": "mute", **account},
        )
    assert (await client.event())["data"]["account_id"] == RESELLER


@pytest_twisted.ensureDeferred
async def test_an_event_for_two_bindings_comes_twice(harness: Harness) -> None:
    client = await harness.connect()
    await client.request(
        "subscribe", {"account_id": RESELLER, "bindings": ["call.*.*", "call.CHANNEL_CREATE.call-1"]}
    )
    await harness.publish_call(RESELLER, call_id="other")
    await harness.publish_call(RESELLER)
    events = [await client.event() for _ in range(3)]
    assert sorted((event["data"]["call_id"], event["subscribed_key"]) for event in events) == [
        ("call-1", "call.*.*"),
        ("call-1", "call.CHANNEL_CREATE.call-1"),
        ("other", "call.*.*"),
    ]


@pytest_twisted.ensureDeferred
async def test_only_subscribed_topics_are_bound(harness: Harness) -> None:
    one, two = await harness.connect(), await harness.connect(CHILD)
    topics = harness.websockets.fanout.index.topics
    await one.request("subscribe", {"account_id": RESELLER, "binding": "call.CHANNEL_CREATE.*"})
    await two.request("subscribe", {"account_id": CHILD, "binding": "call.CHANNEL_CREATE.*"})
    await two.request("subscribe", {"account_id": CHILD, "binding": "call.CHANNEL_CREATE.*"})
    assert {(topic.pattern, count) for topic, count in topics.items()} == {("call.CHANNEL_CREATE.*", 2)}
    await one.request("unsubscribe", {"account_id": RESELLER, "binding": "call.CHANNEL_CREATE.*"})
    await harness.publish_call(CHILD)
    assert (await two.event())["name"] == "CHANNEL_CREATE"
    await two.close()
    assert not topics
