"""Prometheus metrics of webhooks."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import IDeliveryStore, StorageUnavailable
from kazoo_bridge.metrics import NAMESPACE

#: Upper ends of the histogram's buckets, in seconds.
_DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: Seconds between two counts of all stored deliveries, at least.
COUNT_INTERVAL = 15.0

#: The part of the time that the storage spends counting, at most.
MAX_COUNT_SHARE = 0.02


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
    """The number of stored deliveries by status, which is read from the storage.

    Counting takes as long as there are deliveries, so a count is kept for `COUNT_INTERVAL`, or longer if it
    took longer than `MAX_COUNT_SHARE` of that.
    """

    def __init__(self, registry: CollectorRegistry, store: IDeliveryStore, clock: IReactorTime) -> None:
        self._store = store
        self._clock = clock
        self._next_count = 0.0
        self._stored = Gauge(
            "deliveries_stored",
            "Deliveries in the storage, of all nodes on it",
            ["status"],
            namespace=NAMESPACE,
            registry=registry,
        )

    async def update(self) -> None:
        """Read the counts, if the present ones are old; there are none while the storage is unavailable."""
        started = self._clock.seconds()
        if started < self._next_count:
            return
        try:
            counts = await self._store.counts()
        except StorageUnavailable:
            self.clear()
            return
        ended = self._clock.seconds()
        self._next_count = ended + max(COUNT_INTERVAL, (ended - started) / MAX_COUNT_SHARE)
        self._stored.clear()
        for status, count in sorted(counts.items()):
            self._stored.labels(status).set(count)

    def clear(self) -> None:
        """Have no counts until they are read again: the storage is unavailable."""
        self._next_count = 0.0
        self._stored.clear()
