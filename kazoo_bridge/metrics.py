"""Helpers for Prometheus metrics: one prefix for all names, and values that are read at each scrape.

Each package registers its metrics in the `CollectorRegistry` that it receives; the node owns the registry and
`prometheus_client`'s global one is not used.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate, repeat

from attrs import frozen
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

#: Prefix of all metrics of this service.
NAMESPACE = "kazoo_bridge"


def register_gauge(
    registry: CollectorRegistry, name: str, documentation: str, read: Callable[[], float]
) -> None:
    """Register a gauge whose value is what `read` returns at each scrape."""
    Gauge(name, documentation, namespace=NAMESPACE, registry=registry).set_function(read)


def register_counter(
    registry: CollectorRegistry, name: str, documentation: str, read: Callable[[], float]
) -> None:
    """Register a counter whose value is what `read` returns at each scrape. `name` lacks ``_total``.

    For counts on hot paths, which are plain integers: `prometheus_client.Counter` takes a lock per event.
    """
    registry.register(_MetricReader(name, documentation, lambda: {"": read()}))


def register_labelled_counter(
    registry: CollectorRegistry,
    name: str,
    documentation: str,
    label: str,
    read: Callable[[], Mapping[str, float]],
) -> None:
    """Like `register_counter`, with one label: `read` returns the count of each of its values."""
    registry.register(_MetricReader(name, documentation, read, label))


def register_labelled_gauge(
    registry: CollectorRegistry,
    name: str,
    documentation: str,
    label: str,
    read: Callable[[], Mapping[str, float]],
) -> None:
    """Like `register_gauge`, with one label: `read` returns the value for each of its values."""
    registry.register(_MetricReader(name, documentation, read, label, GaugeMetricFamily))


def register_counters(
    registry: CollectorRegistry,
    name: str,
    documentation: str,
    labels: Sequence[str],
    read: Callable[[], Mapping[tuple[str, ...], float]],
) -> None:
    """Like `register_counter`, with several labels: `read` returns the counts by their values."""
    registry.register(_CounterReader(name, documentation, labels, read))


class Durations:
    """Counts durations by size, in plain numbers: prometheus-client's histogram takes a lock for each.

    `ends`: the upper ends of the buckets in seconds, ascending. `counts` are those of the buckets, and then
    of what is longer.
    """

    __slots__ = ("counts", "ends", "total")

    def __init__(self, ends: tuple[float, ...]) -> None:
        self.ends = ends
        self.counts = [0] * (len(ends) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count a duration; one below 0, after a change of the clock, counts as 0."""
        if seconds > 0:
            self.total += seconds
        self.counts[bisect_left(self.ends, seconds)] += 1

    def observe_all(self, seconds: Sequence[float]) -> None:
        """Count many durations, at a fraction of the time of `observe` for each."""
        self.total += sum(seconds) if min(seconds, default=0) >= 0 else sum(max(0, one) for one in seconds)
        for index, count in Counter(map(bisect_left, repeat(self.ends), seconds)).items():
            self.counts[index] += count


def register_histogram(
    registry: CollectorRegistry,
    name: str,
    documentation: str,
    read: Callable[[], Durations | Mapping[str, Durations]],
    label: str = "",
) -> None:
    """Register a histogram, which is read at each scrape.

    With `label`, `read` returns the durations of each of its values.
    """
    registry.register(_HistogramReader(name, documentation, read, label))


@frozen(eq=False)
class _HistogramReader(Collector):
    _name: str
    _documentation: str
    _read: Callable[[], Durations | Mapping[str, Durations]]
    _label: str

    def collect(self) -> Iterator[Metric]:
        read = self._read()
        durations = {"": read} if isinstance(read, Durations) else read
        labels = [self._label] if self._label else []
        family = HistogramMetricFamily(f"{NAMESPACE}_{self._name}", self._documentation, labels=labels)
        for value, one in sorted(durations.items()):
            ends = [*map(str, one.ends), "+Inf"]
            buckets = list(zip(ends, accumulate(one.counts), strict=True))
            family.add_metric([value] if self._label else [], buckets, one.total)
        yield family


@frozen(eq=False)
class _CounterReader(Collector):
    _name: str
    _documentation: str
    _labels: Sequence[str]
    _read: Callable[[], Mapping[tuple[str, ...], float]]

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily(f"{NAMESPACE}_{self._name}", self._documentation, labels=self._labels)
        for values, count in sorted(self._read().items()):
            family.add_metric(values, count)
        yield family


@frozen
class _MetricReader(Collector):
    _name: str
    _documentation: str
    _read: Callable[[], Mapping[str, float]]
    _label: str = ""
    _family: type[CounterMetricFamily | GaugeMetricFamily] = CounterMetricFamily

    def collect(self) -> Iterator[Metric]:
        labels = [self._label] if self._label else []
        family = self._family(f"{NAMESPACE}_{self._name}", self._documentation, labels=labels)
        for value, count in sorted(self._read().items()):
            family.add_metric([value] if self._label else [], count)
        yield family
