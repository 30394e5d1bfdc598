"""The HTTP server: all resources on one Klein application."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from klein import Klein
from klein.app import KleinRequest
from twisted.python.failure import Failure
from twisted.web.http import combinedLogFormatter
from twisted.web.iweb import IRequest
from twisted.web.server import Request, Site
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from kazoo_bridge.rest.errors import ApiError, bad_identifier
from kazoo_bridge.rest.exchange import CORS_HEADERS, Answer, Exchange, answer


class Resource(Protocol):
    """Something that knows its paths."""

    def route(self, app: Klein) -> None:
        """Put itself on `app`."""


def make_site(resources: Iterable[Resource], node: str) -> Site:
    """A site that serves these resources and answers everything else in KAZOO's way."""
    app = Klein()
    for resource in resources:
        resource.route(app)

    @app.route("/v2/<path:rest>", methods=["OPTIONS"])
    def preflight(request: KleinRequest, rest: str) -> bytes:  # noqa: ARG001 - every path is answered alike
        web_request = IRequest(request)
        for name, value in CORS_HEADERS.items():
            web_request.setHeader(name, value)
        web_request.setResponseCode(200)
        return b""

    @app.handle_errors(HTTPException)  # type: ignore[arg-type] # Klein awaits coroutines, its types do not say so
    async def not_routed(request: KleinRequest, failure: Failure) -> bytes:
        return await answer(request, node, lambda exchange: _refuse(exchange, failure.value))

    site = Site(app.resource(), logFormatter=_access_log_line)
    site.displayTracebacks = False
    return site


async def _refuse(exchange: Exchange, problem: object) -> Answer:
    methods = set(problem.valid_methods or ()) if isinstance(problem, MethodNotAllowed) else set()
    # OPTIONS is answered on every path, so alone it is no sign that there is anything.
    if methods - {"OPTIONS"}:
        allowed = ", ".join(sorted(methods))
        raise ApiError(405, "invalid_method", {"message": f"allowed here: {allowed}"}, headers={"Allow": allowed})
    raise bad_identifier(exchange.request.path.decode("utf-8", "replace"))


class _WithoutQuery:
    """A request as the access log may show it: tokens can stand in the query."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.uri = request.uri.partition(b"?")[0]

    def __getattr__(self, name: str) -> object:
        return getattr(self._request, name)


def _access_log_line(timestamp: str, request: Request) -> str:
    line: str = combinedLogFormatter(timestamp, _WithoutQuery(request))
    return line
