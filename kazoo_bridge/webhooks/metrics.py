"""Prometheus metrics of webhooks."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from kazoo_bridge.interfaces import IDeliveryStore, StorageUnavailable
from kazoo_bridge.metrics import NAMESPACE

#: Upper ends of the histogram's buckets, in seconds.
_DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class AttemptMetrics:
    """Counts delivery attempts by result, and how long they take."""

    def __init__(self) -> None:
        self._attempts = Counter(
            "attempts", "Delivery attempts by result", ["result"], namespace=NAMESPACE, registry=None
        )
        self._durations = Histogram(
            "attempt_seconds",
            "Duration of delivery attempts in seconds",
            namespace=NAMESPACE,
            buckets=_DURATION_BUCKETS,
            registry=None,
        )
        # Kept because looking up a label's value takes longer than counting.
        self._failures = self._attempts.labels("failure")
        self._successes = self._attempts.labels("success")

    def observe(self, *, success: bool, seconds: float) -> None:
        """Count one attempt that took `seconds`."""
        (self._successes if success else self._failures).inc()
        self._durations.observe(seconds)

    def register(self, registry: CollectorRegistry) -> None:
        """Export the metrics in `registry`."""
        registry.register(self._attempts)
        registry.register(self._durations)


class StoredDeliveryMetrics:
    """The number of stored deliveries by status, which is read from the storage."""

    def __init__(self, registry: CollectorRegistry, store: IDeliveryStore) -> None:
        self._store = store
        self._stored = Gauge(
            "deliveries_stored",
            "Deliveries in the storage, of all nodes on it",
            ["status"],
            namespace=NAMESPACE,
            registry=registry,
        )

    async def update(self) -> None:
        """Read the counts; there are none while the storage is unavailable."""
        try:
            counts = await self._store.counts()
        except StorageUnavailable:
            counts = {}
        self._stored.clear()
        for status, count in sorted(counts.items()):
            self._stored.labels(status).set(count)
