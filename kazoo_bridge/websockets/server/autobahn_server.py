"""Autobahn's websocket server, without what makes its connections expensive.

For each connection and each read, Autobahn formats texts for log messages that are dropped: two thirds of the
time of a handshake.
"""

from __future__ import annotations

from typing import Any

from autobahn.twisted.websocket import WebSocketServerProtocol
from autobahn.websocket.protocol import WebSocketProtocol
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger

_log = Logger()

#: Maximum bytes of the HTTP request that starts a handshake.
MAX_HANDSHAKE_BYTES = 16_384

#: What ends the request.
_END_OF_HEAD = b"\r\n\r\n"

#: The options of a connection, which Autobahn would copy one by one from the factory, and log.
OPTION_NAMES: tuple[str, ...] = tuple(WebSocketServerProtocol.CONFIG_ATTRS)


class QuietLogger:
    """Logs Autobahn's errors only: its other messages are about the behaviour of single clients."""

    def error(self, template: str, **fields: Any) -> None:
        """Log an error."""
        _log.error(template, **fields)

    def ignore(self, *arguments: Any, **fields: Any) -> None:
        """Log nothing."""

    trace = debug = info = warn = ignore


class AutobahnServerProtocol(WebSocketServerProtocol):  # type: ignore[misc] # Autobahn is not typed for this
    """One websocket of a server. Its factory has the options in ``protocol_options``, by `OPTION_NAMES`."""

    log = QuietLogger()
    CONFIG_ATTRS = ()
    data: bytes

    # -- IProtocol

    def connectionMade(self) -> None:
        """Begin, with the options of the factory."""
        self.__dict__.update(self.factory.protocol_options)
        self.peer = "{}:{}".format(*self.peer_address())
        if hasattr(self.transport, "setTcpNoDelay"):
            self.transport.setTcpNoDelay(self.tcpNoDelay)
        WebSocketProtocol._connectionMade(self)

    def dataReceived(self, data: bytes) -> None:
        """Add bytes of the client to `data`, and consume them."""
        self._dataReceived(data)

    def connectionLost(self, reason: Any = connectionDone) -> None:
        """End."""
        WebSocketProtocol._connectionLost(self, reason)

    def peer_address(self) -> tuple[str, int]:
        """Return host and port of the other end; the host is ``local`` on a UNIX socket."""
        peer = self.transport.getPeer()
        return str(getattr(peer, "host", "local")), int(getattr(peer, "port", 0))

    # -- the handshake

    def has_handshake(self) -> bool:
        """Whether the whole request has arrived, or more than `MAX_HANDSHAKE_BYTES` of it."""
        return _END_OF_HEAD in self.data or len(self.data) > MAX_HANDSHAKE_BYTES

    def processHandshake(self) -> None:
        """Parse the request once it is complete; refuse it when it exceeds `MAX_HANDSHAKE_BYTES`."""
        head = self.data
        if len(head) > MAX_HANDSHAKE_BYTES and head.find(_END_OF_HEAD, 0, MAX_HANDSHAKE_BYTES) < 0:
            self.data = b""
            self.failHandshake(f"the head of the request has more than {MAX_HANDSHAKE_BYTES} bytes", code=431)
        else:
            super().processHandshake()

    def sendHttpErrorResponse(self, code: int, reason: str, responseHeaders: Any = None) -> None:
        """Refuse the handshake; with the headers that let HTTP clients recognise the end of the response."""
        headers = [*(responseHeaders or ()), ("Connection", "close"), ("Content-Length", "0")]
        printable = "".join(character for character in reason if " " <= character <= "~")
        super().sendHttpErrorResponse(code, printable[:200], headers)

    # -- the end

    def send_close(self, code: int, reason: str) -> None:
        """Send a close frame, with a code of `CloseCode`."""
        # Autobahn's sendClose refuses codes such as 1001 and 1013, which RFC 6455 permits to servers.
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=int(code), reasonUtf8=reason.encode()[:123], isReply=False)
