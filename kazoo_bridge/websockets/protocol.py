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
from kazoo_bridge.websockets.admission import Admission, NotAdmitted, subprotocol
from kazoo_bridge.websockets.connection import Connection, websocket_forms
from kazoo_bridge.websockets.frames import reply
from kazoo_bridge.websockets.messages import request_id_of
from kazoo_bridge.websockets.outbox import Flusher, Outbox
from kazoo_bridge.websockets.sessions import OVERLOADED, TOO_MANY, Sessions

_log = Logger()

#: Seconds for which a client that is told to go may take to read why.
CLOSING_PATIENCE = 10

#: The same when the service stops.
CLOSING_TIMEOUT = 2

#: The head of a handshake has at most so many bytes.
LARGEST_HEAD = 16_384


class _Quiet:
    """Autobahn's words about single connections: errors are worth a line, the doings of clients are not."""

    def error(self, template: str, **fields: Any) -> None:
        _log.error(template, **fields)

    def ignore(self, *arguments: Any, **fields: Any) -> None:
        """Say nothing."""

    trace = debug = info = warn = ignore


@frozen
class Bounds:
    """Bytes, and seconds."""

    message_bytes: int
    send_buffer_bytes: int
    max_dropped: int
    handshake_timeout: float
    ping_interval: float
    ping_timeout: float


@define(eq=False)
class Doorway:
    """What every connection needs."""

    sessions: Sessions
    actions: Actions
    admission: Admission
    flusher: Flusher
    bounds: Bounds
    _open: int = field(init=False, default=0)
    _waiting: list[Deferred[None]] = field(init=False, factory=list)

    def entered(self) -> None:
        """A websocket is open."""
        self._open += 1

    def left(self) -> None:
        """One is no more."""
        self._open -= 1
        if not self._open:
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(None)

    def empty(self) -> Deferred[None]:
        """Fires when no websocket is open."""
        if not self._open:
            return succeed(None)
        self._waiting.append(Deferred(self._waiting.remove))
        return self._waiting[-1]


class BridgeProtocol(WebSocketServerProtocol):  # type: ignore[misc] # Autobahn is not typed for this
    """One websocket."""

    log = _Quiet()
    doorway: Doorway
    data: bytes
    _address: str | None = None
    _connection: Connection | None = None
    _arriving = False

    def connectionMade(self) -> None:
        """Somebody is there."""
        super().connectionMade()
        self._arriving = self.doorway.admission.arrives()
        if not self._arriving:
            self.transport.abortConnection()

    def connectionLost(self, reason: Any = connectionDone) -> None:
        """Nobody is there any more."""
        self._arrived()
        super().connectionLost(reason)

    def processHandshake(self) -> None:
        """Read the head of the handshake, once it is whole; one without end is not waited for."""
        head: bytes = self.data
        if len(head) > LARGEST_HEAD and head.find(b"\r\n\r\n", 0, LARGEST_HEAD) < 0:
            self.data = b""
            self.failHandshake(f"the head of the request has more than {LARGEST_HEAD} bytes", code=431)
        else:
            super().processHandshake()

    def onConnect(self, request: Any) -> str | None:
        """Admit the client or not; the sub-protocol to speak."""
        self._arrived()
        headers = {str(name).lower(): str(value) for name, value in request.headers.items()}
        address = self.doorway.admission.address(self._peer()[0], headers)
        try:
            chosen = subprotocol(request.protocols)
            self.doorway.admission.admit(address, headers.get("origin"))
        except NotAdmitted as error:
            raise ConnectionDeny(error.status, error.reason) from None
        self._address = address
        return chosen

    def onOpen(self) -> None:
        """The handshake is over."""
        bounds, doorway = self.doorway.bounds, self.doorway

        def hopeless() -> None:
            doorway.sessions.end(connection.session, OVERLOADED, "the client reads too slowly")

        outbox = Outbox(
            self.transport,
            doorway.flusher,
            bounds.send_buffer_bytes,
            bounds.max_dropped,
            lambda dropped: connection.dropped(dropped),
            hopeless,
        )
        events, texts = websocket_forms(self._perMessageCompress is not None)
        connection = self._connection = Connection(outbox, events, texts, self._hang_up)
        connection.session = doorway.sessions.open(self._address or "", self._peer()[1], connection)
        self.transport.registerProducer(outbox, True)
        doorway.entered()

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """A message of the client."""
        connection = self._connection
        if connection is None or connection.outbox.closed or not self.doorway.actions.within_rate(connection, payload):
            return
        if isBinary:
            connection.reply(reply(request_id_of(None), "error", {"errors": ["expected a text frame, got a binary one"]}))
        elif not connection.received(payload, self.doorway.actions.act):
            self.doorway.sessions.end(connection.session, TOO_MANY, "too many messages at once")

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
            self.doorway.actions.forget(connection)
            self.doorway.sessions.disconnected(connection.session, connection)
            self.doorway.left()
        if self._address is not None:
            self.doorway.admission.gone(self._address)
            self._address = None

    def dropConnection(self, abort: bool = False) -> None:
        """The TCP connection ends: gently where both sides have said so, or browsers take it for a failure."""
        super().dropConnection(abort=abort and not self.wasClean)

    def sendHttpErrorResponse(self, code: int, reason: str, responseHeaders: Any = None) -> None:
        """An answer that HTTP clients see the end of."""
        headers = [*(responseHeaders or ()), ("Connection", "close"), ("Content-Length", "0")]
        super().sendHttpErrorResponse(code, "".join(sign for sign in reason if " " <= sign <= "~")[:200], headers)

    def _arrived(self) -> None:
        if self._arriving:
            self._arriving = False
            self.doorway.admission.arrived()

    def _hang_up(self, code: int, reason: str) -> None:
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
                offer, request_no_context_takeover=offer.accept_no_context_takeover, max_message_size=message_bytes
            )
    return None


def make_factory(reactor: Any, doorway: Doorway) -> WebSocketServerFactory:
    """A factory of websockets."""
    factory = WebSocketServerFactory(reactor=reactor, server="")
    factory.log = _Quiet()
    bounds = doorway.bounds
    factory.protocol = type("_BoundProtocol", (BridgeProtocol,), {"doorway": doorway})
    factory.setProtocolOptions(
        webStatus=False,
        maxFramePayloadSize=bounds.message_bytes,
        maxMessagePayloadSize=bounds.message_bytes,
        failByDrop=False,
        openHandshakeTimeout=bounds.handshake_timeout,
        closeHandshakeTimeout=CLOSING_PATIENCE,
        tcpNoDelay=True,
        autoPingInterval=bounds.ping_interval,
        autoPingTimeout=bounds.ping_timeout,
        perMessageCompressionAccept=lambda offers: _accept(offers, bounds.message_bytes),
        allowedOrigins=["*"],
        allowNullOrigin=True,
    )
    return factory
