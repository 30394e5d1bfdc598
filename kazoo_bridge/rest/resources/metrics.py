"""``/metrics``: the figures of this node in the text form of Prometheus. Counts only: no account, no
address and no content is in them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator

from attrs import frozen
from klein import Klein
from klein.app import KleinRequest
from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from twisted.web.iweb import IRequest

from kazoo_bridge.metrics import Durations, Figure

PATH = "/metrics"

_PREFIX = "kazoo_bridge_"

#: The node's figures, as they are now.
Read = Callable[[], Awaitable[Iterable[Figure | Durations]]]


@frozen
class MetricResource:
    """Reads the figures when it is asked for them."""

    read: Read

    async def metrics(self, request: KleinRequest) -> bytes:
        """GET: all figures, and those of the process."""
        registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        registry.register(_Figures(list(await self.read())))
        web_request = IRequest(request)
        web_request.setHeader("Content-Type", CONTENT_TYPE_LATEST)
        web_request.setHeader("Cache-Control", "no-store")
        return generate_latest(registry)

    def route(self, app: Klein) -> None:
        """Put the resource on its path."""
        app.route(PATH, methods=["GET"])(self.metrics)


class _Figures(Collector):
    """Figures in the library's form."""

    def __init__(self, figures: list[Figure | Durations]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        for figure in self._figures:
            yield _histogram(figure) if isinstance(figure, Durations) else _family(figure)


def _family(figure: Figure) -> Metric:
    family = (CounterMetricFamily if figure.kind == "counter" else GaugeMetricFamily)(
        _PREFIX + figure.name, figure.meaning, labels=[figure.label] if figure.label else []
    )
    for value, amount in sorted(figure.values.items()):
        family.add_metric([value] if figure.label else [], amount)
    return family


def _histogram(durations: Durations) -> Metric:
    family = HistogramMetricFamily(_PREFIX + durations.name, durations.meaning)
    buckets, so_far = [], 0
    for bound, count in zip((*map(str, durations.bounds), "+Inf"), durations.counts, strict=True):
        so_far += count
        buckets.append((bound, float(so_far)))
    family.add_metric([], buckets, durations.total)
    return family
