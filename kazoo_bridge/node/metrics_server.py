"""Serves a node's metrics on an endpoint of their own, with the limits of REST."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import maybeDeferred
from twisted.internet.interfaces import IListeningPort

from kazoo_bridge.config import Http
from kazoo_bridge.interfaces import IDirectory
from kazoo_bridge.node.tls_certificates import TlsCertificates
from kazoo_bridge.rest.resources.operational import MetricResource, ReadMetrics
from kazoo_bridge.rest.server.request_metrics import RequestMetrics
from kazoo_bridge.rest.server.site import LimitedSite, make_site

#: Connections at a time, of scrapers alone: `RESERVED_DESCRIPTORS` has room for them.
MAX_CONNECTIONS = 32


@define(eq=False)
class MetricsServer:
    """Serves ``/metrics`` on `endpoint`, a Twisted endpoint string; nothing if that is empty.

    `node` is the node's name in responses, `certificates` opens the endpoint, `read` returns the metrics.
    `http` has the limits, but for `MAX_CONNECTIONS`. `requests` counts the requests.
    """

    _reactor: Any
    _endpoint: str
    _node: str
    _directory: IDirectory
    _certificates: TlsCertificates
    _http: Http
    _read: ReadMetrics
    _requests: RequestMetrics
    _site: LimitedSite | None = field(init=False, default=None)
    _port: IListeningPort | None = field(init=False, default=None)

    async def listen(self) -> None:
        """Accept connections; raises `CannotListenError`, and what an endpoint raises."""
        if not self._endpoint:
            return
        self._site = site = make_site(
            self._reactor,
            [MetricResource(self._reactor, self._read)],
            self._node,
            self._directory,
            self._limits(self._http),
            metrics=self._requests,
        )
        self._port = await self._certificates.make_endpoint(self._reactor, self._endpoint).listen(site)

    def configure(self, http: Http) -> None:
        """Apply the limits that can change while the node runs."""
        if self._site is not None:
            self._site.configure(self._limits(http))

    def _limits(self, http: Http) -> Http:
        return evolve(http, endpoint=self._endpoint, max_connections=MAX_CONNECTIONS)

    @property
    def host(self) -> str:
        """Host and port of the endpoint, as in a URL; empty while it does not listen."""
        address = self._port.getHost() if self._port is not None else None
        return "" if address is None else f"{getattr(address, 'host', '')}:{getattr(address, 'port', 0)}"

    async def stop(self) -> None:
        """Accept no more connections."""
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
            self._port = None
