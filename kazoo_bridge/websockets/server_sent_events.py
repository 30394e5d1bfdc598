"""Server-sent events: the same subscriptions over plain HTTP, for clients without websockets."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from attrs import define

from kazoo_bridge.interfaces import Principal
from kazoo_bridge.websockets.server.connection import Connection
from kazoo_bridge.websockets.server.connection_limits import HandshakeRejected
from kazoo_bridge.websockets.server.frames import EventFrame, encode
from kazoo_bridge.websockets.server.protocol import ServerContext
from kazoo_bridge.websockets.server.send_buffer import SendBuffer, Transport
from kazoo_bridge.websockets.sessions.authorization import Authorizer
from kazoo_bridge.websockets.sessions.replay_buffer import ReplayBuffer
from kazoo_bridge.websockets.sessions.resume import SessionResumer
from kazoo_bridge.websockets.sessions.session_registry import OVERLOADED
from kazoo_bridge.websockets.subscriptions.subscriptions import Subscriptions

#: A comment, which keeps proxies and clients from giving up.
KEEP_ALIVE_FRAME = b": \n\n"

_EVENT_ID = re.compile(r"(?P<token>[0-9a-f]{1,64})-(?P<sequence>[0-9]{1,20})")


class StreamTransport(Transport, Protocol):
    """The answer on which a stream is written."""

    def abort(self) -> None:
        """End the answer."""


@define(eq=False)
class EventStream:
    """A stream that has been opened. Register `outbox` as the producer of the answer, and call `gone` when it has ended."""

    connection: Connection
    outbox: SendBuffer
    gone: Callable[[], None]

    def opened(self, journal: ReplayBuffer, sequence: int, told: Mapping[str, object]) -> None:
        """Tell the client that the stream is open. From then on it can resume, even if nothing ever happens."""
        text = encode({"action": "notice", "name": "open", "data": told})
        self.outbox.reply(_event_id(journal, sequence) + _text_encoder(text))

    def keep_alive(self) -> None:
        """Let the client see that the connection lives."""
        self.outbox.reply(KEEP_ALIVE_FRAME)


@define(eq=False)
class EventStreams:
    """Opens streams."""

    _context: ServerContext
    _authority: Authorizer
    _subscriptions: Subscriptions
    _resuming: SessionResumer

    async def open(
        self,
        wire: StreamTransport,
        peer: tuple[str, int],
        headers: Mapping[str, str],
        who: tuple[str, Principal],
        account_id: str,
        bindings: Sequence[str],
        last_event_id: str | None,
    ) -> EventStream:
        """A stream of these bindings for the one with that token, from where `last_event_id` left off.

        `headers` have lower-case names. Raises `HandshakeRejected`, and `BindingRefused`.
        """
        context, sessions = self._context, self._context.sessions
        address = context.admission.address(peer[0], headers)
        context.admission.acquire(address, headers.get("origin"))
        stream = self._connected(wire, address, peer[1])
        session = stream.connection.session
        session.token, session.principal = who
        try:
            sequence, lost = self._resumed(stream.connection, last_event_id)
            session = stream.connection.session
            if sessions.too_many_of(who[1].account_id):
                raise HandshakeRejected(429, "the account has too many sockets")
            journal = self._resuming.detach(session)
            # What comes before the client is told that the stream is open waits in the journal, and keeps its order.
            session.output = None
            await self._subscriptions.subscribe(session, account_id, bindings)
            if session.ended:
                raise HandshakeRejected(403, "the session has ended")
        except Exception:
            sessions.end(stream.connection.session)
            stream.gone()
            raise
        session.output = stream.connection
        missed = journal.after(sequence)
        told = {
            "subscribed": session.bindings,
            "gap": self._resuming.has_gap(journal, sequence) or lost,
            "missed": len(missed),
        }
        stream.opened(journal, sequence, told)
        for frame in missed:
            stream.connection.event(frame, True)
        return stream

    def _connected(self, wire: StreamTransport, address: str, port: int) -> EventStream:
        context, sessions, bounds = self._context, self._context.sessions, self._context.limits

        def hopeless() -> None:
            sessions.end(connection.session, OVERLOADED, "the client reads too slowly")

        def event_form(frame: EventFrame, sequenced: bool) -> bytes:
            return _event_id(connection.session.replay_buffer, frame.sequence) + _text_encoder(
                frame.text(sequenced)
            )

        def gone() -> None:
            outbox.close()
            sessions.disconnected(connection.session, connection)
            context.admission.release(address)

        outbox = SendBuffer(
            wire,
            context.flusher,
            bounds.send_buffer_bytes,
            bounds.max_dropped,
            lambda dropped: connection.events_dropped(dropped),
            hopeless,
        )
        connection = Connection(outbox, event_form, _text_encoder, lambda _code, _reason: wire.abort())
        connection.session = sessions.open(address, port, connection)
        return EventStream(connection, outbox, gone)

    def _resumed(self, connection: Connection, last_event_id: str | None) -> tuple[int, bool]:
        """The sequence after which the client goes on, and whether what it had before that is lost."""
        named = _EVENT_ID.fullmatch(last_event_id or "")
        if named is None or not self._resuming.attach(connection, named["token"]):
            return self._resuming.now(), bool(last_event_id)
        return int(named["sequence"]), False


def _event_id(journal: ReplayBuffer | None, sequence: int) -> bytes:
    return f"id: {journal.token if journal else ''}-{sequence}\n".encode()


def _text_encoder(text: bytes) -> bytes:
    """Replies and notices; a comment stays as it is."""
    return text if text.startswith(b":") else b"data: " + text + b"\n\n"
