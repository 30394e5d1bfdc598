"""A client that lost its connection gets what it missed, or is told that something is missing."""

from __future__ import annotations

from attrs import define

from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.websockets.client_messages import BadMessage, ClientMessage
from kazoo_bridge.websockets.server.connection import Connection
from kazoo_bridge.websockets.server.frames import reply
from kazoo_bridge.websockets.sessions.replay_buffer import ReplayBuffer
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.sessions.session_registry import SessionRegistry
from kazoo_bridge.websockets.subscriptions.fanout import EventFanout


@define(eq=False)
class SessionResumer:
    """The action ``resume``.

    Without a session it begins one that can be resumed: from then on events bear a ``sequence``. With the session, and the last sequence
    that the client has had, it goes on from there on this connection.
    """

    _sessions: SessionRegistry
    _listener: EventFanout

    def resume(self, connection: Connection, message: ClientMessage) -> None:
        """Begin or go on, and answer; raises `BadMessage`."""
        token, sequence = message.data.get("session"), to_integer(message.data.get("sequence", 0))
        if token is not None and not isinstance(token, str):
            raise BadMessage("session must be the text that an earlier resume has answered with")
        if sequence is None or sequence < 0:
            raise BadMessage("sequence must be the last one that came with an event, or 0")
        if token is not None and (connection.session.count or connection.session.replay_buffer is not None):
            raise BadMessage("resume a session before anything else on a connection")
        resumed = token is not None and self.attach(connection, token)
        session = connection.session
        journal = self.detach(session)
        gap = token is not None and (not resumed or self.has_gap(journal, sequence))
        missed = journal.after(sequence) if resumed else []
        data = {
            "session": journal.token,
            "resumed": resumed,
            "gap": gap,
            "missed": len(missed),
            "sequence": missed[-1].sequence if missed else self.now(),
            "window_seconds": self._sessions.limits.resume_window,
            "subscribed": session.bindings,
        }
        connection.reply(reply(message.request_id, "success", data))
        for frame in missed:
            connection.event(frame, True)

    def attach(self, connection: Connection, token: str) -> bool:
        """Let the connection go on with the session of that name; False when there is none."""
        old = self._sessions.resumable(token, connection.session.account_id)
        if old is None:
            return False
        self._sessions.take_over(old, connection.session)
        connection.session = old
        return True

    def detach(self, session: Session) -> ReplayBuffer:
        """From now on the session outlives its connection."""
        return self._sessions.keep(session, self._listener.interruptions)

    def has_gap(self, journal: ReplayBuffer, sequence: int) -> bool:
        """Whether events after this one are missing: forgotten, or never heard because the broker was away. The latter is told once."""
        interrupted = journal.interruptions != self._listener.interruptions
        journal.interruptions = self._listener.interruptions
        return interrupted or journal.has_gap(sequence)

    def now(self) -> int:
        """A sequence before that of every event to come."""
        return self._listener.next_sequence()
