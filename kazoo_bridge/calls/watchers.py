"""Somebody's view of an account's live calls, and those who watch the same account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.calls.account_calls import AccountCalls, CallsDiff
from kazoo_bridge.interfaces import CallChange, ICallWatch

_log = Logger()


@implementer(ICallWatch)
@define(eq=False)
class Watcher:
    """One watcher. It hears of no call before its snapshot, and of nothing after it was stopped.

    `in_doubt`: it was told that what it knows may be old.
    """

    _watcher: Callable[[CallChange], None]
    _stopped: Callable[[Watcher], None]
    active: bool = field(init=False, default=True)
    has_snapshot: bool = field(init=False, default=False)
    is_stale: bool = field(init=False, default=False)

    def stop(self) -> None:
        """See `ICallWatch`."""
        if self.active:
            self.active = False
            self._stopped(self)

    def notify(self, change: CallChange) -> None:
        """Call the watcher, whose failures are its own."""
        if not self.active:
            return
        try:
            self._watcher(change)
        except Exception:
            _log.failure("a watcher of live calls failed")


@define(eq=False)
class WatchedAccount:
    """An account that is watched: its picture, who looks at it, and the question about it that is under way or will be asked.

    `stale`: the bus was away, and the switch has not yet said what there is now.
    """

    calls: AccountCalls
    watchers: list[Watcher] = field(init=False, factory=list)
    ready: bool = field(init=False, default=False)
    stale: bool = field(init=False, default=False)
    querying: Deferred[Any] | None = field(init=False, default=None)
    query_again: bool = field(init=False, default=False)
    next: IDelayedCall | None = field(init=False, default=None)

    def send_snapshots(self) -> None:
        """Give the snapshot to those who have none yet, or are in doubt for no reason any more, and the doubt to those who have none."""
        for watch in list(self.watchers):
            if self.ready and (not watch.has_snapshot or (watch.is_stale and not self.stale)):
                watch.has_snapshot, watch.is_stale = True, False
                watch.notify(CallChange("snapshot", calls=list(self.calls.calls.values())))
            if self.stale and not watch.is_stale:
                watch.is_stale = True
                watch.notify(CallChange("stale"))

    def notify(self, difference: CallsDiff) -> None:
        """Tell those who have a snapshot what has become different."""
        if difference.changed:
            self._notify(CallChange("changed", calls=difference.changed))
        if difference.removed:
            self._notify(CallChange("removed", call_ids=difference.removed))

    def _notify(self, change: CallChange) -> None:
        for watch in list(self.watchers):
            if watch.has_snapshot:
                watch.notify(change)

    def end(self) -> None:
        """Nobody watches any more, or nobody is told."""
        self.watchers.clear()
        if self.next is not None and self.next.active():
            self.next.cancel()
        asking, self.querying = self.querying, None
        if asking is not None:
            asking.cancel()
