"""Websockets, by Autobahn: the handshake, frames in, and the connection's own way out."""

from __future__ import annotations

from typing import Any

from attrs import define, field, frozen
from autobahn.twisted.websocket import WebSocketServerFactory, WebSocketServerProtocol
from autobahn.websocket.compress import PerMessageDeflateOffer, PerMessageDeflateOfferAccept
from autobahn.websocket.types import ConnectionDeny
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger

from kazoo_bridge.websockets.actions import Actions
from kazoo_bridge.websockets.client_messages import request_id_of
from kazoo_bridge.websockets.server.connection import Connection, websocket_encoders
from kazoo_bridge.websockets.server.connection_limits import (
    AdmissionControl,
    HandshakeRejected,
    choose_subprotocol,
)
from kazoo_bridge.websockets.server.frames import reply
from kazoo_bridge.websockets.server.send_buffer import Flusher, SendBuffer
from kazoo_bridge.websockets.sessions.session_registry import OVERLOADED, TOO_MANY, SessionRegistry

_log = Logger()

#: Seconds for which a client that is told to go may take to read why.
CLOSE_TIMEOUT = 10

#: The same when the service stops.
CLOSING_TIMEOUT = 2

#: The head of a handshake has at most so many bytes.
MAX_HEAD_BYTES = 16_384


class _QuietLogger:
    """Autobahn's words about single connections: errors are worth a line, the doings of clients are not."""

    def error(self, template: str, **fields: Any) -> None:
        _log.error(template, **fields)

    def ignore(self, *arguments: Any, **fields: Any) -> None:
        """Say nothing."""

    trace = debug = info = warn = ignore


@frozen
class ConnectionLimits:
    """Bytes, and seconds."""

    message_bytes: int
    send_buffer_bytes: int
    max_dropped: int
    handshake_timeout: float
    ping_interval: float
    ping_timeout: float


@define(eq=False)
class ServerContext:
    """What every connection needs."""

    sessions: SessionRegistry
    actions: Actions
    admission: AdmissionControl
    flusher: Flusher
    limits: ConnectionLimits
    _open: int = field(init=False, default=0)
    _waiting: list[Deferred[None]] = field(init=False, factory=list)

    def opened(self) -> None:
        """A websocket is open."""
        self._open += 1

    def closed(self) -> None:
        """One is no more."""
        self._open -= 1
        if not self._open:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(None)

    def when_idle(self) -> Deferred[None]:
        """Fires when no websocket is open."""
        if not self._open:
            return succeed(None)
        self._waiting.append(Deferred(self._waiting.remove))
        return self._waiting[-1]


