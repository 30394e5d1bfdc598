"""Lets a client continue its session on a new connection, with the events it has missed."""

from __future__ import annotations

from attrs import define, field

from kazoo_bridge.interfaces import TokenRestrictions
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.websockets.client_messages import BadMessage, ClientMessage
from kazoo_bridge.websockets.server.connection import Connection
from kazoo_bridge.websockets.server.frames import encode_reply
from kazoo_bridge.websockets.sessions.replay_buffer import ReplayBuffer
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.sessions.session_registry import SessionRegistry
from kazoo_bridge.websockets.subscriptions.fanout import EventFanout

#: Results of a resume: all events are there, some are lost, or the session is not known any more.
RESUME_RESULTS = ("complete", "gap", "unknown")


@define(eq=False)
class SessionResumer:
    """Carries out the action ``resume``, and has its parts for server-sent events."""

    _sessions: SessionRegistry
    _fanout: EventFanout
    #: How often clients have continued a session, by `RESUME_RESULTS`.
    results: dict[str, int] = field(init=False, factory=lambda: dict.fromkeys(RESUME_RESULTS, 0))

    def resume(self, connection: Connection, message: ClientMessage) -> None:
        """Carry out ``resume``, and reply.

        Without ``session`` it makes the connection's session resumable. With ``session`` and the
        ``sequence`` of the last event that the client has received, it continues that session, and sends
        the missed events.

        Raises `BadMessage`.
        """
        token, sequence = message.data.get("session"), to_integer(message.data.get("sequence", 0))
        if token is not None and not isinstance(token, str):
            raise BadMessage("session must be the text that an earlier resume has answered with")
        if sequence is None or sequence < 0:
            raise BadMessage("sequence must be the last one that came with an event, or 0")
        session = connection.session
        if token is not None and (session.subscription_count or session.replay_buffer is not None):
            raise BadMessage("resume a session before anything else on a connection")
        resumed = token is not None and self.attach(connection, token)
        session = connection.session
        replay_buffer = self.make_resumable(session)
        gap = token is not None and (not resumed or self.has_gap(replay_buffer, sequence))
        if token is not None:
            self.count(known=resumed, gap=gap)
        missed = replay_buffer.after(sequence) if resumed else []
        data = {
            "session": replay_buffer.token,
            "websocket_session_id": session.id,
            "resumed": resumed,
            "gap": gap,
            "missed": len(missed),
            "sequence": missed[-1].sequence if missed else self.current_sequence(),
            "window_seconds": self._sessions.limits.resume_window,
            "subscribed": session.bindings,
        }
        connection.reply(encode_reply(message.request_id, "success", data))
        for frame in missed:
            connection.event(frame, True)

    def attach(self, connection: Connection, token: str) -> bool:
        """Continue the session that `token` names on `connection`.

        Returns False, and changes nothing, if the account of the connection's session has no such session, or
        one whose token has other restrictions.
        """
        resumed = self._sessions.find_resumable(token, connection.session.account_id)
        if resumed is None or _restrictions(resumed) != _restrictions(connection.session):
            return False
        self._sessions.take_over(resumed, connection.session)
        connection.switch_session(resumed)
        return True

    def count(self, *, known: bool, gap: bool) -> None:
        """Count a client that has named a session to continue."""
        self.results["unknown" if not known else "gap" if gap else "complete"] += 1

    def make_resumable(self, session: Session) -> ReplayBuffer:
        """Let the session outlive its connection; returns its replay buffer."""
        return self._sessions.make_resumable(session, self._fanout.interruptions)

    def has_gap(self, replay_buffer: ReplayBuffer, sequence: int) -> bool:
        """Return whether events after `sequence` are lost: dropped, or missed while the broker was away.

        An absence of the broker is reported once.
        """
        interrupted = replay_buffer.interruptions != self._fanout.interruptions
        replay_buffer.interruptions = self._fanout.interruptions
        return interrupted or replay_buffer.has_gap(sequence)

    def current_sequence(self) -> int:
        """Return a sequence that is less than those of all later events."""
        return self._fanout.next_sequence()


def _restrictions(session: Session) -> TokenRestrictions | None:
    return None if session.principal is None else session.principal.restrictions
