"""What all connections of one node share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from attrs import define, field
from twisted.internet.defer import Deferred, succeed

from kazoo_bridge.websockets.actions import Actions
from kazoo_bridge.websockets.server.connection import Connection, ConnectionLimits, Encoder
from kazoo_bridge.websockets.server.connection_limits import Admission, AdmissionControl
from kazoo_bridge.websockets.server.flusher import Flusher
from kazoo_bridge.websockets.server.frames import CloseCode
from kazoo_bridge.websockets.server.reading_turns import ReadingTurns
from kazoo_bridge.websockets.server.transport_writer import Transport
from kazoo_bridge.websockets.sessions.session_registry import SessionRegistry


class AbortableConnection(Protocol):
    """An open websocket."""

    def abort(self) -> None:
        """Close the TCP connection at once."""


@define(eq=False)
class ServerContext:
    """What all connections share, and the number of open websockets.

    In the turns of `clients` connections parse whose clients have authenticated, in those of `newcomers`
    the others, from the handshake on.
    """

    sessions: SessionRegistry
    actions: Actions
    admission: AdmissionControl
    flusher: Flusher
    limits: ConnectionLimits
    clients: ReadingTurns
    newcomers: ReadingTurns
    _open: dict[AbortableConnection, None] = field(init=False, factory=dict)
    _waiting: list[Deferred[None]] = field(init=False, factory=list)

    def connect(
        self,
        transport: Transport,
        address: str,
        port: int,
        encoder: Encoder,
        on_close: Callable[[int, str], None],
        admission: Admission | None = None,
    ) -> Connection:
        """Open a session for a client at `address` and `port`; returns the connection that it uses.

        `transport`, `encoder`, `on_close` and `admission` as for `Connection`.
        """
        session = self.sessions.open(address, port)
        connection = Connection(
            session, transport, self.flusher, self.limits, encoder, on_close, self._on_overflow, admission
        )
        session.connect(connection)
        return connection

    def _on_overflow(self, connection: Connection) -> None:
        self.sessions.end(connection.session, CloseCode.OVERLOADED, "the client reads too slowly")

    def opened(self, websocket: AbortableConnection) -> None:
        """Count a websocket that has opened."""
        self._open[websocket] = None

    def closed(self, websocket: AbortableConnection) -> None:
        """Count a websocket that has closed."""
        del self._open[websocket]
        if not self._open:
            waiting, self._waiting = self._waiting, []
            for idle in waiting:
                idle.callback(None)

    def abort_all(self) -> None:
        """Abort all connections, also those in the handshake."""
        self.admission.unauthenticated.drop_all()
        for websocket in list(self._open):
            websocket.abort()
        self.clients.stop()
        self.newcomers.stop()

    def when_idle(self) -> Deferred[None]:
        """Return a Deferred that fires when no websocket is open; it may be cancelled."""
        if not self._open:
            return succeed(None)
        self._waiting.append(Deferred(self._waiting.remove))
        return self._waiting[-1]
