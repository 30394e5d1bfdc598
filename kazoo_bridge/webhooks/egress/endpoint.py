"""Opens connections to judged addresses, and closes them within a bounded time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IDelayedCall, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.protocol import connectionDone
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from twisted.python.failure import Failure
from twisted.web.client import URI
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.policy import EgressPolicy
from kazoo_bridge.webhooks.egress.proxy import Proxy, TunnelEndpoint
from kazoo_bridge.webhooks.egress.resolver import (
    CoalescingResolver,
    HostNotFound,
    LookupFailed,
    permitted_addresses,
)
from kazoo_bridge.webhooks.egress.tls import TlsClient

#: Seconds that a peer has to finish closing (read what is buffered, answer TLS's close_notify); then the
#: connection is aborted.
CLOSE_TIMEOUT = 1.0

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


@implementer(IAgentEndpointFactory)
@frozen
class PermittedEndpoints:
    """Makes the endpoints of a `twisted.web.client.Agent`."""

    context: EgressContext

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """Return an endpoint that connects to a permitted address of the URI's host.

        For every scheme but http the connection is TLS, verified against the host. All connections close
        within `CLOSE_TIMEOUT`.
        """
        host = uri.host.decode("ascii")
        endpoint: Any = PermittedEndpoint(self.context, host, uri.port)
        if uri.scheme != b"http":
            endpoint = wrapClientTLS(self.context.tls.for_host(host), endpoint)
        return BoundedCloseEndpoint(self.context.reactor, endpoint)


class BoundedCloseTransport(ProtocolWrapper):
    """A transport whose `loseConnection` ends within `CLOSE_TIMEOUT`, whatever the peer does."""

    _timer: IDelayedCall | None = None

    def loseConnection(self) -> None:
        """Close the connection, and abort it if it is still open after `CLOSE_TIMEOUT`."""
        if self._timer is None and self.wrappedProtocol is not None:
            self._timer = self.factory.reactor.callLater(CLOSE_TIMEOUT, self._abort)
            super().loseConnection()

    def stopProducing(self) -> None:
        """Close the connection: the consumer wants no more data."""
        self.loseConnection()

    def abortConnection(self) -> None:
        """Close the connection at once and discard what is buffered."""
        self.transport.abortConnection()  # type: ignore[union-attr] # connected

    def _abort(self) -> None:
        self._timer = None
        self.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Cancel the timer and notify the wrapped protocol."""
        if self._timer is not None:
            self._timer.cancel()
        super().connectionLost(reason)


if TYPE_CHECKING:
    _BoundedCloseFactoryBase = WrappingFactory[BoundedCloseTransport]
else:
    # Generic only since Twisted 24.10.
    _BoundedCloseFactoryBase = WrappingFactory


class _BoundedCloseFactory(_BoundedCloseFactoryBase):
    protocol = BoundedCloseTransport
    noisy = False

    def __init__(self, reactor: Any, wrapped: IProtocolFactory) -> None:
        super().__init__(wrapped)
        self.reactor = reactor


@implementer(IStreamClientEndpoint)
class BoundedCloseEndpoint:
    """Gives the connections of another endpoint a `BoundedCloseTransport`."""

    def __init__(self, reactor: Any, endpoint: IStreamClientEndpoint) -> None:
        self._reactor = reactor
        self._endpoint = endpoint

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Connect with the other endpoint.

        Fires with the protocol of `protocolFactory`, not with the wrapper. Fails like the other endpoint.
        """
        connected: Any = self._endpoint.connect(_BoundedCloseFactory(self._reactor, protocolFactory))
        unwrapped: Deferred[IProtocol] = connected.addCallback(lambda wrapper: wrapper.wrappedProtocol)
        return unwrapped
