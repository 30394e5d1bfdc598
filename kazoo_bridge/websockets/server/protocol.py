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
    the client reads again. Too many of them close the connection. A ping that waits behind what the client
    has not received yet needs no answer until it has arrived, see `PingSchedule`.

A client that sends too much
    Sockets take turns, see `ReadingTurns`. Frames that are no messages (pings, pongs, parts of messages)
    count as messages. Beyond the rate limit they are not answered; too many of them close the connection,
    and nothing more is read from it.

The end
    From the first close frame on, or from the drop of the connection, the client has `CLOSE_TIMEOUT` to end
    TLS and TCP as well; then the connection is aborted.

Close codes (`CloseCode`)
    1000 idle; 1001 the server stops; 1003, 1007, 1009 unreadable or too large a frame (sent by Autobahn);
    1011 an unexpected error; 1013 the client reads too slowly; 4401 the token or its account is no longer
    valid; 4403 closed by an operator; 4408 not authenticated in time; 4409 the session was resumed on another
    connection; 4429 too many messages, or too many sockets of the account.

The handshake is refused with HTTP status 400 (sub-protocol), 403 (origin), 429 (connections of one address),
431 (size) or 503 (all connections), see `AdmissionControl`. A connection that has not authenticated may be
dropped at any time to make room for another one, see `UnauthenticatedConnections`.
"""

from __future__ import annotations

from typing import Any

from autobahn.websocket.types import ConnectionDeny
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol

from kazoo_bridge.interfaces import HandshakeRejected
from kazoo_bridge.ip_addresses import address_group
from kazoo_bridge.websockets.server.autobahn_server import AutobahnServerProtocol
from kazoo_bridge.websockets.server.connection import Connection, WebsocketEncoder
from kazoo_bridge.websockets.server.connection_limits import Admission, choose_subprotocol
from kazoo_bridge.websockets.server.context import ServerContext
from kazoo_bridge.websockets.server.control_frames import CLOSE, PING, PONG, answer_pings
from kazoo_bridge.websockets.server.frames import CloseCode, encode_notice
from kazoo_bridge.websockets.server.ping_schedule import PingSchedule
from kazoo_bridge.websockets.server.tcp_progress import TcpProgress, tcp_progress

_log = Logger()

#: Seconds from the first close frame of either side to the end of the connection.
CLOSE_TIMEOUT = 10

#: Seconds for a last close frame to reach a client that sends too much to be listened to.
LINGER_TIMEOUT = 2

#: Units of `ReadingTurns` for a handshake, and for a message, which may be handled at once; bytes that take
#: as long as a unit.
HANDSHAKE_UNITS, MESSAGE_UNITS, BYTES_PER_UNIT = 30, 10, 4096

#: Pings and pongs that are handled together, and their units.
PINGS_AT_ONCE, UNITS_OF_PINGS = 20, 6


class WebsocketProtocol(AutobahnServerProtocol):
    """One websocket; `Connection` has what does not depend on Autobahn.

    A client costs what it has used so far: a connection on which nothing arrives has no part in Autobahn yet.
    Once either side has begun to close, the connection ends within `CLOSE_TIMEOUT`, whatever the client does.
    """

    current_frame: Any
    control_frame_data: Any

    def __init__(self, context: ServerContext, reactor: IReactorTime) -> None:
        super().__init__()
        self._context = context
        self._reactor = reactor
        self._admission: Admission | None = None
        self._connection: Connection | None = None
        self._pings = PingSchedule(reactor, context.limits.ping_interval, self)
        self._deadline: IDelayedCall | None = None
        self._has_begun = False
        self._is_in_autobahn = False
        self.data = b""
        self.state = self.STATE_CONNECTING
        self._is_reading = True
        self._bytes_while_closing = 0
        #: Whether it waits for one of its `ReadingTurns`, or has it; whether reading is paused meanwhile.
        self._has_turn = False
        self._is_paused = False
        self._units = 0

    # -- IProtocol

    def connectionMade(self) -> None:
        """Hold a place among the connections that have not authenticated."""
        self._admission = self._context.admission.connected(self.peer_address()[0], self.abort)
        self._end_within(self._context.limits.handshake_timeout)
        if isinstance(self.transport, TLSMemoryBIOProtocol):
            self._begin_handshake()  # that of TLS costs as well

    def dataReceived(self, data: bytes) -> None:
        """Parse bytes of the client, unless it has sent too many."""
        if not self._is_reading:
            return
        if not self._is_in_autobahn:
            if not self._has_begun and not self._begin_handshake():
                return
            self.data += data
            self.consumeData()
            return
        self._pings.heard()
        if self.state in (self.STATE_CLOSING, self.STATE_CLOSED):
            self._bytes_while_closing += len(data)
            most = 2 * self._context.limits.message_bytes
            if self.state == self.STATE_CLOSED or self._bytes_while_closing > most:
                self._stop_reading()
                return
        super().dataReceived(data)

    def connectionLost(self, reason: Any = connectionDone) -> None:
        """Free everything that the connection holds."""
        self._is_reading = False
        self._pings.stop()
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._is_in_autobahn:
            super().connectionLost(reason)
        if self._admission is not None:
            self._admission.closed()
            self._admission = None

    def abort(self) -> None:
        """Close the TCP connection at once, if it is open."""
        if self._admission is not None:
            self.transport.abortConnection()

    # -- Reader

    def parse(self, units: int) -> tuple[int, bool]:
        """See `Reader`."""
        self._units = 0
        has_more = True
        while has_more and self._units < units:
            has_more = self._is_reading and self._parse_next()
        if not has_more:
            self._has_turn = False
            if self._is_paused:
                self._is_paused = False
                if self._is_reading:
                    self.transport.resumeProducing()
        return self._units, has_more

    def pause_reading(self) -> None:
        """See `Reader`."""
        self._is_paused = True
        self.transport.pauseProducing()

    def _parse_next(self) -> bool:
        """Parse the handshake, or a part of a frame; returns whether there may be more to parse."""
        if not self._is_in_autobahn:
            head, self._is_in_autobahn = self.data, True
            super().connectionMade()
            self.data = head
        if self.state == self.STATE_CONNECTING:
            self._units += HANDSHAKE_UNITS
            self.processHandshake()
            return self.state == self.STATE_OPEN and bool(self.data)
        if self.state == self.STATE_OPEN and self.current_frame is None and self._answer_pings():
            return bool(self.data)
        before = len(self.data)
        has_more: bool = self.state in (self.STATE_OPEN, self.STATE_CLOSING) and self.processData()
        self._units += 1 + (before - len(self.data)) // BYTES_PER_UNIT
        return has_more

    def _answer_pings(self) -> bool:
        """Handle the pings and pongs that come next, some at once; returns whether there were any."""
        end, pongs = answer_pings(self.data, PINGS_AT_ONCE, self._on_ping_or_pong)
        if pongs:
            self.transport.write(pongs)
        if end:
            self._units += UNITS_OF_PINGS
            self.data = self.data[end:]
        return bool(end)

    def _on_ping_or_pong(self, opcode: int) -> bool:
        """Count a ping or pong; returns whether it may be answered."""
        if not self._is_reading or (opcode == PONG and self._pings.take_pong()):
            return False
        is_within_rate = self._is_frame_within_rate()
        if self.state != self.STATE_OPEN:
            self._stop_reading()
        return is_within_rate and self._may_send_pings()

    # -- PingedSocket

    def send_ping(self) -> bool:
        """See `PingedSocket`."""
        if self._may_send_pings():
            self.sendPing()
            return True
        return False

    def measure_progress(self) -> TcpProgress | None:
        """See `PingedSocket`."""
        return tcp_progress(self.transport)

    def on_dead(self) -> None:
        """See `PingedSocket`."""
        self.wasNotCleanReason = "the client does not answer"
        self.dropConnection(abort=True)

    # -- Autobahn

    def consumeData(self) -> None:
        """Parse what has arrived when it is this connection's turn, unless the handshake is not complete."""
        if self._has_turn:
            return
        if self.state == self.STATE_CONNECTING and not self.has_handshake():
            return
        self._has_turn = True
        session = None if self._connection is None else self._connection.session
        if session is None or session.account_id is None:
            group = address_group(self._admission.address if self._admission is not None else "")
            self._context.newcomers.take(self, group)
        else:
            self._context.clients.take(self, session.account_id)

    def onConnect(self, request: Any) -> str | None:
        """Admit the client; returns the sub-protocol, raises `ConnectionDeny`."""
        headers = {str(name).lower(): str(value) for name, value in request.headers.items()}
        address = self._context.admission.client_address(self.peer_address()[0], headers)
        try:
            subprotocol = choose_subprotocol(request.protocols)
            if self._admission is not None:
                self._admission.admit(address, headers.get("origin"))
        except HandshakeRejected as error:
            raise ConnectionDeny(error.status, error.reason) from None
        return subprotocol

    def onOpen(self) -> None:
        """Open a session: the handshake is complete."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        encoder = WebsocketEncoder(deflate=self._perMessageCompress is not None)
        address = self._admission.address if self._admission is not None else ""
        self._connection = self._context.connect(
            self.transport, address, self.peer_address()[1], encoder, self.send_close, self._admission
        )
        self.transport.registerProducer(self._connection.send_buffer, True)
        self._context.opened(self)
        self._pings.start()

    def onFrameEnd(self) -> bool | None:
        """Handle a complete frame; one that is no message counts as one for the rate limits."""
        if self._is_charged(self.current_frame) and not self._is_frame_within_rate():
            if self.state != self.STATE_OPEN:
                self._stop_reading()
                return False
            if self.current_frame.opcode in (PING, PONG):
                self.current_frame = self.control_frame_data = None
                return None
        ended: bool | None = super().onFrameEnd()
        return ended

    def _is_frame_within_rate(self) -> bool:
        """Count a frame that is no message; returns whether it may be handled."""
        connection = self._connection
        return connection is not None and self._context.actions.within_rate(connection, None)

    def _may_send_pings(self) -> bool:
        """Whether the client reads: queued pings and pongs would be unbounded."""
        return self._connection is not None and not self._connection.send_buffer.paused

    def _is_charged(self, frame: Any) -> bool:
        """Whether a frame is charged here; messages are in `onMessage`, while the websocket is open."""
        if frame.opcode == PONG and self._pings.take_pong():
            return False
        if frame.opcode == CLOSE:
            return False
        return frame.opcode in (PING, PONG) or not frame.fin or self.state != self.STATE_OPEN

    def onMessage(self, payload: bytes, isBinary: bool) -> None:
        """Handle a message, within the rate limit."""
        self._units += MESSAGE_UNITS
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
        """Answer a ping, unless the client does not read."""
        if self._may_send_pings():
            super().onPing(payload)

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:
        """Detach the session from this connection, which is lost."""
        if self._connection is not None:
            self._detach()
            self._connection = None
            self._context.closed(self)

    def sendCloseFrame(self, *arguments: Any, **options: Any) -> None:
        """Begin or answer the closing handshake, which the client must end within `CLOSE_TIMEOUT`."""
        super().sendCloseFrame(*arguments, **options)
        self._pings.stop()
        self._end_within(CLOSE_TIMEOUT)
        if self._connection is not None:
            self._connection.send_buffer.close()

    def dropConnection(self, abort: bool = False) -> None:
        """Close the TCP connection; without a reset after both close frames, or browsers report a failure."""
        super().dropConnection(abort=abort and not self.wasClean)
        self._pings.stop()
        # A client that does not read keeps TCP open, and TLS waits for its answer.
        self._end_within(CLOSE_TIMEOUT)
        if self._connection is not None:
            self._detach()

    # -- helpers

    def _begin_handshake(self) -> bool:
        """Charge the handshake to the client's address; aborts, and returns False, if that is too much."""
        self._has_begun = True
        if self._admission is not None and self._admission.handshake_begun(self.peer_address()[0]):
            return True
        self._is_reading = False
        self.abort()
        return False

    def _detach(self) -> None:
        """Let the session, if it may be resumed, wait for its client; else it ends."""
        connection = self._connection
        if connection is not None:
            connection.send_buffer.close()
            self._context.sessions.disconnected(connection.session, connection)

    def _end_within(self, seconds: float) -> None:
        """Abort the connection unless it has ended by then, or by an earlier such time."""
        if self._admission is None:
            return  # it has ended
        if self._deadline is None:
            self._deadline = self._reactor.callLater(seconds, self._on_deadline)
        elif self._deadline.getTime() > self._reactor.seconds() + seconds:
            self._deadline.reset(seconds)

    def _on_deadline(self) -> None:
        self._deadline = None
        self.abort()

    def _stop_reading(self) -> None:
        """Parse nothing from now on: the client sends more than it may, and its connection is closing."""
        self._is_reading = False
        self.data = b""
        self.transport.pauseProducing()
        self._end_within(LINGER_TIMEOUT)
