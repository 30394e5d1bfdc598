"""The metrics of the durable queue: how much waits in it, and its bound; and the mean size of messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import nan

from attrs import define, frozen
from prometheus_client import CollectorRegistry

from kazoo_bridge.metrics import register_gauge

#: Messages that are enough for a mean.
_MIN_COUNT = 1000


def register_unacknowledged(registry: CollectorRegistry, read: Callable[[], float]) -> None:
    """Register the number of messages that this node has received and not acknowledged.

    Only queues of the home zone have messages to acknowledge: events of other zones count as done on arrival.
    """
    register_gauge(
        registry,
        "unacknowledged",
        "Messages of the home zone that this node has received and not acknowledged yet",
        read,
    )


@define
class BodySizes:
    """Number and total size, in bytes, of the messages received so far. Recent ones count more."""

    count: float = 0
    total: float = 0

    @property
    def mean(self) -> float:
        """The mean size in bytes; 0 before the first message."""
        return self.total / self.count if self.count else 0.0

    def forget_half(self) -> None:
        """Halve the weight of the messages so far, unless they are few."""
        if self.count > _MIN_COUNT:
            self.count /= 2
            self.total /= 2


@frozen
class QueueLevel:
    """What waits in the durable queue: NaN while it is not known. `max_bytes` is 0 without a known bound."""

    messages: float = nan
    bytes: float = nan
    max_bytes: int = 0


def register_binding_metrics(registry: CollectorRegistry, missing: Callable[[], Sequence[str]]) -> None:
    """Register how many bindings are missing; `missing` is called at each scrape."""
    register_gauge(
        registry,
        "bindings_missing",
        "Topics of event categories that are not bound in the home zone, because their exchange is missing",
        lambda: len(missing()),
    )


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
