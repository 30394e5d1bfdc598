"""A cluster with two zones: two RabbitMQ nodes, and a node of the service in each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from attrs import frozen
from twisted.internet import reactor as _reactor
from twisted.internet.task import deferLater
from twisted.internet.threads import deferToThread
from twisted.web.http_headers import Headers

from kazoo_bridge.bus.amqp import AmqpBus
from kazoo_bridge.interfaces import IBus, Unroutable
from tests.integration.amqp_harness import is_available, running_bus, until
from tests.integration.rabbitmq import RabbitNode
from tests.websockets.client import WebsocketClient
from tests.websockets.harness import CHILD, RESELLER, STRANGER, Harness

pytestmark = pytest.mark.timeout(120)

reactor: Any = _reactor


@pytest.fixture(scope="module")
def other_rabbit() -> Iterator[RabbitNode]:
    """The broker of the other zone."""
    node = RabbitNode()
    node.start()
    yield node
    node.stop()


@frozen
class ZonesOfTheTest:
    """A node in the home zone, and a bus of the other zone's broker, as KAZOO's applications there use it."""

    home: Harness
    other: AmqpBus
    home_uri: str

    async def connect(self) -> WebsocketClient:
        """Connect a client in the home zone that subscribes to the calls of RESELLER."""
        client = await self.home.connect()
        answer = await client.request(
            "subscribe", {"account_id": RESELLER, "binding": "call.CHANNEL_CREATE.*"}
        )
        assert answer["status"] == "success"
        return client

    async def both_bound(self) -> None:
        """Wait until the home node is bound in the other zone."""
        bus: Any = self.home.node.bus
        await until(lambda: bus.degraded() == [], "the other zone")

    async def readiness(self) -> tuple[int, list[str]]:
        """Return the status and the lines of ``/readyz``."""
        response = await treq.get(f"http://{self.home.node.http_host}/readyz", persistent=False)
        return response.code, (await response.text()).splitlines()


@pytest_twisted.async_yield_fixture
async def zones(tmp_path: Path, vhost_uri: str, other_rabbit: RabbitNode) -> AsyncIterator[ZonesOfTheTest]:
    async with running_bus(other_rabbit.uri) as other:
        home = await Harness.start(tmp_path, vhost_uri, [other_rabbit.uri])
        made = ZonesOfTheTest(home, other, vhost_uri)
        await until(lambda: home.node.bus.unavailable_reason() is None, "the home zone")
        await until(is_available(other), "the bus in the other zone")
        await made.both_bound()
        yield made
        await home.stop()


def call(account: str, call_id: str, name: str = "CHANNEL_CREATE") -> dict[str, Any]:
    return {
        "Event-Category": "call_event",
        "Event-Name": name,
        "Call-ID": call_id,
        "Custom-Channel-Vars": {"Account-ID": account},
        "Msg-ID": "m",
    }


async def publish_until_routed(bus: IBus, exchange: str, key: str, body: dict[str, Any]) -> None:
    """Publish a message once a queue takes it: bindings in other zones are not waited for."""
    while True:
        try:
            await bus.publish(exchange, key, body, mandatory=True)
            return
        except Unroutable:
            continue


@pytest_twisted.ensureDeferred
async def test_a_socket_hears_the_calls_of_the_other_zone_and_webhooks_do_not(zones: ZonesOfTheTest) -> None:
    client = await zones.connect()
    await publish_until_routed(zones.other, "callevt", "call.CHANNEL_CREATE.far", call(RESELLER, "far"))
    assert (await client.event())["data"]["call_id"] == "far"
    await zones.home.publish_call(RESELLER, call_id="near")
    assert (await client.event())["data"]["call_id"] == "near"
    # The durable queue of the webhooks takes this event, and is bound in the home zone alone.
    key, body = "call.CHANNEL_DESTROY.far", call(RESELLER, "far", "CHANNEL_DESTROY")
    await zones.home.node.bus.publish("callevt", key, body, mandatory=True)
    with pytest.raises(Unroutable):
        await zones.other.publish("callevt", key, body, mandatory=True)


@pytest_twisted.ensureDeferred
async def test_the_sockets_of_all_zones_are_listed(
    zones: ZonesOfTheTest, tmp_path: Path, other_rabbit: RabbitNode
) -> None:
    (tmp_path / "other").mkdir()
    there = await Harness.start(tmp_path / "other", other_rabbit.uri, [zones.home_uri])
    try:
        bus: Any = there.node.bus
        await until(lambda: bus.degraded() == [] and bus.unavailable_reason() is None, "the node there")
        here, remote = await zones.home.connect(), await there.connect()
        for harness in (zones.home, there):
            response = await treq.get(
                f"http://{harness.node.http_host}/v2/accounts/{RESELLER}/websockets",
                headers=Headers({"X-Auth-Token": [harness.tokens[RESELLER]]}),
                persistent=False,
            )
            listed = (await response.json())["data"]
            sessions = {*zones.home.sessions, *there.sessions}
            assert {one["websocket_session_id"] for one in listed} == {one.id for one in sessions}
            assert len(listed) == 2
        assert here is not remote
    finally:
        await there.stop()


@pytest_twisted.ensureDeferred
async def test_an_account_deleted_in_the_other_zone_goes(zones: ZonesOfTheTest) -> None:
    directory = zones.home.node.directory
    assert directory.account(STRANGER).result is not None
    body = {
        "Event-Category": "configuration",
        "Event-Name": "doc_deleted",
        "Type": "account",
        "ID": STRANGER,
        "Account-ID": STRANGER,
        "Msg-ID": "m",
    }
    await publish_until_routed(zones.other, "configuration", f"doc_deleted.account.account.{STRANGER}", body)
    await until(lambda: directory.account(STRANGER).result is None, "the deletion")


@pytest_twisted.ensureDeferred
async def test_a_zone_that_is_away_harms_no_other_and_is_bound_again(
    zones: ZonesOfTheTest, other_rabbit: RabbitNode
) -> None:
    client = await zones.connect()
    fanout = zones.home.websockets.fanout
    before = fanout.interruptions
    assert await zones.readiness() == (200, ["ready"])
    await deferToThread(other_rabbit.kill)
    bus: Any = zones.home.node.bus
    await until(lambda: bus.degraded(), "the end of the zone")
    lines: list[str] = []
    while len(lines) < 2:
        # Not too often: new connections of one address are limited.
        await deferLater(reactor, 0.05)
        status, lines = await zones.readiness()
        assert status == 200
    assert lines[0] == "ready"
    assert lines[1].startswith("degraded: zone 1: ")
    assert "guest" not in lines[1]
    # Everything works in the home zone, a new subscription too.
    other = await zones.home.connect(CHILD)
    answer = await other.request("subscribe", {"account_id": CHILD, "binding": "call.CHANNEL_ANSWER.*"})
    assert answer["status"] == "success"
    await zones.home.publish_call(RESELLER, call_id="meanwhile")
    assert (await client.event())["data"]["call_id"] == "meanwhile"
    await deferToThread(other_rabbit.start)
    await zones.both_bound()
    assert fanout.interruptions > before  # clients that resume are notified of a gap
    await until(is_available(zones.other), "the bus in the other zone")
    await publish_until_routed(zones.other, "callevt", "call.CHANNEL_CREATE.back", call(RESELLER, "back"))
    assert (await client.event())["data"]["call_id"] == "back"
    answered = call(CHILD, "later", "CHANNEL_ANSWER")
    await publish_until_routed(zones.other, "callevt", "call.CHANNEL_ANSWER.later", answered)
    assert (await other.event())["data"]["call_id"] == "later"
