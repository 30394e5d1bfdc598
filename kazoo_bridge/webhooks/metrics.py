"""Prometheus metrics of webhooks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import IDeliveryStore, StorageUnavailable
from kazoo_bridge.metrics import NAMESPACE

#: Upper ends of the histogram's buckets, in seconds.
_DURATION_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: Seconds between two counts of all stored deliveries, at least.
COUNT_INTERVAL = 15.0

#: The part of the time that the storage spends counting, at most.
MAX_COUNT_SHARE = 0.02


class AttemptMetrics(Collector):
    """Counts delivery attempts by result, and how long they take.

    It is counted in plain numbers: prometheus-client's metrics take a lock for each change.
    """

    def __init__(self) -> None:
        self._successes = self._failures = 0
        self._seconds = 0.0
        self._buckets = [0] * (len(_DURATION_BUCKETS) + 1)

    def observe(self, success: bool, seconds: float) -> None:
        """Count one attempt that took `seconds`."""
        if success:
            self._successes += 1
        else:
            self._failures += 1
        self._seconds += seconds
        self._buckets[bisect_left(_DURATION_BUCKETS, seconds)] += 1

    def collect(self) -> Iterable[Metric]:
        """Return the metrics, as prometheus-client's collectors do."""
        attempts = CounterMetricFamily(
            f"{NAMESPACE}_attempts", "Delivery attempts by result", labels=["result"]
        )
        attempts.add_metric(["failure"], self._failures)
        attempts.add_metric(["success"], self._successes)
        ends = [*map(str, _DURATION_BUCKETS), "+Inf"]
        durations = HistogramMetricFamily(
            f"{NAMESPACE}_attempt_seconds",
            "Duration of delivery attempts in seconds",
            buckets=list(zip(ends, accumulate(self._buckets), strict=True)),
            sum_value=self._seconds,
        )
        return [attempts, durations]

    def register(self, registry: CollectorRegistry) -> None:
        """Export the metrics in `registry`."""
        registry.register(self)


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
