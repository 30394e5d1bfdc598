"""The HTTP site: the resources behind the root resource, the limits of connections, and the access log."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import partial
from ipaddress import ip_network
from typing import Any

from twisted.python.failure import Failure
from twisted.web.http import Request as HttpRequest
from twisted.web.http import combinedLogFormatter
from twisted.web.server import Request, Site
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from kazoo_bridge.config import Http
from kazoo_bridge.interfaces import IDirectory
from kazoo_bridge.rest.http.errors import bad_identifier, invalid_method
from kazoo_bridge.rest.http.rate_limit import RequestLimiter
from kazoo_bridge.rest.http.request_context import (
    RequestContext,
    RequestWithContext,
    Response,
    handle_request,
)
from kazoo_bridge.rest.http.routing import Resource, make_app
from kazoo_bridge.rest.server.connection_budget import ConnectionBudget, RefusedConnection
from kazoo_bridge.rest.server.connection_limits import ChannelLimits
from kazoo_bridge.rest.server.http_channel import LimitedHTTPChannel, LimitedRequest
from kazoo_bridge.rest.server.request_metrics import RequestMetrics
from kazoo_bridge.rest.server.root_resource import RootResource

#: KAZOO's tokens in a path, as of ``GET /v2/user_auth/TOKEN``, which crossbar has.
_TOKENS = re.compile(rb"(?<![\w-])eyJ[\w-]*(?:\.|%2[Ee])[\w-]*(?:\.|%2[Ee])[\w-]*")


#: The secret in the URL of a pivot point.
_PIVOT_SECRET = re.compile(rb"(/pivot/[^/?]*/)[^/?]+")


def make_site(
    reactor: Any,
    resources: Iterable[Resource],
    node: str,
    directory: IDirectory,
    http: Http,
    trusted_proxies: Iterable[str] = (),
    metrics: RequestMetrics | None = None,
) -> Site:
    """Return a site that serves `resources`, and answers every other path and method with KAZOO's errors.

    `node` is the node's name in responses, `directory` knows the clients, `http` has the limits.
    `trusted_proxies` are networks whose connections are those of many clients, or of many calls. `metrics`
    counts the requests.
    """
    app = make_app(resources)

    # Klein awaits coroutines; its types do not say so.
    @app.handle_errors(HTTPException)  # type: ignore[arg-type]
    async def not_routed(request: RequestWithContext, failure: Failure) -> bytes:
        return await handle_request(request.context, lambda context: _refuse(context, failure.value))

    limiter = RequestLimiter(reactor, http.requests_per_second, http.request_burst)
    site = LimitedSite(
        ChannelLimits.from_config(reactor, http),
        ConnectionBudget.from_config(reactor, http, [ip_network(network) for network in trusted_proxies]),
        metrics or RequestMetrics(),
        RootResource(app, node, directory, limiter, reactor, http.max_page_bytes),
        requestFactory=LimitedRequest,
        logFormatter=_format_access_log,
        reactor=reactor,
        timeout=http.idle_timeout_s,
    )
    site.displayTracebacks = False
    return site


class LimitedSite(Site):
    """A site whose connections have limits."""

    def __init__(
        self,
        limits: ChannelLimits,
        budget: ConnectionBudget,
        metrics: RequestMetrics,
        *arguments: Any,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._metrics = metrics
        self._limits = limits
        self.budget = budget
        # Any callable will do.
        self.protocol = partial(LimitedHTTPChannel, limits, budget)  # type: ignore[method-assign,assignment]

    def buildProtocol(self, addr: Any) -> Any:
        """Build the channel of a new connection, unless its address has opened too many just now."""
        if not self.budget.accepts(addr):
            return None if self.budget.is_plain else RefusedConnection()
        return super().buildProtocol(addr)

    def log(self, request: HttpRequest) -> None:
        """Count an answered request, and write its line of the access log."""
        self._metrics.count(getattr(request, "route", ""), request.code)
        super().log(request)

    def stopFactory(self) -> None:
        """Leave no delayed call when the last port is closed."""
        super().stopFactory()
        self._limits.stop()
        self.budget.stop()


async def _refuse(context: RequestContext, error: object) -> Response:
    if isinstance(error, MethodNotAllowed):
        raise invalid_method({*(error.valid_methods or ()), "OPTIONS"})
    raise bad_identifier(context.path)


class _RequestWithoutQuery:
    """A request for the access log, without the queries and the tokens in its URI and its Referer."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self.uri = _without_tokens(request.uri)

    def getHeader(self, name: bytes) -> bytes | None:
        value: bytes | None = self._request.getHeader(name)
        return _without_tokens(value) if value is not None and name.lower() == b"referer" else value

    def __getattr__(self, name: str) -> object:
        return getattr(self._request, name)


def _without_tokens(uri: bytes) -> bytes:
    return _PIVOT_SECRET.sub(rb"\1[secret]", _TOKENS.sub(b"[token]", uri.partition(b"?")[0]))


def _format_access_log(timestamp: str, request: Request) -> str:
    line: str = combinedLogFormatter(timestamp, _RequestWithoutQuery(request))
    return line
