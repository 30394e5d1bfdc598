"""One connection of a client, whatever it speaks: what it sends is acted on in order, what it is sent waits in its outbox."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.websockets.server.frames import EventFrame, encode, text_frame
from kazoo_bridge.websockets.server.send_buffer import SendBuffer
from kazoo_bridge.websockets.sessions.session import Session

_log = Logger()

#: Messages that may wait for the one before them.
MAX_QUEUED_MESSAGES = 1000

#: How an event or a text is written on this kind of connection.
EventEncoder = Callable[[EventFrame, bool], bytes]
TextEncoder = Callable[[bytes], bytes]


class Connection:
    """An `SessionOutput` for a session, and the line of messages that its client sent."""

    session: Session

    def __init__(
        self,
        outbox: SendBuffer,
        event_form: EventEncoder,
        text_form: TextEncoder,
        hang_up: Callable[[int, str], None],
    ) -> None:
        self.outbox = outbox
        self._event_form = event_form
        self._text_form = text_form
        self._hang_up = hang_up
        self._waiting: deque[bytes] = deque()
        self._busy = False

    # -- Outlet

    def event(self, frame: EventFrame, sequenced: bool) -> None:
        """See `SessionOutput`."""
        self.outbox.event(self._event_form(frame, sequenced), frame.subscribed_key)

    def reply(self, text: bytes) -> None:
        """See `SessionOutput`."""
        self.outbox.reply(self._text_form(text))

    def close(self, code: int, reason: str) -> None:
        """See `SessionOutput`."""
        self._waiting.clear()
        self.outbox.flush()
        self.outbox.close()
        self._hang_up(code, reason)

    def events_dropped(self, dropped: Counter[str]) -> None:
        """Tell the client what it did not get because it did not read."""
        data = {"dropped": dropped.total(), "bindings": dict(dropped)}
        shown = {
            "subscribed_key": "overflow",
            "subscription_key": "overflow",
            "name": "overflow",
            "routing_key": "overflow",
        }
        self.reply(encode({"action": "event", **shown, "data": data}))

    # -- what the client sends

    def received(self, payload: bytes, act: Callable[[Connection, bytes], Deferred[None]]) -> bool:
        """Act on a message after all those before it; whether there is room for it."""
        if len(self._waiting) >= MAX_QUEUED_MESSAGES:
            return False
        self._waiting.append(payload)
        if not self._busy:
            self._busy = True
            Deferred.fromCoroutine(self._work(act)).addErrback(self._failed)
        return True

    async def _work(self, act: Callable[[Connection, bytes], Deferred[None]]) -> None:
        try:
            while self._waiting:
                await act(self, self._waiting.popleft())
        finally:
            self._busy = False

    def _failed(self, failure: Failure) -> None:
        _log.failure("a message of socket {session_id} failed", failure, session_id=self.session.id)
        self.session_failed()

    def session_failed(self) -> None:
        """Something unexpected: the client may try again on a new connection."""
        self.close(1011, "an unexpected error")


def websocket_encoders(deflate: bool) -> tuple[EventEncoder, TextEncoder]:
    """How events and texts are written on a websocket."""

    def event_form(frame: EventFrame, sequenced: bool) -> bytes:
        return frame.frame(sequenced, deflate)

    return event_form, text_frame
