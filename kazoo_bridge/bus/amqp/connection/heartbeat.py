"""Heartbeats: a sign of life in every interval, and an end to a connection whose peer gives none."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Heartbeat:
    """Looks twice in every `interval` (seconds) whether something was sent and received.

    `beat` is called when nothing was sent since the last look, `dead` once when nothing was received for two intervals.
    """

    def __init__(
        self, clock: IReactorTime, interval: float, beat: Callable[[], None], dead: Callable[[], None]
    ) -> None:
        self.sent = True
        self.received = True
        self._clock = clock
        self._half = interval / 2
        self._beat = beat
        self._dead = dead
        self._silent = 0
        self._call: IDelayedCall | None = clock.callLater(self._half, self._look)

    def stop(self) -> None:
        """No further looks."""
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()

    def _look(self) -> None:
        self._silent = 0 if self.received else self._silent + 1
        if self._silent >= 4:
            self._call = None
            self._dead()
            return
        self.received = False
        if not self.sent:
            self._beat()
        self.sent = False
        self._call = self._clock.callLater(self._half, self._look)
