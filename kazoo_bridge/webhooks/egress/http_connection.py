"""One HTTP connection to a receiver, which bounds what it reads of a response.

The class subclassed here (`HTTP11ClientProtocol`) is not in Twisted's public documentation, as Twisted has
no other place to count the bytes of a response. The tests of hostile receivers fail if a new Twisted no
longer permits this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory, connectionDone
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.web._newclient import HEADER, STATUS, HTTP11ClientProtocol, Request
from twisted.web.iweb import IResponse

#: Limit for status line and headers of a response together, 1xx responses before it included.
MAX_HEAD_BYTES = 32 * 1024

#: Limit for the body of a response as it is sent, with the sizes and extensions of chunks: these cost more
#: than the data, of which callers read less.
MAX_FRAMED_BYTES = 128 * 1024

#: The statuses of responses that end a request.
VALID_STATUSES = range(200, 1000)

#: A head is parsed in pieces of this size, so that the limit is kept closely and the parser's buffer stays
#: short.
_CHUNK_BYTES = 4096

# Twisted's parser logs a line for every 1xx response, and a receiver can send any number of them.
_SILENT = Logger(observer=LogPublisher())


class HeadTooLong(Exception):
    """Status line and headers of the response exceed `MAX_HEAD_BYTES`."""

    def __init__(self) -> None:
        super().__init__(f"the answer's headers are longer than {MAX_HEAD_BYTES // 1024} KiB")


class BodyTooLong(Exception):
    """The body of the response exceeds `MAX_FRAMED_BYTES`."""

    def __init__(self) -> None:
        super().__init__(f"the answer's body is longer than {MAX_FRAMED_BYTES // 1024} KiB as it was sent")


class BoundedClient(HTTP11ClientProtocol):
    """One client connection, which reads a bounded number of bytes for each response, and keeps no bodies.

    `on_idle` is called with the client when the connection can carry another request, `on_lost` when it is
    closed. `response_began` is true once a byte of the response to the last request has been received.
    """

    response_began = False
    _head_bytes = 0
    _body_bytes = 0
    _has_surplus = False

    def __init__(
        self, on_idle: Callable[[BoundedClient], None], on_lost: Callable[[BoundedClient], None]
    ) -> None:
        super().__init__(self._response_finished)
        self._on_idle = on_idle
        self._on_lost = on_lost

    def _response_finished(self, _client: object) -> None:
        # Twisted reuses every connection but those whose response says "close" in lower case. A connection
        # that the receiver is about to close would lose the next request.
        if not self._has_surplus and _is_keep_alive(self._parser):
            self._on_idle(self)
        else:
            self.transport.loseConnection()  # type: ignore[union-attr] # connected

    def request(self, request: Request) -> Deferred[IResponse]:
        """Send a request like Twisted's client, and count the bytes of its response's head.

        Fails with `HeadTooLong` too; reading the response's body fails with `BodyTooLong`.
        """
        self._head_bytes = self._body_bytes = 0
        self.response_began = False
        response = super().request(request)
        parser: Any = self._parser
        if parser is not None:
            # The parser's limit for a line must not apply before ours, whose error is clearer.
            parser.MAX_LENGTH = MAX_HEAD_BYTES + _CHUNK_BYTES
            parser._log = _SILENT
            parser.finisher = self._finish
        return response

    def _finish(self, rest: bytes) -> None:
        # Bytes beyond the response answer no request; the next response must not be read from them.
        self._has_surplus = bool(rest)
        self._finishResponse(rest)

    def dataReceived(self, bytes: bytes) -> None:
        """Parse received bytes, counted, and in pieces until the head is complete."""
        self.response_began = True
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
            piece, rest = (
                rest[: MAX_FRAMED_BYTES - self._body_bytes],
                rest[MAX_FRAMED_BYTES - self._body_bytes :],
            )
            self._body_bytes += len(piece)
            super().dataReceived(piece.tobytes())
            if rest and parser is self._parser:
                self._giveUp(Failure(BodyTooLong()))
                return
        if rest:
            # Bytes beyond the response answer no request, and must not be read as the answer to one that
            # has been sent meanwhile.
            self.transport.abortConnection()  # type: ignore[union-attr] # connected

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """Fail what is in flight, and report that the connection is closed."""
        super().connectionLost(reason)
        self._on_lost(self)

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
    """Return whether the receiver keeps the connection after the response, the default since HTTP/1.1.

    Not after a response without a status: such a receiver may not speak HTTP.
    """
    if parser.response.code not in VALID_STATUSES:
        return False
    options = {
        option.strip().lower()
        for line in parser.connHeaders.getRawHeaders(b"Connection", ())
        for option in line.split(b",")
    }
    if parser.response.version[1:] < (1, 1):
        return b"keep-alive" in options
    return b"close" not in options


class BoundedClientFactory(Factory):
    """Makes connections with these callbacks."""

    noisy = False

    def __init__(
        self, on_idle: Callable[[BoundedClient], None], on_lost: Callable[[BoundedClient], None]
    ) -> None:
        self._on_idle = on_idle
        self._on_lost = on_lost

    def buildProtocol(self, addr: IAddress | None) -> BoundedClient:
        """Return a connection."""
        return BoundedClient(self._on_idle, self._on_lost)
