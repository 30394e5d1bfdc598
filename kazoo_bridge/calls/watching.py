"""Somebody's view of an account's live calls, and those who watch the same account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.calls.picture import Difference, Picture
from kazoo_bridge.interfaces import CallChange, ICallWatch

_log = Logger()


@implementer(ICallWatch)
@define(eq=False)
class Watch:
    """One watcher. It hears of no call before its snapshot, and of nothing after it was stopped.

    `in_doubt`: it was told that what it knows may be old.
    """

    _watcher: Callable[[CallChange], None]
    _stopped: Callable[[Watch], None]
    active: bool = field(init=False, default=True)
    greeted: bool = field(init=False, default=False)
    in_doubt: bool = field(init=False, default=False)

    def stop(self) -> None:
        """See `ICallWatch`."""
        if self.active:
            self.active = False
            self._stopped(self)

    def tell(self, change: CallChange) -> None:
        """Call the watcher, whose failures are its own."""
        if not self.active:
            return
        try:
            self._watcher(change)
        except Exception:
            _log.failure("a watcher of live calls failed")


@define(eq=False)
class Watched:
    """An account that is watched: its picture, who looks at it, and the question about it that is under way or will be asked.

    `stale`: the bus was away, and the switch has not yet said what there is now.
    """

    picture: Picture
    watches: list[Watch] = field(init=False, factory=list)
    ready: bool = field(init=False, default=False)
    stale: bool = field(init=False, default=False)
    asking: Deferred[Any] | None = field(init=False, default=None)
    ask_again: bool = field(init=False, default=False)
    next: IDelayedCall | None = field(init=False, default=None)

    def greet(self) -> None:
        """Give the snapshot to those who have none yet, or are in doubt for no reason any more, and the doubt to those who have none."""
        for watch in list(self.watches):
            if self.ready and (not watch.greeted or (watch.in_doubt and not self.stale)):
                watch.greeted, watch.in_doubt = True, False
                watch.tell(CallChange("snapshot", calls=list(self.picture.calls.values())))
            if self.stale and not watch.in_doubt:
                watch.in_doubt = True
                watch.tell(CallChange("stale"))

    def tell(self, difference: Difference) -> None:
        """Tell those who have a snapshot what has become different."""
        if difference.changed:
            self._tell(CallChange("changed", calls=difference.changed))
        if difference.removed:
            self._tell(CallChange("removed", call_ids=difference.removed))

    def _tell(self, change: CallChange) -> None:
        for watch in list(self.watches):
            if watch.greeted:
                watch.tell(change)

    def end(self) -> None:
        """Nobody watches any more, or nobody is told."""
        self.watches.clear()
        if self.next is not None and self.next.active():
            self.next.cancel()
        asking, self.asking = self.asking, None
        if asking is not None:
            asking.cancel()
