"""Helpers for Prometheus metrics: one prefix for all names, and values that are read at each scrape.

Each package registers its metrics in the `CollectorRegistry` that it receives; the node owns the registry and
`prometheus_client`'s global one is not used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from attrs import frozen
from prometheus_client import CollectorRegistry, Gauge
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
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
