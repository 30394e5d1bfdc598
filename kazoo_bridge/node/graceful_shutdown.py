"""Ends one thing after another, none of which may hold up the others for long."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()

#: Seconds for one thing, for all together, and for each that comes after those are used up or after a call to hurry.
STEP_TIMEOUT, TOTAL_TIMEOUT, MINIMUM_TIMEOUT = 5.0, 15.0, 1.0


@define(eq=False)
class ShutdownSequence:
    """Waits for things to end, within bounds that `hurry` shortens when it fires."""

    _clock: IReactorTime
    _forced: Deferred[None]
    _left: float = field(init=False, default=TOTAL_TIMEOUT)
    _is_forced: bool = field(init=False, default=False)
    _waiting: Deferred[None] | None = field(init=False, default=None)
    _timer: IDelayedCall | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._forced.addCallback(lambda _: self._force())

    async def run_step(
        self, what: str, work: Coroutine[Deferred[Any], Any, Any], *, bounded: bool = False
    ) -> None:
        """Wait for `work`, and go on without it when its time is over or when it fails; both are logged.

        `bounded`: it has a bound of its own, and follows `hurry` by itself.
        """
        ended = Deferred.fromCoroutine(work)
        ended.addErrback(self._failed, what)
        if ended.called and not ended.paused:
            return
        began = self._clock.seconds()
        if bounded:
            await ended
            return
        waiting: Deferred[None] = Deferred()
        self._waiting = waiting
        self._timer = self._clock.callLater(self._step_timeout(), self._abandon, what)
        ended.addCallback(lambda _: self._continue(waiting))
        await waiting
        self._left -= self._clock.seconds() - began

    def _step_timeout(self) -> float:
        return MINIMUM_TIMEOUT if self._is_forced else max(MINIMUM_TIMEOUT, min(STEP_TIMEOUT, self._left))

    def _continue(self, waiting: Deferred[None]) -> None:
        if waiting is not self._waiting:
            return  # it has been given up
        self._waiting = None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        waiting.callback(None)

    def _abandon(self, what: str) -> None:
        _log.warn("{what} does not end in time and is left behind", what=what)
        if self._waiting is not None:
            self._continue(self._waiting)

    def _force(self) -> None:
        self._is_forced = True
        if self._timer is not None and self._timer.active():
            left = self._timer.getTime() - self._clock.seconds()
            self._timer.reset(min(left, MINIMUM_TIMEOUT))

    def _failed(self, failure: Failure, what: str) -> None:
        _log.failure("{what} does not end well", failure, what=what)
