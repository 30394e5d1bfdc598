"""Decides when the storage is asked for due deliveries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

_log = Logger()

#: Seconds between two polls, for what other nodes have stored.
POLL_INTERVAL = 1.0


@define(eq=False)
class PollTimer:
    """Calls a function every `POLL_INTERVAL` seconds, and earlier when woken; at most one call is active.

    It is built before the worker whose function it calls, so that everything that makes deliveries due can be
    given its `wake`.
    """

    _clock: IReactorTime
    running: bool = field(init=False, default=False)
    _poll: Callable[[], Awaitable[None]] | None = field(init=False, default=None)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _polling: Deferred[None] | None = field(init=False, default=None)
    _poll_again: bool = field(init=False, default=False)

    def start(self, poll: Callable[[], Awaitable[None]]) -> None:
        """Call `poll` now and from now on. What it raises is logged."""
        self.running, self._poll = True, poll
        self._poll_now()

    def wake(self, when: float) -> None:
        """Poll at the time `when` (Unix seconds); does nothing when the timer is not running."""
        if not self.running:
            return
        delay = when - self._clock.seconds()
        if self._polling is None:
            self._poll_after(max(0.0, delay))
        elif delay <= 0:
            self._poll_again = True

    def stop(self) -> Deferred[None]:
        """Poll no more; fires when the active call has ended."""
        self.running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._polling is None:
            return succeed(None)
        ended: Deferred[None] = Deferred()
        self._polling.addCallback(ended.callback)
        return ended

    def _poll_after(self, seconds: float) -> None:
        if self._timer is not None:
            if self._timer.getTime() <= self._clock.seconds() + seconds:
                return
            self._timer.cancel()
        self._timer = self._clock.callLater(min(seconds, POLL_INTERVAL), self._poll_now)

    def _poll_now(self) -> None:
        self._timer, self._poll_again = None, False
        self._polling = Deferred()
        Deferred.fromCoroutine(self._poll_once(self._polling))

    async def _poll_once(self, ended: Deferred[None]) -> None:
        try:
            if self._poll is not None:
                await self._poll()
        except Exception:
            _log.failure("looking for due deliveries failed")
        self._polling = None
        if self.running:
            self._poll_after(0.0 if self._poll_again else POLL_INTERVAL)
        ended.callback(None)
