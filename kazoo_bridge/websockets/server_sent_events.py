"""Server-sent events: the subscriptions of websockets over plain HTTP."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from attrs import define, field
from zope.interface import implementer

from kazoo_bridge.interfaces import HandshakeRejected, IEventStream, IStreamTransport, StreamRequest
from kazoo_bridge.websockets.server.connection import Connection
from kazoo_bridge.websockets.server.context import ServerContext
from kazoo_bridge.websockets.server.frames import EventFrame, encode_json
from kazoo_bridge.websockets.server.send_buffer import SendBuffer
from kazoo_bridge.websockets.sessions.replay_buffer import ReplayBuffer
from kazoo_bridge.websockets.sessions.resume import SessionResumer
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions.subscriptions import Subscriptions

#: A comment: it shows proxies and clients that the connection is alive.
KEEP_ALIVE_FRAME = b": \n\n"

#: Comments in a row that find the client not reading, after which its stream ends; HTTP has no pings.
MAX_STALLED_COMMENTS = 8

_EVENT_ID = re.compile(r"(?P<token>[0-9a-f]{1,64})-(?P<sequence>[0-9]{1,20})")


class _StreamEncoder:
    """Encodes messages of ``text/event-stream``; the id of an event is what resumes the stream after it."""

    deflate = shares_frames = False

    def event(self, session: Session, frame: EventFrame, sequenced: bool) -> bytes:
        """See `Encoder`."""
        return _event_id(session.replay_buffer, frame.sequence) + _message(frame.text(sequenced))

    def text(self, text: bytes) -> bytes:
        """See `Encoder`."""
        return _message(text)


@implementer(IEventStream)
@define(eq=False)
class EventStream:
    """See `IEventStream`. `on_closed` is called with the stream's connection.

    `on_stalled` is called when the client has not read for `MAX_STALLED_COMMENTS`.
    """

    connection: Connection
    _on_closed: Callable[[Connection], None]
    _on_stalled: Callable[[], None]
    _stalled: int = field(init=False, default=0)
    _resumptions: int = field(init=False, default=0)

    @property
    def producer(self) -> SendBuffer:
        """See `IEventStream`."""
        return self.connection.send_buffer

    def closed(self) -> None:
        """See `IEventStream`."""
        self._on_closed(self.connection)

    def send_opened(self, replay_buffer: ReplayBuffer, sequence: int, data: Mapping[str, object]) -> None:
        """Send the notice ``open``, whose id lets the client resume even if no event follows."""
        text = encode_json({"action": "notice", "name": "open", "data": data})
        self.producer.reply(_event_id(replay_buffer, sequence) + _message(text))

    def keep_alive(self) -> None:
        """See `IEventStream`."""
        buffer = self.producer
        is_stalled = buffer.paused and buffer.resumptions == self._resumptions
        self._stalled, self._resumptions = self._stalled + 1 if is_stalled else 0, buffer.resumptions
        if self._stalled >= MAX_STALLED_COMMENTS:
            buffer.close()
            self._on_stalled()
        else:
            buffer.reply(KEEP_ALIVE_FRAME)


@define(eq=False)
class EventStreams:
    """Opens streams, with the same limits and sessions as websockets."""

    _context: ServerContext
    _subscriptions: Subscriptions
    _resumer: SessionResumer

    async def open(self, transport: IStreamTransport, request: StreamRequest) -> EventStream:
        """Open a stream; see `IWebsockets.open_stream`.

        Raises `HandshakeRejected`, `BindingRefused` and `BindingUnavailable`.
        """
        admission, sessions = self._context.admission, self._context.sessions
        address = admission.client_address(request.peer[0], request.headers)
        admission.acquire(address, request.headers.get("origin"))
        stream = self._connect(transport, address, request.peer[1])
        connection = stream.connection
        connection.session.authenticate(request.token, request.principal)
        try:
            sequence, unknown = self._resume(connection, request.last_event_id)
            session = connection.session
            if sessions.exceeds_account_limit(request.principal.account_id):
                raise HandshakeRejected(429, "the account has too many sockets")
            replay_buffer = self._resumer.make_resumable(session)
            # Events before the notice "open" wait in the replay buffer, so that they keep their order.
            session.disconnect()
            await self._subscriptions.subscribe(session, request.account_id, request.bindings)
            if session.ended:
                raise HandshakeRejected(403, "the session has ended")
        except Exception:
            sessions.end(connection.session)
            stream.closed()
            raise
        session.connect(connection)
        missed = replay_buffer.after(sequence)
        gap = self._resumer.has_gap(replay_buffer, sequence) or unknown
        if request.last_event_id:
            self._resumer.count(known=not unknown, gap=gap)
        data = {"subscribed": session.bindings, "gap": gap, "missed": len(missed)}
        stream.send_opened(replay_buffer, sequence, data)
        for frame in missed:
            connection.event(frame, True)
        return stream

    def _connect(self, transport: IStreamTransport, address: str, port: int) -> EventStream:
        context = self._context

        def on_closed(connection: Connection) -> None:
            connection.send_buffer.close()
            context.sessions.disconnected(connection.session, connection)
            context.admission.release(address)

        connection = context.connect(
            transport, address, port, _StreamEncoder(), lambda _code, _reason: transport.abort()
        )
        return EventStream(connection, on_closed, transport.abort)

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
