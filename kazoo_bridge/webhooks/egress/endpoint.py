"""Opens connections to judged addresses."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.destination import Origin
from kazoo_bridge.webhooks.egress.policy import EgressPolicy
from kazoo_bridge.webhooks.egress.proxy import Proxy, TunnelEndpoint
from kazoo_bridge.webhooks.egress.resolver import (
    CoalescingResolver,
    HostNotFound,
    LookupFailed,
    permitted_addresses,
)
from kazoo_bridge.webhooks.egress.tls import TlsClient

#: Seconds: an endpoint treats a time-out of zero or less as an immediate failure.
_MIN_CONNECT_TIMEOUT = 0.001


@frozen
class EgressContext:
    """What all connections of one agent share.

    `connect_timeout` is in seconds and covers the look-up and the attempts at all addresses of a host
    together. With a `proxy`, connections are tunnels through it.
    """

    reactor: Any
    policy: EgressPolicy
    resolver: CoalescingResolver
    tls: TlsClient
    proxy: Proxy | None
    connect_timeout: float


@implementer(IStreamClientEndpoint)
@frozen
class PermittedEndpoint:
    """Connects to the first permitted address of `host` that accepts the connection."""

    context: EgressContext
    host: str
    port: int

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Resolve the host, judge its addresses, and try the permitted ones in turn.

        The remaining time is divided equally among the addresses not tried yet. Fires with the connected
        protocol. Fails with `EgressDenied`, `HostNotFound`, an `OwnFault`, `ProxyFailed`, or with the failure
        of the last address.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        reactor, timeout = self.context.reactor, self.context.connect_timeout
        deadline = reactor.seconds() + timeout
        answers_before = self.context.resolver.answers
        resolved = Deferred.fromCoroutine(
            permitted_addresses(self.context.resolver, self.context.policy, self.host)
        )
        try:
            addresses = await resolved.addTimeout(timeout, reactor)
        except TimeoutError:
            answered_others = self.context.resolver.answers != answers_before
            raise (HostNotFound if answered_others else LookupFailed)(
                f"the host name {self.host} could not be looked up within {timeout:g} s"
            ) from None
        for tried, address in enumerate(addresses[:-1]):
            # An address that drops all packets must leave time for the next ones.
            share = (deadline - reactor.seconds()) / (len(addresses) - tried)
            try:
                return await self._connect_to(address, factory, share)
            except (CancelledError, ConnectingCancelledError):
                raise
            except Exception:  # noqa: S112 - the next address may answer; the last one's failure is reported
                continue
        return await self._connect_to(addresses[-1], factory, deadline - reactor.seconds())

    def _connect_to(self, address: str, factory: IProtocolFactory, seconds: float) -> Deferred[IProtocol]:
        context, timeout = self.context, max(_MIN_CONNECT_TIMEOUT, seconds)
        if context.proxy is not None:
            tunnel = TunnelEndpoint(context.reactor, context.proxy, address, self.port, timeout)
            return tunnel.connect(factory)
        endpoint = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        return endpoint(context.reactor, address, self.port, timeout=timeout).connect(factory)


@frozen
class PermittedEndpoints:
    """Makes the endpoints of a `ConnectionPool`."""

    context: EgressContext

    def endpoint_for(self, origin: Origin) -> IStreamClientEndpoint:
        """Return an endpoint that connects to a permitted address of the origin's host.

        For every scheme but http the connection is TLS, verified against the host.
        """
        endpoint = PermittedEndpoint(self.context, origin.host, origin.port)
        if origin.scheme == "http":
            return endpoint
        wrapped: IStreamClientEndpoint = wrapClientTLS(self.context.tls.for_host(origin.host), endpoint)
        return wrapped
