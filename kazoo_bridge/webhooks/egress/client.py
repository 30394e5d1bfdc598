"""Twisted's HTTP client with bounds on what it keeps of an answer's head.

The two classes subclassed here are not in Twisted's public documentation, and there is no other place where the bytes of a head can be
counted; the tests of hostile receivers say whether a new Twisted still lets itself be bounded.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger, LogPublisher
from twisted.python.failure import Failure
from twisted.web._newclient import HEADER, STATUS, HTTP11ClientProtocol, Request
from twisted.web.client import HTTPConnectionPool, _HTTP11ClientFactory
from twisted.web.iweb import IResponse

#: Bytes of status line and headers together, those of 1xx answers before the final one included.
MAX_HEAD_BYTES = 32 * 1024

#: A head is read in pieces of this size, so that the bound is kept closely and the parser's buffer stays short.
_CHUNK_BYTES = 4096

# The client writes a line for every 1xx answer, as many as a receiver likes to send.
_SILENT = Logger(observer=LogPublisher())


class HeadTooLong(Exception):
    """The answer's status line and headers are longer than anybody needs."""

    def __init__(self) -> None:
        super().__init__(f"the answer's headers are longer than {MAX_HEAD_BYTES // 1024} KiB")


class BoundedClient(HTTP11ClientProtocol):
    """One connection. Its memory is bounded while it reads a head; bodies are not kept here.

    `idle` is told when it can be used for another request.
    """

    _head = 0

    def __init__(self, idle: Callable[[BoundedClient], None]) -> None:
        super().__init__(self._answered)
        self._idle = idle

    def _answered(self, _client: object) -> None:
        # Twisted keeps every connection but those whose answer says "close" in small letters. One that the receiver is closing just
        # now would take the next request with it.
        if _is_keep_alive(self._parser):
            self._idle(self)
        else:
            self.transport.loseConnection()  # type: ignore[union-attr]

    def request(self, request: Request) -> Deferred[IResponse]:
        """As Twisted's, with a new count."""
        self._head = 0
        answered = super().request(request)
        parser: Any = self._parser
        if parser is not None:
            # A single line may be as long as the whole, whose bound has the clearer words.
            parser.MAX_LENGTH = MAX_HEAD_BYTES + _CHUNK_BYTES
            parser._log = _SILENT
        return answered

    def dataReceived(self, bytes: bytes) -> None:
        """Hand on what has come, piece by piece until the head is over."""
        rest, parser = memoryview(bytes), self._parser
        while rest and parser is not None and parser is self._parser and parser.state in (STATUS, HEADER):
            piece, rest = rest[:_CHUNK_BYTES], rest[_CHUNK_BYTES:]
            super().dataReceived(piece.tobytes())
            if parser is self._parser and parser.state in (STATUS, HEADER):
                self._head += len(piece)
                if self._head > MAX_HEAD_BYTES:
                    self._giveUp(Failure(HeadTooLong()))
                    return
        if rest and parser is not None and parser is self._parser:
            super().dataReceived(rest.tobytes())
        elif rest:
            # Nothing was asked that this could be the answer to; least of all is it the answer to a request that was made meanwhile.
            self.transport.abortConnection()  # type: ignore[union-attr]

    def _giveUp(self, reason: Failure) -> None:
        if self._state == "TRANSMITTING":
            # An answer that cannot be read before the request is out: Twisted would tell nobody, and wait for the rest to be taken.
            request: Any = self._currentRequest
            answered: Any = self._responseDeferred
            self._state = "GENERATION_FAILED"
            request.stopWriting()
            answered.chainDeferred(self._finishedRequest)
        super()._giveUp(reason)


def _is_keep_alive(parser: Any) -> bool:
    """Whether the receiver means to keep the connection after the answer that has been read: the default since HTTP/1.1."""
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
    """Keeps connections of `BoundedClient`, and forgets hosts that it has none to."""

    _factory = _BoundedFactory

    def _removeConnection(self, key: Hashable, connection: HTTP11ClientProtocol) -> None:
        super()._removeConnection(key, connection)
        if not self._connections[key]:
            del self._connections[key]
