"""An HTTP agent that connects only to what the policy permits and bounds what it reads of a response's head.

Two of the classes subclassed here (`HTTP11ClientProtocol` and the pool's factory) are not in Twisted's public
documentation, as Twisted has no other place to count the bytes of a head. The tests of hostile receivers fail
if a new Twisted no longer permits this.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from attrs import frozen
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.web._newclient import HEADER, STATUS, HTTP11ClientProtocol, Request
from twisted.web.client import Agent, HTTPConnectionPool, _HTTP11ClientFactory
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.destination import BadDestination, parse_destination
from kazoo_bridge.webhooks.egress.endpoint import EgressContext, PermittedEndpoints
from kazoo_bridge.webhooks.egress.policy import EgressPolicy
from kazoo_bridge.webhooks.egress.proxy import Proxy
from kazoo_bridge.webhooks.egress.resolver import CoalescingResolver, Resolver, reactor_resolver
from kazoo_bridge.webhooks.egress.tls import TlsClient

#: Limit for status line and headers of a response together, 1xx responses before it included.
MAX_HEAD_BYTES = 32 * 1024

#: Idle connections that are kept for each scheme, host and port.
_MAX_IDLE_CONNECTIONS = 32

#: Seconds that an idle connection is kept. Some receivers close after two seconds; a request that is sent
#: at that moment is lost.
_IDLE_TIMEOUT = 1

#: A head is parsed in pieces of this size, so that the limit is kept closely and the parser's buffer stays
#: short.
_CHUNK_BYTES = 4096

# Twisted's parser logs a line for every 1xx response, and a receiver can send any number of them.
_SILENT = Logger(observer=LogPublisher())


def guarded_agent(
    reactor: Any,
    policy: EgressPolicy,
    connect_timeout: float,
    *,
    tls: TlsClient | None = None,
    proxy: Proxy | None = None,
    resolver: Resolver | None = None,
) -> tuple[IAgent, HTTPConnectionPool]:
    """Make an agent that connects only to addresses that `policy` permits.

    `connect_timeout` is in seconds and covers the look-up and all addresses together. `tls` defaults to the
    system's trusted authorities, `resolver` to the reactor's. With `proxy`, every connection is a tunnel
    through it. The agent follows no redirects and repeats no request by itself. A connection is judged when
    it is opened; an idle one is kept for one second for the next request to the same scheme, host and port.

    Returns the agent and its connection pool, which the caller closes with ``closeCachedConnections``.
    """
    pool = BoundedPool(reactor, persistent=True)
    pool.maxPersistentPerHost = _MAX_IDLE_CONNECTIONS
    pool.cachedConnectionTimeout = _IDLE_TIMEOUT
    # Attempts are counted and recorded: Twisted must not repeat one unnoticed on another connection.
    pool.retryAutomatically = False
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


class HeadTooLong(Exception):
    """Status line and headers of the response exceed `MAX_HEAD_BYTES`."""

    def __init__(self) -> None:
        super().__init__(f"the answer's headers are longer than {MAX_HEAD_BYTES // 1024} KiB")


class BoundedClient(HTTP11ClientProtocol):
    """One client connection, whose memory is bounded while it reads a head; it keeps no bodies.

    `on_idle` is called with the client when the connection can carry another request.
    """

    _head_bytes = 0

    def __init__(self, on_idle: Callable[[BoundedClient], None]) -> None:
        super().__init__(self._response_finished)
        self._on_idle = on_idle

    def _response_finished(self, _client: object) -> None:
        # Twisted reuses every connection but those whose response says "close" in lower case. A connection
        # that the receiver is about to close would lose the next request.
        if _is_keep_alive(self._parser):
            self._on_idle(self)
        else:
            self.transport.loseConnection()  # type: ignore[union-attr] # connected

    def request(self, request: Request) -> Deferred[IResponse]:
        """Send a request like Twisted's client, and count the bytes of its response's head.

        Fails with `HeadTooLong` too.
        """
        self._head_bytes = 0
        response = super().request(request)
        parser: Any = self._parser
        if parser is not None:
            # The parser's limit for a line must not apply before ours, whose error is clearer.
            parser.MAX_LENGTH = MAX_HEAD_BYTES + _CHUNK_BYTES
            parser._log = _SILENT
        return response

    def dataReceived(self, bytes: bytes) -> None:
        """Parse received bytes, in pieces and counted until the head is complete."""
        rest, parser = memoryview(bytes), self._parser
        while rest and parser is not None and parser is self._parser and parser.state in (STATUS, HEADER):
            piece, rest = rest[:_CHUNK_BYTES], rest[_CHUNK_BYTES:]
            super().dataReceived(piece.tobytes())
            if parser is self._parser and parser.state in (STATUS, HEADER):
                self._head_bytes += len(piece)
                if self._head_bytes > MAX_HEAD_BYTES:
                    self._giveUp(Failure(HeadTooLong()))
                    return
        if rest and parser is not None and parser is self._parser:
            super().dataReceived(rest.tobytes())
        elif rest:
            # Bytes beyond the response answer no request, and must not be read as the answer to one that
            # has been sent meanwhile.
            self.transport.abortConnection()  # type: ignore[union-attr] # connected

    def _giveUp(self, reason: Failure) -> None:
        if self._state == "TRANSMITTING":
            # A response that cannot be parsed has come before the request is completely sent. Twisted would
            # report nothing and wait until the rest has been sent.
            request: Any = self._currentRequest
            response: Any = self._responseDeferred
            self._state = "GENERATION_FAILED"
            request.stopWriting()
            response.chainDeferred(self._finishedRequest)
        super()._giveUp(reason)


def _is_keep_alive(parser: Any) -> bool:
    """Return whether the receiver keeps the connection after the response, the default since HTTP/1.1."""
    options = {
        option.strip().lower()
        for line in parser.connHeaders.getRawHeaders(b"Connection", ())
        for option in line.split(b",")
    }
    if parser.response.version[1:] < (1, 1):
        return b"keep-alive" in options
    return b"close" not in options


class _BoundedFactory(_HTTP11ClientFactory):
    noisy = False

    def buildProtocol(self, addr: IAddress | None) -> HTTP11ClientProtocol:
        return BoundedClient(self._quiescentCallback)


class BoundedPool(HTTPConnectionPool):
    """A pool of `BoundedClient` connections that keeps no entry for hosts without connections."""

    _factory = _BoundedFactory

    def _removeConnection(self, key: Hashable, connection: HTTP11ClientProtocol) -> None:
        super()._removeConnection(key, connection)
        if not self._connections[key]:
            del self._connections[key]
