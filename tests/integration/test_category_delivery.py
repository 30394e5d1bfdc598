"""KAZOO's messages become HTTP requests: every category, with a running node, a broker and a web server."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pika
import pytest

from tests.integration.node_process import NodeProcess, eventually
from tests.integration.rabbitmq import RabbitNode
from tests.integration.web_receiver import Arrival, WebReceiver

TOP, ACCOUNT = "c40b8d2e6f1a4795b3d80e7c52a9f613", "3f0a9c51d7e84b62a1c05d9e7b2f4860"
DB = "account%2F3f%2F0a%2F9c51d7e84b62a1c05d9e7b2f4860"
ENVELOPE = {"App-Name": "a", "App-Version": "v", "Msg-ID": "m"}
FLAT_ENVELOPE = {"app_name": "a", "app_version": "v", "msg_id": "m"}


class Harness:
    """A node, a web server that receives its webhooks, and a connection for publishing."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.receiver = WebReceiver()
        self.node = NodeProcess(folder, uri, '[webhooks]\ncluster_id = "cl"\n')
        self.node.command("account", "create", "--id", TOP, "--superadmin")
        self.node.command("account", "create", "--id", ACCOUNT, "--parent", TOP)
        self.tokens = {
            account_id: self.node.command("token", "create", "--account", account_id)
            for account_id in (TOP, ACCOUNT)
        }
        self.node.start()
        self._connection = pika.BlockingConnection(pika.URLParameters(uri))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def create_hook(self, account_id: str = ACCOUNT, **document: Any) -> str:
        given = {"name": "n", "uri": f"{self.receiver.url}/in?own=1", **document}
        response = self.node.rest(
            "PUT", f"/v2/accounts/{account_id}/webhooks", self.tokens[account_id], given
        )
        assert response.status_code == 201, response.text
        hook_id: str = response.json()["data"]["id"]
        return hook_id

    def delete_hooks(self) -> None:
        for account_id, token in self.tokens.items():
            for hook in self.node.rest("GET", f"/v2/accounts/{account_id}/webhooks", token).json()["data"]:
                self.node.rest("DELETE", f"/v2/accounts/{account_id}/webhooks/{hook['id']}", token)
        self.receiver.arrivals.clear()

    def publish(
        self, exchange: str, routing_key: str, body: dict[str, Any], *, compress: bool = False
    ) -> None:
        raw = json.dumps(body).encode()
        properties = pika.BasicProperties(
            content_type="application/json", content_encoding="gzip" if compress else None
        )
        self._channel.basic_publish(
            exchange, routing_key, gzip.compress(raw) if compress else raw, properties
        )

    def stop(self) -> None:
        self._connection.close()
        self.node.stop()
        self.receiver.stop()


@pytest.fixture(scope="module")
def running_harness(tmp_path_factory: pytest.TempPathFactory, rabbit: RabbitNode) -> Iterator[Harness]:
    made = Harness(tmp_path_factory.mktemp("node"), rabbit.fresh_vhost())
    yield made
    made.stop()


@pytest.fixture
def harness(running_harness: Harness) -> Iterator[Harness]:
    """The running node, without hooks."""
    yield running_harness
    running_harness.delete_hooks()


def make_call(name: str, **more: Any) -> dict[str, Any]:
    return {
        **ENVELOPE,
        "Event-Category": "call_event",
        "Event-Name": name,
        "Call-ID": "c@1.2.3.4",
        "Custom-Channel-Vars": {"Account-ID": ACCOUNT, "Own": "ž"},
        **more,
    }


def channel_payload(hook: str, **more: Any) -> dict[str, Any]:
    return {
        "hook_event": hook,
        "account_id": ACCOUNT,
        "call_id": "c@1.2.3.4",
        "custom_channel_vars": {"Own": "ž"},
        "emergency_resource_used": False,
        "is_internal_leg": False,
        "local_resource_used": True,
        "reseller_id": TOP,
        **more,
    }


def make_change(action: str, database: str, kind: str, document_id: str, **more: Any) -> dict[str, Any]:
    return {
        **ENVELOPE,
        "Event-Category": "configuration",
        "Event-Name": action,
        "ID": document_id,
        "Database": database,
        "Type": kind,
        **more,
    }


