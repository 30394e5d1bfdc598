from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Gauge
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge import __version__
from kazoo_bridge.node.node_queries import REPLY_TIMEOUT
from kazoo_bridge.node.node_status import ANSWER_TIMEOUT, StatusReader
from tests.deferreds import result_of


def read(problems: list[str]) -> dict[str, Any]:
    clock, registry = Clock(), CollectorRegistry()
    clock.advance(60)
    Gauge("kazoo_bridge_sockets", "", registry=registry).set(3)
    Gauge("kazoo_bridge_queue_messages", "", registry=registry).set(float("nan"))
    Gauge("kazoo_bridge_deliveries_stored", "", ["status"], registry=registry).labels("dead").set(2)

    async def read_metrics(timeout: float) -> CollectorRegistry:
        assert timeout == ANSWER_TIMEOUT
        return registry

    async def read_problems(timeout: float) -> list[str]:
        assert timeout == ANSWER_TIMEOUT
        return problems

    reader = StatusReader(clock, 10.0, read_metrics, read_problems, lambda: ["zone 1: away"])
    return dict(result_of(reader.read()))


def test_readiness_and_metrics() -> None:
    status = read([])
    assert (status["version"], status["ready"], status["uptime_s"]) == (__version__, True, 50)
    assert status["degraded"] == ["zone 1: away"]
    assert (status["sockets"], status["deliveries_dead"]) == (3, 2)
    # What is unknown, and what has no metric.
    assert status["queue_messages"] is None
    assert status["memory_bytes"] is None


def test_a_node_that_is_not_ready() -> None:
    status = read(["bus: away"])
    assert (status["ready"], status["problems"]) == (False, ["bus: away"])


def test_a_storage_that_hangs_does_not_keep_the_status_beyond_the_query() -> None:
    waiting: Deferred[Any] = Deferred()

    async def read_metrics(timeout: float) -> Any:
        return await waiting

    async def read_problems(timeout: float) -> list[str]:
        started.append(timeout)
        return []

    started: list[float] = []
    reading = Deferred.fromCoroutine(StatusReader(Clock(), 0.0, read_metrics, read_problems, list).read())
    # Both wait at the same time.
    assert started == [ANSWER_TIMEOUT]
    assert ANSWER_TIMEOUT < REPLY_TIMEOUT / 1.5
    waiting.callback(CollectorRegistry())
    assert reading.called
