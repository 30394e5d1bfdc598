"""The level of the durable queue as Prometheus reads it."""

from __future__ import annotations

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from kazoo_bridge.bus.queue_metrics import BodySizes, QueueLevel, register_queue_metrics


def read(level: QueueLevel) -> dict[str, str]:
    registry = CollectorRegistry()
    register_queue_metrics(registry, lambda: level)
    lines = generate_latest(registry).decode().splitlines()
    return dict(line.split() for line in lines if not line.startswith("#"))


def test_the_level_and_its_bound_are_read() -> None:
    assert read(QueueLevel(3, 500, 1000)) == {
        "kazoo_bridge_queue_messages": "3.0",
        "kazoo_bridge_queue_bytes": "500.0",
        "kazoo_bridge_queue_max_bytes": "1000.0",
    }


def test_an_unknown_level_is_not_a_number() -> None:
    assert read(QueueLevel())["kazoo_bridge_queue_bytes"] == "NaN"


def test_the_mean_of_none_is_zero() -> None:
    assert BodySizes().mean == 0


def test_few_messages_are_not_forgotten() -> None:
    sizes = BodySizes(10, 1000)
    sizes.forget_half()
    assert sizes == BodySizes(10, 1000)


def test_recent_messages_count_more() -> None:
    sizes = BodySizes(2000, 2000 * 100)
    sizes.forget_half()
    assert sizes.mean == 100
    sizes.count += 1000
    sizes.total += 1000 * 300
    assert sizes.mean == 200
