"""The websocket protocol, on top of Autobahn.

`docs/reference/websocket-protocol.md` is the specification, with examples. In short:

Frames
    Every frame is one JSON object in UTF-8 text. The client sends messages, which have an ``action`` and may
    have ``request_id``, ``auth_token``, ``data``, ``name`` and ``metadata``. The server sends:

    * ``{"action": "reply", "request_id", "status": "success" or "error", "data"}``: exactly one for each
      message. Messages are handled one after another; one that fails changes nothing. A reply with a random
      ``request_id`` answers no message: it is a notice, usually sent before the server closes the socket.
    * ``{"action": "event", "subscribed_key", "subscription_key", "name", "routing_key", "data"}``: an event.
      ``subscribed_key`` is the binding as the client wrote it, ``subscription_key`` the same with the
      account. With ``"sequence"`` if the session can be resumed.

Actions of the client
    ``subscribe`` and ``unsubscribe`` (``data``: ``account_id``, ``binding`` or ``bindings``) and ``ping``,
    like KAZOO's `blackhole`. ``resume`` (``session``, ``sequence``) and ``command`` (``account_id``,
    ``call_id``, ``command``, arguments) are additions. See `Actions`.

Sessions
    A connection starts a session, which has no rights. The first message with a valid ``auth_token``
    authenticates the session as the token's account; later messages need no token, and a newer token of
    the same account renews the session. A session may subscribe to its account and the accounts below it,
    or to all accounts (``*``) if its own is a super-admin. Once a second the `SessionRegistry` checks a
    third of the sessions: one whose token or account is gone is closed, one whose rights are gone loses
    subscriptions.

Resume
    ``resume`` without ``session`` makes the session resumable: its events get a ``sequence`` and the
    latest of them are kept in a `ReplayBuffer`. The session then outlives its connection for
    ``window_seconds``. On its next connection, the client sends ``resume`` with the ``session`` from the
    reply and the ``sequence`` of the last event it has received. The connection takes the session over,
    with its subscriptions; the missed events follow the reply. ``gap`` in the reply: some events are lost,
    because the buffer is limited, the session is unknown here, or the broker was away.

A client that reads too slowly
    Events beyond the limit of the `SendBuffer` are dropped. The event ``overflow`` says how many, as soon as
    the client reads again. Too many of them close the connection.

Close codes (`CloseCode`)
    1000 idle; 1001 the server stops; 1003, 1007, 1009 unreadable or too large a frame (sent by Autobahn);
    1011 an unexpected error; 1013 the client reads too slowly; 4401 the token or its account is no longer
    valid; 4403 closed by an operator; 4408 not authenticated in time; 4409 the session was resumed on another
    connection; 4429 too many messages, or too many sockets of the account.

The handshake is refused with HTTP status 400 (sub-protocol), 403 (origin), 429 (connections of one address),
431 (size) or 503 (all connections), see `AdmissionControl`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger

from kazoo_bridge.interfaces import HandshakeRejected
from kazoo_bridge.websockets.actions import Actions
from kazoo_bridge.websockets.server.connection import (
    Connection,
    ConnectionLimits,
    Encoder,
    WebsocketEncoder,
)
from kazoo_bridge.websockets.server.connection_limits import AdmissionControl, choose_subprotocol
from kazoo_bridge.websockets.server.frames import CloseCode, encode_notice
from kazoo_bridge.websockets.server.send_buffer import Flusher, Transport
from kazoo_bridge.websockets.sessions.session_registry import SessionRegistry

_log = Logger()

#: Seconds that a client has to answer a close frame.
CLOSE_TIMEOUT = 10

#: Maximum bytes of the HTTP request that starts a handshake.
MAX_HANDSHAKE_BYTES = 16_384


class _QuietLogger:
    """Logs Autobahn's errors only: its other messages are about the behaviour of single clients."""

    def error(self, template: str, **fields: Any) -> None:
        """Log an error."""
        _log.error(template, **fields)

    def ignore(self, *arguments: Any, **fields: Any) -> None:
        """Log nothing."""

    trace = debug = info = warn = ignore


