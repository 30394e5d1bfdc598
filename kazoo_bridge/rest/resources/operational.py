"""``/healthz``, ``/readyz`` and ``/metrics``: plain text for monitoring.

They need no token, so what is costly is read once a second at most, however many clients ask.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from attrs import field, frozen
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.rest.http.cached_reading import CachedReading
from kazoo_bridge.rest.http.request_context import CORS_HEADERS, RequestContext, RequestWithContext
from kazoo_bridge.rest.http.routing import RoutedResource, route

ALIVE_PATH = "/healthz"
READY_PATH = "/readyz"
METRICS_PATH = "/metrics"

#: Seconds for which an answer of ``/readyz`` or ``/metrics`` is given again.
MAX_AGE = 1.0

#: What ``?part=`` of ``/readyz`` may ask for, and the parts of a node that it needs.
PARTS: Mapping[str, Sequence[str]] = {"rest": ("storage", "directory")}

#: Returns the reasons why the node is not ready; an empty list when it is.
ReadinessProblems = Callable[[], Awaitable[list[str]]]

#: Returns what does not work although the node is ready.
Degradations = Callable[[], Sequence[str]]

#: Brings the metrics up to date and returns their registry.
ReadMetrics = Callable[[], Awaitable[CollectorRegistry]]


@frozen
class HealthResource(RoutedResource):
    """Whether the process is alive, and whether the node is ready."""

    clock: IReactorTime
    readiness_problems: ReadinessProblems
    degradations: Degradations
    _readiness: CachedReading[tuple[list[str], list[str]]] = field(init=False)

    @_readiness.default
    def _make_readiness(self) -> CachedReading[tuple[list[str], list[str]]]:
        return CachedReading(self.clock, self._read_readiness, MAX_AGE)

    @route("GET", ALIVE_PATH)
    async def alive(self, request: RequestWithContext) -> bytes:
        """Answer 200."""
        return _write_lines(request.context, 200, ["alive"])

    @route("GET", READY_PATH)
    async def ready(self, request: RequestWithContext) -> bytes:
        """Answer 200 if the bus and the storage work, else 503 with one reason per line.

        What is degraded follows, one line each, and does not change the status. ``?part=rest`` asks for the
        parts that REST needs.
        """
        part = request.context.query.first("part")
        if part is not None and part not in PARTS:
            return _write_lines(request.context, 400, [f"unknown part: expected {' or '.join(PARTS)}"])
        problems, degraded = await self._readiness.get()
        if part is not None:
            problems, degraded = (_of_parts(lines, PARTS[part]) for lines in (problems, degraded))
        lines = [*(problems or ["ready"]), *(f"degraded: {reason}" for reason in degraded)]
        return _write_lines(request.context, 503 if problems else 200, lines)

    async def _read_readiness(self) -> tuple[list[str], list[str]]:
        return await self.readiness_problems(), list(self.degradations())


@frozen
class MetricResource(RoutedResource):
    """Answers scrapes with the registry that `read_metrics` returns."""

    clock: IReactorTime
    read_metrics: ReadMetrics
    _text: CachedReading[bytes] = field(init=False)

    @_text.default
    def _make_text(self) -> CachedReading[bytes]:
        return CachedReading(self.clock, self._read_text, MAX_AGE)

    @route("GET", METRICS_PATH)
    async def metrics(self, request: RequestWithContext) -> bytes:
        """Answer with all metrics of the node and its process: counts only, no ids, addresses or content."""
        text = await self._text.get()
        web_request = request.context.request
        web_request.setHeader("Content-Type", CONTENT_TYPE_LATEST)
        web_request.setHeader("Cache-Control", "no-store")
        return text

    async def _read_text(self) -> bytes:
        return generate_latest(await self.read_metrics())


def _of_parts(lines: Sequence[str], parts: Sequence[str]) -> list[str]:
    return [line for line in lines if line.partition(":")[0] in parts]


def _write_lines(context: RequestContext, status: int, lines: list[str]) -> bytes:
    request = context.request
    request.setResponseCode(status)
    for name, value in CORS_HEADERS.items():
        request.setHeader(name, value)
    request.setHeader("Content-Type", "text/plain; charset=utf-8")
    request.setHeader("Cache-Control", "no-store")
    return ("\n".join(lines) + "\n").encode()
