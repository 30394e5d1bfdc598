"""The HTTP site: the resources behind the root resource, the limits of connections, and the access log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from ipaddress import ip_network
from typing import Any

from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web.http import Request
from twisted.web.server import Site
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
from kazoo_bridge.rest.server.access_log import log_access
from kazoo_bridge.rest.server.connection_budget import ConnectionBudget, RefusedConnection
from kazoo_bridge.rest.server.connection_limits import ChannelLimits
from kazoo_bridge.rest.server.http_channel import LimitedHTTPChannel, LimitedRequest
from kazoo_bridge.rest.server.request_metrics import RequestMetrics
from kazoo_bridge.rest.server.root_resource import RootResource

#: The keys of ``[http]`` that `LimitedSite.configure` applies.
RELOADABLE = (
    "requests_per_second",
    "request_burst",
    "request_timeout_s",
    "max_connections",
    "max_connections_per_ip",
    "connections_per_second",
    "connection_burst",
)


def make_site(
    reactor: Any,
    resources: Iterable[Resource],
    node: str,
    directory: IDirectory,
    http: Http,
    trusted_proxies: Iterable[str] = (),
    is_starting: Callable[[], bool] = lambda: False,
    metrics: RequestMetrics | None = None,
    on_written: Callable[[], Awaitable[None]] | None = None,
) -> LimitedSite:
    """Return a site that serves `resources`, and answers every other path and method with KAZOO's errors.

    `node` is the node's name in responses, `directory` knows the clients, `http` has the limits.
    `trusted_proxies` are networks whose connections are those of many clients, or of many calls. While
    `is_starting` returns True, all requests but those of monitoring are answered with 503. `metrics` counts
    the requests. `on_written`: see `RequestContext`.
    """
    app = make_app(resources)

    # Klein awaits coroutines; its types do not say so.
    @app.handle_errors(HTTPException)  # type: ignore[arg-type]
    async def not_routed(request: RequestWithContext, failure: Failure) -> bytes:
        return await handle_request(request.context, lambda context: _refuse(context, failure.value))

    limiter = RequestLimiter(reactor, http.requests_per_second, http.request_burst)
    site = LimitedSite(
        limiter,
        ChannelLimits.from_config(reactor, http),
        ConnectionBudget.from_config(reactor, http, [ip_network(network) for network in trusted_proxies]),
        metrics or RequestMetrics(),
        RootResource(app, node, directory, limiter, reactor, http.max_page_bytes, is_starting, on_written),
        requestFactory=LimitedRequest,
        reactor=reactor,
        timeout=http.idle_timeout_s,
    )
    site.displayTracebacks = False
    return site


class LimitedSite(Site):
    """A site whose connections have limits."""

    def __init__(
        self,
        limiter: RequestLimiter,
        limits: ChannelLimits,
        budget: ConnectionBudget,
        metrics: RequestMetrics,
        *arguments: Any,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._clock: IReactorTime = options["reactor"]
        self._limiter = limiter
        self._metrics = metrics
        self._limits = limits
        self.budget = budget
        # Any callable will do.
        self.protocol = partial(LimitedHTTPChannel, limits, budget)  # type: ignore[method-assign,assignment]

    def configure(self, http: Http) -> None:
        """Use the limits `RELOADABLE` of the configuration from now on."""
        self._limiter.change_rate(http.requests_per_second, http.request_burst)
        self._limits.configure(http)
        self.budget.configure(http)

    def buildProtocol(self, addr: Any) -> Any:
        """Build the channel of a new connection, unless its address has opened too many just now."""
        if not self.budget.accepts(addr):
            return None if self.budget.is_plain else RefusedConnection()
        return super().buildProtocol(addr)

    def log(self, request: Request) -> None:
        """Count and log a request that has been answered."""
        self._metrics.count(getattr(request, "route", ""), request.code)
        log_access(self._clock, request)

    def stopFactory(self) -> None:
        """Leave no delayed call when the last port is closed."""
        super().stopFactory()
        self._limits.stop()
        self.budget.stop()


async def _refuse(context: RequestContext, error: object) -> Response:
    if isinstance(error, MethodNotAllowed):
        raise invalid_method({*(error.valid_methods or ()), "OPTIONS"})
    raise bad_identifier(context.path)
