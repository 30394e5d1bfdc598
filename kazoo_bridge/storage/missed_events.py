"""Counts of the events that did not reach a hook and are not kept, by reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from zope.interface import implementer

from kazoo_bridge.interfaces import IMissedEventStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.engine import insert_into
from kazoo_bridge.storage.tables import missed_events

_c = missed_events.c


@implementer(IMissedEventStore)
class MissedEventStore:
    """See `IMissedEventStore`. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, missed: Mapping[tuple[str, str], int]) -> Deferred[None]:
        """Add to the counts: the keys of `missed` are (hook id, reason)."""
        return self._database.write(lambda connection: add_missed(connection, missed))

    def counts(self, hook_ids: Collection[str]) -> Deferred[Mapping[str, Mapping[str, int]]]:
        """Read the counts of these hooks by reason, by hook id; hooks that missed nothing are left out."""
        return self._database.read(lambda connection: _counts(connection, hook_ids))


def add_missed(connection: Connection, missed: Mapping[tuple[str, str], int]) -> None:
    """Add to the counts; see `MissedEventStore.add`."""
    if not missed:
        return
    insert = insert_into(connection, missed_events)
    merged = insert.on_conflict_do_update(
        index_elements=["hook_id", "reason"], set_={"number": _c.number + insert.excluded.number}
    )
    # Sorted, because two nodes that lock the same rows in different orders would deadlock.
    rows = [
        {"hook_id": hook_id, "reason": reason, "number": number}
        for (hook_id, reason), number in sorted(missed.items())
    ]
    connection.execute(merged, rows)


def _counts(connection: Connection, hook_ids: Collection[str]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for row in connection.execute(sa.select(missed_events).where(_c.hook_id.in_(hook_ids))):
        found.setdefault(row.hook_id, {})[row.reason] = row.number
    return found
