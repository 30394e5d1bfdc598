"""Runs the steps of a shutdown one after another, each within a time limit."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()

#: Seconds that one step may take.
STEP_TIMEOUT = 5.0

#: Seconds that all steps may take together, before each gets only `MINIMUM_TIMEOUT`.
TOTAL_TIMEOUT = 15.0

#: Seconds that a step may take after `TOTAL_TIMEOUT` is used up, or after the shutdown was forced.
MINIMUM_TIMEOUT = 1.0


@define(eq=False)
class ShutdownSequence:
    """Waits for steps within time limits, which become `MINIMUM_TIMEOUT` when `forced` fires."""

    _clock: IReactorTime
    _forced: Deferred[None]
    _time_left: float = field(init=False, default=TOTAL_TIMEOUT)
    _is_forced: bool = field(init=False, default=False)
    _waiting: Deferred[None] | None = field(init=False, default=None)
    _timer: IDelayedCall | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._forced.addCallback(lambda _: self._force())

    async def run_step(
        self, name: str, work: Coroutine[Deferred[Any], Any, Any], *, bounded: bool = False
    ) -> None:
        """Wait until `work` ends, fails or exceeds its time limit; the last two are logged with `name`.

        Work that exceeds its limit is not cancelled. `bounded` work has its own limit and ends early by
        itself when the shutdown is forced.
        """
        result = Deferred.fromCoroutine(work)
        result.addErrback(_log_failure, name)
        if result.called and not result.paused:
            return
        if bounded:
            await result
            return
        started = self._clock.seconds()
        waiting: Deferred[None] = Deferred()
        self._waiting = waiting
        self._timer = self._clock.callLater(self._step_timeout(), self._abandon, name)
        result.addCallback(lambda _: self._continue(waiting))
        await waiting
        self._time_left -= self._clock.seconds() - started

    def _step_timeout(self) -> float:
        return (
            MINIMUM_TIMEOUT if self._is_forced else max(MINIMUM_TIMEOUT, min(STEP_TIMEOUT, self._time_left))
        )

    def _continue(self, waiting: Deferred[None]) -> None:
        if waiting is not self._waiting:
            return  # this step was abandoned
        self._waiting = None
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        waiting.callback(None)

    def _abandon(self, name: str) -> None:
        _log.warn("shutdown step did not end in time, going on without it step={step}", step=name)
        if self._waiting is not None:
            self._continue(self._waiting)

    def _force(self) -> None:
        self._is_forced = True
        if self._timer is not None and self._timer.active():
            time_left = self._timer.getTime() - self._clock.seconds()
            self._timer.reset(min(time_left, MINIMUM_TIMEOUT))


def _log_failure(failure: Failure, name: str) -> None:
    _log.failure("shutdown step failed step={step}", failure, step=name)