class WebsocketProtocol(WebSocketServerProtocol):  # type: ignore[misc] # Autobahn is not typed for this
    """One websocket."""

    log = _QuietLogger()
    context: ServerContext
    data: bytes
    _address: str | None = None
    _connection: Connection | None = None
    _in_handshake = False

    def connectionMade(self) -> None:
        """Somebody is there."""
        super().connectionMade()
        self._in_handshake = self.context.admission.handshake_started()
        if not self._in_handshake:
            self.transport.abortConnection()

    def connectionLost(self, reason: Any = connectionDone) -> None:
        """Nobody is there any more."""
        self._handshake_finished()
        super().connectionLost(reason)

    def processHandshake(self) -> None:
        """Read the head of the handshake, once it is whole; one without end is not waited for."""
        head: bytes = self.data
        if len(head) > MAX_HEAD_BYTES and head.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES) < 0:
            self.data = b""
            self.failHandshake(f"the head of the request has more than {MAX_HEAD_BYTES} bytes", code=431)
        else:
            super().processHandshake()

    def onConnect(self, request: Any) -> str | None:
        """Admit the client or not; the sub-protocol to speak."""
        self._handshake_finished()
        headers = {str(name).lower(): str(value) for name, value in request.headers.items()}
        address = self.context.admission.address(self._peer()[0], headers)
        try:
            chosen = choose_subprotocol(request.protocols)
            self.context.admission.acquire(address, headers.get("origin"))
        except HandshakeRejected as error:
            raise ConnectionDeny(error.status, error.reason) from None
        self._address = address
        return chosen

    def onOpen(self) -> None:
        """The handshake is over."""
        bounds, context = self.context.limits, self.context

        def hopeless() -> None:
            context.sessions.end(connection.session, OVERLOADED, "the client reads too slowly")

        outbox = SendBuffer(
            self.transport,
            context.flusher,
            bounds.send_buffer_bytes,
            bounds.max_dropped,
            lambda dropped: connection.events_dropped(dropped),
            hopeless,
        )
        events, texts = websocket_encoders(self._perMessageCompress is not None)
        connection = self._connection = Connection(outbox, events, texts, self._abort)
        connection.session = context.sessions.open(self._address or "", self._peer()[1], connection)
        self.transport.registerProducer(outbox, True)
        context.opened()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message of the client."""
        connection = self._connection
        if (
            connection is None
            or connection.outbox.closed
            or not self.context.actions.within_rate(connection, payload)
        ):
            return
        if isBinary:
            connection.reply(
                reply(request_id_of(None), "error", {"errors": ["expected a text frame, got a binary one"]})
            )
        elif not connection.received(payload, self.context.actions.handle):
            self.context.sessions.end(connection.session, TOO_MANY, "too many messages at once")

    def onPing(self, payload: bytes) -> None:
        """A sign of life is asked for: whoever does not read gets none, for nothing would bound them."""
        connection = self._connection
        if connection is not None and not connection.outbox.paused:
            super().onPing(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """The connection is gone."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.outbox.close()
            self.context.actions.connection_lost(connection)
            self.context.sessions.disconnected(connection.session, connection)
            self.context.closed()
        if self._address is not None:
            self.context.admission.release(self._address)
            self._address = None

    def dropConnection(self, abort: bool = False) -> None:
        """The TCP connection ends: gently where both sides have said so, or browsers take it for a failure."""
        super().dropConnection(abort=abort and not self.wasClean)

    def sendHttpErrorResponse(self, code: int, reason: str, responseHeaders: Any = None) -> None:
        """An answer that HTTP clients see the end of."""
        headers = [*(responseHeaders or ()), ("Connection", "close"), ("Content-Length", "0")]
        super().sendHttpErrorResponse(
            code, "".join(sign for sign in reason if " " <= sign <= "~")[:200], headers
        )

    def _handshake_finished(self) -> None:
        if self._in_handshake:
            self._in_handshake = False
            self.context.admission.handshake_finished()

    def _abort(self, code: int, reason: str) -> None:
        # Not sendClose, which keeps the RFC's own codes from applications, though some of them are meant for servers.
        if self.state == self.STATE_OPEN:
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode()[:123], isReply=False)

    def _peer(self) -> tuple[str, int]:
        peer = self.transport.getPeer()
        return str(getattr(peer, "host", "local")), int(getattr(peer, "port", 0))


def _accept(offers: list[Any], message_bytes: int) -> PerMessageDeflateOfferAccept | None:
    """The first offer of permessage-deflate under which one compressed frame fits all."""
    for offer in offers:
        if isinstance(offer, PerMessageDeflateOffer) and not offer.request_max_window_bits:
            return PerMessageDeflateOfferAccept(
                offer,
                request_no_context_takeover=offer.accept_no_context_takeover,
                max_message_size=message_bytes,
            )
    return None


def make_factory(reactor: Any, context: ServerContext) -> WebSocketServerFactory:
    """A factory of websockets."""
    factory = WebSocketServerFactory(reactor=reactor, server="")
    factory.log = _QuietLogger()
    bounds = context.limits
    factory.protocol = type("_BoundProtocol", (WebsocketProtocol,), {"context": context})
    factory.setProtocolOptions(
        webStatus=False,
        maxFramePayloadSize=bounds.message_bytes,
        maxMessagePayloadSize=bounds.message_bytes,
        failByDrop=False,
        openHandshakeTimeout=bounds.handshake_timeout,
        closeHandshakeTimeout=CLOSE_TIMEOUT,
        tcpNoDelay=True,
        autoPingInterval=bounds.ping_interval,
        autoPingTimeout=bounds.ping_timeout,
        perMessageCompressionAccept=lambda offers: _accept(offers, bounds.message_bytes),
        allowedOrigins=["*"],
        allowNullOrigin=True,
    )
    return factory
