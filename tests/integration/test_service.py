"""A whole node from outside: a real broker, process, web server and AMQP client."""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pika
import pytest

from tests.integration.kazoo_events import call_event
from tests.integration.node_process import NodeProcess, eventually
from tests.integration.rabbitmq import RabbitNode, free_port
from tests.integration.web_receiver import WebReceiver
from tests.webhooks.authority import Authority

RESELLER, ONE, OTHER = "0" * 32, "1" * 32, "2" * 32


class Kazoo:
    """Publishes KAZOO's messages through pika."""

    def __init__(self, uri: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(uri))
        self._channel = self._connection.channel()
        self._channel.exchange_declare("callevt", "topic", durable=False, auto_delete=False)
        self._channel.confirm_delivery()

    def publish_raw(self, routing_key: str, body: bytes, **properties: Any) -> None:
        basic = pika.BasicProperties(content_type="application/json", delivery_mode=1, **properties)
        self._channel.basic_publish("callevt", routing_key, body, basic)

    def call(self, account_id: str | None, call_id: str, name: str = "CHANNEL_CREATE", **more: Any) -> None:
        self.publish_raw(
            f"call.{name}.{call_id}", json.dumps(call_event(account_id, call_id, name, **more)).encode()
        )

    def queued(self, queue: str = "kazoo_bridge.webhooks") -> int:
        return int(self._channel.queue_declare(queue, passive=True).method.message_count)

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def node(tmp_path: Path, vhost_uri: str) -> Iterator[NodeProcess]:
    node = NodeProcess(tmp_path, vhost_uri)
    node.command("account", "create", "--id", RESELLER)
    node.command("account", "create", "--id", ONE, "--parent", RESELLER)
    node.command("account", "create", "--id", OTHER)
    node.start()
    yield node
    node.stop()


@pytest.fixture
def kazoo(vhost_uri: str) -> Iterator[Kazoo]:
    kazoo = Kazoo(vhost_uri)
    yield kazoo
    kazoo.close()


def create_hook(node: NodeProcess, account_id: str, token: str, **document: Any) -> dict[str, Any]:
    data = {"name": "n", "hook": "channel_create", **document}
    response = node.rest("PUT", f"/v2/accounts/{account_id}/webhooks", token, data)
    assert response.status_code == 201, response.text
    created: dict[str, Any] = response.json()["data"]
    return created


def test_only_matching_events_are_sent_as_forms(
    node: NodeProcess, kazoo: Kazoo, receiver: WebReceiver
) -> None:
    token = node.command("token", "create", "--account", ONE)
    created = create_hook(node, ONE, token, uri=f"{receiver.url}/one")
    kazoo.call(OTHER, "of-other")
    kazoo.call(ONE, "answered", "CHANNEL_ANSWER")
    kazoo.call(None, "without-account")
    kazoo.call(ONE, "first")
    kazoo.call(ONE, "second", "CHANNEL_CREATE", **{"Channel-Is-Loopback": True})
    arrivals = receiver.wait_for(2)
    eventually(lambda: kazoo.queued() == 0, "the queue is empty")
    assert sorted(arrival.form["call_id"] for arrival in arrivals) == ["first", "second"]
    first = next(arrival for arrival in arrivals if arrival.form["call_id"] == "first")
    assert (first.method, first.path) == ("POST", "/one")
    headers = {name.lower(): value for name, value in first.headers.items()}
    assert headers["x-hook-id"] == created["id"]
    assert headers["x-account-id"] == ONE
    assert headers["content-type"] == "application/x-www-form-urlencoded"
    assert first.form == {
        "hook_event": "channel_create",
        "account_id": ONE,
        "call_id": "first",
        "call_direction": "inbound",
        "caller_id_name": "Žofie Nováková 🎧",
        "custom_channel_vars[Own-Var]": "Ünïcode",
        "emergency_resource_used": "false",
        "is_internal_leg": "false",
        "local_resource_used": "true",
        "owner_id": "owner",
        "reseller_id": RESELLER,
        "timestamp": "63961574400",
        "cluster_id": first.form["cluster_id"],
    }
    assert all(arrival.form["cluster_id"] == first.form["cluster_id"] != "" for arrival in arrivals)


