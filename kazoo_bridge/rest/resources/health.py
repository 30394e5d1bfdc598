"""``/healthz`` and ``/readyz``, for whoever watches the process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import frozen
from klein import Klein
from klein.app import KleinRequest
from twisted.web.iweb import IRequest

from kazoo_bridge.rest.http.request_context import CORS_HEADERS

PATHS = ("/healthz", "/readyz")

#: The reasons why the service is not ready; empty when it is.
ReadinessProblems = Callable[[], Awaitable[list[str]]]


@frozen
class HealthResource:
    """Plain text, one reason a line."""

    problems: ReadinessProblems

    async def alive(self, request: KleinRequest) -> bytes:
        """200 while the process lives."""
        return _plain(request, 200, ["alive"])

    async def ready(self, request: KleinRequest) -> bytes:
        """200 while events come in and the storage answers, 503 with the reasons otherwise."""
        troubles = await self.problems()
        return _plain(request, 503 if troubles else 200, troubles or ["ready"])

    def route(self, app: Klein) -> None:
        """Put the resource on its paths."""
        for path, handler in zip(PATHS, (self.alive, self.ready), strict=True):
            app.route(path, methods=["GET"])(handler)


def _plain(request: KleinRequest, status: int, lines: list[str]) -> bytes:
    web_request = IRequest(request)
    web_request.setResponseCode(status)
    for name, value in CORS_HEADERS.items():
        web_request.setHeader(name, value)
    web_request.setHeader("Content-Type", "text/plain; charset=utf-8")
    web_request.setHeader("Cache-Control", "no-store")
    return ("\n".join(lines) + "\n").encode()
