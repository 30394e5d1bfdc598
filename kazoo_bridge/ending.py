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
FOR_ONE, IN_ALL, AT_LEAST = 5.0, 15.0, 1.0


@define(eq=False)
class Ending:
    """Waits for things to end, within bounds that `hurry` shortens when it fires."""

    _clock: IReactorTime
    _hurry: Deferred[None]
    _left: float = field(init=False, default=IN_ALL)
    _hurried: bool = field(init=False, default=False)
    _waiting: Deferred[None] | None = field(init=False, default=None)
    _cut: IDelayedCall | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._hurry.addCallback(lambda _: self._hurry_up())

    async def of(self, what: str, work: Coroutine[Deferred[Any], Any, Any], *, bounded: bool = False) -> None:
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
        self._cut = self._clock.callLater(self._patience(), self._cut_now, what)
        ended.addCallback(lambda _: self._go_on(waiting))
        await waiting
        self._left -= self._clock.seconds() - began

    def _patience(self) -> float:
        return AT_LEAST if self._hurried else max(AT_LEAST, min(FOR_ONE, self._left))

    def _go_on(self, waiting: Deferred[None]) -> None:
        if waiting is not self._waiting:
            return  # it has been given up
        self._waiting = None
        if self._cut is not None and self._cut.active():
            self._cut.cancel()
        waiting.callback(None)

    def _cut_now(self, what: str) -> None:
        _log.warn("{what} does not end in time and is left behind", what=what)
        if self._waiting is not None:
            self._go_on(self._waiting)

    def _hurry_up(self) -> None:
        self._hurried = True
        if self._cut is not None and self._cut.active():
            left = self._cut.getTime() - self._clock.seconds()
            self._cut.reset(min(left, AT_LEAST))

    def _failed(self, failure: Failure, what: str) -> None:
        _log.failure("{what} does not end well", failure, what=what)
