"""``/metrics``: the metrics of this node in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import frozen
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from kazoo_bridge.rest.http.request_context import RequestWithContext
from kazoo_bridge.rest.http.routing import RoutedResource, route

PATH = "/metrics"

#: Brings the metrics up to date and returns their registry.
ReadMetrics = Callable[[], Awaitable[CollectorRegistry]]


@frozen
class MetricResource(RoutedResource):
    """Answers scrapes with the registry that `read_metrics` returns."""

    read_metrics: ReadMetrics

    @route("GET", PATH)
    async def metrics(self, request: RequestWithContext) -> bytes:
        """Answer with all metrics of the node and its process: counts only, no ids, addresses or content."""
        registry = await self.read_metrics()
        web_request = request.context.request
        web_request.setHeader("Content-Type", CONTENT_TYPE_LATEST)
        web_request.setHeader("Cache-Control", "no-store")
        return generate_latest(registry)