def test_tokens_act_only_for_their_accounts_and_descendants(node: NodeProcess, receiver: WebReceiver) -> None:
    own = node.command("token", "create", "--account", ONE)
    others = node.command("token", "create", "--account", OTHER)
    resellers = node.command("token", "create", "--account", RESELLER)
    created = create_hook(node, ONE, resellers, uri=receiver.url)
    one = f"/v2/accounts/{ONE}/webhooks/{created['id']}"
    assert node.rest("GET", one, own).status_code == 200
    for verb in ("GET", "POST", "PATCH", "DELETE"):
        response = node.rest(verb, one, others, {})
        assert (response.status_code, response.json()["message"]) == (403, "forbidden")
    assert node.rest("GET", one).status_code == 401
    assert node.rest("GET", one, "wrong").json()["message"] == "invalid_credentials"
    assert node.rest("GET", f"/v2/accounts/{RESELLER}/webhooks", own).status_code == 403
    assert node.rest("GET", "/v2/webhooks").status_code == 200
    node.command_process("token", "revoke", own)
    eventually(lambda: node.rest("GET", one, own).status_code == 401, "the revoked token is refused", 1.5)


def test_subaccounts_and_changes_of_a_hook(node: NodeProcess, kazoo: Kazoo, receiver: WebReceiver) -> None:
    token = node.command("token", "create", "--account", RESELLER)
    created = create_hook(node, RESELLER, token, uri=receiver.url, include_subaccounts=True, http_verb="get")
    kazoo.call(ONE, "sub")
    (arrival,) = receiver.wait_for(1)
    assert arrival.method == "GET"
    assert "call_id=sub" in arrival.path
    path = f"/v2/accounts/{RESELLER}/webhooks/{created['id']}"
    patched = node.rest(
        "PATCH", path, token, {"http_verb": "put", "format": "json", "custom_data": {"tag": "x"}}
    ).json()
    assert patched["data"]["include_subaccounts"] is True
    kazoo.call(ONE, "sub2")
    second = receiver.wait_for(2)[1]
    assert second.method == "PUT"
    assert json.loads(second.body)["tag"] == "x"
    assert json.loads(second.body)["custom_channel_vars"] == {"Own-Var": "Ünïcode"}
    assert node.rest("DELETE", path, token).status_code == 200
    assert node.rest("GET", path, token).json()["message"] == "bad_identifier"
    kazoo.call(ONE, "sub3")
    eventually(lambda: kazoo.queued() == 0, "the queue is empty")
    assert len(receiver.arrivals) == 2


def test_malformed_messages_are_logged_once_and_the_next_ones_are_delivered(
    node: NodeProcess, kazoo: Kazoo, receiver: WebReceiver
) -> None:
    token = node.command("token", "create", "--account", ONE)
    create_hook(node, ONE, token, uri=receiver.url)
    kazoo.publish_raw("call.CHANNEL_CREATE.notjson", b"{not json")
    kazoo.publish_raw("call.CHANNEL_CREATE.list", b"[1, 2]")
    kazoo.publish_raw("call.CHANNEL_CREATE.badgzip", b"nothing zipped", content_encoding="gzip")
    kazoo.publish_raw(
        "call.CHANNEL_CREATE.odd", b'{"Event-Name": "CHANNEL_CREATE", "Custom-Channel-Vars": 3}'
    )
    kazoo.call(ONE, "too big to be sent", **{"To": "x" * 3_000_000})
    kazoo.call(ONE, "big", **{"To": "x" * 900_000})
    kazoo.call(ONE, "good")
    arrivals = receiver.wait_for(2)
    assert {arrival.form["call_id"] for arrival in arrivals} == {"big", "good"}
    for malformed in ("notjson", "list", "badgzip"):
        assert node.log_text().count(f"call.CHANNEL_CREATE.{malformed}") <= 1
    unreadable = re.findall(r"events_unreadable_total{.*?} (\d+)", node.rest("GET", "/metrics").text)
    assert sum(map(int, unreadable)) == 3
    dead = f"/v2/accounts/{ONE}/webhooks/deliveries?status=dead"
    (listed,) = node.rest("GET", dead, token).json()["data"]
    assert "webhooks.max_body_bytes" in listed["reason"]
    node.signal(signal.SIGTERM)
    assert node.ended() == 0
    assert kazoo.queued() == 0


