"""Ends the subscriptions of sessions that have ended: at once, or when there are thousands, in a while."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable

from attrs import define, field
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions.subscription_index import Subscription

#: Subscriptions that end within one interval, so that others continue; seconds of an interval.
MAX_PER_INTERVAL = 1000
INTERVAL = 0.1


@define(eq=False)
class ReleaseQueue:
    """Calls `remove` with a session, the account of a subscription, and the subscription."""

    _clock: IReactorTime
    _remove: Callable[[Session, str, Subscription], None]
    _waiting: deque[tuple[Session, str, Subscription]] = field(init=False, factory=deque)
    _interval_began: float = field(init=False, default=0.0)
    _removed: int = field(init=False, default=0)
    _call: IDelayedCall | None = field(init=False, default=None)

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, session: Session, subscriptions: Iterable[tuple[str, Subscription]]) -> None:
        """Release the subscriptions, given with their accounts, of a session that has ended."""
        self._waiting.extend((session, account_id, one) for account_id, one in subscriptions)
        if self._clock.seconds() - self._interval_began >= INTERVAL:
            self._begin_interval()
        elif self._call is None:
            self._work()

    def finish(self) -> None:
        """Release all that waits, and leave no delayed call."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
        while self._waiting:
            self._remove(*self._waiting.popleft())

    def _begin_interval(self) -> None:
        self._interval_began, self._removed = self._clock.seconds(), 0
        self._work()

    def _work(self) -> None:
        while self._waiting and self._removed < MAX_PER_INTERVAL:
            self._removed += 1
            self._remove(*self._waiting.popleft())
        if self._waiting and self._call is None:
            self._call = self._clock.callLater(INTERVAL, self._on_timer)

    def _on_timer(self) -> None:
        self._call = None
        self._begin_interval()
