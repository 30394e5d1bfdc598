"""One HTTP/1.1 connection to a receiver, which carries one request at a time and reads bounded responses.

The life of a connection: it is made, carries a request (`ReceiverConnection.send`), reports the response, and
is idle or closed. Everything per request is a plain call; nothing is scheduled.
"""

from __future__ import annotations

from typing import Any, Protocol

from httptools import HttpParserError, HttpParserUpgrade
from twisted.internet.interfaces import IPullProducer, ITCPTransport
from twisted.internet.protocol import Protocol as StreamProtocol
from twisted.internet.protocol import connectionDone
from twisted.internet.tcp import Connection
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.destination import Origin
from kazoo_bridge.webhooks.egress.receiver_response import (
    MAX_BODY_BYTES,
    MAX_FRAMED_BYTES,
    MAX_HEAD_BYTES,
    VALID_STATUSES,
    BodyTooLong,
    HeadTooLong,
    MalformedResponse,
    ReceiverResponse,
    has_framing,
    has_known_framing,
)
from kazoo_bridge.webhooks.egress.response_parsing import ResponseReader

#: Bytes of a head that are parsed at once, so that its limit is kept closely.
_PIECE_BYTES = 4096

#: Bytes of a request that are written at once; the rest follows when the receiver has read these.
_CHUNK_BYTES = 64 * 1024

#: Bytes of the longest response that is remembered, for each connection.
_MAX_KNOWN_BYTES = 1024

#: Bytes that are read from a connection at once.
_READ_BYTES = 8 * 1024


class ResponseHandler(Protocol):
    """The request that a connection carries."""

    def response_received(self, response: ReceiverResponse) -> None:
        """Receive the response. The connection can carry the next request already, or is closed."""

    def connection_failed(self, error: Exception) -> None:
        """Receive the reason why there is no response. The connection is closed."""


class ConnectionOwner(Protocol):
    """The pool that a connection belongs to."""

    def connection_idle(self, connection: ReceiverConnection) -> None:
        """Take back a connection that can carry another request."""

    def connection_closing(self, connection: ReceiverConnection) -> None:
        """Abort the connection if the receiver does not close it in time."""

    def connection_lost(self, connection: ReceiverConnection) -> None:
        """Forget a connection that is closed."""


