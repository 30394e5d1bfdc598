from __future__ import annotations

from typing import Any

import orjson
from attrs import define, field
from prometheus_client import CollectorRegistry, Gauge
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.node.processes.link import ProcessLink
from kazoo_bridge.node.processes.worker import ALIVE_INTERVAL, WorkerOrders


@define
class Harness:
    """A worker whose orders are called `orders`; `received` are its messages to the first process."""

    clock: Clock = field(factory=Clock)
    transport: StringTransport = field(factory=StringTransport)
    orders: list[str] = field(factory=list)
    looking: Deferred[None] = field(factory=Deferred)
    problem: str | None = None
    link: Any = None
    worker: WorkerOrders = field(init=False)

    def __attrs_post_init__(self) -> None:
        def order(name: str) -> Any:
            return lambda: self.orders.append(name)

        self.worker = WorkerOrders(
            self.clock,
            lambda: self.problem,
            self._look,
            self._read_metrics,
            order("stop"),
            order("force"),
            order("reload"),
            order("status"),
            connect=self._connect,
        )
        self.worker.startService()

    def _connect(self, link: ProcessLink) -> None:
        self.link = link
        link.makeConnection(self.transport)

    async def _look(self) -> None:
        await self.looking

    async def _read_metrics(self) -> CollectorRegistry:
        registry = CollectorRegistry(auto_describe=False)
        Gauge("depth", "Depth", registry=registry).set(3)
        return registry

    def send(self, **order: Any) -> None:
        text = orjson.dumps(order)
        self.link.dataReceived(b"%d:%s," % (len(text), text))

    def received(self) -> list[Any]:
        messages: list[Any] = []
        reader = ProcessLink(messages.append)
        reader.makeConnection(StringTransport())
        reader.dataReceived(self.transport.value())
        self.transport.clear()
        return messages


def test_it_shows_signs_of_life_until_it_stops() -> None:
    harness = Harness()
    harness.problem = "the broker is away"
    harness.clock.advance(ALIVE_INTERVAL)
    assert harness.received() == [{"problem": None}, {"problem": "the broker is away"}]
    harness.worker.stopService()
    assert harness.transport.disconnecting
    assert harness.clock.getDelayedCalls() == []


def test_orders_are_followed() -> None:
    harness = Harness()
    for name in ("reload", "status", "stop", "force"):
        harness.send(do=name)
    assert harness.orders == ["reload", "status", "stop", "force"]


def test_a_look_is_answered_when_the_storage_has_been_read() -> None:
    harness = Harness()
    harness.received()
    harness.send(do="look", id=7)
    assert harness.received() == []
    harness.looking.callback(None)
    assert harness.received() == [{"id": 7}]


def test_metrics_are_sent() -> None:
    harness = Harness()
    harness.received()
    harness.send(do="metrics", id=1)
    assert harness.received() == [{"id": 1, "metrics": [["depth", "Depth", "gauge", [["depth", {}, 3.0]]]]}]


def test_an_order_that_fails_is_logged_and_harms_no_other() -> None:
    harness = Harness()
    harness.received()
    with capturedLogs() as logs:
        harness.send(do="look", id=7)
        harness.looking.errback(OSError("no storage"))
    assert ["cannot be followed" in str(formatEvent(one)) for one in logs] == [True]
    harness.send(do="metrics", id=8)
    assert [one["id"] for one in harness.received()] == [8]


def test_it_drains_when_the_first_process_ends() -> None:
    harness = Harness()
    with capturedLogs() as logs:
        harness.link.connectionLost()
    assert harness.orders == ["stop"]
    assert [formatEvent(one) for one in logs] == ["the first process of the node has ended"]
    harness.worker.stopService()
    assert harness.orders == ["stop"]