def make_notification(name: str, **more: Any) -> dict[str, Any]:
    return {**ENVELOPE, "Event-Category": "notification", "Event-Name": name, "Account-ID": ACCOUNT, **more}


def notification_payload(name: str, **more: Any) -> dict[str, Any]:
    return {
        **FLAT_ENVELOPE,
        "event_category": "notification",
        "event_name": name,
        "account_id": ACCOUNT,
        **more,
    }


def make_text(kind: str) -> dict[str, Any]:
    return {
        **ENVELOPE,
        "Event-Category": kind,
        "Event-Name": "inbound",
        "Message-ID": "t1",
        "Account-ID": ACCOUNT,
        "From": "+1",
        "To": "+2",
        "Body": "hei & på\nø 👋 " + "lang " * 3000,
        "Route-Type": "offnet",
    }


def text_payload(kind: str) -> dict[str, Any]:
    return {
        "id": "t1",
        "account_id": ACCOUNT,
        "type": kind,
        "from": "+1",
        "to": "+2",
        "body": make_text(kind)["Body"],
        "origin": "offnet",
    }


#: name, hook document, exchange, routing key, message, payload
CASES: list[tuple[str, dict[str, Any], str, str, dict[str, Any], dict[str, Any]]] = [
    *(
        (
            hook,
            {"hook": hook},
            "callevt",
            f"call.{event}.c%401%2E2%2E3%2E4",
            make_call(event),
            channel_payload(hook),
        )
        for event, hook in (
            ("CHANNEL_CREATE", "channel_create"),
            ("CHANNEL_ANSWER", "channel_answer"),
            ("CHANNEL_HOLD", "channel_hold"),
            ("CHANNEL_UNHOLD", "channel_unhold"),
        )
    ),
    (
        "channel_bridge",
        {"hook": "channel_bridge"},
        "callevt",
        "call.CHANNEL_BRIDGE.c",
        make_call("CHANNEL_BRIDGE", **{"Other-Leg-Destination-Number": "2002"}),
        channel_payload("channel_bridge", other_leg_destination_number="2002"),
    ),
    (
        "channel_destroy",
        {"hook": "channel_destroy"},
        "callevt",
        "call.CHANNEL_DESTROY.c",
        make_call("CHANNEL_DESTROY", **{"Hangup-Cause": "NORMAL_CLEARING", "Duration-Seconds": 12}),
        channel_payload("channel_destroy", hangup_cause="NORMAL_CLEARING", duration_seconds=12),
    ),
    (
        "parking",
        {"hook": "parking"},
        "callevt",
        "call.PARK_PARKED.c",
        make_call("PARK_PARKED", **{"Parking-Slot": "101"}),
        {"event_name": "PARK_PARKED", "call_id": "c@1.2.3.4", "parking_slot": "101", "account_id": ACCOUNT},
    ),
    (
        "object in the account's database",
        {"hook": "object", "custom_data": {"type": "user", "action": "all"}},
        "configuration",
        f"doc_edited.{DB}.user.u1",
        make_change("doc_edited", DB, "user", "u1"),
        {"id": "u1", "account_id": ACCOUNT, "action": "doc_edited", "type": "user"},
    ),
    (
        "object in the monthly database",
        {"hook": "object", "custom_data": {"type": "all", "action": "doc_created"}},
        "configuration",
        f"doc_created.{DB}-202611.fax.202611-f1",
        make_change("doc_created", f"{DB}-202611", "fax", "202611-f1"),
        {"id": "202611-f1", "account_id": ACCOUNT, "action": "doc_created", "type": "fax"},
    ),
    (
        "object of a type that can only be chosen together with all others",
        {"hook": "object", "custom_data": {"type": "all", "action": "all"}},
        "configuration",
        f"doc_deleted.{DB}.menu.m1",
        make_change("doc_deleted", DB, "menu", "m1"),
        {"id": "m1", "account_id": ACCOUNT, "action": "doc_deleted", "type": "menu"},
    ),
    (
        "object in the aggregate database, soft-deleted",
        {"hook": "object", "custom_data": {"type": "account", "action": "doc_deleted"}},
        "configuration",
        f"doc_edited.accounts.account.{ACCOUNT}",
        make_change("doc_edited", "accounts", "account", ACCOUNT, **{"Is-Soft-Deleted": True}),
        {"id": ACCOUNT, "account_id": ACCOUNT, "action": "doc_deleted", "type": "account"},
    ),
    (
        "notifications of one type",
        {"hook": "notifications", "custom_data": {"type": "voicemail_new", "own": "x"}},
        "notifications",
        "notifications.voicemail.new",
        make_notification(
            "voicemail_new",
            **{
                "Voicemail-Box": "b",
                "Voicemail-Transcription": {"Text": "hei", "None": None},
                "Voicemail-Length": 3,
            },
        ),
        notification_payload(
            "voicemail_new",
            voicemail_box="b",
            voicemail_transcription={"text": "hei"},
            voicemail_length=3,
            own="x",
        ),
    ),
    (
        "notifications of all types",
        {"hook": "notifications", "custom_data": {"type": "all"}},
        "notifications",
        "notifications.sip.missed_call",
        make_notification("missed_call", **{"Call-ID": "c"}),
        notification_payload("missed_call", call_id="c"),
    ),
    *(
        (
            f"{hook} (former hook) receives {event}",
            {"hook": hook},
            "notifications",
            f"notifications.fax.{key_name}",
            make_notification(event, **{"Fax-ID": "f"}),
            notification_payload(event, fax_id="f"),
        )
        for hook, event, key_name in (
            ("inbound_fax", "inbound_fax", "inbound"),
            ("inbound_fax", "inbound_fax_error", "inbound_error"),
            ("outbound_fax", "outbound_fax", "outbound"),
            ("outbound_fax", "outbound_fax_error", "outbound_error"),
        )
    ),
    ("sms", {"hook": "sms"}, "im", "sms.inbound.offnet.t1", make_text("sms"), text_payload("sms")),
    ("mms", {"hook": "mms"}, "im", "mms.inbound.offnet.t1", make_text("mms"), text_payload("mms")),
    (
        "conference",
        {"hook": "conference", "custom_data": {"type": "add-member"}},
        "conference",
        f"conference.event.add-member.{ACCOUNT}.conf.c",
        {
            **ENVELOPE,
            "Event-Category": "conference",
            "Event-Name": "event",
            "Event": "add-member",
            "Conference-ID": "conf",
            "Account-ID": ACCOUNT,
        },
        {"event_name": "event", "event": "add-member", "conference_id": "conf", "account_id": ACCOUNT},
    ),
    (
        "fax_status",
        {"hook": "fax_status"},
        "faxes",
        f"fax.status.{ACCOUNT}.j1",
        {
            **ENVELOPE,
            "Event-Category": "fax",
            "Event-Name": "status",
            "Job-ID": "j1",
            "Fax-State": "send",
            "Account-ID": ACCOUNT,
        },
        {"event_name": "status", "job_id": "j1", "fax_state": "send", "account_id": ACCOUNT},
    ),
    (
        "all",
        {"hook": "all"},
        "callevt",
        "call.CHANNEL_CREATE.c",
        make_call("CHANNEL_CREATE"),
        channel_payload("channel_create"),
    ),
]


