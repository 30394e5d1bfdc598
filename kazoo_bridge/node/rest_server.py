"""Serves REST on the endpoint of the configuration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IListeningPort

from kazoo_bridge.config import Config, Http
from kazoo_bridge.interfaces import IDirectory
from kazoo_bridge.node.metrics_server import MetricsServer
from kazoo_bridge.node.startup import open_port
from kazoo_bridge.node.tls_certificates import TlsCertificates
from kazoo_bridge.rest.http.routing import Resource
from kazoo_bridge.rest.resources.operational import ReadMetrics
from kazoo_bridge.rest.server.request_metrics import RequestMetrics
from kazoo_bridge.rest.server.site import LimitedSite, make_site


@define(eq=False)
class RestServer:
    """REST of one node. While `is_starting` returns True, all requests but monitoring's are answered 503.

    `node_name` is the node's name in responses, `directory` knows the clients. `read_metrics` returns the
    metrics for `metrics.endpoint`, `request_metrics` counts the requests. `on_written`: see `RequestContext`.
    """

    _reactor: Any
    _config: Config
    _node_name: str
    _directory: IDirectory
    _certificates: TlsCertificates
    _is_starting: Callable[[], bool]
    _read_metrics: ReadMetrics
    _request_metrics: RequestMetrics
    _on_written: Callable[[], Awaitable[None]] | None = None
    metrics_server: MetricsServer = field(init=False)
    _site: LimitedSite | None = field(init=False, default=None)
    _port: IListeningPort | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self.metrics_server = MetricsServer(
            self._reactor,
            self._config.metrics.endpoint,
            self._node_name,
            self._directory,
            self._certificates,
            self._config.http,
            self._read_metrics,
            self._request_metrics,
        )

    @property
    def is_listening(self) -> bool:
        """Whether the port is open."""
        return self._port is not None

    @property
    def host(self) -> str:
        """Host and port, as in a URL; the port is 0 before `listen`."""
        address = self._port.getHost() if self._port is not None else None
        return f"{getattr(address, 'host', 'localhost')}:{getattr(address, 'port', 0)}"

    async def listen(self, resources: Sequence[Resource]) -> None:
        """Serve `resources`. Raises `StartupFailed`."""
        config = self._config
        self._site = site = make_site(
            self._reactor,
            resources,
            self._node_name,
            self._directory,
            config.http,
            (*config.websockets.trusted_proxies, *config.pivot.kazoo_networks),
            self._is_starting,
            self._request_metrics,
            self._on_written,
        )
        endpoint = config.http.endpoint
        self._port = await open_port(
            "http.endpoint",
            endpoint,
            maybeDeferred(lambda: self._certificates.make_endpoint(self._reactor, endpoint).listen(site)),
        )

        scrapes = Deferred.fromCoroutine(self.metrics_server.listen())
        await open_port("metrics.endpoint", config.metrics.endpoint, scrapes)

    def configure(self, http: Http) -> None:
        """Apply the limits that can change while the node runs."""
        if self._site is not None:
            self._site.configure(http)
        self.metrics_server.configure(http)

    async def stop(self) -> None:
        """Accept no more connections."""
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
        await self.metrics_server.stop()
