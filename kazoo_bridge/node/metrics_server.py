"""Serves a node's metrics on an endpoint of their own, with the limits of REST."""

from __future__ import annotations

from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort

from kazoo_bridge.config import Http
from kazoo_bridge.interfaces import IDirectory
from kazoo_bridge.rest.resources.operational import MetricResource, ReadMetrics
from kazoo_bridge.rest.server.request_metrics import RequestMetrics
from kazoo_bridge.rest.server.site import make_site


@define(eq=False)
class MetricsServer:
    """Serves ``/metrics`` on `endpoint`, a Twisted endpoint string; nothing if that is empty.

    `node` is the node's name in responses, `read` returns the metrics, `http` has the limits. `requests`
    counts the requests.
    """

    _reactor: Any
    _endpoint: str
    _node: str
    _directory: IDirectory
    _http: Http
    _read: ReadMetrics
    _requests: RequestMetrics
    _port: IListeningPort | None = field(init=False, default=None)

    async def listen(self) -> None:
        """Accept connections; raises `CannotListenError`, and what an endpoint raises."""
        if not self._endpoint:
            return
        site = make_site(
            self._reactor,
            [MetricResource(self._reactor, self._read)],
            self._node,
            self._directory,
            evolve(self._http, endpoint=self._endpoint),
            metrics=self._requests,
        )
        self._port = await serverFromString(self._reactor, self._endpoint).listen(site)

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