def flattened(payload: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Return the fields of a form with this payload, which must have no lists."""
    pairs: dict[str, str] = {}
    for name, value in payload.items():
        full = f"{prefix}[{name}]" if prefix else name
        if isinstance(value, dict):
            pairs |= flattened(value, full)
        else:
            pairs[full] = str(value).lower() if isinstance(value, bool) else str(value)
    return pairs


def only_arrival(harness: Harness) -> Arrival:
    (arrival,) = harness.receiver.wait_for(1)
    return arrival


@pytest.mark.parametrize("form", ["json", "form-data", "get", "put"])
@pytest.mark.parametrize(
    ("document", "exchange", "routing_key", "body", "payload"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_an_event_arrives_as_the_exact_request(
    harness: Harness,
    document: dict[str, Any],
    exchange: str,
    routing_key: str,
    body: dict[str, Any],
    payload: dict[str, Any],
    form: str,
) -> None:
    if form == "get" and len(str(payload)) > 4000:
        payload = {**payload, "body": "kort & ø"}
        body = {**body, "Body": "kort & ø"}
    how = {"get": {"http_verb": "get"}, "put": {"http_verb": "put", "format": "json"}}.get(
        form, {"format": form}
    )
    hook_id = harness.create_hook(**document, **how)
    harness.publish(exchange, routing_key, body, compress=exchange == "im")
    arrival = only_arrival(harness)
    headers = {name.lower(): value for name, value in arrival.headers.items()}
    assert (headers["x-hook-id"], headers["x-account-id"]) == (hook_id, ACCOUNT)
    payload = {**payload, "cluster_id": "cl"}
    parts = urlsplit(arrival.path)
    assert parts.path == "/in"
    if form == "get":
        assert (arrival.method, arrival.body) == ("GET", "")
        assert dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True)) == {
            "own": "1",
            **flattened(payload),
        }
        return
    assert parts.query == "own=1"
    assert arrival.method == ("PUT" if form == "put" else "POST")
    if form == "form-data":
        assert headers["content-type"] == "application/x-www-form-urlencoded"
        assert dict(parse_qsl(arrival.body, keep_blank_values=True, strict_parsing=True)) == flattened(
            payload
        )
    else:
        assert headers["content-type"] == "application/json"
        assert json.loads(arrival.body) == payload


def publish_marker(harness: Harness) -> None:
    """Publish an event that arrives after everything that was published before it has been handled."""
    harness.create_hook(hook="channel_answer", name="marker", uri=f"{harness.receiver.url}/marker")
    harness.publish("callevt", "call.CHANNEL_ANSWER.c", make_call("CHANNEL_ANSWER"))


@pytest.mark.parametrize(
    ("document", "exchange", "routing_key", "body"),
    [
        (
            {"hook": "object", "custom_data": {"type": "user", "action": "doc_edited"}},
            "configuration",
            f"doc_edited.{DB}.device.d",
            make_change("doc_edited", DB, "device", "d"),
        ),
        (
            {"hook": "object", "custom_data": {"type": "user", "action": "doc_edited"}},
            "configuration",
            f"doc_created.{DB}.user.d",
            make_change("doc_created", DB, "user", "d"),
        ),
        (
            {"hook": "notifications", "custom_data": {"type": "register"}},
            "notifications",
            "notifications.sip.deregister",
            make_notification("deregister"),
        ),
        (
            {"hook": "inbound_fax"},
            "notifications",
            "notifications.fax.outbound",
            make_notification("outbound_fax"),
        ),
        (
            {"hook": "conference", "custom_data": {"type": "lock"}},
            "conference",
            f"conference.event.unlock.{ACCOUNT}.c.c",
            {"Event-Name": "event", "Event": "unlock", "Account-ID": ACCOUNT},
        ),
        ({"hook": "sms"}, "im", "mms.inbound.offnet.t1", make_text("mms")),
        (
            {"hook": "channel_destroy"},
            "callevt",
            "call.CHANNEL_DISCONNECTED.c",
            make_call("CHANNEL_DISCONNECTED"),
        ),
        (
            {"hook": "channel_create", "include_internal_legs": False},
            "callevt",
            "call.CHANNEL_CREATE.c",
            make_call("CHANNEL_CREATE", **{"Channel-Name": "loopback/x"}),
        ),
        (
            {"hook": "channel_create", "modifiers": {"call_direction": "inbound"}},
            "callevt",
            "call.CHANNEL_CREATE.c",
            make_call("CHANNEL_CREATE", **{"Call-Direction": "outbound"}),
        ),
        (
            {"hook": "channel_create", "enabled": False},
            "callevt",
            "call.CHANNEL_CREATE.c",
            make_call("CHANNEL_CREATE"),
        ),
    ],
)
def test_an_event_that_the_hook_does_not_select_does_not_arrive(
    harness: Harness, document: dict[str, Any], exchange: str, routing_key: str, body: dict[str, Any]
) -> None:
    harness.create_hook(**document)
    harness.publish(exchange, routing_key, body)
    publish_marker(harness)
    arrivals = harness.receiver.wait_for(1)
    expected = 2 if document["hook"] == "all" else 1  # a hook for all events receives the marker, too
    assert [one.path for one in harness.receiver.wait_for(expected)].count("/marker") == 1
    assert all("CHANNEL_ANSWER" in one.body or "channel_answer" in one.body for one in arrivals)


def test_a_callflow_sends_an_inline_hook(harness: Harness) -> None:
    document = {
        "_id": "0f" * 16,
        "uri": f"{harness.receiver.url}/callflow",
        "http_verb": "post",
        "retries": 1,
        "custom_data": {"own": "x"},
        "pvt_account_id": ACCOUNT,
        "hook": "notifications",
    }
    body = {
        **ENVELOPE,
        "Event-Category": "notification",
        "Event-Name": "webhook",
        "Hook": document,
        "Data": {"Call-ID": "c", "Digits": {"A-B": 1}, "N": None},
    }
    harness.publish("notifications", "notifications.webhook.callflow", body)
    arrival = only_arrival(harness)
    headers = {name.lower(): value for name, value in arrival.headers.items()}
    assert (arrival.method, arrival.path, headers["x-hook-id"], headers["x-account-id"]) == (
        "POST",
        "/callflow",
        "0f" * 16,
        ACCOUNT,
    )
    assert arrival.form == {"call_id": "c", "digits[a_b]": "1", "own": "x", "cluster_id": "cl"}


def test_an_inline_hook_does_not_reach_internal_networks(harness: Harness) -> None:
    document = {"_id": "0e" * 16, "uri": "http://10.0.0.1/", "retries": 0, "pvt_account_id": ACCOUNT}
    body = {
        **ENVELOPE,
        "Event-Category": "notification",
        "Event-Name": "webhook",
        "Hook": document,
        "Data": {"Call-ID": "c"},
    }
    harness.publish("notifications", "notifications.webhook.callflow", body)
    publish_marker(harness)
    (arrival,) = harness.receiver.wait_for(1)
    assert arrival.path == "/marker"


def test_a_call_without_an_account_belongs_to_the_owner_of_the_called_number(harness: Harness) -> None:
    harness.node.command("number", "add", "--account", ACCOUNT, "+4722555019")
    harness.create_hook(hook="channel_create", format="json")
    body = {
        **make_call("CHANNEL_CREATE"),
        "Custom-Channel-Vars": {"Own": "ž"},
        "Request": "+4722555019@sip.example.net",
    }

    def has_arrived() -> bool:
        # The node learns of the number within a second; until then the call belongs to no account.
        harness.publish("callevt", "call.CHANNEL_CREATE.c", body)
        return bool(harness.receiver.arrivals)

    eventually(has_arrived, "the call reaches the owner of the number")
    payload = channel_payload("channel_create", request="+4722555019@sip.example.net", cluster_id="cl")
    assert json.loads(harness.receiver.arrivals[0].body) == payload
    harness.node.command("number", "remove", "4722555019")


@pytest.mark.parametrize("event", ["disabled", "recovered"])
def test_an_account_hears_of_its_own_hooks(harness: Harness, event: str) -> None:
    harness.create_hook(
        ACCOUNT, hook="notifications", custom_data={"type": f"webhook_{event}"}, format="json"
    )
    harness.publish(
        "notifications",
        f"notifications.webhook.{event}",
        make_notification(f"webhook_{event}", **{"Hook-ID": "h"}),
    )
    assert json.loads(only_arrival(harness).body)["hook_id"] == "h"


def test_an_account_receives_the_events_of_accounts_below(harness: Harness) -> None:
    hook_id = harness.create_hook(TOP, hook="all", include_subaccounts=True)
    harness.create_hook(TOP, hook="all", name="without", uri=f"{harness.receiver.url}/without")
    harness.publish("callevt", "call.CHANNEL_CREATE.c", make_call("CHANNEL_CREATE"))
    arrival = only_arrival(harness)
    headers = {name.lower(): value for name, value in arrival.headers.items()}
    assert (headers["x-hook-id"], headers["x-account-id"], arrival.form["account_id"]) == (
        hook_id,
        TOP,
        ACCOUNT,
    )
