from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge import __version__
from kazoo_bridge.interfaces import Secret, StoredHook
from kazoo_bridge.kazoo import Event
from kazoo_bridge.webhooks.kazoo_messages import (
    doc_type_updated,
    hook_changed,
    webhook_disabled,
    webhook_recovered,
)

ACCOUNT, HOOK = "a" * 32, "b" * 32


def assert_envelope(body: dict[str, Any], category: str, name: str) -> None:
    assert (body["App-Name"], body["App-Version"]) == ("kazoo_bridge", __version__)
    assert (body["Event-Category"], body["Event-Name"]) == (category, name)
    assert len(body["Msg-ID"]) >= 1


@pytest.mark.parametrize(
    ("action", "deleted"), [("doc_created", False), ("doc_edited", False), ("doc_deleted", True)]
)
def test_a_changed_hook_is_published_without_its_document(action: str, deleted: bool) -> None:
    hook = StoredHook(HOOK, ACCOUNT, {"uri": "hunter2"}, "2-x", 10, 20, (Secret("hunter2"),))
    exchange, routing_key, body = hook_changed(action, hook, "node-1")
    assert (exchange, routing_key) == ("configuration", f"{action}.webhooks.webhook.{HOOK}")
    assert_envelope(body, "configuration", action)
    assert {name: body[name] for name in ("ID", "Account-ID", "Rev", "Node", "Type", "Database")} == {
        "ID": HOOK,
        "Account-ID": ACCOUNT,
        "Rev": "2-x",
        "Node": "node-1",
        "Type": "webhook",
        "Database": "webhooks",
    }
    assert (body["Date-Created"], body["Date-Modified"], body["Is-Soft-Deleted"]) == (10, 20, deleted)
    assert "hunter2" not in repr(body)


def test_a_special_character_of_an_id_is_encoded_in_the_routing_key() -> None:
    hook = StoredHook("a.b", ACCOUNT, {}, "1-x", 0, 0)
    assert hook_changed("doc_edited", hook, "n")[1] == "doc_edited.webhooks.webhook.a%2Eb"


def test_a_disabled_hook_is_a_notification() -> None:
    exchange, routing_key, body = webhook_disabled(ACCOUNT, HOOK)
    assert (exchange, routing_key) == ("notifications", "notifications.webhook.disabled")
    assert_envelope(body, "notification", "webhook_disabled")
    assert (body["Account-ID"], body["Hook-ID"]) == (ACCOUNT, HOOK)


def test_a_recovered_hook_is_a_notification() -> None:
    exchange, routing_key, body = webhook_recovered(ACCOUNT, HOOK)
    assert (exchange, routing_key) == ("notifications", "notifications.webhook.recovered")
    assert_envelope(body, "notification", "webhook_recovered")
    assert (body["Account-ID"], body["Hook-ID"]) == (ACCOUNT, HOOK)


def command(body: dict[str, Any]) -> Event:
    return Event("configuration", "configuration.doc_type_update.webhook", body, b"")


def test_a_command_is_answered_to_its_server_id() -> None:
    reply = doc_type_updated(command({"Server-ID": "amq.gen-x", "Msg-ID": "m1"}))
    assert reply is not None
    exchange, routing_key, body = reply
    assert (exchange, routing_key) == ("targeted", "amq.gen-x")
    assert_envelope(body, "configuration", "doc_type_updated")
    assert (body["Msg-ID"], body["status"]) == ("m1", "success")


@pytest.mark.parametrize("request_body", [{}, {"Server-ID": ""}, {"Server-ID": 7}, {"Server-ID": "é" * 128}])
def test_a_command_without_an_address_has_no_reply(request_body: dict[str, Any]) -> None:
    assert doc_type_updated(command(request_body)) is None
