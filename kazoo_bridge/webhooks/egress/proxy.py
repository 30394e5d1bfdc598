"""Connects through an HTTP proxy, with CONNECT (RFC 9110, section 9.3.6).

The proxy is asked for a judged address, never for a name, which it would resolve itself.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint, ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.destination import parse_destination
from kazoo_bridge.webhooks.egress.own_faults import OwnFault, OwnWaitCancelled

_MAX_HEAD_BYTES = 16 * 1024

_STATUS_LINE = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})(?: [^\r\n]*)?\r?\n")
_HEAD_END = re.compile(rb"\r?\n\r?\n")


class ProxyFailed(Exception):
    """The proxy did not open the connection, because it could not reach the receiver.

    Customers read the text, so it contains neither the proxy's name nor its credentials.
    """


class ProxyUnavailable(ProxyFailed, OwnFault):
    """The proxy did not open the connection: it cannot be reached, does not answer, or refuses to."""


@define(eq=False)
class ProxyAnswers:
    """Counts what a proxy has answered, to distinguish a proxy that hangs from a receiver that hangs."""

    count: int = 0


@frozen
class Proxy:
    """An HTTP proxy.

    `authorization` is the value of the ``Proxy-Authorization`` header, None without credentials; it stays
    out of the repr.
    """

    host: str
    port: int
    authorization: bytes | None = field(repr=False)
    answers: ProxyAnswers = field(factory=ProxyAnswers, repr=False, eq=False)

    @classmethod
    def from_config(cls, uri: str) -> Proxy | None:
        """Parse ``egress.proxy``, ``http://[user:password@]host:port``; None for an empty text.

        Raises `BadDestination`; the configuration has checked the URI.
        """
        if not uri:
            return None
        destination = parse_destination(uri)
        return cls(destination.host, destination.port, destination.authorization)

    def connect_request(self, address: str, port: int) -> bytes:
        """Return the CONNECT request for `port` at `address`, a numeric address."""
        target = (f"[{address}]:{port}" if ":" in address else f"{address}:{port}").encode("ascii")
        lines = [b"CONNECT %b HTTP/1.1" % target, b"Host: %b" % target]
        if self.authorization is not None:
            lines.append(b"Proxy-Authorization: " + self.authorization)
        return b"\r\n".join([*lines, b"", b""])


class _ConnectTunnel(Protocol):
    """Sends the CONNECT request, then passes all bytes to the inner protocol.

    `established` fires with the inner protocol once the proxy has answered 2xx, or fails with `ProxyFailed`;
    an answer is counted in `answers`. Cancelling it aborts the connection.
    """

    def __init__(self, request: bytes, factory: IProtocolFactory, answers: ProxyAnswers) -> None:
        self._answers = answers
        self._request = request
        self._factory = factory
        self._head = b""
        self._inner: IProtocol | None = None
        self.established: Deferred[IProtocol] = Deferred(lambda _: self._transport.abortConnection())

    @property
    def _transport(self) -> Any:
        transport: ITransport | None = self.transport
        return transport

    def connectionMade(self) -> None:
        self._transport.write(self._request)

    def dataReceived(self, data: bytes) -> None:
        if self._inner is not None:
            self._inner.dataReceived(data)
        elif not self.established.called:
            self._head += data
            self._read_head()

    def _read_head(self) -> None:
        end = _HEAD_END.search(self._head)
        if end is None:
            if len(self._head) > _MAX_HEAD_BYTES:
                self._fail("the proxy's answer is too long")
            return
        status = _STATUS_LINE.match(self._head)
        if status is None:
            self._fail("the proxy does not speak HTTP")
            return
        self._answers.count += 1
        if not status[1].startswith(b"2"):
            reasons = {b"407": "the proxy wants other credentials", b"403": "the proxy forbids it"}
            reason = reasons.get(status[1], f"the proxy answers {status[1].decode()}")
            # 5xx is what proxies answer when they cannot connect to the receiver.
            self._fail(reason, ProxyFailed if status[1].startswith(b"5") else ProxyUnavailable)
        else:
            self._establish(self._head[end.end() :])

    def _establish(self, first_bytes: bytes) -> None:
        inner = self._factory.buildProtocol(self._transport.getPeer())
        if inner is None:
            self._fail("the connection is not wanted any more")
            return
        self._inner = inner
        inner.makeConnection(self._transport)
        self.established.callback(inner)
        if first_bytes:
            inner.dataReceived(first_bytes)

    def _fail(self, reason: str, error: type[ProxyFailed] = ProxyUnavailable) -> None:
        self._transport.abortConnection()
        self.established.errback(error(reason))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._inner is not None:
            self._inner.connectionLost(reason)
        elif not self.established.called:
            self.established.errback(ProxyUnavailable("the proxy closed the connection"))


class _ConnectTunnelFactory(Factory):
    noisy = False

    def __init__(self, request: bytes, factory: IProtocolFactory, answers: ProxyAnswers) -> None:
        self._request = request
        self._factory = factory
        self._answers = answers

    def buildProtocol(self, addr: Any) -> _ConnectTunnel:
        return _ConnectTunnel(self._request, self._factory, self._answers)


@implementer(IStreamClientEndpoint)
@frozen
class TunnelEndpoint:
    """Connects to `port` at `address`, a numeric address, through `proxy`.

    `timeout` is in seconds and covers the connection to the proxy and its answer together.
    """

    reactor: Any
    proxy: Proxy
    address: str
    port: int
    timeout: float

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fire with the connected protocol once the proxy has opened the tunnel.

        Fails with `ProxyFailed` if the receiver cannot be reached, or with `ProxyUnavailable`. A proxy that
        does not answer in time is unavailable, unless it has answered other requests meanwhile. Cancelled
        before the proxy's answer it fails with `OwnWaitCancelled` in the same case.
        """
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        deadline = self.reactor.seconds() + self.timeout
        answers, answers_before = self.proxy.answers, self.proxy.answers.count
        request = self.proxy.connect_request(self.address, self.port)
        endpoint = HostnameEndpoint(self.reactor, self.proxy.host, self.proxy.port, timeout=self.timeout)
        try:
            tunnel: Any = await endpoint.connect(_ConnectTunnelFactory(request, factory, answers))
        except (CancelledError, ConnectingCancelledError):
            raise OwnWaitCancelled from None
        except Exception as error:
            raise ProxyUnavailable("the proxy cannot be reached") from error
        established: Deferred[IProtocol] = tunnel.established
        remaining = max(0.001, deadline - self.reactor.seconds())
        try:
            return await established.addTimeout(remaining, self.reactor)
        except TimeoutError:
            is_alive = answers.count != answers_before
            raise (ProxyFailed if is_alive else ProxyUnavailable)("the proxy does not answer") from None
        except CancelledError:
            if answers.count == answers_before:
                raise OwnWaitCancelled from None
            raise
