"""The HTTP server: all resources on one Klein application."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Protocol

from klein import Klein
from klein.app import KleinRequest
from twisted.python.failure import Failure
from twisted.web.http import combinedLogFormatter
from twisted.web.server import Request, Site
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from kazoo_bridge.config import Http
from kazoo_bridge.connection_counter import ConnectionCounter
from kazoo_bridge.rest.http.errors import bad_identifier, invalid_method
from kazoo_bridge.rest.http.rate_limit import RequestLimiter
from kazoo_bridge.rest.http.request_context import RequestContext, Response, handle_request
from kazoo_bridge.rest.server.connection_limits import HttpConnectionLimits
from kazoo_bridge.rest.server.http_channel import ChannelLimits, LimitedHTTPChannel
from kazoo_bridge.rest.server.http_request import LimitedRequest
from kazoo_bridge.rest.server.root_resource import RootResource


class Resource(Protocol):
    """Something that knows its paths."""

    def route(self, app: Klein) -> None:
        """Put itself on `app`."""


class _Routes(Klein):
    """Klein, except that handlers of different resources may have the same name."""

    def route(self, url: str, *arguments: Any, **options: Any) -> Callable[[Any], Any]:
        options.setdefault("endpoint", f"{' '.join(options.get('methods', ()))} {url}")
        return super().route(url, *arguments, **options)


def routed(resources: Iterable[Resource]) -> Klein:
    """An application with these resources on their paths."""
    app = _Routes()
    for resource in resources:
        resource.route(app)
    return app


def make_site(reactor: Any, resources: Iterable[Resource], node: str, http: Http) -> Site:
    """A site that serves these resources and answers everything else in KAZOO's way."""
    app = routed(resources)

    @app.handle_errors(HTTPException)  # type: ignore[arg-type] # Klein awaits coroutines, its types do not say so
    async def not_routed(request: KleinRequest, failure: Failure) -> bytes:
        return await handle_request(request, node, lambda exchange: _refuse(exchange, failure.value))

    rates = RequestLimiter(reactor, http.requests_per_second, http.request_burst)
    site = Site(
        RootResource(app, node, rates),
        requestFactory=LimitedRequest,
        logFormatter=_access_log_line,
        reactor=reactor,
        timeout=http.idle_timeout_s,
    )
    limits = ChannelLimits(
        HttpConnectionLimits(reactor, ConnectionCounter(http.max_connections, http.max_connections_per_ip)),
        http.request_timeout_s,
    )
    site.protocol = partial(LimitedHTTPChannel, limits)  # type: ignore[method-assign,assignment] # any protocol will do
    site.displayTracebacks = False
    return site


async def _refuse(exchange: RequestContext, problem: object) -> Response:
    if isinstance(problem, MethodNotAllowed):
        raise invalid_method({*(problem.valid_methods or ()), "OPTIONS"})
    raise bad_identifier(exchange.path)


class _WithoutQuery:
    """A request as the access log may show it: tokens can stand in the query, and in that of the page which linked here."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.uri = request.uri.partition(b"?")[0]

    def getHeader(self, name: bytes) -> bytes | None:
        value: bytes | None = self._request.getHeader(name)
        return value.partition(b"?")[0] if value is not None and name.lower() == b"referer" else value

    def __getattr__(self, name: str) -> object:
        return getattr(self._request, name)


def _access_log_line(timestamp: str, request: Request) -> str:
    line: str = combinedLogFormatter(timestamp, _WithoutQuery(request))
    return line