def test_an_event_is_acknowledged_only_after_the_receiver_s_200(
    node: NodeProcess, kazoo: Kazoo, receiver: WebReceiver
) -> None:
    token = node.command("token", "create", "--account", ONE)
    create_hook(node, ONE, token, uri=receiver.url)
    receiver.release.clear()
    kazoo.call(ONE, "held")
    receiver.wait_for(1)
    node.signal(signal.SIGKILL)
    node.ended()
    eventually(lambda: kazoo.queued() == 1, "the broker has the event again")
    receiver.release.set()
    node.start()
    assert [arrival.form["call_id"] for arrival in receiver.wait_for(2)] == ["held", "held"]
    eventually(lambda: kazoo.queued() == 0, "the queue is empty")
    node.signal(signal.SIGTERM)
    assert node.ended() == 0
    assert kazoo.queued() == 0


def test_a_failed_delivery_is_retried(node: NodeProcess, kazoo: Kazoo, receiver: WebReceiver) -> None:
    token = node.command("token", "create", "--account", ONE)
    create_hook(node, ONE, token, uri=f"{receiver.url}/refusing")
    receiver.status = 500
    kazoo.call(ONE, "again")
    receiver.wait_for(2)
    receiver.status = 200
    eventually(lambda: kazoo.queued() == 0, "the queue is empty")


def test_sigterm_waits_for_requests_in_flight(node: NodeProcess, kazoo: Kazoo, receiver: WebReceiver) -> None:
    token = node.command("token", "create", "--account", ONE)
    create_hook(node, ONE, token, uri=receiver.url)
    receiver.release.clear()
    kazoo.call(ONE, "in-flight")
    receiver.wait_for(1)
    node.signal(signal.SIGTERM)
    eventually(lambda: "draining" in node.log_text(), "the node drains")
    receiver.release.set()
    assert node.ended() == 0
    assert kazoo.queued() == 0
    assert len(receiver.arrivals) == 1


def test_a_second_sigterm_does_not_wait_for_receivers(
    node: NodeProcess, kazoo: Kazoo, receiver: WebReceiver
) -> None:
    token = node.command("token", "create", "--account", ONE)
    create_hook(node, ONE, token, uri=receiver.url)
    receiver.release.clear()
    kazoo.call(ONE, "never-answered")
    receiver.wait_for(1)
    node.signal(signal.SIGTERM)
    eventually(lambda: "SIGTERM: draining" in node.log_text(), "the node drains")
    assert node.process is not None
    assert node.process.poll() is None
    node.signal(signal.SIGTERM)
    assert node.ended() == 0
    eventually(lambda: kazoo.queued() == 1, "the broker has the event again")
    receiver.release.set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_node_that_never_reached_a_broker_stops_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    node = NodeProcess(tmp_path, f"amqp://u:hunter2@127.0.0.1:{free_port()}/")
    try:
        node.start(wait=False)
        eventually(lambda: "no connection to" in node.log_text(), "the node has tried to connect")
        ready = node.rest("GET", "/readyz")
        assert (ready.status_code, ready.text.startswith("bus: ")) == (503, True)
        node.signal(number)
        assert node.ended() == 0
    finally:
        node.stop()
    assert "hunter2" not in node.log_text()


@pytest.mark.parametrize("tls", [False, True])
def test_websockets_receive_close_code_1001_on_shutdown(tmp_path: Path, tls: bool) -> None:
    node = NodeProcess(tmp_path, "embedded:")
    if tls:
        authority = Authority(tmp_path)
        certificate, key = authority.issue("localhost")
        secure = f'"ssl:{node.websocket_port}:privateKey={key}:certKey={certificate}:interface=127.0.0.1"'
        plain = f'"tcp:{node.websocket_port}:interface=127.0.0.1"'
        node.config.write_text(node.config.read_text().replace(plain, secure))
    node.start()
    connection = socket.create_connection(("127.0.0.1", node.websocket_port), 10)
    if tls:
        context = ssl.create_default_context(cafile=authority.bundle)
        connection = context.wrap_socket(connection, server_hostname="localhost")
    with connection:
        upgrade = (
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        )
        connection.sendall(f"GET / HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n".encode())
        stream = connection.makefile("rb")
        assert b" 101 " in stream.readline()
        while stream.readline() != b"\r\n":
            pass
        node.signal(signal.SIGTERM)
        closing, length = stream.read(2)
        assert (closing, int.from_bytes(stream.read(length)[:2], "big")) == (0x88, 1001)
        # This client does not answer the close frame, and the node stops nevertheless.
        assert node.ended() == 0


