"""Autobahn's websocket server, without what makes its connections expensive.

For each connection and each read, Autobahn formats texts for log messages that are dropped: two thirds of the
time of a handshake. It gives each connection a copy of all options, and keeps the request, so that an idle
connection would take 6 kB more.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

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

#: What Autobahn sets for each connection, until something happens to it.
_INITIAL_STATE: Mapping[str, object] = {
    **dict.fromkeys(("_perMessageCompress", "trackedTimings", "wasNotCleanReason")),
    **dict.fromkeys(("localCloseCode", "localCloseReason", "remoteCloseCode", "remoteCloseReason")),
    **dict.fromkeys(("openHandshakeTimeoutCall", "closeHandshakeTimeoutCall", "autoPingTimeoutCall")),
    **dict.fromkeys(("autoPingPending", "autoPingPendingCall", "autoPingPendingSent", "current_frame")),
    **dict.fromkeys(("websocket_protocol_in_use",)),
    **dict.fromkeys(("triggered", "closedByMe", "failedByMe", "droppedByMe", "wasClean"), False),
    **dict.fromkeys(("wasMaxFramePayloadSizeExceeded", "wasMaxMessagePayloadSizeExceeded"), False),
    **dict.fromkeys(("wasServerConnectionDropTimeout", "wasOpenHandshakeTimeout"), False),
    **dict.fromkeys(("wasCloseHandshakeTimeout", "wasServingFlashSocketPolicyFile"), False),
    "inside_message": False,
}

#: What only the handshake needs, and the queue of writes with a delay between them, which are not used.
_HANDSHAKE_STATE = frozenset(
    {
        *("http_request_data", "http_status_line", "http_headers", "http_request_uri", "http_request_path"),
        *("http_request_params", "http_request_host", "http_response_data", "websocket_protocols"),
        *("websocket_origin", "websocket_extensions", "_wskey", "_transport_details", "send_queue"),
    }
)

P = TypeVar("P", bound="AutobahnServerProtocol")


class QuietLogger:
    """Logs Autobahn's errors only: its other messages are about the behaviour of single clients."""

    def error(self, template: str, **fields: Any) -> None:
        """Log an error."""
        _log.error(template, **fields)

    def ignore(self, *arguments: Any, **fields: Any) -> None:
        """Log nothing."""

    trace = debug = info = warn = ignore


class AutobahnServerProtocol(WebSocketServerProtocol):  # type: ignore[misc] # Autobahn is not typed for this
    """One websocket of a server, of a class that `with_options` has made."""

    log = QuietLogger()
    CONFIG_ATTRS = ()
    data: bytes
    send_queue = ()

    # -- IProtocol

    def connectionMade(self) -> None:
        """Begin."""
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
            if self.state == self.STATE_OPEN:
                self._forget_handshake()

    def _forget_handshake(self) -> None:
        """Free what only the handshake needs; attributes with their first value are those of the class."""
        self.__dict__ = {
            name: value
            for name, value in self.__dict__.items()
            if name not in _HANDSHAKE_STATE and not (name in _INITIAL_STATE and value is _INITIAL_STATE[name])
        }

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


for _name, _value in _INITIAL_STATE.items():
    setattr(AutobahnServerProtocol, _name, _value)


def with_options(protocol: type[P], options: Mapping[str, Any]) -> type[P]:
    """Return a subclass of `protocol` whose connections have the options, by `OPTION_NAMES`, in common."""
    shared = {name: staticmethod(value) if callable(value) else value for name, value in options.items()}
    return type(protocol.__name__, (protocol,), shared)
