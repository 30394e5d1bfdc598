"""An HTTP agent that connects only to what the policy permits."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, fail
from twisted.web.client import Agent
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.connection_pool import ConnectionPool
from kazoo_bridge.webhooks.egress.destination import BadDestination, parse_destination
from kazoo_bridge.webhooks.egress.endpoint import EgressContext, PermittedEndpoints
from kazoo_bridge.webhooks.egress.policy import EgressPolicy
from kazoo_bridge.webhooks.egress.proxy import Proxy
from kazoo_bridge.webhooks.egress.resolver import CoalescingResolver, Resolver, reactor_resolver
from kazoo_bridge.webhooks.egress.tls import TlsClient

#: Defaults of the arguments of `guarded_agent`.
_IDLE_TIMEOUT = 15.0
_MAX_IDLE_CONNECTIONS = 256


def guarded_agent(
    reactor: Any,
    policy: EgressPolicy,
    connect_timeout: float,
    *,
    tls: TlsClient | None = None,
    proxy: Proxy | None = None,
    resolver: Resolver | None = None,
    idle_timeout: float = _IDLE_TIMEOUT,
    max_idle_connections: int = _MAX_IDLE_CONNECTIONS,
) -> tuple[IAgent, ConnectionPool]:
    """Make an agent that connects only to addresses that `policy` permits.

    `connect_timeout` is in seconds and covers the look-up and all addresses together. `tls` defaults to the
    system's trusted authorities, `resolver` to the reactor's. With `proxy`, every connection is a tunnel
    through it. The agent follows no redirects. A connection is judged when it is opened; an idle one is kept
    for `idle_timeout` seconds for the next request to the same scheme, host and port, and at most
    `max_idle_connections` are kept (see `ConnectionPool`, also for the requests that it repeats).

    Returns the agent and its connection pool, which the caller closes with `ConnectionPool.close`.
    """
    pool = ConnectionPool(reactor, idle_timeout, max_idle_connections)
    context = EgressContext(
        reactor,
        policy,
        CoalescingResolver(resolver or reactor_resolver(reactor)),
        tls or TlsClient.from_config(),
        proxy,
        connect_timeout,
    )
    return _GuardedAgent(Agent.usingEndpointFactory(reactor, PermittedEndpoints(context), pool)), pool


@implementer(IAgent)
@frozen
class _GuardedAgent:
    """Parses URIs with `parse_destination`, so that Twisted's lenient parser has nothing to interpret."""

    agent: IAgent

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send a request like `IAgent.request`; credentials in `uri` become an ``Authorization`` header.

        An ``Authorization`` header in `headers` overrides them. Fails with `BadDestination` too, and with
        the errors of `PermittedEndpoint.connect`.
        """
        try:
            destination = parse_destination(uri.decode("latin-1"))
        except BadDestination as error:
            return fail(error)
        headers = Headers() if headers is None else headers.copy()
        if destination.authorization is not None and not headers.hasHeader(b"Authorization"):
            headers.setRawHeaders(b"Authorization", [destination.authorization])
        response: Deferred[IResponse] = self.agent.request(
            method, destination.location.encode("ascii"), headers, bodyProducer
        )
        return response