@implementer(IPullProducer)
class ReceiverConnection(ResponseReader, StreamProtocol):
    """A connection to `origin`. `owner` learns of its states.

    `response_began` is true once a byte of the response to the last request has been received, and
    `request_sent` once that request has been written completely.
    """

    def __init__(self, owner: ConnectionOwner, origin: Origin) -> None:
        super().__init__()
        self.origin = origin
        self.response_began = False
        self.request_sent = True
        self.is_lost = False
        self._owner = owner
        self._handler: ResponseHandler | None = None
        self._send_at_once: Any = None
        self._rest: memoryview | None = None
        self._head_only = False
        self._first_data = b""
        #: A response that came in one piece and left the connection idle, and what was read from it.
        self._known_data: bytes | None = None
        self._known_response: ReceiverResponse | None = None

    @property
    def _transport(self) -> Any:
        return self.transport

    @property
    def is_busy(self) -> bool:
        """Whether the connection carries a request."""
        return self._handler is not None

    def connectionMade(self) -> None:
        """Prepare for writing."""
        transport = self._transport
        if ITCPTransport.providedBy(transport):
            transport.setTcpNoDelay(True)
        if isinstance(transport, Connection) and not getattr(transport, "TLS", False):
            # Saves two system calls and a turn of the reactor. Only without TLS, below which it would write.
            self._send_at_once = transport.getHandle().send
            # Responses are short, and the system is asked for a buffer of this size each time.
            transport.bufferSize = _READ_BYTES

    # -- requests

    def send(self, handler: ResponseHandler, data: bytes, head_only: bool = False) -> None:
        """Send a request, head and body together. The connection must be idle.

        `handler` receives the response or the failure, never before this has returned. `head_only` says that
        the response has no body, whatever its headers say (HEAD).
        """
        self._handler = handler
        self.response_began = False
        self._head_only = head_only
        if self._has_head:
            self._reset()
        if self._send_at_once is not None:
            try:
                written = self._send_at_once(data)
            except OSError:
                written = 0  # the transport finds out why
            if written == len(data):
                self.request_sent = True
                return
            data = data[written:]
        elif len(data) <= _CHUNK_BYTES:
            self._transport.write(data)
            self.request_sent = True
            return
        self.request_sent = False
        self._rest = memoryview(data)
        self._transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        """Write more of the request: the transport has sent what it had."""
        rest = self._rest
        if rest:
            self._rest = rest[_CHUNK_BYTES:]
            self._transport.write(bytes(rest[:_CHUNK_BYTES]))
        elif rest is not None:
            self._stop_sending()
            self.request_sent = True
            if self._is_complete:
                self._finish(surplus=True)

    def stopProducing(self) -> None:
        """Write no more: the connection is closed."""
        self._rest = None

    def _stop_sending(self) -> None:
        if self._rest is not None:
            self._rest = None
            self._transport.unregisterProducer()

    # -- closing

    def close(self) -> None:
        """Close the connection after what was written, within a time that the owner bounds."""
        self._handler = None
        self._stop_sending()
        if not self.is_lost:
            self._owner.connection_closing(self)
            self._transport.loseConnection()

    def abort(self) -> None:
        """Close the connection at once. The handler of its request receives nothing any more."""
        self._handler = None
        self._stop_sending()
        if not self.is_lost:
            self._owner.connection_closing(self)
            self._transport.abortConnection()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Report that the connection is closed; fail what is in flight."""
        self.is_lost = True
        # The parser refers to this object, which should not wait for the garbage collector.
        self._rest = self._parser = self._send_at_once = None
        handler, self._handler = self._handler, None
        self._owner.connection_lost(self)
        if handler is None:
            return
        if self._is_complete:
            handler.response_received(self._make_response())
        elif self._has_head and not has_framing(self._headers):
            response = self._make_response()
            response.ends_at_close = True
            handler.response_received(response)
        elif self._has_head:
            handler.response_received(self._make_response(ResponseFailed([reason])))
        elif self.response_began:
            handler.connection_failed(ResponseFailed([reason]))
        elif self.request_sent:
            handler.connection_failed(ResponseNeverReceived([reason]))
        else:
            handler.connection_failed(RequestTransmissionFailed([reason]))

    # -- responses

    def dataReceived(self, data: bytes) -> None:
        """Parse received bytes; close the connection if they exceed a bound or answer nothing."""
        if self._handler is None:
            # They answer no request, and must not be read as the answer to the next one.
            self.abort()
            return
        if not self.response_began:
            self.response_began = True
            if data == self._known_data and self.request_sent and not self._head_only:
                self._finish_known(self._handler)
                return
            self._first_data = data
            if not data.startswith(b"HTTP/1.") and not b"HTTP/1.".startswith(data.lstrip(b"\r\n")[:7]):
                self._fail(MalformedResponse())
                return
        else:
            self._first_data = b""
        if len(data) <= _PIECE_BYTES:
            self._feed(data, False)
        else:
            self._feed_pieces(memoryview(data))

    def _feed_pieces(self, data: memoryview) -> None:
        handler = self._handler
        while data and self._handler is handler and not self._has_head:
            piece, data = data[:_PIECE_BYTES], data[_PIECE_BYTES:]
            self._feed(piece, bool(data))
        if data and self._handler is handler:
            allowed = MAX_FRAMED_BYTES - self._framed_bytes
            self._feed(data[:allowed], len(data) > allowed)

    def _feed(self, data: bytes | memoryview, more: bool) -> None:
        """Parse `data`; `more` says that bytes follow which were received together with it."""
        if self._is_complete:
            # The request is still being sent although it has been answered.
            self._fail_or_answer()
            return
        had_head = self._has_head
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if not self._is_complete:
                self._fail(MalformedResponse())
                return
            more = True
        if self._is_complete:
            if self.request_sent:
                self._finish(surplus=more or self._has_surplus(data))
            return
        self._tail = (self._tail + bytes(data[-8:]))[-8:]
        if had_head:
            self._framed_bytes += len(data)
            self._check_body(more)
        elif self._has_head:
            self._check_framing()
        else:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._fail(HeadTooLong())

    def _check_framing(self) -> None:
        """Check a response whose head is complete and whose body is not."""
        if self._head_only or self._status not in VALID_STATUSES:
            self._is_complete = True
            self._finish(surplus=True)
        elif not has_known_framing(self._headers):
            self._has_head = False
            self._fail(MalformedResponse())
        else:
            self._check_body(False)

    def _check_body(self, more: bool) -> None:
        if self._body_size >= MAX_BODY_BYTES:
            self._finish(surplus=True)
        elif more or self._framed_bytes >= MAX_FRAMED_BYTES:
            self._fail(BodyTooLong())

    def _finish(self, surplus: bool) -> None:
        handler, self._handler = self._handler, None
        response = self._make_response()
        if surplus or not self._keeps_alive or self._status not in VALID_STATUSES:
            self.close()
        else:
            if 0 < len(self._first_data) <= _MAX_KNOWN_BYTES and not self._head_only:
                self._known_data, self._known_response = self._first_data, response
            self._owner.connection_idle(self)
        if handler is not None:
            handler.response_received(response)

    def _finish_known(self, handler: ResponseHandler) -> None:
        """Answer with the response that the same bytes were before: receivers often repeat themselves."""
        self._handler = None
        self._owner.connection_idle(self)
        if self._known_response is not None:
            handler.response_received(self._known_response)

    def _fail_or_answer(self) -> None:
        handler = self._handler
        response = self._make_response()
        self.abort()
        if handler is not None:
            handler.response_received(response)

    def _fail(self, error: Exception) -> None:
        """Close the connection for something that the receiver has sent."""
        handler = self._handler
        failed = ResponseFailed([Failure(error)])
        response = self._make_response(failed) if self._has_head else None
        if self.request_sent:
            self.close()
        else:
            self.abort()
        if handler is None:
            return
        if response is None:
            handler.connection_failed(failed)
        else:
            handler.response_received(response)
