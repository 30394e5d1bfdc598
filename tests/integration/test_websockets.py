"""Websockets over a real broker: the bindings of the node's queue, and the broker's absence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from tests.integration.amqp_harness import until
from tests.integration.rabbitmq import RabbitNode
from tests.websockets.client import WebsocketClient
from tests.websockets.harness import CHILD, RESELLER, STRANGER, Harness

pytestmark = pytest.mark.timeout(90)


@pytest_twisted.async_yield_fixture
async def harness(tmp_path: Path, vhost_uri: str) -> AsyncIterator[Harness]:
    started = await Harness.start(tmp_path, vhost_uri)
    await until(lambda: started.node.bus.unavailable_reason() is None, "the bus")
    yield started
    await started.stop()


def vhost_of(uri: str) -> str:
    return uri.rsplit("/", 1)[1]


async def bound(harness: Harness, rabbit: RabbitNode, vhost_uri: str) -> list[str]:
    """Return the routing keys to which exclusive queues are bound, on the exchanges of faxes and calls."""
    rows = await deferToThread(rabbit.bindings, vhost_of(vhost_uri))
    return sorted(
        key
        for exchange, key, queue in rows
        if exchange in ("faxes", "callevt") and queue.startswith("amq.gen-")
    )


@pytest_twisted.ensureDeferred
async def test_bindings_are_counted_over_all_sockets(
    harness: Harness, rabbit: RabbitNode, vhost_uri: str
) -> None:
    one, two, other = await harness.connect(), await harness.connect(), await harness.connect(CHILD)
    for client, account in ((one, RESELLER), (two, RESELLER), (other, CHILD)):
        answer = await client.request(
            "subscribe", {"account_id": account, "bindings": ["fax.status.*", "call.CHANNEL_CREATE.*"]}
        )
        assert answer["status"] == "success"
    fax = {account: f"fax.status.{account}.*" for account in (RESELLER, CHILD)}
    assert await bound(harness, rabbit, vhost_uri) == ["call.CHANNEL_CREATE.*", fax[RESELLER], fax[CHILD]]
    await one.request("unsubscribe")
    await other.request("unsubscribe", {"binding": "fax.status.*"})
    while fax[CHILD] in (now := await bound(harness, rabbit, vhost_uri)):
        pass
    assert now == ["call.CHANNEL_CREATE.*", fax[RESELLER]]
    await harness.publish_call(RESELLER)
    assert (await two.event())["name"] == "CHANNEL_CREATE"
    two.protocol.dropConnection(abort=True)
    await other.request("unsubscribe")
    while await bound(harness, rabbit, vhost_uri):
        pass


@pytest_twisted.ensureDeferred
async def test_a_resumed_session_reports_a_gap_after_the_broker_was_away(
    harness: Harness, rabbit: RabbitNode, vhost_uri: str
) -> None:
    client, plain = await harness.connect(), await harness.connect(STRANGER)
    begun = (await client.request("resume", {}))["data"]
    await client.request("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    await plain.request("subscribe", {"account_id": STRANGER, "binding": "call.*.*"})
    fanout = harness.websockets.fanout
    before = fanout.interruptions
    await deferToThread(rabbit.close_connections, vhost_of(vhost_uri))
    await until(
        lambda: fanout.interruptions > before and harness.node.bus.unavailable_reason() is None,
        "the bus after the interruption",
    )
    for account in (STRANGER, RESELLER):
        await harness.publish_call(account, call_id="after")
    assert (await plain.event())["data"]["call_id"] == "after"
    assert (await client.event())["data"]["call_id"] == "after"
    client.protocol.dropConnection(abort=True)
    for gap in (True, False):
        client = await harness.connect()
        answer = (
            await client.request("resume", {"session": begun["session"], "sequence": begun["sequence"]})
        )["data"]
        assert (answer["resumed"], answer["gap"], answer["missed"]) == (True, gap, 1)


async def assert_receives(harness: Harness, client: WebsocketClient, account: str, call_id: str) -> None:
    """Publish a call event, and check that it is the next that the client receives."""
    await harness.publish_call(account, call_id=call_id)
    assert (await client.event())["data"]["call_id"] == call_id


@pytest_twisted.ensureDeferred
async def test_closing_a_console_with_many_bindings_affects_no_other_client(harness: Harness) -> None:
    console = await harness.connect()
    for number in range(12):
        answer = await console.request(
            "subscribe", {"account_id": RESELLER, "binding": f"call.*.n12c{number}"}
        )
        assert answer["status"] == "success"
    console.protocol.dropConnection(abort=True)
    other = await harness.connect(STRANGER)
    assert (await other.request("subscribe", {"account_id": STRANGER, "binding": "call.*.fresh"}))[
        "status"
    ] == "success"
    await assert_receives(harness, other, STRANGER, "fresh")
    assert harness.node.bus.unavailable_reason() is None


@pytest.mark.parametrize("number", [98, 250])
@pytest_twisted.ensureDeferred
async def test_many_bindings_in_one_message(harness: Harness, number: int) -> None:
    client, other = await harness.connect(), await harness.connect(STRANGER)
    bindings = [f"call.*.c{one}" for one in range(number)]
    answer = await client.request("subscribe", {"account_id": RESELLER, "bindings": bindings})
    assert (answer["status"], answer["data"].get("subscribed")) == ("success", bindings)
    for one in (0, number // 2, number - 1):
        await assert_receives(harness, client, RESELLER, f"c{one}")
    client.protocol.dropConnection(abort=True)
    assert (await other.request("subscribe", {"account_id": STRANGER, "binding": "call.*.fresh"}))[
        "status"
    ] == "success"
    await assert_receives(harness, other, STRANGER, "fresh")
    assert harness.node.bus.unavailable_reason() is None


@pytest_twisted.ensureDeferred
async def test_many_sockets_that_subscribe_at_once(harness: Harness) -> None:
    clients = [await harness.connect() for _ in range(150)]
    asking = [
        Deferred.fromCoroutine(
            client.request("subscribe", {"account_id": RESELLER, "binding": f"call.*.s{number}"})
        )
        for number, client in enumerate(clients)
    ]
    assert {answer["status"] for answer in await gatherResults(asking)} == {"success"}
    for number, client in enumerate(clients):
        await assert_receives(harness, client, RESELLER, f"s{number}")
    assert harness.node.bus.unavailable_reason() is None


@pytest_twisted.ensureDeferred
async def test_a_binding_that_the_broker_refuses(tmp_path: Path, rabbit: RabbitNode, vhost_uri: str) -> None:
    not_presence = "^(?!presence$).*"
    await deferToThread(
        rabbit.ctl, "set_permissions", "-p", vhost_of(vhost_uri), "guest", ".*", ".*", not_presence
    )
    harness = await Harness.start(tmp_path, vhost_uri)
    try:
        await until(lambda: harness.node.bus.unavailable_reason() is None, "the bus")
        client = await harness.connect()
        answer = await client.request(
            "subscribe", {"account_id": RESELLER, "bindings": ["call.*.*", "presence.update.*"]}
        )
        assert answer["status"] == "error"
        assert answer["data"]["errors"] == [
            "binding presence.update.* is not available: the message bus has refused it"
        ]
        assert harness.node.bus.unavailable_reason() is None
        answer = await client.request("subscribe", {"account_id": RESELLER, "binding": "call.*.c1"})
        assert answer["data"] == {"subscribed": ["call.*.c1"]}
        await assert_receives(harness, client, RESELLER, "c1")
        assert {key.partition(".")[0] for key in await bound(harness, rabbit, vhost_uri)} == {"call"}
    finally:
        await harness.stop()


@pytest_twisted.ensureDeferred
async def test_a_broker_that_does_not_answer(tmp_path: Path, mortal_rabbit: RabbitNode) -> None:
    harness = await Harness.start(tmp_path, mortal_rabbit.fresh_vhost())
    try:
        await until(lambda: harness.node.bus.unavailable_reason() is None, "the bus")
        client = await harness.connect()
        mortal_rabbit.freeze()
        answer = await client.request("subscribe", {"account_id": RESELLER, "binding": "fax.status.*"})
        assert answer["status"] == "error"
        assert answer["data"]["errors"] == [
            "binding fax.status.* is not available: the message bus has not answered within 5 seconds"
        ]
        await until(lambda: harness.node.bus.unavailable_reason() is not None, "the consumer to be not ready")
        mortal_rabbit.thaw()
        await until(lambda: harness.node.bus.unavailable_reason() is None, "the bus to recover")
        assert (await client.request("subscribe", {"account_id": RESELLER, "binding": "call.*.c1"}))[
            "status"
        ] == "success"
        await assert_receives(harness, client, RESELLER, "c1")
    finally:
        mortal_rabbit.thaw()
        await harness.stop()
