"""An HTTP agent that connects only to what the policy permits.

It is the door to the `ConnectionPool` for everything that is written for Twisted's `IAgent`, like treq.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.internet.interfaces import IConsumer, IProtocol
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IAgent, IBodyProducer, IResponse
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.connection_pool import ConnectionPool, PooledExchange
from kazoo_bridge.webhooks.egress.destination import BadDestination, Destination, parse_destination
from kazoo_bridge.webhooks.egress.endpoint import EgressContext, PermittedEndpoints
from kazoo_bridge.webhooks.egress.policy import EgressPolicy
from kazoo_bridge.webhooks.egress.proxy import Proxy
from kazoo_bridge.webhooks.egress.receiver_response import ReceiverResponse, end_to_end_headers
from kazoo_bridge.webhooks.egress.resolver import CoalescingResolver, Resolver, reactor_resolver
from kazoo_bridge.webhooks.egress.tls import TlsClient

#: Defaults of the arguments of `guarded_agent`.
_IDLE_TIMEOUT = 15.0
_MAX_IDLE_CONNECTIONS = 256

_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_FORBIDDEN_IN_VALUE = re.compile(rb"[\r\n\0]")

_BODILESS_STATUSES = frozenset({204, 304})

#: Methods whose requests have a ``Content-Length`` even without a body.
_BODY_METHODS = frozenset({b"POST", b"PUT"})


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
    context = EgressContext(
        reactor,
        policy,
        CoalescingResolver(resolver or reactor_resolver(reactor)),
        tls or TlsClient.from_config(),
        proxy,
        connect_timeout,
    )
    pool = ConnectionPool(reactor, PermittedEndpoints(context), idle_timeout, max_idle_connections)
    return PooledAgent(pool), pool


@implementer(IAgent)
@frozen
class PooledAgent:
    """Sends requests over the connections of a pool. URIs are parsed with `parse_destination`."""

    _pool: ConnectionPool

    def request(
        self,
        method: bytes,
        uri: bytes,
        headers: Headers | None = None,
        bodyProducer: IBodyProducer | None = None,
    ) -> Deferred[IResponse]:
        """Send a request like `IAgent.request`; credentials in `uri` become an ``Authorization`` header.

        An ``Authorization`` header in `headers` overrides them. The request is sent when `bodyProducer` has
        produced its body completely, and the response comes when its body has been read, or the part of it
        that is kept. Fails with `BadDestination`, with ValueError for what cannot be sent as HTTP, and with
        the errors of `PooledExchange.on_failure`.
        """
        try:
            destination = parse_destination(uri.decode("latin-1"))
        except BadDestination as error:
            return fail(error)
        headers = Headers() if headers is None else headers.copy()
        return Deferred.fromCoroutine(self._request(method, destination, headers, bodyProducer))

    async def _request(
        self, method: bytes, destination: Destination, headers: Headers, producer: IBodyProducer | None
    ) -> IResponse:
        collector = _BodyCollector()
        if producer is not None:
            await maybeDeferred(producer.startProducing, collector)
        body = bytes(collector.body)
        data = encode_request(method, destination, headers, body, persistent=self._pool.persistent)
        exchange = _AgentExchange(self._pool, destination.origin, data, method == b"HEAD")
        self._pool.start(exchange)
        return AgentResponse.from_response(await exchange.received)


def encode_request(
    method: bytes, destination: Destination, headers: Headers, body: bytes, *, persistent: bool
) -> bytes:
    """Return a complete request, head and body together.

    `headers` are sent as they are, with ``Host`` and, for the URI's credentials, ``Authorization`` unless
    they contain these. `persistent` is false to ask the receiver to close the connection.

    Raises ValueError if the method or a header would put something else on the wire.
    """
    if not _TOKEN.fullmatch(method):
        raise ValueError("the method is not a token")
    lines = [b"%b %b HTTP/1.1" % (method, destination.target.encode("ascii"))]
    if not persistent:
        lines.append(b"Connection: close")
    if body or method in _BODY_METHODS:
        lines.append(b"Content-Length: %d" % len(body))
    if not headers.hasHeader(b"Host"):
        lines.append(b"Host: " + destination.authority.encode("ascii"))
    if destination.authorization is not None and not headers.hasHeader(b"Authorization"):
        lines.append(b"Authorization: " + destination.authorization)
    for name, values in headers.getAllRawHeaders():
        if not _TOKEN.fullmatch(name):
            raise ValueError("the name of a header is not a token")
        for value in values:
            if _FORBIDDEN_IN_VALUE.search(value):
                raise ValueError("the value of a header contains a line break or a null character")
            lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", body])


@implementer(IConsumer)
@define
class _BodyCollector:
    """Collects what a body producer writes."""

    body: bytearray = field(factory=bytearray)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """Body producers do not register."""

    def unregisterProducer(self) -> None:
        """Body producers do not register."""

    def write(self, data: bytes) -> None:
        self.body.extend(data)


class _AgentExchange(PooledExchange):
    """`received` fires with the response; cancelling it cancels the request."""

    __slots__ = ("received",)

    def __init__(self, pool: ConnectionPool, origin: Any, data: bytes, head_only: bool) -> None:
        super().__init__(pool, origin, data, None, head_only)
        self.received: Deferred[ReceiverResponse] = Deferred(lambda _: self.interrupt())

    def on_response(self, response: ReceiverResponse) -> None:
        self.received.callback(response)

    def on_failure(self, error: BaseException) -> None:
        self.received.errback(Failure(error))


@implementer(IResponse)
class AgentResponse:
    """A response whose body, or the part of it that is kept, has been read."""

    request: Any = None
    previousResponse: IResponse | None = None

    def __init__(self, response: ReceiverResponse, headers: Headers, length: Any) -> None:
        self._response = response
        self.version = (b"HTTP", 1, 0 if response.version == "1.0" else 1)
        self.code = response.status
        self.phrase = response.phrase
        self.headers = headers
        self.length = length

    @classmethod
    def from_response(cls, response: ReceiverResponse) -> IResponse:
        """Wrap a response."""
        lengths = [value for name, value in response.headers if name.lower() == b"content-length"]
        length: Any = UNKNOWN_LENGTH
        if response.status in _BODILESS_STATUSES:
            length = 0
        elif lengths:
            length = int(lengths[0])
        made: Any = cls(response, end_to_end_headers(response.headers), length)
        answer: IResponse = made
        return answer

    def deliverBody(self, protocol: IProtocol) -> None:
        """Deliver the body at once, then the end of the connection."""
        protocol.makeConnection(_DeliveredBody())  # type: ignore[arg-type] # nothing can be written to it
        if self._response.body:
            protocol.dataReceived(self._response.body)
        reason: Exception
        if self._response.error is not None:
            reason = self._response.error
        elif self._response.ends_at_close:
            reason = PotentialDataLoss()
        else:
            reason = ResponseDone()
        protocol.connectionLost(Failure(reason))

    def setPreviousResponse(self, response: IResponse) -> None:
        """Set the response that this one followed."""
        self.previousResponse = response


class _DeliveredBody:
    """The transport of a body that has been read: there is nothing to stop."""

    disconnecting = False

    def loseConnection(self) -> None:
        """Do nothing."""

    abortConnection = pauseProducing = resumeProducing = stopProducing = loseConnection
