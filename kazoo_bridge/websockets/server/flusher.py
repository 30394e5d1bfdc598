"""Writes what all connections have collected, in ticks."""

from __future__ import annotations

from collections.abc import Callable
from time import thread_time
from typing import Protocol

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()

#: Minimum seconds between two flushes: a socket that gets thousands of events a second gets them together.
MIN_FLUSH_PAUSE = 0.002

#: Maximum seconds between two flushes.
MAX_FLUSH_PAUSE = 0.02


class Flushable(Protocol):
    """Collects frames until it is flushed."""

    def flush(self) -> None:
        """Write what is collected."""


@define(eq=False)
class Flusher:
    """Flushes what is scheduled, with a pause after each flush that is as long as the flush.

    It is between `MIN_FLUSH_PAUSE` and `MAX_FLUSH_PAUSE`; the rest of the process gets it, and the more there
    is to write, the more is written together. `processor_time` returns the seconds that this thread has used:
    the flush counts, not what other processes do meanwhile. `dropped` counts the events that all send buffers
    have dropped.
    """

    _clock: IReactorTime
    _processor_time: Callable[[], float] = thread_time
    _scheduled: dict[Flushable, None] = field(init=False, factory=dict)
    _call: IDelayedCall | None = field(init=False, default=None)
    _next_flush: float = field(init=False, default=0.0)
    dropped: int = field(init=False, default=0)

    def schedule(self, flushable: Flushable) -> None:
        """Flush something with the next flush."""
        self._scheduled[flushable] = None
        if self._call is None:
            self._call = self._clock.callLater(
                max(0.0, self._next_flush - self._clock.seconds()), self._flush
            )

    def _flush(self) -> None:
        self._call = None
        started = self._processor_time()
        scheduled, self._scheduled = self._scheduled, {}
        for flushable in scheduled:
            try:
                flushable.flush()
            except Exception:
                _log.failure("writing to a client failed")
        pause = min(max(MIN_FLUSH_PAUSE, self._processor_time() - started), MAX_FLUSH_PAUSE)
        self._next_flush = self._clock.seconds() + pause

    def stop(self) -> None:
        """Flush everything now, and leave no delayed call."""
        if self._call is not None:
            self._call.cancel()
            self._flush()
        self._scheduled = {}
