"""Server-sent events: the subscriptions of websockets over plain HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from attrs import define

from kazoo_bridge.interfaces import Principal
from kazoo_bridge.websockets.server.connection import Connection
from kazoo_bridge.websockets.server.connection_limits import HandshakeRejected
from kazoo_bridge.websockets.server.frames import EventFrame, encode_json
from kazoo_bridge.websockets.server.protocol import ServerContext
from kazoo_bridge.websockets.server.send_buffer import SendBuffer, Transport
from kazoo_bridge.websockets.sessions.resume import SessionResumer
from kazoo_bridge.websockets.sessions.session import ReplayBuffer, Session
from kazoo_bridge.websockets.subscriptions.subscriptions import Subscriptions

#: A comment: it shows proxies and clients that the connection is alive.
KEEP_ALIVE_FRAME = b": \n\n"

_EVENT_ID = re.compile(r"(?P<token>[0-9a-f]{1,64})-(?P<sequence>[0-9]{1,20})")


class StreamTransport(Transport, Protocol):
    """The HTTP response on which a stream is written."""

    def abort(self) -> None:
        """End the response."""


class _StreamEncoder:
    """Encodes messages of ``text/event-stream``; the id of an event is what resumes the stream after it."""

    def event(self, session: Session, frame: EventFrame, sequenced: bool) -> bytes:
        """See `Encoder`."""
        return _event_id(session.replay_buffer, frame.sequence) + _message(frame.text(sequenced))

    def text(self, text: bytes) -> bytes:
        """See `Encoder`."""
        return _message(text)


@define(eq=False)
class EventStream:
    """An open stream. Call `closed` once, when the response has ended for whatever reason."""

    connection: Connection
    closed: Callable[[], None]

    @property
    def producer(self) -> SendBuffer:
        """The push producer that is to be registered with the response."""
        return self.connection.send_buffer

    def send_opened(self, replay_buffer: ReplayBuffer, sequence: int, data: Mapping[str, object]) -> None:
        """Send the notice ``open``, whose id lets the client resume even if no event follows."""
        text = encode_json({"action": "notice", "name": "open", "data": data})
        self.producer.reply(_event_id(replay_buffer, sequence) + _message(text))

    def keep_alive(self) -> None:
        """Send a comment."""
        self.producer.reply(KEEP_ALIVE_FRAME)


@define(eq=False)
class EventStreams:
    """Opens streams, with the same limits and sessions as websockets."""

    _context: ServerContext
    _subscriptions: Subscriptions
    _resumer: SessionResumer

    async def open(
        self,
        transport: StreamTransport,
        peer: tuple[str, int],
        headers: Mapping[str, str],
        credentials: tuple[str, Principal],
        account_id: str,
        bindings: Sequence[str],
        last_event_id: str | None,
    ) -> EventStream:
        """Open a stream of `bindings` for an account for which the client is authorized.

        `peer` is the address and port of the other end of the TCP connection, `headers` are the request's
        with lower-case names, `credentials` the client's token and principal. `last_event_id` is the id of
        the last message that the client has received on an earlier stream, after which this one continues.

        Raises `HandshakeRejected`, `BindingRefused` and `BindingUnavailable`.
        """
        admission, sessions = self._context.admission, self._context.sessions
        address = admission.client_address(peer[0], headers)
        admission.acquire(address, headers.get("origin"))
        stream = self._connect(transport, address, peer[1])
        connection = stream.connection
        connection.session.token, connection.session.principal = credentials
        try:
            sequence, unknown = self._resume(connection, last_event_id)
            session = connection.session
            if sessions.exceeds_account_limit(credentials[1].account_id):
                raise HandshakeRejected(429, "the account has too many sockets")
            replay_buffer = self._resumer.make_resumable(session)
            # Events before the notice "open" wait in the replay buffer, so that they keep their order.
            session.disconnect()
            await self._subscriptions.subscribe(session, account_id, bindings)
            if session.ended:
                raise HandshakeRejected(403, "the session has ended")
        except Exception:
            sessions.end(connection.session)
            stream.closed()
            raise
        session.connect(connection)
        missed = replay_buffer.after(sequence)
        gap = self._resumer.has_gap(replay_buffer, sequence) or unknown
        data = {"subscribed": session.bindings, "gap": gap, "missed": len(missed)}
        stream.send_opened(replay_buffer, sequence, data)
        for frame in missed:
            connection.event(frame, True)
        return stream

    def _connect(self, transport: StreamTransport, address: str, port: int) -> EventStream:
        context = self._context
        connection = context.connect(
            transport, address, port, _StreamEncoder(), lambda _code, _reason: transport.abort()
        )

        def closed() -> None:
            connection.send_buffer.close()
            context.sessions.disconnected(connection.session, connection)
            context.admission.release(address)

        return EventStream(connection, closed)

    def _resume(self, connection: Connection, last_event_id: str | None) -> tuple[int, bool]:
        """Attach the session that `last_event_id` names.

        Returns the sequence after which the stream continues, and whether `last_event_id` is unknown.
        """
        parsed = _EVENT_ID.fullmatch(last_event_id or "")
        if parsed is None or not self._resumer.attach(connection, parsed["token"]):
            return self._resumer.current_sequence(), bool(last_event_id)
        return int(parsed["sequence"]), False


def _event_id(replay_buffer: ReplayBuffer | None, sequence: int) -> bytes:
    return f"id: {replay_buffer.token if replay_buffer else ''}-{sequence}\n".encode()


def _message(text: bytes) -> bytes:
    return b"data: " + text + b"\n\n"
