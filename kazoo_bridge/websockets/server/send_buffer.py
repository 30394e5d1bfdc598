"""The bounded send buffer of one connection, and the tick at which all of them are written.

Frames are collected and written together: a write costs a system call or three, and with a thousand sockets on one binding, a write for
each event and socket would be all that the process does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

#: Seconds between two writes to the same connection, at least, while there is much to write.
FLUSH_INTERVAL = 0.02


class Transport(Protocol):
    """What an outbox writes to."""

    def write(self, data: bytes) -> object:
        """Send bytes."""


@define(eq=False)
class Flusher:
    """Writes what the outboxes have collected, at once when nothing was written lately, else a tick later."""

    _clock: IReactorTime
    _dirty: dict[SendBuffer, None] = field(init=False, factory=dict)
    _call: IDelayedCall | None = field(init=False, default=None)
    _next: float = field(init=False, default=0.0)
    #: Events that clients were too slow for, on all connections.
    dropped: int = field(init=False, default=0)

    def schedule(self, outbox: SendBuffer) -> None:
        """Write this one with the next tick."""
        self._dirty[outbox] = None
        if self._call is None:
            self._call = self._clock.callLater(max(0.0, self._next - self._clock.seconds()), self._flush)

    def _flush(self) -> None:
        self._call = None
        started = self._clock.seconds()
        dirty, self._dirty = self._dirty, {}
        for outbox in dirty:
            outbox.flush()
        # A tick that takes long is followed by a longer pause, so that the rest of the process has its time.
        now = self._clock.seconds()
        self._next = now + max(FLUSH_INTERVAL, now - started)

    def stop(self) -> None:
        """Write what there is, and leave no delayed call behind."""
        if self._call is not None:
            self._call.cancel()
            self._flush()
        self._dirty = {}


@implementer(IPushProducer)
class SendBuffer:
    """Collects frames for one connection and holds them back while its client does not read.

    Beyond `limit` bytes events are dropped and counted; when there is room again, `on_room` is told what was dropped (by subscribed key).
    More than `max_dropped` events, or replies beyond twice the limit, and `on_hopeless` is called, once.
    """

    def __init__(
        self,
        transport: Transport,
        flusher: Flusher,
        limit: int,
        max_dropped: int,
        on_room: Callable[[Counter[str]], None],
        on_hopeless: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._flusher = flusher
        self._limit = limit
        self._max_dropped = max_dropped
        self._on_room = on_room
        self._on_hopeless = on_hopeless
        self._frames: list[bytes] = []
        self._size = 0
        self._paused = False
        self._dropped: Counter[str] = Counter()
        self.dropped = 0
        self.closed = False

    @property
    def paused(self) -> bool:
        """Whether the client does not read just now."""
        return self._paused

    @property
    def size(self) -> int:
        """The bytes that wait."""
        return self._size

    def event(self, frame: bytes, subscribed_key: str) -> None:
        """Send an event, or count it as dropped."""
        if self.closed:
            return
        # Once something is dropped, so is everything until there is room: no event may overtake the notice.
        if self._paused and (self._dropped or self._size + len(frame) > self._limit):
            self._drop(subscribed_key)
            return
        self._append(frame)

    def reply(self, frame: bytes) -> None:
        """Send what must not be dropped."""
        if self.closed:
            return
        if self._paused and self._size > 2 * self._limit:
            self._overflow()
            return
        self._append(frame)

    def _append(self, frame: bytes) -> None:
        if not self._frames and not self._paused:
            self._flusher.schedule(self)
        self._frames.append(frame)
        self._size += len(frame)

    def _drop(self, subscribed_key: str) -> None:
        self._dropped[subscribed_key] += 1
        self.dropped += 1
        self._flusher.dropped += 1
        if self._dropped.total() > self._max_dropped:
            self._overflow()

    def _overflow(self) -> None:
        self.close()
        self._on_hopeless()

    def flush(self) -> None:
        """Write what was collected, unless the client does not read."""
        if self._paused or self.closed or not self._frames:
            return
        data = self._frames[0] if len(self._frames) == 1 else b"".join(self._frames)
        self._frames.clear()
        self._size = 0
        self._transport.write(data)

    def close(self) -> None:
        """Take nothing more; what waits is forgotten."""
        self.closed = True
        self._frames.clear()
        self._size = 0

    # -- IPushProducer, told by the transport

    def pauseProducing(self) -> None:
        """The client does not read, or not fast enough."""
        self._paused = True

    def resumeProducing(self) -> None:
        """The client has read what was written."""
        self._paused = False
        self.flush()
        if self._dropped and not self._paused and not self.closed:
            dropped, self._dropped = self._dropped, Counter()
            self._on_room(dropped)

    def stopProducing(self) -> None:
        """The connection is gone."""
        self.close()
