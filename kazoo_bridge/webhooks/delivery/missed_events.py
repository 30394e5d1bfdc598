"""Counts the events that did not reach a hook and are not kept."""

from __future__ import annotations

from collections import Counter

from attrs import define, field

from kazoo_bridge.batch_writer import BatchWriter
from kazoo_bridge.interfaces import IMissedEventStore, StorageUnavailable
from kazoo_bridge.webhooks.hooks.hook import Hook

#: The hook is disabled because of failures, and not suspended.
DISABLED = "disabled"

#: The event can be neither sent nor stored.
UNDELIVERABLE = "undeliverable"

#: The event is older than the hook's ``max_age_s``.
TOO_OLD = "too_old"

#: The account of the event is no longer below that of the hook.
ACCOUNT_MOVED = "account_moved"

REASONS = (DISABLED, UNDELIVERABLE, TOO_OLD, ACCOUNT_MOVED)


@define(eq=False)
class MissedEvents(BatchWriter):
    """Counts missed events by hook and reason, in memory at first."""

    _store: IMissedEventStore
    _waiting: Counter[tuple[str, str]] = field(init=False, factory=Counter)
    #: Missed events since the start, by reason.
    totals: Counter[str] = field(init=False, factory=Counter)

    content = "counts of missed events"
    collect_interval = 1.0

    def count(self, hook: Hook, reason: str, number: int = 1) -> None:
        """Count events that `hook` missed for `reason`, one of the constants of this module."""
        self.totals[reason] += number
        if hook.revision:  # an inline hook is not stored, and its count never read
            self._waiting[hook.id, reason] += number
            self.schedule_flush()

    async def _write_batches(self) -> None:
        missed, self._waiting = self._waiting, Counter()
        if not missed:
            return
        try:
            await self._store.add(missed)
        except StorageUnavailable:
            self._waiting.update(missed)
            raise
