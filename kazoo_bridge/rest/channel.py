"""Connections of HTTP clients."""

from __future__ import annotations

from http import HTTPStatus

import orjson
from twisted.internet.interfaces import ISSLTransport, ITCPTransport
from twisted.web.http import HTTPChannel

from kazoo_bridge.rest.exchange import CORS_HEADERS

#: Seconds for which the rest of a refused request is taken from the client, unread.
LINGER = 5

_MALFORMED = f"parse error: the head of the request is malformed, or has more than {HTTPChannel.totalHeadersSize} bytes"


class IncomingChannel(HTTPChannel):
    """Refuses what is no HTTP in words, and in a way that lets the client read them.

    Closing a connection on which the client is still sending would take the answer away from it, so only the sending side is closed
    at first. TLS has its own way to close, in which nothing is lost.
    """

    _refused = False

    def dataReceived(self, data: bytes) -> None:
        """Bytes from the client."""
        if not self._refused:
            super().dataReceived(data)

    def lineReceived(self, line: bytes) -> None:
        """A line of a request's head."""
        if not self._refused:
            super().lineReceived(line)

    def rawDataReceived(self, data: bytes) -> None:
        """A piece of a request's body."""
        if not self._refused:
            super().rawDataReceived(data)

    def lineLengthExceeded(self, line: bytes) -> None:
        """A line without end: Twisted would hang up without a word."""
        self._respondToBadRequestAndDisconnect()

    def _respondToBadRequestAndDisconnect(self) -> None:
        transport = self.transport
        if self._refused or transport is None:
            return
        self._refused = True
        transport.write(_refusal(400, _MALFORMED))
        if ITCPTransport.providedBy(transport) and not ISSLTransport.providedBy(transport):
            transport.loseWriteConnection()
            self.setTimeout(LINGER)
        else:
            self.loseConnection()


def _refusal(code: int, word: str) -> bytes:
    body = orjson.dumps({"data": {}, "error": str(code), "message": word, "status": "error"})
    headers = {
        **CORS_HEADERS,
        "Cache-Control": "no-store",
        "Connection": "close",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    head = [f"HTTP/1.1 {code} {HTTPStatus(code).phrase}", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(head).encode() + body
