"""``/healthz``, ``/readyz`` and ``/metrics``: plain text for monitoring."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import frozen
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from kazoo_bridge.rest.http.request_context import CORS_HEADERS, RequestContext, RequestWithContext
from kazoo_bridge.rest.http.routing import RoutedResource, route

HEALTH_PATHS = ("/healthz", "/readyz")
METRICS_PATH = "/metrics"

#: Returns the reasons why the node is not ready; an empty list when it is.
ReadinessProblems = Callable[[], Awaitable[list[str]]]

#: Brings the metrics up to date and returns their registry.
ReadMetrics = Callable[[], Awaitable[CollectorRegistry]]


@frozen
class HealthResource(RoutedResource):
    """Whether the process is alive, and whether the node is ready."""

    readiness_problems: ReadinessProblems

    @route("GET", HEALTH_PATHS[0])
    async def alive(self, request: RequestWithContext) -> bytes:
        """Answer 200."""
        return _write_lines(request.context, 200, ["alive"])

    @route("GET", HEALTH_PATHS[1])
    async def ready(self, request: RequestWithContext) -> bytes:
        """Answer 200 if the bus and the storage work, else 503 with one reason per line."""
        problems = await self.readiness_problems()
        return _write_lines(request.context, 503 if problems else 200, problems or ["ready"])


@frozen
class MetricResource(RoutedResource):
    """Answers scrapes with the registry that `read_metrics` returns."""

    read_metrics: ReadMetrics

    @route("GET", METRICS_PATH)
    async def metrics(self, request: RequestWithContext) -> bytes:
        """Answer with all metrics of the node and its process: counts only, no ids, addresses or content."""
        registry = await self.read_metrics()
        web_request = request.context.request
        web_request.setHeader("Content-Type", CONTENT_TYPE_LATEST)
        web_request.setHeader("Cache-Control", "no-store")
        return generate_latest(registry)


def _write_lines(context: RequestContext, status: int, lines: list[str]) -> bytes:
    request = context.request
    request.setResponseCode(status)
    for name, value in CORS_HEADERS.items():
        request.setHeader(name, value)
    request.setHeader("Content-Type", "text/plain; charset=utf-8")
    request.setHeader("Cache-Control", "no-store")
    return ("\n".join(lines) + "\n").encode()
