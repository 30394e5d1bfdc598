"""The bounded send buffer of a connection, and the flusher that writes all of them.

Frames are collected and written together. A write costs one to three system calls: with a thousand sockets
on one binding, one write per event and socket would leave the process no time for anything else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

#: Minimum seconds between two flushes.
FLUSH_INTERVAL = 0.02


class Transport(Protocol):
    """What a send buffer writes to."""

    def write(self, data: bytes) -> object:
        """Send bytes."""


@define(eq=False)
class Flusher:
    """Flushes send buffers: at once after a pause, else at most every `FLUSH_INTERVAL`.

    `dropped` counts the events that all send buffers have dropped.
    """

    _clock: IReactorTime
    _scheduled: dict[SendBuffer, None] = field(init=False, factory=dict)
    _call: IDelayedCall | None = field(init=False, default=None)
    _next_flush: float = field(init=False, default=0.0)
    dropped: int = field(init=False, default=0)

    def schedule(self, send_buffer: SendBuffer) -> None:
        """Flush this send buffer with the next flush."""
        self._scheduled[send_buffer] = None
        if self._call is None:
            self._call = self._clock.callLater(
                max(0.0, self._next_flush - self._clock.seconds()), self._flush
            )

    def _flush(self) -> None:
        self._call = None
        started = self._clock.seconds()
        scheduled, self._scheduled = self._scheduled, {}
        for send_buffer in scheduled:
            send_buffer.flush()
        # A long flush is followed by a pause of the same length, which the rest of the process gets.
        now = self._clock.seconds()
        self._next_flush = now + max(FLUSH_INTERVAL, now - started)

    def stop(self) -> None:
        """Flush everything now, and leave no delayed call."""
        if self._call is not None:
            self._call.cancel()
            self._flush()
        self._scheduled = {}


@implementer(IPushProducer)
class SendBuffer:
    """Collects frames for one connection, and keeps them while its client does not read.

    While the client does not read:

    - events that would exceed `max_bytes` are dropped and counted. When the client reads again,
      `on_events_dropped` receives their number by subscribed key.
    - more than `max_dropped` dropped events, or a reply while more than twice `max_bytes` wait, close the
      send buffer and call `on_overflow`, once.

    Register it as a producer with the transport. `dropped` counts the dropped events, `resumptions` how often
    the client has read again. A `closed` send buffer ignores everything.
    """

    def __init__(
        self,
        transport: Transport,
        flusher: Flusher,
        max_bytes: int,
        max_dropped: int,
        on_events_dropped: Callable[[Counter[str]], None],
        on_overflow: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._flusher = flusher
        self._max_bytes = max_bytes
        self._max_dropped = max_dropped
        self._on_events_dropped = on_events_dropped
        self._on_overflow = on_overflow
        self._frames: list[bytes] = []
        self._size = 0
        self._paused = False
        self._dropped_by_key: Counter[str] = Counter()
        self.dropped = 0
        self.closed = False
        self.resumptions = 0

    @property
    def paused(self) -> bool:
        """Whether the client does not read."""
        return self._paused

    def event(self, frame: bytes, subscribed_key: str) -> None:
        """Send an event, or drop it and count it by `subscribed_key`."""
        if self.closed:
            return
        # After one dropped event all are dropped until the client reads: none may overtake the notice.
        if self._paused and (self._dropped_by_key or self._size + len(frame) > self._max_bytes):
            self._drop(subscribed_key)
            return
        self._append(frame)

    def reply(self, frame: bytes) -> None:
        """Send a frame that must not be dropped."""
        if self.closed:
            return
        if self._paused and self._size > 2 * self._max_bytes:
            self._overflow()
            return
        self._append(frame)

    def _append(self, frame: bytes) -> None:
        if not self._frames and not self._paused:
            self._flusher.schedule(self)
        self._frames.append(frame)
        self._size += len(frame)

    def _drop(self, subscribed_key: str) -> None:
        self._dropped_by_key[subscribed_key] += 1
        self.dropped += 1
        self._flusher.dropped += 1
        if self._dropped_by_key.total() > self._max_dropped:
            self._overflow()

    def _overflow(self) -> None:
        self.close()
        self._on_overflow()

    def flush(self) -> None:
        """Write what is collected, unless the client does not read."""
        if self._paused or self.closed or not self._frames:
            return
        data = self._frames[0] if len(self._frames) == 1 else b"".join(self._frames)
        self._frames.clear()
        self._size = 0
        self._transport.write(data)

    def close(self) -> None:
        """Discard what is collected, and ignore everything from now on."""
        self.closed = True
        self._frames.clear()
        self._size = 0

    # -- IPushProducer: called by the transport

    def pauseProducing(self) -> None:
        """Stop writing: the transport's own buffer is full, as the client reads too slowly."""
        self._paused = True

    def resumeProducing(self) -> None:
        """Write what is collected: the transport's own buffer is empty."""
        self._paused = False
        self.resumptions += 1
        self.flush()
        if self._dropped_by_key and not self._paused and not self.closed:
            dropped, self._dropped_by_key = self._dropped_by_key, Counter()
            self._on_events_dropped(dropped)

    def stopProducing(self) -> None:
        """Close: the connection is lost."""
        self.close()
