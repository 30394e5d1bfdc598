"""Prometheus metrics of webhooks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from operator import sub

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import Delivery, IDeliveryStore, StorageUnavailable
from kazoo_bridge.metrics import NAMESPACE, Durations, register_histogram, register_labelled_counter
from kazoo_bridge.webhooks.http.failure_reasons import FAILURE_REASONS

_log = Logger()

#: Upper ends of the buckets of attempts, in seconds.
_ATTEMPT_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

#: Upper ends of the buckets of delays since an event was received, in seconds: first attempts may wait for a
#: slot or for their receiver's recovery, and retries go on for days.
_DELAY_BUCKETS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0, 600.0, 3600.0, 86400.0)

#: Successful first attempts that are counted together.
_MAX_COLLECTED = 512

#: Seconds between two counts of all stored deliveries, at least.
COUNT_INTERVAL = 15.0

#: Seconds for which a scrape waits for a count.
COUNT_TIMEOUT = 2.0

#: The statuses of deliveries that are still to be made.
WAITING_STATUSES = ("pending", "held")

#: The part of the time that the storage spends counting, at most.
MAX_COUNT_SHARE = 0.02


class AttemptMetrics:
    """Counts delivery attempts by result, why they fail, how long they take, and how late they are.

    It is counted in plain numbers: prometheus-client's metrics take a lock for each change. First attempts
    that succeed, the most common ones, are collected and counted together.
    """

    def __init__(self) -> None:
        self._results = {"success": 0, "failure": 0}
        self._failures = dict.fromkeys(FAILURE_REASONS, 0)
        self._seconds = Durations(_ATTEMPT_BUCKETS)
        self._first_delays = Durations(_DELAY_BUCKETS)
        self._delivery_delays = Durations(_DELAY_BUCKETS)
        #: When the event of a first attempt was received, when it began, and when it succeeded.
        self._collected: list[tuple[float, float, float]] = []

    def observe_success(self, delivery: Delivery, began: float, ended: float) -> None:
        """Count a successful attempt at `delivery`. Times are in seconds of the clock of its `created`."""
        if not delivery.attempts and delivery.replayed_at is None:
            collected = self._collected
            collected.append((delivery.created, began, ended))
            if len(collected) >= _MAX_COLLECTED:
                self._count_collected()
            return
        self._results["success"] += 1
        self._seconds.observe(ended - began)
        # A person has asked for a replay: its delay says nothing about this service.
        if delivery.replayed_at is None:
            self._delivery_delays.observe(ended - delivery.created)

    def observe_failure(self, delivery: Delivery, began: float, ended: float, reason: str) -> None:
        """Count a failed attempt like `observe_success`. `reason` is one of `FAILURE_REASONS`."""
        self._results["failure"] += 1
        self._failures[reason] += 1
        self._seconds.observe(ended - began)
        if not delivery.attempts and delivery.replayed_at is None:
            self._first_delays.observe(began - delivery.created)

    def register(self, registry: CollectorRegistry) -> None:
        """Export the metrics in `registry`."""
        register_labelled_counter(
            registry,
            "attempts",
            "Delivery attempts by result",
            "result",
            lambda: self._count_collected()._results,
        )
        register_labelled_counter(
            registry,
            "attempt_failures",
            "Failed delivery attempts by reason",
            "reason",
            lambda: self._failures,
        )
        register_histogram(
            registry,
            "attempt_seconds",
            "Duration of delivery attempts in seconds",
            lambda: self._count_collected()._seconds,
        )
        register_histogram(
            registry,
            "first_attempt_delay_seconds",
            "Seconds from the receipt of an event to the first attempt",
            lambda: self._count_collected()._first_delays,
        )
        register_histogram(
            registry,
            "delivery_delay_seconds",
            "Seconds from the receipt of an event to its successful delivery",
            lambda: self._count_collected()._delivery_delays,
        )

    def _count_collected(self) -> AttemptMetrics:
        """Count what is collected; returns this."""
        if self._collected:
            created, began, ended = zip(*self._collected, strict=True)
            self._collected.clear()
            self._results["success"] += len(ended)
            self._seconds.observe_all(list(map(sub, ended, began)))
            self._first_delays.observe_all(list(map(sub, began, created)))
            self._delivery_delays.observe_all(list(map(sub, ended, created)))
        return self


class StoredDeliveryMetrics(Collector):
    """The stored deliveries by status, and the ages of the oldest, which are read from the storage.

    Counting takes as long as there are deliveries, so a count is kept for `COUNT_INTERVAL`, or longer if it
    took longer than `MAX_COUNT_SHARE` of that. A scrape waits for a count for `COUNT_TIMEOUT` at most, and
    then has the one before.
    """

    def __init__(self, registry: CollectorRegistry, store: IDeliveryStore, clock: IReactorTime) -> None:
        self._store = store
        self._clock = clock
        self._next_count = 0.0
        self._counting: Deferred[None] | None = None
        self._counts: Mapping[str, int] = {}
        self._oldest: Mapping[str, float] = {}
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Return the metrics, as prometheus-client's collectors do."""
        stored = GaugeMetricFamily(
            f"{NAMESPACE}_deliveries_stored",
            "Deliveries in the storage, of all nodes on it",
            labels=["status"],
        )
        ages = GaugeMetricFamily(
            f"{NAMESPACE}_oldest_delivery_seconds",
            "Seconds for which the oldest stored delivery has waited",
            labels=["status"],
        )
        now = self._clock.seconds()
        for status, count in sorted(self._counts.items()):
            stored.add_metric([status], count)
        for status in WAITING_STATUSES if self._counts else ():
            since = self._oldest.get(status)
            ages.add_metric([status], 0.0 if since is None else max(0.0, now - since))
        return iter((stored, ages))

    async def update(self) -> None:
        """Read the counts, if the present ones are old; there are none while the storage is unavailable."""
        if self._counting is None:
            if self._clock.seconds() < self._next_count:
                return
            self._counting = Deferred.fromCoroutine(self._count())
            self._counting.addCallback(self._on_counted)
        if self._counting is None:
            return
        waiting: Deferred[None] = Deferred()
        self._counting.addCallback(lambda _: None if waiting.called else waiting.callback(None))
        waiting.addTimeout(COUNT_TIMEOUT, self._clock)
        with suppress(TimeoutError):
            await waiting

    async def _count(self) -> None:
        started = self._clock.seconds()
        try:
            counts = await self._store.counts()
            oldest = await self._store.oldest_waiting()
        except StorageUnavailable:
            self.clear()
        except Exception:
            _log.failure("counting the stored deliveries failed")
            self.clear()
        else:
            ended = self._clock.seconds()
            self._next_count = ended + max(COUNT_INTERVAL, (ended - started) / MAX_COUNT_SHARE)
            self._counts, self._oldest = counts, oldest

    def _on_counted(self, _: None) -> None:
        self._counting = None

    def clear(self) -> None:
        """Have no counts until they are read again: the storage is unavailable."""
        self._next_count = 0.0
        self._counts, self._oldest = {}, {}