def test_no_secret_is_in_the_log(node: NodeProcess, kazoo: Kazoo, receiver: WebReceiver) -> None:
    token, key = (
        node.command("token", "create", "--account", ONE),
        node.command("api-key", "create", "--account", ONE),
    )
    path = f"/v2/accounts/{ONE}/webhooks"
    create_hook(
        node, ONE, token, uri=f"http://hunter2:hunter3@127.0.0.1:{free_port()}/?key=hunter4", retries=0
    )
    assert node.rest("GET", f"{path}?auth_token={token}").status_code == 200
    assert node.rest("GET", f"{path}?auth_token=wrong-{token}").status_code == 401
    assert node.rest("PUT", "/v2/api_auth", data={"api_key": key}).status_code == 201
    assert node.rest("PUT", "/v2/api_auth", data={"api_key": f"wrong-{key}"}).status_code == 401
    kazoo.call(ONE, "refused")
    eventually(lambda: "the receiver refuses connections" in node.log_text(), "the attempt is logged")
    node.signal(signal.SIGTERM)
    assert node.ended() == 0
    for secret in (token, key, "guest:guest", "hunter2", "hunter3", "hunter4"):
        assert secret not in node.log_text()


def test_a_node_recovers_when_the_broker_was_killed(
    tmp_path: Path, mortal_rabbit: RabbitNode, receiver: WebReceiver
) -> None:
    uri = mortal_rabbit.fresh_vhost()
    node = NodeProcess(tmp_path, uri)
    node.command("account", "create", "--id", ONE)
    token = node.command("token", "create", "--account", ONE)
    try:
        node.start(installed=True)
        create_hook(node, ONE, token, uri=receiver.url)
        mortal_rabbit.settle()
        mortal_rabbit.kill()
        eventually(lambda: not node.is_ready(), "not ready without a broker")
        assert "bus:" in node.rest("GET", "/readyz").text
        assert node.rest("GET", "/healthz").status_code == 200
        mortal_rabbit.start()
        eventually(node.is_ready, "the node is ready again", 60)
        kazoo = Kazoo(uri)
        kazoo.call(ONE, "after")
        assert receiver.wait_for(1)[0].form["call_id"] == "after"
        kazoo.close()
    finally:
        node.stop()


def test_a_bad_configuration_ends_the_start_with_a_line_per_mistake(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "http://wrong", '[amqq]\nuri = "x"\n')
    node.start(wait=False, installed=True)
    assert node.ended() == 1
    lines = node.log_text().splitlines()
    assert [line.split(":")[0] for line in lines] == ["amqq", "amqp.uri"]


def test_a_port_in_use_ends_the_start(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "embedded:")
    with socket.socket() as other:
        other.bind(("127.0.0.1", node.port))
        other.listen()
        node.start(wait=False, installed=True)
        assert node.ended() == 1
    assert (
        f"\nkazoo_bridge: http.endpoint: cannot listen on tcp:{node.port}:interface=127.0.0.1: "
        in node.log_text()
    )


def test_an_unknown_interface_ends_the_start(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "embedded:")
    node.config.write_text(
        node.config.read_text().replace(
            f"tcp:{node.websocket_port}:interface=127.0.0.1", "tcp6:1:interface=nowhere"
        )
    )
    node.start(wait=False, installed=True)
    assert node.ended() == 1
    assert (
        "\nkazoo_bridge: websockets.endpoint: cannot listen on tcp6:1:interface=nowhere: " in node.log_text()
    )
