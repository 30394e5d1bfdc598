"""Live calls over a real broker, with several nodes of a switch, one of which sends malformed replies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from attrs import define, evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from kazoo_bridge.bus.amqp import AmqpBus
from kazoo_bridge.calls.service import CallService
from kazoo_bridge.config import Calls, Config, parse_uri
from kazoo_bridge.interfaces import CallChange, UnknownCall
from kazoo_bridge.kazoo import TARGETED, Event
from tests.calls.switch import ACCOUNT, OTHER, SwitchNode, channel, listed
from tests.integration.amqp_harness import BrokerClient, is_available, running_bus, until
from tests.integration.rabbitmq import RabbitNode

pytestmark = pytest.mark.timeout(120)


@define
class Harness:
    uri: str
    service: CallService
    bus: AmqpBus
    switch: AmqpBus
    one: SwitchNode
    two: SwitchNode

    async def publish(self, name: str, call_id: str) -> None:
        body = {
            "Event-Category": "call_event",
            "Event-Name": name,
            "Call-ID": call_id,
            "Custom-Channel-Vars": {"Account-ID": ACCOUNT},
        }
        await self.switch.publish("callevt", f"call.{name}.{call_id}", body)


@pytest_twisted.async_yield_fixture
async def harness(vhost_uri: str) -> AsyncIterator[Harness]:
    config = evolve(Config(), calls=Calls(query_timeout_ms=700))
    async with running_bus(vhost_uri) as bus, running_bus(vhost_uri) as switch:
        shared = listed("shared", timestamp=20)
        one = SwitchNode(
            switch,
            {"mine": channel("mine")},
            [listed("mine", timestamp=10), shared, listed("foreign", OTHER)],
        )
        two = SwitchNode(
            switch,
            {"foreign": channel("foreign", OTHER)},
            [shared | {"username": "desk"}, listed("late", timestamp=30)],
            name="two",
        )
        garbage = SwitchNode(switch, name="garbage")
        client = await BrokerClient.connect(parse_uri(vhost_uri))

        malformed: tuple[Any, ...] = (
            "all of them",
            [None, 5, {"uuid": 7, "account_id": ACCOUNT}],
            {"x": []},
            None,
        )

        def reply_malformed(event: Event) -> None:
            to = event.body["Server-ID"]
            client.send(TARGETED, to, b"{no json")
            client.send(TARGETED, to, b'["a list"]')
            for channels in malformed:
                garbage.reply(event, channels if channels is not None else 0)

        garbage.answer = reply_malformed
        service = CallService.from_config(reactor, config, bus)
        service.start()
        await until(is_available(bus), "the bus")
        await until(is_available(switch), "the switch")
        yield Harness(vhost_uri, service, bus, switch, one, two)
        await service.stop()
        await client.close()


@pytest_twisted.ensureDeferred
async def test_replies_of_all_nodes_are_merged(harness: Harness) -> None:
    found = await harness.service.channels(ACCOUNT)
    assert [one["call_id"] for one in found] == ["mine", "shared", "late"]
    assert found[1]["username"] == "desk"


@pytest_twisted.ensureDeferred
async def test_commands_are_published_for_the_account_s_calls_only(harness: Harness) -> None:
    assert await harness.service.command(ACCOUNT, "mine", "hangup", {}) == "hangup initiated"
    for call_id in ("foreign", "unknown"):
        with pytest.raises(UnknownCall):
            await harness.service.command(ACCOUNT, call_id, "hangup", {})
    assert await harness.service.flow(ACCOUNT, "mine", {"module": "hangup"}) == "metaflow sent"
    await until(lambda: len(harness.one.commands) >= 2, "the commands")
    assert [event.routing_key for event in harness.one.commands] == [
        "metaflow.action.mine.hangup",
        "metaflow.flow.mine",
    ]


@pytest_twisted.ensureDeferred
async def test_a_watch_follows_events_and_a_reconnection(harness: Harness, rabbit: RabbitNode) -> None:
    calls: dict[str, Any] = {}
    kinds: list[str] = []

    def watcher(change: CallChange) -> None:
        kinds.append(change.kind)
        if change.kind == "snapshot":
            calls.clear()
        calls.update({call["call_id"]: call for call in change.calls})
        for call_id in change.call_ids:
            del calls[call_id]

    watch = harness.service.watch(ACCOUNT, watcher)
    await until(lambda: kinds, "the snapshot")
    assert (kinds, sorted(calls)) == (["snapshot"], ["late", "mine", "shared"])
    await harness.publish("CHANNEL_CREATE", "fresh")
    await harness.publish("CHANNEL_DESTROY", "late")
    await until(lambda: "late" not in calls, "the end of a call")
    assert calls["fresh"]["state"] == "ringing"

    harness.one.of_account, harness.two.of_account = [listed("meanwhile")], []
    vhost = parse_uri(harness.uri).vhost
    await deferToThread(rabbit.close_connections, vhost)
    await until(lambda: "meanwhile" in calls and "mine" not in calls, "the correction")
    assert kinds[-1] == "snapshot"
    assert "stale" in kinds
    await harness.publish("CHANNEL_HOLD", "meanwhile")
    await until(lambda: calls["meanwhile"]["state"] == "held", "an event after the reconnection")
    watch.stop()
    query = Deferred.fromCoroutine(harness.service.channels(ACCOUNT))
    count = len(kinds)
    await harness.publish("CHANNEL_UNHOLD", "meanwhile")
    await query
    assert len(kinds) == count
