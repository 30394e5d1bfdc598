"""Websockets over a real broker: what the node's queue is bound to, and what clients are told of the broker's absence."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from tests.integration.amqp_harness import until
from tests.integration.rabbitmq import RabbitNode
from tests.websockets.client import Client
from tests.websockets.stage import CHILD, RESELLER, STRANGER, Stage

pytestmark = pytest.mark.timeout(90)


@pytest_twisted.async_yield_fixture
async def stage(tmp_path: Path, vhost_uri: str) -> AsyncIterator[Stage]:
    made = await Stage.of(tmp_path, vhost_uri)
    await until(lambda: made.bridge.bus.unavailable_reason() is None, "the bus")
    yield made
    await made.stop()


def vhost_of(uri: str) -> str:
    return uri.rsplit("/", 1)[1]


async def bound(stage: Stage, rabbit: RabbitNode, vhost_uri: str) -> list[str]:
    """What queues without a name of their own are bound to on the exchanges of faxes and calls."""
    listed = await deferToThread(
        rabbit.ctl,
        "list_bindings",
        "-p",
        vhost_of(vhost_uri),
        "source_name",
        "routing_key",
        "destination_name",
    )
    rows = [line.split("\t") for line in listed.splitlines()]
    return sorted(
        key
        for exchange, key, queue in rows
        if exchange in ("faxes", "callevt") and queue.startswith("amq.gen-")
    )


@pytest_twisted.ensureDeferred
async def test_bindings_are_counted_over_all_sockets(
    stage: Stage, rabbit: RabbitNode, vhost_uri: str
) -> None:
    one, two, other = await stage.client(), await stage.client(), await stage.client(CHILD)
    for client, account in ((one, RESELLER), (two, RESELLER), (other, CHILD)):
        answer = await client.ask(
            "subscribe", {"account_id": account, "bindings": ["fax.status.*", "call.CHANNEL_CREATE.*"]}
        )
        assert answer["status"] == "success"
    fax = {account: f"fax.status.{account}.*" for account in (RESELLER, CHILD)}
    assert await bound(stage, rabbit, vhost_uri) == ["call.CHANNEL_CREATE.*", fax[RESELLER], fax[CHILD]]
    await one.ask("unsubscribe")
    await other.ask("unsubscribe", {"binding": "fax.status.*"})
    while fax[CHILD] in (now := await bound(stage, rabbit, vhost_uri)):
        pass
    assert now == ["call.CHANNEL_CREATE.*", fax[RESELLER]]
    await stage.call(RESELLER)
    assert (await two.event())["name"] == "CHANNEL_CREATE"
    two.protocol.dropConnection(abort=True)
    await other.ask("unsubscribe")
    while await bound(stage, rabbit, vhost_uri):
        pass


@pytest_twisted.ensureDeferred
async def test_who_resumes_is_told_that_the_broker_was_away(
    stage: Stage, rabbit: RabbitNode, vhost_uri: str
) -> None:
    client, plain = await stage.client(), await stage.client(STRANGER)
    begun = (await client.ask("resume", {}))["data"]
    await client.ask("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    await plain.ask("subscribe", {"account_id": STRANGER, "binding": "call.*.*"})
    listener = stage.bridge.websockets.fanout
    before = listener.interruptions
    await deferToThread(rabbit.ctl, "close_all_connections", "--vhost", vhost_of(vhost_uri), "a test")
    await until(
        lambda: listener.interruptions > before and stage.bridge.bus.unavailable_reason() is None,
        "the bus after the interruption",
    )
    for account in (STRANGER, RESELLER):
        await stage.call(account, call_id="after")
    assert (await plain.event())["data"]["call_id"] == "after"
    assert (await client.event())["data"]["call_id"] == "after"
    client.protocol.dropConnection(abort=True)
    for gap in (True, False):
        client = await stage.client()
        answer = (await client.ask("resume", {"session": begun["session"], "sequence": begun["sequence"]}))[
            "data"
        ]
        assert (answer["resumed"], answer["gap"], answer["missed"]) == (True, gap, 1)


async def hears(stage: Stage, client: Client, account: str, call_id: str) -> None:
    """The client gets the event of that call, the first that it has not taken yet."""
    await stage.call(account, call_id=call_id)
    assert (await client.event())["data"]["call_id"] == call_id


@pytest_twisted.ensureDeferred
async def test_a_console_that_followed_calls_and_closes_its_tab_harms_nobody(stage: Stage) -> None:
    console = await stage.client()
    for number in range(12):
        answer = await console.ask("subscribe", {"account_id": RESELLER, "binding": f"call.*.n12c{number}"})
        assert answer["status"] == "success"
    console.protocol.dropConnection(abort=True)
    other = await stage.client(STRANGER)
    assert (await other.ask("subscribe", {"account_id": STRANGER, "binding": "call.*.fresh"}))[
        "status"
    ] == "success"
    await hears(stage, other, STRANGER, "fresh")
    assert stage.bridge.bus.unavailable_reason() is None


@pytest.mark.parametrize("number", [98, 250])
@pytest_twisted.ensureDeferred
async def test_many_bindings_in_one_message(stage: Stage, number: int) -> None:
    client, other = await stage.client(), await stage.client(STRANGER)
    bindings = [f"call.*.c{one}" for one in range(number)]
    answer = await client.ask("subscribe", {"account_id": RESELLER, "bindings": bindings})
    assert (answer["status"], answer["data"].get("subscribed")) == ("success", bindings)
    for one in (0, number // 2, number - 1):
        await hears(stage, client, RESELLER, f"c{one}")
    client.protocol.dropConnection(abort=True)
    assert (await other.ask("subscribe", {"account_id": STRANGER, "binding": "call.*.fresh"}))[
        "status"
    ] == "success"
    await hears(stage, other, STRANGER, "fresh")
    assert stage.bridge.bus.unavailable_reason() is None


@pytest_twisted.ensureDeferred
async def test_many_sockets_that_subscribe_at_once(stage: Stage) -> None:
    clients = [await stage.client() for _ in range(150)]
    asking = [
        Deferred.fromCoroutine(
            client.ask("subscribe", {"account_id": RESELLER, "binding": f"call.*.s{number}"})
        )
        for number, client in enumerate(clients)
    ]
    assert {answer["status"] for answer in await gatherResults(asking)} == {"success"}
    for number, client in enumerate(clients):
        await hears(stage, client, RESELLER, f"s{number}")
    assert stage.bridge.bus.unavailable_reason() is None


@pytest_twisted.ensureDeferred
async def test_a_binding_that_the_broker_refuses(tmp_path: Path, rabbit: RabbitNode, vhost_uri: str) -> None:
    not_presence = "^(?!presence$).*"
    await deferToThread(
        rabbit.ctl, "set_permissions", "-p", vhost_of(vhost_uri), "guest", ".*", ".*", not_presence
    )
    stage = await Stage.of(tmp_path, vhost_uri)
    try:
        await until(lambda: stage.bridge.bus.unavailable_reason() is None, "the bus")
        client = await stage.client()
        answer = await client.ask(
            "subscribe", {"account_id": RESELLER, "bindings": ["call.*.*", "presence.update.*"]}
        )
        assert answer["status"] == "error"
        assert answer["data"]["errors"] == [
            "binding presence.update.* is not available: the message bus has refused it"
        ]
        assert stage.bridge.bus.unavailable_reason() is None
        answer = await client.ask("subscribe", {"account_id": RESELLER, "binding": "call.*.c1"})
        assert answer["data"] == {"subscribed": ["call.*.c1"]}
        await hears(stage, client, RESELLER, "c1")
        assert {key.rsplit(".", 1)[1] for key in await bound(stage, rabbit, vhost_uri)} == {"c1"}
    finally:
        await stage.stop()


@pytest_twisted.ensureDeferred
async def test_a_broker_that_does_not_answer(tmp_path: Path, disposable_rabbit: RabbitNode) -> None:
    stage = await Stage.of(tmp_path, disposable_rabbit.uri)
    try:
        await until(lambda: stage.bridge.bus.unavailable_reason() is None, "the bus")
        client = await stage.client()
        disposable_rabbit.freeze()
        answer = await client.ask("subscribe", {"account_id": RESELLER, "binding": "fax.status.*"})
        assert answer["status"] == "error"
        assert answer["data"]["errors"] == [
            "binding fax.status.* is not available: the message bus has not answered within 5 seconds"
        ]
        await until(lambda: stage.bridge.bus.unavailable_reason() is not None, "the consumer to be not ready")
        disposable_rabbit.thaw()
        await until(lambda: stage.bridge.bus.unavailable_reason() is None, "the bus to recover")
        assert (await client.ask("subscribe", {"account_id": RESELLER, "binding": "call.*.c1"}))[
            "status"
        ] == "success"
        await hears(stage, client, RESELLER, "c1")
    finally:
        disposable_rabbit.thaw()
        await stage.stop()