@define(eq=False)
class ServerContext:
    """What all connections share, and the number of open websockets."""

    sessions: SessionRegistry
    actions: Actions
    admission: AdmissionControl
    flusher: Flusher
    limits: ConnectionLimits
    _open: int = field(init=False, default=0)
    _waiting: list[Deferred[None]] = field(init=False, factory=list)

    def connect(
        self,
        transport: Transport,
        address: str,
        port: int,
        encoder: Encoder,
        on_close: Callable[[int, str], None],
    ) -> Connection:
        """Open a session for a client at `address` and `port`; returns the connection that it uses.

        `transport`, `encoder` and `on_close` as for `Connection`.
        """
        session = self.sessions.open(address, port)
        connection = Connection(
            session, transport, self.flusher, self.limits, encoder, on_close, self._on_overflow
        )
        session.connect(connection)
        return connection

    def _on_overflow(self, connection: Connection) -> None:
        self.sessions.end(connection.session, CloseCode.OVERLOADED, "the client reads too slowly")

    def opened(self) -> None:
        """Count a websocket that has opened."""
        self._open += 1

    def closed(self) -> None:
        """Count a websocket that has closed."""
        self._open -= 1
        if not self._open:
            waiting, self._waiting = self._waiting, []
            for idle in waiting:
                idle.callback(None)

    def when_idle(self) -> Deferred[None]:
        """Return a Deferred that fires when no websocket is open; it may be cancelled."""
        if not self._open:
            return succeed(None)
        self._waiting.append(Deferred(self._waiting.remove))
        return self._waiting[-1]


