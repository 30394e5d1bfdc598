"""Where hooks may go: every address is judged at the moment of connecting, and that very address is connected to."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from attrs import field, frozen
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, TimeoutError, fail
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP6ClientEndpoint, wrapClientTLS
from twisted.internet.interfaces import IHostResolution, IProtocol, IProtocolFactory, IStreamClientEndpoint
from twisted.internet.ssl import optionsForClientTLS
from twisted.web.client import URI, Agent, HTTPConnectionPool
from twisted.web.iweb import IAgent, IAgentEndpointFactory
from zope.interface import implementer

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class EgressDenied(Exception):
    """The operator does not let webhooks go to that address."""


class HostNotFound(Exception):
    """The host name has no address."""


@frozen
class EgressPolicy:
    """Denied networks, and exceptions to them."""

    denied: Sequence[Network]
    allowed: Sequence[Network]

    @classmethod
    def of(cls, denied: Iterable[str], allowed: Iterable[str]) -> EgressPolicy:
        """Parse networks that the configuration has checked."""
        return cls(tuple(map(ipaddress.ip_network, denied)), tuple(map(ipaddress.ip_network, allowed)))

    def permits(self, address: str) -> bool:
        """Whether webhooks may go to this numeric address."""
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
            parsed = parsed.ipv4_mapped
        if any(parsed in network for network in self.allowed):
            return True
        return not any(parsed in network for network in self.denied)


@frozen
class _Resolution:
    """Collects the addresses of one look-up."""

    done: Deferred[list[str]]
    addresses: list[str] = field(factory=list)

    def resolutionBegan(self, resolution: IHostResolution) -> None:
        """Nothing to do: a look-up cannot be stopped."""

    def addressResolved(self, address: Any) -> None:
        """One address of the host."""
        if isinstance(address, IPv4Address | IPv6Address) and address.host not in self.addresses:
            self.addresses.append(address.host)

    def resolutionComplete(self) -> None:
        """No more addresses will come."""
        if not self.done.called:
            self.done.callback(self.addresses)


def resolve(reactor: Any, host: str, port: int) -> Deferred[list[str]]:
    """The numeric addresses of `host`, in the resolver's order; empty when there are none."""
    done: Deferred[list[str]] = Deferred()
    reactor.nameResolver.resolveHostName(_Resolution(done), host, port)
    return done


async def permitted_addresses(reactor: Any, policy: EgressPolicy, host: str, port: int) -> list[str]:
    """The host's addresses that the policy permits; raises `HostNotFound` or `EgressDenied` when that leaves none."""
    addresses = await resolve(reactor, host, port)
    if not addresses:
        raise HostNotFound(f"the host name {host} has no address")
    permitted = [address for address in addresses if policy.permits(address)]
    if not permitted:
        # Its addresses are not told: customers read this, and they are the inside of somebody's network.
        raise EgressDenied(f"webhooks may not go to {host}: the operator forbids the network it is in")
    return permitted


async def forbidden_reason(reactor: Any, policy: EgressPolicy, uri: str, timeout: float) -> str | None:
    """Why a hook may not have this URI, as far as that can be told today; None: no reason known.

    A host that cannot be looked up within `timeout` seconds gives no reason: it is judged again at every connection.
    """
    host = urlsplit(uri).hostname or ""
    looked_up = Deferred.fromCoroutine(permitted_addresses(reactor, policy, host, 0))
    try:
        await looked_up.addTimeout(timeout, reactor)
    except EgressDenied as error:
        return str(error)
    except (HostNotFound, TimeoutError):
        return None
    return None


@implementer(IStreamClientEndpoint)
@frozen
class _PermittedEndpoint:
    """Connects to the first permitted address of a host that answers."""

    reactor: Any
    policy: EgressPolicy
    host: str
    port: int
    connect_timeout: float

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Resolve, judge, and try the permitted addresses in turn."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        deadline = self.reactor.seconds() + self.connect_timeout
        looked_up = Deferred.fromCoroutine(permitted_addresses(self.reactor, self.policy, self.host, self.port))
        addresses = await looked_up.addTimeout(self.connect_timeout, self.reactor)
        for address in addresses[:-1]:
            try:
                return await self._connect_to(address, factory, deadline)
            except Exception:  # noqa: S112 - the next address may answer; the last one's failure is the one told
                continue
        return await self._connect_to(addresses[-1], factory, deadline)

    def _connect_to(self, address: str, factory: IProtocolFactory, deadline: float) -> Deferred[IProtocol]:
        left = max(0.001, deadline - self.reactor.seconds())
        endpoint = TCP6ClientEndpoint if ":" in address else TCP4ClientEndpoint
        return endpoint(self.reactor, address, self.port, timeout=left).connect(factory)


@implementer(IStreamClientEndpoint)
@frozen
class _Refusal:
    """An endpoint that never connects."""

    reason: Exception

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fails with the reason."""
        return fail(self.reason)


@implementer(IAgentEndpointFactory)
@frozen
class _EndpointFactory:
    reactor: Any
    policy: EgressPolicy
    connect_timeout: float

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        """The guarded way to the URI's host, inside verified TLS for https."""
        host = uri.host.decode("ascii").strip("[]")
        endpoint = _PermittedEndpoint(self.reactor, self.policy, host, uri.port, self.connect_timeout)
        if uri.scheme == b"http":
            return endpoint
        if uri.scheme == b"https":
            return wrapClientTLS(optionsForClientTLS(host), endpoint)
        return _Refusal(EgressDenied(f"webhooks go to http and https only, not to {uri.scheme!r}"))


def guarded_agent(reactor: Any, policy: EgressPolicy, connect_timeout: float) -> tuple[IAgent, HTTPConnectionPool]:
    """An agent that only reaches what the policy permits, and its pool, to be closed in the end.

    `connect_timeout` is in seconds and covers the look-up and all addresses together.
    """
    pool = HTTPConnectionPool(reactor, persistent=True)
    pool.maxPersistentPerHost = 32
    # Short, as a receiver that closes an idle connection first would cost an attempt.
    pool.cachedConnectionTimeout = 2
    # A request that a stale connection has lost is not repeated behind our back: the dispatcher counts attempts.
    pool.retryAutomatically = False
    return Agent.usingEndpointFactory(reactor, _EndpointFactory(reactor, policy, connect_timeout), pool), pool
