from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest
import pytest_twisted
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.interfaces import BusUnavailable, IBus, InvalidMessage
from kazoo_bridge.kazoo import Event
from kazoo_bridge.node.node_queries import NodeQueryClient, NodeQueryResponder, NodeReply
from kazoo_bridge.testing import FakeBus
from tests.deferreds import result_of

reactor: Any = installed_reactor


async def answer(body: Mapping[str, Any]) -> Any:
    return {"asked": body.get("Of")}


@pytest_twisted.ensureDeferred
async def test_all_nodes_answer() -> None:
    bus = EmbeddedBus(reactor)
    bus.startService()
    nodes = [NodeQueryResponder(cast(IBus, bus), name, {"state": answer}) for name in ("b", "a")]
    for node in nodes:
        node.start()
    client = NodeQueryClient(cast(IBus, bus))
    assert await client.ask("state", {"Of": 7}) == [
        NodeReply("a", {"asked": 7}),
        NodeReply("b", {"asked": 7}),
    ]
    await nodes[0].stop()
    await nodes[0].stop()
    assert [reply.node for reply in await client.ask("state", {})] == ["a"]
    assert await client.ask("other", {}) == []
    await nodes[1].stop()
    bus.stopService()


@pytest_twisted.ensureDeferred
async def test_a_slow_answer_is_waited_for_until_all_expected_nodes_have_answered() -> None:
    bus = EmbeddedBus(reactor)
    bus.startService()
    asked: list[Deferred[Any]] = []

    async def answer_late(_body: Mapping[str, Any]) -> Any:
        asked.append(Deferred())
        return await asked[-1]

    nodes = [NodeQueryResponder(cast(IBus, bus), name, {"state": answer_late}) for name in ("a", "b")]
    for node in nodes:
        node.start()
    client = NodeQueryClient(cast(IBus, bus))
    names = await client.names()
    assert names == {"a", "b"}
    asking = Deferred.fromCoroutine(client.ask("state", {}, 60, names))
    while len(asked) < 2:
        await deferLater(reactor, 0.01)
    asked[0].callback(1)
    await deferLater(reactor, 0.01)
    assert not asking.called
    asked[1].callback(2)
    assert await asking == [NodeReply("a", 1), NodeReply("b", 2)]
    for node in nodes:
        await node.stop()
    bus.stopService()


def reply_of(responder: NodeQueryResponder, body: Mapping[str, Any]) -> Any:
    return result_of(responder._reply(Event("sysconf", "bridge.state", body, b"")))


def test_messages_that_are_no_queries() -> None:
    bus: Any = FakeBus()
    responder = NodeQueryResponder(bus, "a", {"state": answer})
    for name in ("other_req", "state_resp", "state"):
        assert reply_of(responder, {"Event-Name": name, "Server-ID": "q"}) is None
    assert bus.published == []
    with pytest.raises(InvalidMessage, match="Server-ID"):
        reply_of(responder, {"Event-Name": "state_req"})


def test_a_bus_that_is_away_is_logged() -> None:
    class Away:
        def reply(self, request: Event, body: Mapping[str, Any]) -> Deferred[None]:
            raise BusUnavailable("gone")

    responder = NodeQueryResponder(cast(IBus, Away()), "a", {"state": answer})
    with capturedLogs() as logs:
        assert reply_of(responder, {"Event-Name": "state_req", "Server-ID": "q"}) is None
    assert [str(event["reason"]) for event in logs] == ["gone"]