class WebsocketProtocol(WebSocketServerProtocol):  # type: ignore[misc] # Autobahn is not typed for this
    """One websocket; `Connection` has what does not depend on Autobahn."""

    log = _QuietLogger()
    data: bytes

    def __init__(self, context: ServerContext) -> None:
        super().__init__()
        self._context = context
        self._address: str | None = None
        self._connection: Connection | None = None
        self._in_handshake = False

    def connectionMade(self) -> None:
        """Count a handshake, or drop the connection if too many are in progress."""
        super().connectionMade()
        self._in_handshake = self._context.admission.handshake_started()
        if not self._in_handshake:
            self.transport.abortConnection()

    def connectionLost(self, reason: Any = connectionDone) -> None:
        """Forget the handshake, if it is still in progress."""
        self._finish_handshake()
        super().connectionLost(reason)

    def processHandshake(self) -> None:
        """Parse the request once it is complete; refuse it when it exceeds `MAX_HANDSHAKE_BYTES`."""
        head: bytes = self.data
        if len(head) > MAX_HANDSHAKE_BYTES and head.find(b"\r\n\r\n", 0, MAX_HANDSHAKE_BYTES) < 0:
            self.data = b""
            self.failHandshake(f"the head of the request has more than {MAX_HANDSHAKE_BYTES} bytes", code=431)
        else:
            super().processHandshake()

    def onConnect(self, request: Any) -> str | None:
        """Admit the client; returns the sub-protocol, raises `ConnectionDeny`."""
        self._finish_handshake()
        headers = {str(name).lower(): str(value) for name, value in request.headers.items()}
        admission = self._context.admission
        address = admission.client_address(self._peer()[0], headers)
        try:
            subprotocol = choose_subprotocol(request.protocols)
            admission.acquire(address, headers.get("origin"))
        except HandshakeRejected as error:
            raise ConnectionDeny(error.status, error.reason) from None
        self._address = address
        return subprotocol

    def onOpen(self) -> None:
        """Open a session: the handshake is complete."""
        encoder = WebsocketEncoder(deflate=self._perMessageCompress is not None)
        address, port = self._address or "", self._peer()[1]
        self._connection = self._context.connect(self.transport, address, port, encoder, self._send_close)
        self.transport.registerProducer(self._connection.send_buffer, True)
        self._context.opened()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Handle a message, within the rate limit."""
        connection, actions = self._connection, self._context.actions
        if (
            connection is None
            or connection.send_buffer.closed
            or not actions.within_rate(connection, payload)
        ):
            return
        if isBinary:
            connection.reply(encode_notice(["expected a text frame, got a binary one"]))
        elif not connection.on_message(payload, actions.handle):
            self._context.sessions.end(connection.session, CloseCode.TOO_MANY, "too many messages at once")

    def onPing(self, payload: bytes) -> None:
        """Answer a ping, unless the client does not read: queued pongs would be unbounded."""
        connection = self._connection
        if connection is not None and not connection.send_buffer.paused:
            super().onPing(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Detach the session from this connection, which is lost."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.send_buffer.close()
            self._context.actions.connection_lost(connection)
            self._context.sessions.disconnected(connection.session, connection)
            self._context.closed()
        if self._address is not None:
            self._context.admission.release(self._address)
            self._address = None

    def dropConnection(self, abort: bool = False) -> None:
        """Close the TCP connection; without a reset after both close frames, or browsers report a failure."""
        super().dropConnection(abort=abort and not self.wasClean)

    def sendHttpErrorResponse(self, code: int, reason: str, responseHeaders: Any = None) -> None:
        """Refuse the handshake; with the headers that let HTTP clients recognise the end of the response."""
        headers = [*(responseHeaders or ()), ("Connection", "close"), ("Content-Length", "0")]
        printable = "".join(character for character in reason if " " <= character <= "~")
        super().sendHttpErrorResponse(code, printable[:200], headers)

    def _finish_handshake(self) -> None:
        if self._in_handshake:
            self._in_handshake = False
            self._context.admission.handshake_finished()

    def _send_close(self, code: int, reason: str) -> None:
        # Autobahn's sendClose refuses codes such as 1001 and 1013, which RFC 6455 permits to servers.
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=int(code), reasonUtf8=reason.encode()[:123], isReply=False)

    def _peer(self) -> tuple[str, int]:
        peer = self.transport.getPeer()
        return str(getattr(peer, "host", "local")), int(getattr(peer, "port", 0))


def _accept_compression(offers: list[Any], message_bytes: int) -> PerMessageDeflateOfferAccept | None:
    """Accept the first offer of permessage-deflate that lets all clients share one compressed frame."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer) and not offer.request_max_window_bits:
            return PerMessageDeflateOfferAccept(
                offer,
                request_no_context_takeover=offer.accept_no_context_takeover,
                max_message_size=message_bytes,
            )
    return None


class WebsocketFactory(WebSocketServerFactory):  # type: ignore[misc] # Autobahn is not typed for this
    """Builds a `WebsocketProtocol` for each connection."""

    log = _QuietLogger()

    def __init__(self, reactor: Any, context: ServerContext) -> None:
        super().__init__(reactor=reactor, server="")
        self._context = context
        limits = context.limits
        self.setProtocolOptions(
            webStatus=False,
            maxFramePayloadSize=limits.message_bytes,
            maxMessagePayloadSize=limits.message_bytes,
            failByDrop=False,
            openHandshakeTimeout=limits.handshake_timeout,
            closeHandshakeTimeout=CLOSE_TIMEOUT,
            tcpNoDelay=True,
            autoPingInterval=limits.ping_interval,
            autoPingTimeout=limits.ping_timeout,
            perMessageCompressionAccept=lambda offers: _accept_compression(offers, limits.message_bytes),
            allowedOrigins=["*"],  # AdmissionControl checks origins
            allowNullOrigin=True,
        )

    def buildProtocol(self, addr: object) -> WebsocketProtocol:
        """Build the protocol of one connection."""
        protocol = WebsocketProtocol(self._context)
        protocol.factory = self
        return protocol
