"""``/metrics``: the metrics of this node in Prometheus's text format."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import frozen
from klein import Klein
from klein.app import KleinRequest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from twisted.web.iweb import IRequest

PATH = "/metrics"

#: Brings the metrics up to date and returns their registry.
Read = Callable[[], Awaitable[CollectorRegistry]]


@frozen
class MetricResource:
    """Answers scrapes with the registry that `read` returns."""

    read: Read

    async def metrics(self, request: KleinRequest) -> bytes:
        """GET: all metrics of the node and its process. They are counts only, no ids, addresses or content."""
        registry = await self.read()
        web_request = IRequest(request)
        web_request.setHeader("Content-Type", CONTENT_TYPE_LATEST)
        web_request.setHeader("Cache-Control", "no-store")
        return generate_latest(registry)

    def route(self, app: Klein) -> None:
        """Put the resource on its path."""
        app.route(PATH, methods=["GET"])(self.metrics)
