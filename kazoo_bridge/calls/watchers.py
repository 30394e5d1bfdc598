"""The watchers of an account's live calls, and what each has received."""

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
    """One watch. `on_change` receives no change before a snapshot, and nothing after `stop`.

    `on_stopped` is called once, by `stop`. `is_stale`: ``stale`` was sent after the last snapshot.
    """

    _on_change: Callable[[CallChange], None]
    _on_stopped: Callable[[Watcher], None]
    active: bool = field(init=False, default=True)
    has_snapshot: bool = field(init=False, default=False)
    is_stale: bool = field(init=False, default=False)

    def stop(self) -> None:
        """See `ICallWatch`."""
        if self.active:
            self.active = False
            self._on_stopped(self)

    def notify(self, change: CallChange) -> None:
        """Pass a change on; an exception of the receiver is logged."""
        if not self.active:
            return
        try:
            self._on_change(change)
        except Exception:
            _log.failure("watcher of live calls failed kind={kind}", kind=change.kind)


@define(eq=False)
class WatchedAccount:
    """A watched account: its calls, its watchers, and the state of the queries about it.

    `ready`: the first query has ended, so snapshots can be sent. `stale`: the bus was disconnected, and no
    query has succeeded since. `reported`: a node of the switch has replied at least once. `querying` is the
    running query; `query_again`: another one must follow it; `next` is the timer of the next query.
    """

    calls: AccountCalls
    watchers: list[Watcher] = field(init=False, factory=list)
    ready: bool = field(init=False, default=False)
    stale: bool = field(init=False, default=False)
    reported: bool = field(init=False, default=False)
    querying: Deferred[Any] | None = field(init=False, default=None)
    query_again: bool = field(init=False, default=False)
    next: IDelayedCall | None = field(init=False, default=None)

    @property
    def is_unknown(self) -> bool:
        """Whether nothing has been heard of its calls, so that nothing can be outdated."""
        return not self.reported and not self.calls.calls

    def send_snapshots(self) -> None:
        """Send ``snapshot`` or ``stale`` to the watchers that have not received it yet."""
        for watcher in list(self.watchers):
            if self.ready and (not watcher.has_snapshot or (watcher.is_stale and not self.stale)):
                watcher.has_snapshot, watcher.is_stale = True, False
                watcher.notify(CallChange("snapshot", calls=list(self.calls.calls.values())))
            if self.stale and not watcher.is_stale:
                watcher.is_stale = True
                watcher.notify(CallChange("stale"))

    def notify(self, diff: CallsDiff) -> None:
        """Send the differences to the watchers that have a snapshot."""
        if diff.changed:
            self._notify(CallChange("changed", calls=diff.changed))
        if diff.removed:
            self._notify(CallChange("removed", call_ids=diff.removed))

    def _notify(self, change: CallChange) -> None:
        for watcher in list(self.watchers):
            if watcher.has_snapshot:
                watcher.notify(change)

    def end(self) -> None:
        """Drop all watchers, and cancel the running and the next query."""
        self.watchers.clear()
        if self.next is not None and self.next.active():
            self.next.cancel()
        querying, self.querying = self.querying, None
        if querying is not None:
            querying.cancel()
