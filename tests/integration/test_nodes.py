"""Two nodes on one broker and one storage."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from tests.integration.node_process import NodeProcess, eventually
from tests.integration.web_receiver import WebReceiver

ACCOUNT, CHILD = "1" * 32, "2" * 32

#: Seconds within which every node applies a change. The tests wait this time, because the next event
#: may reach either node.
CHANGE_TIMEOUT = 1.0


@pytest.fixture
def nodes(tmp_path: Path, vhost_uri: str) -> Iterator[list[NodeProcess]]:
    config = "[webhooks]\nattempt_failure_expiry_ms = 4000\n"
    nodes = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        nodes.append(
            NodeProcess(folder, vhost_uri, config, storage_uri=f"sqlite:///{tmp_path}/shared.sqlite3")
        )
    nodes[0].command("account", "create", "--id", ACCOUNT)
    nodes[0].command("account", "create", "--id", CHILD, "--parent", ACCOUNT)
    for node in nodes:
        node.start(wait=False)
    for node in nodes:
        eventually(node.is_ready, f"ready; its log:\n{node.log_text()[-2000:]}")
    yield nodes
    for node in nodes:
        node.stop()


class Broker:
    """Publishes and receives messages like KAZOO."""

    def __init__(self, uri: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(uri))
        self._channel = self._connection.channel()
        for exchange, kind in (
            ("callevt", "topic"),
            ("configuration", "topic"),
            ("notifications", "topic"),
            ("targeted", "direct"),
        ):
            self._channel.exchange_declare(exchange, kind)
        self._channel.confirm_delivery()
        self.received: list[tuple[str, dict[str, Any]]] = []

    def listen(self, exchange: str, pattern: str, queue: str = "") -> str:
        name: str = self._channel.queue_declare(queue, exclusive=True).method.queue
        self._channel.queue_bind(name, exchange, pattern)
        self._channel.basic_consume(name, self._on_message, auto_ack=True)
        return name

    def _on_message(self, _channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        self.received.append((method.routing_key, json.loads(body)))

    def publish(
        self, exchange: str, routing_key: str, body: dict[str, Any], *, mandatory: bool = False
    ) -> None:
        self._channel.basic_publish(exchange, routing_key, json.dumps(body).encode(), mandatory=mandatory)

    def call(self, account_id: str, call_id: str) -> None:
        variables = {"Account-ID": account_id}
        event = {
            "Event-Category": "call_event",
            "Event-Name": "CHANNEL_CREATE",
            "Call-ID": call_id,
            "Custom-Channel-Vars": variables,
        }
        self.publish("callevt", f"call.CHANNEL_CREATE.{call_id}", event)

    def wait_for(self, condition: Any, what: str) -> Any:
        def poll() -> Any:
            self._connection.process_data_events(0)
            return condition()

        return eventually(poll, what)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def broker(vhost_uri: str) -> Iterator[Broker]:
    broker = Broker(vhost_uri)
    yield broker
    broker.close()


def hooks_path(account_id: str = ACCOUNT, hook_id: str = "") -> str:
    return f"/v2/accounts/{account_id}/webhooks" + (f"/{hook_id}" if hook_id else "")


def call_ids(receiver: WebReceiver) -> list[str]:
    return sorted(one.form["call_id"] for one in receiver.arrivals)


def test_changes_of_hooks_apply_on_both_nodes(
    nodes: list[NodeProcess], broker: Broker, receiver: WebReceiver
) -> None:
    one, two = nodes
    token = one.command("token", "create", "--account", ACCOUNT)
    created = one.rest(
        "PUT", hooks_path(), token, {"name": "n", "uri": receiver.url, "hook": "channel_create"}
    ).json()["data"]
    started = time.monotonic()
    eventually(
        lambda: two.rest("GET", hooks_path(hook_id=created["id"]), token).status_code == 200,
        "the hook on the other node",
    )
    # The nodes share the queue: a node without the hook would lose its part of these events.
    time.sleep(max(0.0, CHANGE_TIMEOUT - (time.monotonic() - started)))
    for number in range(20):
        broker.call(ACCOUNT, f"a{number}")
    receiver.wait_for(20)
    assert call_ids(receiver) == sorted(f"a{number}" for number in range(20))

    assert (
        two.rest("PATCH", hooks_path(hook_id=created["id"]), token, {"custom_data": {"own": "1"}}).status_code
        == 200
    )
    time.sleep(CHANGE_TIMEOUT)
    for number in range(20):
        broker.call(ACCOUNT, f"b{number}")
    receiver.wait_for(40)
    assert all(one.form["own"] == "1" for one in receiver.arrivals[20:])

    assert one.rest("DELETE", hooks_path(hook_id=created["id"]), token).status_code == 200
    time.sleep(CHANGE_TIMEOUT)
    for number in range(20):
        broker.call(ACCOUNT, f"c{number}")
    # When a new hook has received a later event, the earlier ones have been handled.
    one.rest(
        "PUT", hooks_path(), token, {"name": "n", "uri": f"{receiver.url}/last", "hook": "channel_create"}
    )
    time.sleep(CHANGE_TIMEOUT)
    broker.call(ACCOUNT, "last")
    receiver.wait_for(41)
    assert [one.form["call_id"] for one in receiver.arrivals[40:]] == ["last"]


def test_the_command_hook_test_sends_a_sample(nodes: list[NodeProcess], receiver: WebReceiver) -> None:
    token = nodes[0].command("token", "create", "--account", ACCOUNT)
    hook = {
        "name": "n",
        "uri": receiver.url,
        "hook": "object",
        "custom_data": {"type": "vmbox", "action": "doc_deleted"},
    }
    hook_id = nodes[0].rest("PUT", hooks_path(), token, hook).json()["data"]["id"]
    assert nodes[0].command_process("hook", "test", "--account", ACCOUNT, "--id", hook_id) == "success"
    (arrival,) = receiver.arrivals
    assert (arrival.form["type"], arrival.form["action"], arrival.form["account_id"]) == (
        "vmbox",
        "doc_deleted",
        ACCOUNT,
    )
    (attempt,) = nodes[1].rest("GET", f"{hooks_path(hook_id=hook_id)}/attempts", token).json()["data"]
    assert (attempt["test"], attempt["result"]) == (True, "success")
    receiver.status = 500
    with pytest.raises(AssertionError):
        nodes[0].command_process("hook", "test", "--account", ACCOUNT, "--id", hook_id)
    with pytest.raises(AssertionError, match="has no hook"):
        nodes[0].command_process("hook", "test", "--account", CHILD, "--id", hook_id)


def test_failures_of_all_nodes_disable_a_hook_and_kazoo_can_enable_it_again(
    nodes: list[NodeProcess], broker: Broker
) -> None:
    one, two = nodes
    broker.listen("notifications", "notifications.webhook.disabled")
    broker.listen("targeted", "requester", "requester")
    token = one.command("token", "create", "--account", ACCOUNT)
    document = {"name": "n", "uri": "http://127.0.0.1:9/", "hook": "channel_create", "retries": 0}
    hook_id = one.rest("PUT", hooks_path(CHILD), token, document).json()["data"]["id"]
    eventually(
        lambda: two.rest("GET", hooks_path(CHILD, hook_id), token).status_code == 200,
        "the hook on the other node",
    )
    time.sleep(CHANGE_TIMEOUT)
    for number in range(6):
        broker.call(CHILD, f"d{number}")

    def disabled(node: NodeProcess) -> Any:
        return node.rest("GET", hooks_path(CHILD, hook_id), token).json()["data"].get("disable_reason")

    assert eventually(lambda: disabled(two), "the hook is disabled") == "too many failed attempts"
    notifications = broker.wait_for(
        lambda: [body for key, body in broker.received if key == "notifications.webhook.disabled"],
        "a notification",
    )
    assert [(body["Account-ID"], body["Hook-ID"]) for body in notifications] == [(CHILD, hook_id)]

    request = {
        "App-Name": "crossbar",
        "App-Version": "4.3",
        "Event-Category": "configuration",
        "Event-Name": "doc_type_update",
        "Msg-ID": "m1",
        "Server-ID": "requester",
        "Type": "webhook",
        "Action": "descendants",
        "Account-ID": ACCOUNT,
    }
    broker.publish("configuration", "configuration.doc_type_update.webhook", request, mandatory=True)
    replies = broker.wait_for(
        lambda: [body for key, body in broker.received if key == "requester"], "a reply"
    )
    assert [(body["Event-Name"], body["Msg-ID"], body["status"]) for body in replies] == [
        ("doc_type_updated", "m1", "success")
    ]
    assert two.rest("GET", hooks_path(CHILD, hook_id), token).json()["data"]["enabled"]


def test_an_account_that_kazoo_deletes_is_deleted_on_both_nodes(
    nodes: list[NodeProcess], broker: Broker, receiver: WebReceiver
) -> None:
    one, two = nodes
    token = one.command("token", "create", "--account", ACCOUNT)
    one.rest("PUT", hooks_path(CHILD), token, {"name": "n", "uri": receiver.url, "hook": "channel_create"})
    body = {
        "Event-Category": "configuration",
        "Event-Name": "doc_deleted",
        "ID": CHILD,
        "Account-ID": CHILD,
        "Type": "account",
        "Database": "accounts",
    }
    broker.publish("configuration", f"doc_deleted.accounts.account.{CHILD}", body)
    for node in (one, two):
        eventually(
            lambda node=node: node.rest("GET", hooks_path(CHILD), token).status_code == 403,
            "the account is deleted",
        )
