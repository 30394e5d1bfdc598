from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.metrics import register_gauge, register_labelled_gauge
from kazoo_bridge.node.status import StatusLog, gauges


class Reactor(Clock):
    def getReaders(self) -> list[Any]:
        return [object(), object()]


def make_registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    register_gauge(registry, "sockets", "Sockets", lambda: 3)
    register_gauge(registry, "idle", "Nothing", lambda: 0)
    register_labelled_gauge(registry, "zone_up", "Zones", "zone", lambda: {"1": 1.0})
    return registry


def test_gauges_that_are_not_0() -> None:
    assert gauges(make_registry()) == {"kazoo_bridge_sockets": "3", "kazoo_bridge_zone_up[zone=1]": "1"}


def test_the_status_is_logged() -> None:
    reactor = Reactor()
    reactor.callLater(5, make_registry)

    async def problems() -> list[str]:
        return ["bus: away"]

    async def read_metrics() -> CollectorRegistry:
        return make_registry()

    with capturedLogs() as logged:
        status = StatusLog(reactor, problems, lambda: ["zone 1: away"], read_metrics)
        Deferred.fromCoroutine(status.log())
    lines = [formatEvent(event) for event in logged]
    for line in (
        "status readiness=bus: away",
        "status degraded=zone 1: away",
        "status metric=kazoo_bridge_sockets value=3",
        "status delayed_calls=1",
        "status delayed_call=tests.node.test_status.make_registry count=1",
        "status connection=object count=2",
        "status thread=MainThread count=1",
    ):
        assert line in lines
    assert all(line.startswith("status ") for line in lines)
