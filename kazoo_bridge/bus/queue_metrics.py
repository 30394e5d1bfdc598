"""The metrics of the durable queue: how much waits in it, and its bound."""

from __future__ import annotations

from collections.abc import Callable
from math import nan

from attrs import frozen
from prometheus_client import CollectorRegistry

from kazoo_bridge.metrics import register_gauge


@frozen
class QueueLevel:
    """What waits in the durable queue: NaN while it is not known. `max_bytes` is 0 without a known bound."""

    messages: float = nan
    bytes: float = nan
    max_bytes: int = 0


def register_queue_metrics(registry: CollectorRegistry, read: Callable[[], QueueLevel]) -> None:
    """Register the metrics; `read` is called at each scrape."""
    register_gauge(
        registry,
        "queue_messages",
        "Messages that wait in the durable queue; NaN while unknown",
        lambda: read().messages,
    )
    register_gauge(
        registry,
        "queue_bytes",
        "Their bytes, estimated by the mean size of received messages; NaN while unknown",
        lambda: read().bytes,
    )
    register_gauge(
        registry,
        "queue_max_bytes",
        "Bound of the durable queue; 0 if it has none or is not known",
        lambda: read().max_bytes,
    )
