"""Paces messages and subscribing of all clients, so that they never take the whole of the process's time."""

from __future__ import annotations

from collections import OrderedDict, deque

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

#: Units of work in one interval: a unit resolves or adds one binding. Seconds of an interval.
MAX_PER_INTERVAL = 500
INTERVAL = 0.05

#: So few units do not wait: most messages have one binding, and are limited as messages.
FEW = 10


@define(eq=False)
class WorkPacer:
    """Grants work at once while an interval has room, else account by account in the next ones.

    An interval has room for `max_per_interval` units; up to `few` units at once never wait.
    """

    _clock: IReactorTime
    max_per_interval: int = MAX_PER_INTERVAL
    few: int = FEW
    _waiting: OrderedDict[str, deque[tuple[int, Deferred[None]]]] = field(init=False, factory=OrderedDict)
    _interval_began: float = field(init=False, default=0.0)
    _granted: int = field(init=False, default=0)
    _call: IDelayedCall | None = field(init=False, default=None)
    _finished: bool = field(init=False, default=False)

    async def take(self, account_id: str, units: int) -> None:
        """Return when a client of the account may do so many units of work."""
        if self._finished:
            return
        now = self._clock.seconds()
        if not self._waiting and now - self._interval_began >= INTERVAL:
            self._interval_began, self._granted = now, 0
        if units <= self.few or (not self._waiting and self._granted < self.max_per_interval):
            self._granted += units
            return
        granted: Deferred[None] = Deferred()
        self._waiting.setdefault(account_id, deque()).append((units, granted))
        if self._call is None:
            self._call = self._clock.callLater(INTERVAL, self._on_timer)
        await granted

    def finish(self) -> None:
        """Grant everything from now on, and leave no delayed call."""
        self._finished = True
        if self._call is not None:
            self._call.cancel()
            self._call = None
        while self._waiting:
            self._grant_next()

    def _on_timer(self) -> None:
        self._call = None
        self._interval_began, self._granted = self._clock.seconds(), 0
        while self._waiting and self._granted < self.max_per_interval:
            self._grant_next()
        if self._waiting and self._call is None:
            self._call = self._clock.callLater(INTERVAL, self._on_timer)

    def _grant_next(self) -> None:
        account_id, requests = self._waiting.popitem(last=False)
        units, granted = requests.popleft()
        if requests:
            self._waiting[account_id] = requests
        self._granted += units
        granted.callback(None)
