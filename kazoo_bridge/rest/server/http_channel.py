"""HTTP connections and requests with limits on their number, size and duration."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import cast

import orjson
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    ISSLTransport,
    ITCPTransport,
)
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.web import http
from twisted.web.http import HTTPChannel
from twisted.web.server import Request
from zope.interface import implementer

from kazoo_bridge.ip_addresses import rate_limit_key
from kazoo_bridge.rest.http.request_body import MAX_ANONYMOUS_BODY_BYTES, MAX_BODY_BYTES
from kazoo_bridge.rest.http.request_context import CORS_HEADERS, RequestContext
from kazoo_bridge.rest.server.connection_budget import ConnectionBudget
from kazoo_bridge.rest.server.connection_limits import ChannelLimits

#: Seconds for which the rest of a refused request is received and dropped.
LINGER_TIMEOUT = 5

#: Seconds until the next request of a client that goes on although it is beyond its rate.
EXCESS_PAUSE = 1.0

#: Requests in a row beyond the rate after which a client waits, even if it sends one at a time.
MAX_EXCESS_REQUESTS = 20

#: Chunks and other pieces in which a body may arrive: each takes time, however small it is.
MAX_BODY_PIECES = 10_000

#: Header lines of one request.
MAX_HEADER_LINES = 100

_MALFORMED = (
    "parse error: the head of the request is malformed, or has more than"
    f" {HTTPChannel.totalHeadersSize} bytes or {MAX_HEADER_LINES} lines"
)


class LimitedRequest(Request):
    """A request that keeps at most `MAX_BODY_BYTES` of its body, and one more to show that it is too large.

    Without a token in the head it keeps `MAX_ANONYMOUS_BODY_BYTES`. More than that is kept in a file, with
    one descriptor, until the client is authenticated.

    `context` is set before the request is routed. `is_surplus`: more requests are under way than the limits
    allow, so this one is to be refused. `exceeds_rate` is set for a request beyond the rate of its client,
    answered or refused. `route` is the name of the route that it has taken, such as ``GET /healthz``; empty:
    none. Responses have no ``Server`` header.
    """

    context: RequestContext
    is_surplus = False
    exceeds_rate = False
    route = ""
    _pieces = 0
    _max_body_bytes = MAX_ANONYMOUS_BODY_BYTES

    def gotLength(self, length: int | None) -> None:
        """Prepare for the body: the head is complete."""
        has_token = any(self.requestHeaders.hasHeader(name) for name in ("X-Auth-Token", "Authorization"))
        if has_token or b"auth_token=" in self.channel._path:
            self._max_body_bytes = MAX_BODY_BYTES
        # Twisted opens a file for each body without a length, however small.
        self.content = SpooledTemporaryFile(MAX_ANONYMOUS_BODY_BYTES + 1)  # noqa: SIM115

    def handleContentChunk(self, data: bytes) -> None:
        """Keep a piece of the body, up to the limit; refuses a body in more than `MAX_BODY_PIECES`."""
        self._pieces += 1
        if self._pieces > MAX_BODY_PIECES:
            cast(LimitedHTTPChannel, self.channel).refuse_pieces()
            return
        remaining = 0 if self.content is None else self._max_body_bytes + 1 - self.content.tell()
        if remaining > 0:
            super().handleContentChunk(data[:remaining])

    def requestReceived(self, command: bytes, path: bytes, version: bytes) -> None:
        """Process the complete request."""
        # Bodies are JSON whatever their type says: Twisted would parse some as forms, and fail on some types.
        self.requestHeaders.removeHeader(b"Content-Type")
        super().requestReceived(command, path, version)

    def getRequestHostname(self) -> bytes:
        """Return the same name for every request: Klein matches paths alone, and fails on a malformed
        host."""
        return b"localhost"

    def write(self, data: bytes) -> None:
        """Send a piece of the response."""
        if not self.startedWriting:
            self.responseHeaders.removeHeader(b"Server")
        super().write(data)


@implementer(IHalfCloseableProtocol)
class LimitedHTTPChannel(HTTPChannel):
    """An HTTP connection that answers malformed and slow requests, and surplus connections, with KAZOO's
    envelope.

    After a refusal only the sending side is closed at first: closing the whole connection while the client
    still sends would reset it, and the client would lose the response. TLS closes without such a loss.
    Surplus connections are closed at once all the same, because lingering would cost what the limit is to
    save.

    A client that sends request after request and reads nothing has one response waiting for it: the next
    request is processed when it has been read, and meanwhile nothing more is received. Requests that a client
    sends without waiting for responses take turns with other clients; beyond its rate it waits for
    `EXCESS_PAUSE` after each of them.

    A client that closes its sending side after a complete request still gets its response; a streamed
    response ends there, because a client that has gone away looks the same.
    """

    _refused = False
    _unread: http.Request | None = None
    _is_half_closed = False
    _has_received_data = False
    _timer: IDelayedCall | None = None
    _turn: IDelayedCall | None = None
    _excess = 0
    maxHeaders = MAX_HEADER_LINES

    def __init__(self, limits: ChannelLimits, budget: ConnectionBudget) -> None:
        super().__init__()
        self._limits = limits
        self._budget = budget

    def connectionMade(self) -> None:
        """Count the connection, or refuse it."""
        super().connectionMade()
        if not self._limits.opened(self, self._rate_limit_key()):
            self._reject()

    def shed(self) -> None:
        """Close the connection, which waits for a request, for the sake of new ones."""
        self._refused = True
        self._cancel_timeout()
        self._cancel_turn()
        self.setTimeout(None)
        is_closing = self._abortingCall is not None
        if self._abortingCall is not None:
            self._abortingCall.cancel()
        if is_closing or self._waitingForTransport or ISSLTransport.providedBy(self.transport):
            self.forceAbortClient()  # the client has not read what it asked for
        else:
            self._abortingCall = self.callLater(LINGER_TIMEOUT, self.forceAbortClient)
            self.loseConnection()

    def readConnectionLost(self) -> None:
        """Serve the present request, if it is complete and its response has not begun; then close."""
        self._is_half_closed = True
        if self._turn is not None:
            return  # more requests were sent before
        if not self._handlingRequest or any(request.startedWriting for request in self.requests[:1]):
            self._cancel_timeout()
            self.loseConnection()

    def writeConnectionLost(self) -> None:
        """Do nothing: only a refusal closes the sending side."""

    def dataReceived(self, data: bytes) -> None:
        """Parse bytes of the client; the first bytes of a request start its time-out."""
        if not self._has_received_data:
            self._has_received_data = True
            self._recount()
        if self._refused:
            return
        if not self._handlingRequest and self._timer is None:
            self._timer = self.callLater(self._limits.request_timeout, self._on_timeout)
        super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        """Parse a line of a request's head."""
        if not self._refused:
            super().lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        """Parse a piece of a request's body."""
        if not self._refused:
            super().rawDataReceived(data)

    def allContentReceived(self) -> None:
        """Stop the time-out of the complete request."""
        if self._refused:
            return
        self._cancel_timeout()
        self.requests[-1].is_surplus = not self._limits.busy(self)
        super().allContentReceived()

    def requestDone(self, request: LimitedRequest) -> None:
        """Bound the time in which the client must read its last response; give others a turn."""
        self._limits.waits(self)
        self._excess = self._excess + 1 if request.exceeds_rate else 0
        if not self.persistent:
            # Twisted has no time-out for a client that does not read.
            self.setTimeout(self._savedTimeOut)
        elif self._waitingForTransport:
            self._unread = request
            self.setTimeout(self._savedTimeOut)
            return
        elif self._buffer or self._dataBuffer or self._excess > MAX_EXCESS_REQUESTS:
            delay = EXCESS_PAUSE if request.exceeds_rate else 0.0
            self._turn = self.callLater(delay, lambda: self._on_turn(request))
            return
        self._end_request(request)

    def _on_turn(self, request: http.Request) -> None:
        self._turn = None
        self._end_request(request)

    def _end_request(self, request: http.Request) -> None:
        super().requestDone(request)
        if self._is_half_closed and not self._handlingRequest and not self._busyReceiving:
            self.loseConnection()  # no request is left that was sent before

    def pauseProducing(self) -> None:
        """Receive nothing while the client does not read: Twisted would collect further requests."""
        super().pauseProducing()
        self._networkProducer.pauseProducing()

    def resumeProducing(self) -> None:
        """Continue with the next request, or with what the present one sends."""
        super().resumeProducing()
        unread, self._unread = self._unread, None
        if unread is not None:
            self._end_request(unread)
        elif sum(map(len, self._dataBuffer)) <= self._optimisticEagerReadSize:
            self._networkProducer.resumeProducing()

    def lineLengthExceeded(self, line: bytes) -> None:
        """Answer a line that is too long, where Twisted only closes the connection."""
        self._respondToBadRequestAndDisconnect()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Stop counting the connection."""
        self._cancel_timeout()
        self._cancel_turn()
        self._unread = None
        self._limits.closed(self)
        super().connectionLost(reason)

    def _rate_limit_key(self) -> str:
        peer = self.transport.getPeer() if self.transport is not None else None
        return rate_limit_key(peer)

    def _recount(self) -> None:
        # With the PROXY protocol the client's address arrives with the first bytes.
        transport = cast("ITCPTransport | None", self.transport)
        if transport is not None and not self._budget.admits(transport.getPeer()):
            self._refused = True
            transport.abortConnection()
        elif not self._limits.moved(self, self._rate_limit_key()):
            self._reject()

    def _reject(self) -> None:
        self._refused = True
        transport = self.transport
        if ISSLTransport.providedBy(transport):
            transport.abortConnection()  # nothing can be sent before the TLS handshake
        elif transport is not None:
            message = "too many connections are open: try again later"
            transport.write(_make_rejection(503, message, {"Retry-After": "5"}))
            self.loseConnection()

    def _on_timeout(self) -> None:
        self._timer = None
        seconds = self._limits.request_timeout
        self._refuse(408, f"the request did not arrive within {seconds:g} seconds")

    def _cancel_timeout(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _cancel_turn(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None

    def refuse_pieces(self) -> None:
        """Refuse a request whose body arrives in too many pieces."""
        self._refuse(413, f"the body has more than {MAX_BODY_PIECES} chunks or pieces: send larger ones")

    def _respondToBadRequestAndDisconnect(self) -> None:
        self._refuse(400, _MALFORMED)

    def _refuse(self, status: int, message: str) -> None:
        transport = self.transport
        if self._refused or transport is None:
            return
        self._refused = True
        self._cancel_timeout()
        transport.write(_make_rejection(status, message))
        if ITCPTransport.providedBy(transport) and not ISSLTransport.providedBy(transport):
            transport.loseWriteConnection()
            self.setTimeout(LINGER_TIMEOUT)
        else:
            self.loseConnection()


def _make_rejection(status: int, message: str, more_headers: Mapping[str, str] | None = None) -> bytes:
    """Return the bytes of a response to a request that was not parsed."""
    body = orjson.dumps({"data": {}, "error": str(status), "message": message, "status": "error"})
    headers = {
        **CORS_HEADERS,
        **(more_headers or {}),
        "Cache-Control": "no-store",
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    head = [
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}",
        *(f"{name}: {value}" for name, value in headers.items()),
        "",
        "",
    ]
    return "\r\n".join(head).encode() + body
