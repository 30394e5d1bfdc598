"""The messages that KAZOO's clients send, and what they get."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
import treq

from tests.websockets.stage import CHILD, RESELLER, STRANGER, TOP, Stage

pytestmark = pytest.mark.timeout(30)


@pytest_twisted.ensureDeferred
async def test_a_client_subscribes_and_sees_a_call(stage: Stage) -> None:
    client = await stage.client(None)
    answer = await client.ask(
        "subscribe",
        {"account_id": RESELLER, "binding": "call.CHANNEL_CREATE.*"},
        auth_token=stage.tokens[RESELLER],
    )
    assert answer == {
        "action": "reply",
        "request_id": "r1",
        "status": "success",
        "data": {"subscribed": ["call.CHANNEL_CREATE.*"]},
    }
    await stage.call(CHILD)
    await stage.call(RESELLER, "CHANNEL_ANSWER")
    await stage.call(RESELLER, **{"Node": "n1", "Caller-ID-Name": "Žofie", "Nothing": None})
    assert await client.event() == {
        "action": "event",
        "subscribed_key": "call.CHANNEL_CREATE.*",
        "subscription_key": f"call.{RESELLER}.CHANNEL_CREATE.*",
        "name": "CHANNEL_CREATE",
        "routing_key": f"call.{RESELLER}.CHANNEL_CREATE.call-1",
        "data": {
            "event_category": "call_event",
            "event_name": "CHANNEL_CREATE",
            "call_id": "call-1",
            "msg_id": "m",
            "caller_id_name": "Žofie",
            "custom_channel_vars": {"account_id": RESELLER},
        },
    }


@pytest_twisted.ensureDeferred
async def test_ping_needs_a_token_once(stage: Stage) -> None:
    client = await stage.client(None)
    assert (await client.ask("ping"))["data"] == {"errors": ["authentication token required"]}
    refused = await client.ask("ping", auth_token="no-such-token")
    assert refused["status"] == "error"
    assert refused["data"]["errors"][0].startswith("failed to authenticate token ")
    assert "no-such-token" not in json.dumps(refused)
    assert (await client.ask("ping", auth_token=5))["data"] == {
        "errors": ["invalid authentication token format"]
    }
    assert (await client.ask("ping", auth_token=stage.tokens[RESELLER]))["data"] == {"response": "pong"}
    assert (await client.ask("ping"))["data"] == {"response": "pong"}


@pytest_twisted.ensureDeferred
async def test_flat_messages_and_lists_of_bindings(stage: Stage) -> None:
    client = await stage.client()
    flat = await client.ask(
        "subscribe", account_id=RESELLER, bindings=["call.CHANNEL_CREATE.*", "object.doc_edited.user"]
    )
    assert flat["data"] == {"subscribed": ["call.CHANNEL_CREATE.*", "object.doc_edited.user"]}
    both = await client.ask(
        "subscribe", {"account_id": RESELLER, "binding": "fax.status.*", "bindings": ["call.CHANNEL_HOLD.*"]}
    )
    assert both["data"]["subscribed"] == ["call.CHANNEL_CREATE.*", "object.doc_edited.user", "fax.status.*"]
    one = await client.ask("unsubscribe", {"account_id": RESELLER, "binding": "fax.status.*"})
    assert one["data"] == {
        "unsubscribed": ["fax.status.*"],
        "subscribed": ["call.CHANNEL_CREATE.*", "object.doc_edited.user"],
    }
    rest = await client.ask("unsubscribe")
    assert rest["data"] == {
        "unsubscribed": ["call.CHANNEL_CREATE.*", "object.doc_edited.user"],
        "subscribed": [],
    }
    assert not stage.bridge.websockets.fanout.index.topics


@pytest_twisted.ensureDeferred
async def test_who_may_subscribe_to_what(stage: Stage) -> None:
    own, stranger, top = await stage.client(), await stage.client(STRANGER), await stage.client(TOP)

    async def asked(client: Any, account_id: str) -> Any:
        return (await client.ask("subscribe", {"account_id": account_id, "binding": "call.*.*"}))["data"]

    assert (await asked(own, CHILD)) == {"subscribed": ["call.*.*"]}
    assert (await asked(stranger, CHILD)) == {"errors": ["unauthorized account id"]}
    assert (await asked(own, "*")) == {"errors": ["unauthorized wildcard account id"]}
    assert (await asked(own, "0" * 32)) == {"errors": ["unauthorized account id"]}
    assert (await asked(top, "*")) == {"subscribed": ["call.*.*"]}
    await stage.call(CHILD)
    await stage.call(None)
    for client in (own, top):
        assert (await client.event())["routing_key"] == f"call.{CHILD}.CHANNEL_CREATE.call-1"
    assert (await top.event())["routing_key"] == "call.undefined.CHANNEL_CREATE.call-1"
    assert not stranger.events.pending
    assert not own.events.pending


REFUSED: list[tuple[Any, str]] = [
    (b"no json", "the message is not JSON"),
    (b"[1, 2]", "the message must be a JSON object"),
    ({}, "missing required keys : action"),
    ({"action": 5}, "missing required keys : action"),
    ({"action": "dance"}, "unknown action dance"),
    ({"action": "subscribe"}, "missing required keys in data object"),
    ({"action": "subscribe", "data": {}}, "missing required keys in data object"),
    ({"action": "subscribe", "data": "x"}, "data must be a JSON object"),
    ({"action": "subscribe", "data": {"binding": "call.*.*"}}, "missing required keys : account_id"),
    ({"action": "subscribe", "data": {"account_id": RESELLER}}, "missing required keys : binding"),
    ({"action": "subscribe", "data": {"account_id": 5, "binding": "call.*.*"}}, "account_id must be a text"),
    ({"action": "subscribe", "data": {"account_id": RESELLER, "binding": 5}}, "binding must be a text"),
    (
        {"action": "subscribe", "data": {"account_id": RESELLER, "bindings": "call.*.*"}},
        "binding must be a text",
    ),
    (
        {"action": "subscribe", "data": {"account_id": RESELLER, "binding": "call.NO_SUCH.*"}},
        "event NO_SUCH not supported",
    ),
    (
        {"action": "subscribe", "data": {"account_id": RESELLER, "binding": "call.x"}},
        "invalid format for call subscription : x",
    ),
    (
        {"action": "subscribe", "data": {"account_id": RESELLER, "binding": "call.*.#"}},
        "invalid format for call subscription : *, #",
    ),
    (
        {"action": "subscribe", "data": {"account_id": RESELLER, "binding": "weather.*"}},
        "no available subscriptions to requested binding",
    ),
    (
        {"action": "subscribe", "data": {"account_id": RESELLER, "binding": "x" * 600}},
        "a binding has at most 512 characters",
    ),
    (
        {"action": "subscribe", "data": {"account_id": RESELLER, "binding": f"call.*.{'é' * 60}"}},
        "the binding is too long",
    ),
    ({"action": "ping", "name": 7}, "name must be a text"),
    ({"action": "ping", "metadata": "x" * 5000}, "metadata must have at most 4096 bytes"),
    (
        b'{"action": "ping", "metadata": %s}' % (b"[" * 17 + b"]" * 17),
        "metadata must have at most 4096 bytes, and at most 16 levels",
    ),
    (
        b'{"action": "ping", "metadata": %s}' % (b"[" * 900 + b"]" * 900),
        "metadata must have at most 4096 bytes, and at most 16 levels",
    ),
    (b'{"action": "ping", "x": %s}' % (b"[" * 2000 + b"]" * 2000), "the message is not JSON"),
    (b'{"action": "ping", "name": "\\ud800"}', "the message is not JSON"),
    (
        {"action": "unsubscribe", "data": {"account_id": RESELLER, "binding": "weather.*"}},
        "no available subscriptions to requested binding",
    ),
]


@pytest.mark.parametrize(("message", "text"), REFUSED, ids=[text for _, text in REFUSED])
@pytest_twisted.ensureDeferred
async def test_what_is_refused_leaves_the_session_as_it_was(stage: Stage, message: Any, text: str) -> None:
    client = await stage.client()
    client.send(message)
    answer = await client.notice()
    assert answer["status"] == "error"
    assert answer["data"]["errors"][0].startswith(text)
    assert (await client.ask("ping"))["data"] == {"response": "pong"}


@pytest_twisted.ensureDeferred
async def test_a_list_with_a_refused_binding_subscribes_to_none(stage: Stage) -> None:
    client = await stage.client()
    answer = await client.ask(
        "subscribe", {"account_id": RESELLER, "bindings": ["call.*.*", "call.NO.*", "fax.object.NO"]}
    )
    assert answer["data"] == {"errors": ["event NO not supported", "event NO not supported"]}
    assert (await client.ask("unsubscribe"))["data"] == {"unsubscribed": [], "subscribed": []}


@pytest_twisted.ensureDeferred
async def test_request_ids_come_back_as_texts(stage: Stage) -> None:
    client = await stage.client()
    client.send({"action": "ping", "request_id": 17})
    assert (await client.notice())["request_id"] == "17"
    client.send({"action": "ping", "request_id": {"a": 1}})
    assert len((await client.notice())["request_id"]) == 32


@pytest_twisted.ensureDeferred
async def test_binary_frames_are_refused_and_large_ones_end_the_socket(stage: Stage) -> None:
    client = await stage.client()
    client.protocol.sendMessage(b'{"action": "ping"}', True)
    assert (await client.notice())["data"] == {"errors": ["expected a text frame, got a binary one"]}
    client.send(b'"' + b"x" * 70_000 + b'"')
    assert await client.close_code() == 1009


@pytest_twisted.ensureDeferred
async def test_any_path_but_no_foreign_subprotocol(stage: Stage) -> None:
    assert (await (await stage.client(path="/some/where?x=1")).ask("ping"))["status"] == "success"
    ours = await stage.client(protocols=["chat", "kazoo-bridge.v1"])
    assert ours.protocol.websocket_protocol_in_use == "kazoo-bridge.v1"
    with pytest.raises(ConnectionRefusedError):
        await stage.client(protocols=["chat"])
    plain = await treq.get(f"http://{stage.bridge.websockets.host}/", persistent=False)
    assert plain.code == 426


@pytest_twisted.ensureDeferred
async def test_compressed_frames_are_shared_and_readable(stage: Stage) -> None:
    compressed, plain = await stage.client(deflate=True), await stage.client()
    for client in (compressed, plain):
        await client.ask("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    assert compressed.protocol.websocket_extensions_in_use
    for number in range(3):
        await stage.call(RESELLER, call_id=f"c{number}", **{"Long": "text " * 300, "From": "é" * number})
        assert await compressed.event() == await plain.event()


@pytest_twisted.ensureDeferred
async def test_names_and_metadata_are_listed(stage: Stage) -> None:
    client = await stage.client()
    await client.ask(
        "subscribe", {"account_id": RESELLER, "binding": "call.*.*", "name": "desk", "metadata": {"a": [1]}}
    )
    (session,) = list(stage.bridge.websockets.sessions)
    document = session.to_document()
    assert (document["name"], document["metadata"], document["bindings"]) == (
        "desk",
        {"a": [1]},
        ["call.*.*"],
    )
    assert document["source"] == "127.0.0.1"
