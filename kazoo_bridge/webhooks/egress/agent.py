"""An agent that only reaches what the policy permits."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, fail
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.client import BoundedPool
from kazoo_bridge.webhooks.egress.destination import BadDestination, parse_destination
from kazoo_bridge.webhooks.egress.endpoint import EgressContext, PermittedEndpoints
from kazoo_bridge.webhooks.egress.permitted_addresses import CoalescingResolver
from kazoo_bridge.webhooks.egress.policy import EgressPolicy
from kazoo_bridge.webhooks.egress.proxy import Proxy
from kazoo_bridge.webhooks.egress.resolver import Resolver, reactor_resolver
from kazoo_bridge.webhooks.egress.tls import TlsClient


@implementer(IAgent)
@frozen
class _GuardedAgent:
    """Reads the URI itself, so that Twisted's reading, which is a lenient one, has nothing left to decide."""

    agent: IAgent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """As `IAgent.request`; fails with `BadDestination` too. Credentials in the URI become an Authorization header."""
        try:
            destination = parse_destination(uri.decode("latin-1"))
        except BadDestination as error:
            return fail(error)
        headers = Headers() if headers is None else headers.copy()
        if destination.authorization is not None and not headers.hasHeader(b"Authorization"):
            headers.setRawHeaders(b"Authorization", [destination.authorization])
        answered: Deferred[IResponse] = self.agent.request(
            method, destination.location.encode("ascii"), headers, bodyProducer
        )
        return answered


def guarded_agent(
    reactor: Any,
    policy: EgressPolicy,
    connect_timeout: float,
    *,
    tls: TlsClient | None = None,
    proxy: Proxy | None = None,
    look_up: Resolver | None = None,
) -> tuple[IAgent, HTTPConnectionPool]:
    """An agent that only reaches what the policy permits, and its pool, to be closed in the end.

    `connect_timeout` is in seconds and covers the look-up and all addresses together. Redirects are answers like any other. Without
    `look_up`, names are looked up as the reactor does.
    """
    pool = BoundedPool(reactor, persistent=True)
    pool.maxPersistentPerHost = 32
    # Short, as a receiver that closes an idle connection first would cost an attempt; some do after two seconds.
    pool.cachedConnectionTimeout = 1
    # A request that a stale connection has lost is not repeated behind our back: the dispatcher counts attempts.
    pool.retryAutomatically = False
    way = EgressContext(
        reactor,
        policy,
        CoalescingResolver(look_up or reactor_resolver(reactor)),
        tls or TlsClient.from_config(),
        proxy,
        connect_timeout,
    )
    return _GuardedAgent(Agent.usingEndpointFactory(reactor, PermittedEndpoints(way), pool)), pool
