"""One connection of a client: handles its messages one after another, and sends events and replies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from typing import ClassVar, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.config import Websockets
from kazoo_bridge.websockets.server.address_budget import BYTES_PER_FRAME
from kazoo_bridge.websockets.server.connection_limits import Admission
from kazoo_bridge.websockets.server.flusher import Flusher
from kazoo_bridge.websockets.server.frames import CloseCode, EventFrame, encode_json, text_frame
from kazoo_bridge.websockets.server.group_feed import FeedOwner, GroupFeed
from kazoo_bridge.websockets.server.send_buffer import SendBuffer
from kazoo_bridge.websockets.server.transport_writer import Transport
from kazoo_bridge.websockets.sessions.session import Session

_log = Logger()

#: Messages of one client that may wait while an earlier one is handled.
MAX_QUEUED_MESSAGES = 1000


@frozen
class ConnectionLimits:
    """Limits of one connection, in bytes, events and seconds."""

    message_bytes: int
    send_buffer_bytes: int
    max_dropped: int
    handshake_timeout: float
    ping_interval: float

    @classmethod
    def from_config(cls, config: Websockets) -> ConnectionLimits:
        """Take the limits from the configuration."""
        return cls(
            message_bytes=config.max_message_bytes,
            send_buffer_bytes=config.send_buffer_bytes,
            max_dropped=config.max_dropped_events,
            handshake_timeout=config.handshake_timeout_s,
            ping_interval=config.ping_interval_s,
        )


class Encoder(Protocol):
    """Encodes events and texts for one kind of connection.

    `shares_frames`: events without a sequence are websocket frames, the same for all with the same `deflate`.
    """

    @property
    def shares_frames(self) -> bool:
        """See above."""

    @property
    def deflate(self) -> bool:
        """Whether the client has negotiated permessage-deflate."""

    def event(self, session: Session, frame: EventFrame, sequenced: bool) -> bytes:
        """Encode an event; `sequenced`: with its sequence."""

    def text(self, text: bytes) -> bytes:
        """Encode a reply or notice, given as JSON."""


@frozen
class WebsocketEncoder:
    """Encodes websocket frames. `deflate`: the client has negotiated permessage-deflate."""

    deflate: bool
    shares_frames: ClassVar[bool] = True

    def event(self, session: Session, frame: EventFrame, sequenced: bool) -> bytes:
        """See `Encoder`."""
        return frame.frame(sequenced, self.deflate)

    def text(self, text: bytes) -> bytes:
        """See `Encoder`."""
        return text_frame(text)


#: Handles one message of a client.
MessageHandler = Callable[["Connection", bytes], Awaitable[None]]


class Connection:
    """The `SessionOutput` of a session, and the queue of its client's messages.

    `session` is the session that the connection belongs to; a client that resumes replaces it, see
    `switch_session`. `send_buffer` writes to `transport`, see `SendBuffer`. `on_close` is called with a close
    code and a reason when the server closes the connection; `on_overflow` with this connection when the
    client reads too slowly. `admission` is the connection's place among the unauthenticated ones;
    None: it is authenticated from the beginning.
    """

    def __init__(
        self,
        session: Session,
        transport: Transport,
        flusher: Flusher,
        limits: ConnectionLimits,
        encoder: Encoder,
        on_close: Callable[[int, str], None],
        on_overflow: Callable[[Connection], None],
        admission: Admission | None = None,
    ) -> None:
        self.session = session
        self._flusher = flusher
        self.send_buffer = SendBuffer(
            transport,
            flusher,
            limits.send_buffer_bytes,
            limits.max_dropped,
            self._on_events_dropped,
            lambda: on_overflow(self),
        )
        self._encoder = encoder
        self._on_close = on_close
        self._queued: list[bytes] = []  # a deque would take 700 bytes of each idle connection
        self._busy = False
        self._admission = admission
        self._excess = 0

    def switch_session(self, session: Session) -> None:
        """Continue with another session, which the client has resumed."""
        self.session = session

    # -- SessionOutput

    def event(self, frame: EventFrame, sequenced: bool) -> None:
        """See `SessionOutput`."""
        self.send_buffer.event(self._encoder.event(self.session, frame, sequenced), frame.subscribed_key)

    def follow(self, group: FeedOwner) -> bool:
        """See `SessionOutput`."""
        if not self._encoder.shares_frames:
            return False
        if group.feed is None:
            group.feed = GroupFeed(self._flusher)
        self.send_buffer.follow(group.feed, self._encoder.deflate)
        return True

    def unfollow(self) -> None:
        """See `SessionOutput`."""
        self.send_buffer.unfollow()

    def reply(self, text: bytes) -> None:
        """See `SessionOutput`."""
        self.send_buffer.reply(self._encoder.text(text))

    def close(self, code: int, reason: str) -> None:
        """See `SessionOutput`."""
        self._queued.clear()
        self.send_buffer.flush()
        self.send_buffer.close()
        self._on_close(code, reason)

    def _on_events_dropped(self, dropped: Counter[str]) -> None:
        """Send the event ``overflow``: how many events the client has missed, by binding."""
        keys = dict.fromkeys(("subscribed_key", "subscription_key", "name", "routing_key"), "overflow")
        data = {"dropped": dropped.total(), "bindings": dict(dropped)}
        self.reply(encode_json({"action": "event", **keys, "data": data}))

    # -- messages of the client

    def charge(self, now: float, size: int = 0) -> int:
        """Count a message of `size` bytes, or another frame, against the rate limits.

        Returns 0, or how many in a row, this one included, were beyond a limit: the session's or, as long as
        the client is not authenticated, that of its address. A large one counts as several.
        """
        admission = self._admission
        if self.session.bucket.take(now) and (admission is None or admission.charge_frame(size)):
            self._excess = 0
        else:
            self._excess += 1 + size // BYTES_PER_FRAME
        return self._excess

    def may_authenticate(self) -> bool:
        """Return whether a token may be looked up, see `Admission`."""
        return self._admission is None or self._admission.may_authenticate()

    def authentication_failed(self) -> None:
        """Note that the client has sent a token that is not valid."""
        if self._admission is not None:
            self._admission.charge_failure()

    def authenticated(self) -> None:
        """Note that the client has authenticated: it no longer counts as unauthenticated."""
        admission, self._admission = self._admission, None
        if admission is not None:
            admission.authenticated()

    def on_message(self, payload: bytes, handle: MessageHandler) -> bool:
        """Handle a message after all earlier ones.

        Returns False, and discards it, if `MAX_QUEUED_MESSAGES` wait already.
        """
        if len(self._queued) >= MAX_QUEUED_MESSAGES:
            return False
        self._queued.append(payload)
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._handle_queued(handle)).addErrback(self._on_failure)
        return True

    async def _handle_queued(self, handle: MessageHandler) -> None:
        try:
            while self._queued:
                await handle(self, self._queued.pop(0))
        finally:
            self._busy = False

    def _on_failure(self, failure: Failure) -> None:
        _log.failure("handling a message failed session={session_id}", failure, session_id=self.session.id)
        self.close(CloseCode.INTERNAL_ERROR, "an unexpected error")
