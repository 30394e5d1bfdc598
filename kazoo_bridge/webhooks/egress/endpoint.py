"""From a judged address to a connection."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.bounded_close import BoundedCloseEndpoint
from kazoo_bridge.webhooks.egress.permitted_addresses import (
    CoalescingResolver,
    HostNotFound,
    permitted_addresses,
)
from kazoo_bridge.webhooks.egress.policy import EgressPolicy
from kazoo_bridge.webhooks.egress.proxy import Proxy, TunnelEndpoint
from kazoo_bridge.webhooks.egress.tls import TlsClient


@frozen
class EgressContext:
    """What connections have in common. `connect_timeout` is in seconds and covers the look-up and all addresses together."""

    reactor: Any
    policy: EgressPolicy
    lookups: CoalescingResolver
    tls: TlsClient
    proxy: Proxy | None
    connect_timeout: float


@implementer(IStreamClientEndpoint)
@frozen
class PermittedEndpoint:
    """Connects to the first permitted address of a host that answers."""

    context: EgressContext
    host: str
    port: int

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Resolve, judge, and try the permitted addresses in turn."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        reactor, timeout = self.context.reactor, self.context.connect_timeout
        deadline = reactor.seconds() + timeout
        looked_up = Deferred.fromCoroutine(
            permitted_addresses(self.context.lookups, self.context.policy, self.host)
        )
        try:
            addresses = await looked_up.addTimeout(timeout, reactor)
        except TimeoutError:
            raise HostNotFound(
                f"the host name {self.host} could not be looked up within {timeout:g} s"
            ) from None
        for number, address in enumerate(addresses[:-1]):
            # An address that swallows everything leaves time for those after it.
            share = (deadline - reactor.seconds()) / (len(addresses) - number)
            try:
                return await self._connect_to(address, factory, share)
            except CancelledError:
                raise
            except Exception:  # noqa: S112 - the next address may answer; the last one's failure is the one told
                continue
        return await self._connect_to(addresses[-1], factory, deadline - reactor.seconds())

    def _connect_to(self, address: str, factory: IProtocolFactory, seconds: float) -> Deferred[IProtocol]:
        way, left = self.context, max(0.001, seconds)
        if way.proxy is not None:
            return TunnelEndpoint(way.reactor, way.proxy, address, self.port, left).connect(factory)
        endpoint = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        return endpoint(way.reactor, address, self.port, timeout=left).connect(factory)


@implementer(IAgentEndpointFactory)
@frozen
class PermittedEndpoints:
    """Guarded endpoints for an agent."""

    context: EgressContext

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """The guarded way to the URI's host, inside verified TLS for https."""
        host = uri.host.decode("ascii")
        endpoint: Any = PermittedEndpoint(self.context, host, uri.port)
        if uri.scheme != b"http":
            endpoint = wrapClientTLS(self.context.tls.for_host(host), endpoint)
        return BoundedCloseEndpoint(self.context.reactor, endpoint)
