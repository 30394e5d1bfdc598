"""The way out through an HTTP proxy: a tunnel to an address that has been judged, never to a name that the proxy would look up itself."""

from __future__ import annotations

import re
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IProtocol, IProtocolFactory, IStreamClientEndpoint, ITransport
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.destination import parse_destination

_MAX_HEAD_BYTES = 16 * 1024

_STATUS = re.compile(rb"HTTP/1\.[0-9] ([0-9]{3})(?: [^\r\n]*)?\r?\n")
_END = re.compile(rb"\r?\n\r?\n")


class ProxyFailed(Exception):
    """The proxy did not make the connection; in words without its name and credentials, for customers read them."""


@frozen
class Proxy:
    """An HTTP proxy that knows CONNECT."""

    host: str
    port: int
    authorization: bytes | None = field(repr=False)

    @classmethod
    def from_config(cls, uri: str) -> Proxy | None:
        """The proxy of a URI that the configuration has checked; None for ""."""
        if not uri:
            return None
        destination = parse_destination(uri)
        return cls(destination.host, destination.port, destination.authorization)

    def connect_request(self, address: str, port: int) -> bytes:
        """What asks the proxy for a connection to `address`."""
        target = (f"[{address}]:{port}" if ":" in address else f"{address}:{port}").encode("ascii")
        lines = [b"CONNECT %b HTTP/1.1" % target, b"Host: %b" % target]
        if self.authorization is not None:
            lines.append(b"Proxy-Authorization: " + self.authorization)
        return b"\r\n".join([*lines, b"", b""])


class _ConnectTunnel(Protocol):
    """Asks the proxy; once it has agreed, everything is the inner protocol's.

    `established` fires with the inner protocol, or fails with `ProxyFailed`.
    """

    def __init__(self, request: bytes, factory: IProtocolFactory) -> None:
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
        end = _END.search(self._head)
        if end is None:
            if len(self._head) > _MAX_HEAD_BYTES:
                self._fail("the proxy's answer is too long")
            return
        status = _STATUS.match(self._head)
        if status is None:
            self._fail("the proxy does not speak HTTP")
        elif not status[1].startswith(b"2"):
            reasons = {b"407": "the proxy wants other credentials", b"403": "the proxy forbids it"}
            self._fail(reasons.get(status[1], f"the proxy answers {status[1].decode()}"))
        else:
            self._establish(self._head[end.end() :])

    def _establish(self, early: bytes) -> None:
        inner = self._factory.buildProtocol(self._transport.getPeer())
        if inner is None:
            self._fail("the connection is not wanted any more")
            return
        self._inner = inner
        inner.makeConnection(self._transport)
        self.established.callback(inner)
        if early:
            inner.dataReceived(early)

    def _fail(self, words: str) -> None:
        self._transport.abortConnection()
        self.established.errback(ProxyFailed(words))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if self._inner is not None:
            self._inner.connectionLost(reason)
        elif not self.established.called:
            self.established.errback(ProxyFailed("the proxy closed the connection"))


class _ConnectTunnelFactory(Factory):
    noisy = False

    def __init__(self, request: bytes, factory: IProtocolFactory) -> None:
        self._request = request
        self._factory = factory

    def buildProtocol(self, addr: Any) -> _ConnectTunnel:
        return _ConnectTunnel(self._request, self._factory)


@implementer(IStreamClientEndpoint)
@frozen
class TunnelEndpoint:
    """Connects to an address through the proxy. `timeout` is in seconds, for reaching the proxy and for its agreement together."""

    reactor: Any
    proxy: Proxy
    address: str
    port: int
    timeout: float

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        """Fires when the tunnel stands; fails with `ProxyFailed`."""
        return Deferred.fromCoroutine(self._connect(protocolFactory))

    async def _connect(self, factory: IProtocolFactory) -> IProtocol:
        deadline = self.reactor.seconds() + self.timeout
        request = self.proxy.connect_request(self.address, self.port)
        way = HostnameEndpoint(self.reactor, self.proxy.host, self.proxy.port, timeout=self.timeout)
        try:
            asking: Any = await way.connect(_ConnectTunnelFactory(request, factory))
        except CancelledError:
            raise
        except Exception as error:
            raise ProxyFailed("the proxy cannot be reached") from error
        established: Deferred[IProtocol] = asking.established
        left = max(0.001, deadline - self.reactor.seconds())
        try:
            return await established.addTimeout(left, self.reactor)
        except TimeoutError:
            raise ProxyFailed("the proxy does not answer") from None
