"""Connections of HTTP clients: how many, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

import orjson
from attrs import frozen
from twisted.internet.interfaces import IDelayedCall, ISSLTransport, ITCPTransport
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web.http import HTTPChannel, Request

from kazoo_bridge.ip_addresses import rate_limit_key
from kazoo_bridge.rest.http.request_context import CORS_HEADERS
from kazoo_bridge.rest.server.connection_limits import HttpConnectionLimits

#: Seconds for which the rest of a refused request is taken from the client, unread.
LINGER_SECONDS = 5

_MALFORMED = f"parse error: the head of the request is malformed, or has more than {HTTPChannel.totalHeadersSize} bytes"


@frozen
class ChannelLimits:
    """What all connections share. `request_seconds`: within these a request must have arrived, counted from its first byte."""

    connections: HttpConnectionLimits
    request_seconds: float


class LimitedHTTPChannel(HTTPChannel):
    """Refuses in words what is no HTTP, what takes too long to arrive, and connections that are too many.

    Closing a connection on which the client is still sending would take the answer away from it, so only the sending side is closed
    at first. TLS has its own way to close, in which nothing is lost. Connections that are too many are closed at once all the same:
    waiting for them would cost what the limit shall save.
    """

    _refused = False
    _address: str | None = None
    _known_by_data = False
    _timer: IDelayedCall | None = None

    def __init__(self, limits: ChannelLimits) -> None:
        super().__init__()
        self._limits = limits

    def connectionMade(self) -> None:
        """Somebody is there."""
        super().connectionMade()
        address = self._rate_limit_key()
        if self._limits.connections.opened(address):
            self._address = address
        else:
            self._reject()

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the client."""
        if not self._known_by_data:
            self._known_by_data = True
            self._recount()
        if self._refused:
            return
        if not self._handlingRequest and self._timer is None:
            self._timer = self.callLater(self._limits.request_seconds, self._on_timeout)
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        """A line of a request's head."""
        if not self._refused:
            super().lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        """A piece of a request's body."""
        if not self._refused:
            super().rawDataReceived(data)

    def allContentReceived(self) -> None:
        """The request has arrived."""
        self._cancel_timeout()
        super().allContentReceived()

    def requestDone(self, request: Request) -> None:
        """The request is answered."""
        if not self.persistent:
            self.setTimeout(
                self._savedTimeOut
            )  # Twisted would wait for ever for a client that does not read its answer
        super().requestDone(request)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line without end: Twisted would hang up without a word."""
        self._respondToBadRequestAndDisconnect()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Nobody is there any more."""
        self._cancel_timeout()
        if self._address is not None:
            self._limits.connections.closed(self._address)
            self._address = None
        super().connectionLost(reason)

    def _rate_limit_key(self) -> str:
        return (
            rate_limit_key(self.transport.getPeer()) if self.transport is not None else rate_limit_key(None)
        )

    def _recount(self) -> None:
        # Behind a proxy that tells the client's address, that comes with the first bytes.
        address = self._rate_limit_key()
        if self._address is None or self._address == address:
            return
        if self._limits.connections.moved(self._address, address):
            self._address = address
        else:
            self._reject()

    def _reject(self) -> None:
        self._refused = True
        transport = self.transport
        if ISSLTransport.providedBy(transport):
            transport.abortConnection()  # before TLS is settled nothing can be said
        elif transport is not None:
            transport.write(
                _rejection(503, "too many connections are open: try again later", {"Retry-After": "5"})
            )
            self.loseConnection()

    def _on_timeout(self) -> None:
        self._timer = None
        self._refuse(408, f"the request did not arrive within {self._limits.request_seconds:g} seconds")

    def _cancel_timeout(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _respondToBadRequestAndDisconnect(self) -> None:
        self._refuse(400, _MALFORMED)

    def _refuse(self, code: int, word: str) -> None:
        transport = self.transport
        if self._refused or transport is None:
            return
        self._refused = True
        self._cancel_timeout()
        transport.write(_rejection(code, word))
        if ITCPTransport.providedBy(transport) and not ISSLTransport.providedBy(transport):
            transport.loseWriteConnection()
            self.setTimeout(LINGER_SECONDS)
        else:
            self.loseConnection()


def _rejection(code: int, word: str, more: Mapping[str, str] | None = None) -> bytes:
    body = orjson.dumps({"data": {}, "error": str(code), "message": word, "status": "error"})
    headers = {
        **CORS_HEADERS,
        **(more or {}),
        "Cache-Control": "no-store",
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    head = [
        f"HTTP/1.1 {code} {HTTPStatus(code).phrase}",
        *(f"{name}: {value}" for name, value in headers.items()),
        "",
        "",
    ]
    return "\r\n".join(head).encode() + body
