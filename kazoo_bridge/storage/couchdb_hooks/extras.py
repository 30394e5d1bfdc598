"""What the hooks of CouchDB have beyond their documents there: secrets, headers, options, suspensions."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from attrs import field, frozen
from sqlalchemy import ColumnElement, Connection, Row
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.interfaces import Secret, Suspension
from kazoo_bridge.storage import change_log
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.engine import in_batches, insert_into
from kazoo_bridge.storage.hook_columns import (
    claim_probe,
    load_headers,
    load_secrets,
    load_suspension,
    private_values,
    return_probe,
    select_due,
    suspension_values,
)
from kazoo_bridge.storage.tables import deliveries, dump_json, hook_extras, missed_events


@frozen
class HookExtras:
    """What is kept of one hook. `options` are keys of its document that KAZOO does not know."""

    options: Mapping[str, Any] = field(factory=dict)
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    suspension: Suspension | None = None


_c = hook_extras.c

#: Of a hook of which nothing is kept.
NO_EXTRAS = HookExtras()


class HookExtrasStore:
    """Keeps `HookExtras` by the hook's id. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, clock: IReactorTime, database: Database) -> None:
        self._clock = clock
        self._database = database

    def read(self, hook_ids: Collection[str]) -> Deferred[dict[str, HookExtras]]:
        """Read what is kept of these hooks. A hook of which nothing is kept is not in the result."""
        return self._database.read(lambda connection: _select(connection, tuple(hook_ids)))

    def write(self, hook_id: str, account_id: str, extras: HookExtras) -> Deferred[None]:
        """Replace what is kept of a hook. The other nodes on this storage are notified."""

        def write(connection: Connection) -> None:
            connection.execute(sa.delete(hook_extras).where(_c.hook_id == hook_id))
            if extras != NO_EXTRAS:
                row = {"hook_id": hook_id, "account_id": account_id, **_values(extras)}
                connection.execute(sa.insert(hook_extras).values(**row))
            change_log.record(connection, "hook", [hook_id], self._clock.seconds())

        return self._database.write(write)

    def suspend(self, hook_id: str, account_id: str, suspension: Suspension) -> Deferred[None]:
        """Set the suspension of a hook and nothing else.

        No other node is notified: a suspension has no effect before the document says that it is disabled.
        """
        values = suspension_values(suspension)

        def suspend(connection: Connection) -> None:
            row = {"hook_id": hook_id, "account_id": account_id, **_values(NO_EXTRAS), **values}
            insert = insert_into(connection, hook_extras).values(**row)
            connection.execute(insert.on_conflict_do_update(index_elements=["hook_id"], set_=values))

        return self._database.write(suspend)

    def hook_ids(self) -> Deferred[frozenset[str]]:
        """Read the ids of all hooks of which something is kept, or that have missed events."""
        ids = sa.union(sa.select(_c.hook_id), sa.select(missed_events.c.hook_id))
        return self._database.read(lambda connection: frozenset(connection.scalars(ids)))

    def delete(self, hook_ids: Collection[str]) -> Deferred[None]:
        """Delete what is kept of deleted hooks, their deliveries, and the counts of what they have missed."""

        def delete(connection: Connection) -> None:
            _delete(connection, hook_ids)
            change_log.record(connection, "hook", hook_ids, self._clock.seconds())

        return self._database.write(delete)

    def delete_of_account(self, account_id: str, hook_ids: Collection[str]) -> Deferred[None]:
        """Delete the same of all hooks of an account that has been deleted, and all its deliveries.

        `hook_ids` are its hooks that CouchDB had; of most of them, nothing may be kept here.
        """

        def delete(connection: Connection) -> None:
            kept = connection.scalars(sa.select(_c.hook_id).where(_c.account_id == account_id))
            gone = {*kept, *hook_ids}
            _delete(connection, gone)
            connection.execute(sa.delete(deliveries).where(deliveries.c.account_id == account_id))
            change_log.record(connection, "hook", sorted(gone), self._clock.seconds())

        return self._database.write(delete)

    # -- probes

    def due_probes(self, now: float) -> Deferred[dict[str, Suspension]]:
        """Read the suspensions whose probe is due at `now` (Unix seconds), of hooks with a held delivery.

        The hooks that wait longest come first, `MAX_DUE_PROBES` at most.
        """
        due = select_due(hook_extras, _c.hook_id, now)

        def read(connection: Connection) -> dict[str, Suspension]:
            found = {row.hook_id: _suspension(row) for row in connection.execute(due)}
            return {hook_id: one for hook_id, one in found.items() if one is not None}

        return self._database.read(read)

    def claim_probe(self, hook_id: str, suspension: Suspension, next_probe: float) -> Deferred[bool]:
        """Count a probe and postpone the next one to `next_probe`; False if another node has claimed it."""
        claim = claim_probe(hook_extras, _suspended(hook_id, suspension), suspension, next_probe)
        return self._database.write(lambda connection: connection.execute(claim).rowcount == 1)

    def return_probe(self, hook_id: str, suspension: Suspension, next_probe: float) -> Deferred[None]:
        """Uncount a probe that was claimed from the state `suspension`, and was not made."""
        undo = return_probe(hook_extras, _suspended(hook_id, suspension), suspension, next_probe)
        return self._database.write(lambda connection: _execute(connection, [undo]))

    def end_suspensions(self, ended: Mapping[str, Suspension]) -> Deferred[None]:
        """End suspensions, by the id of the hook, which KAZOO has enabled, changed or deleted."""
        updates = [
            sa.update(hook_extras).where(_suspended(hook_id, suspension)).values(**suspension_values(None))
            for hook_id, suspension in ended.items()
        ]
        return self._database.write(lambda connection: _execute(connection, updates))


def _select(connection: Connection, hook_ids: tuple[str, ...]) -> dict[str, HookExtras]:
    return {
        row.hook_id: _from_row(row)
        for batch in in_batches(hook_ids)
        for row in connection.execute(sa.select(hook_extras).where(_c.hook_id.in_(batch)))
    }


def _execute(connection: Connection, statements: Iterable[sa.Update]) -> None:
    for statement in statements:
        connection.execute(statement)


def _suspended(hook_id: str, suspension: Suspension) -> ColumnElement[bool]:
    return sa.and_(_c.hook_id == hook_id, _c.suspended_since == suspension.since)


def _delete(connection: Connection, hook_ids: Collection[str]) -> None:
    for batch in in_batches(tuple(hook_ids)):
        for table in (hook_extras, deliveries, missed_events):
            connection.execute(sa.delete(table).where(table.c.hook_id.in_(batch)))


def _values(extras: HookExtras) -> dict[str, Any]:
    private = private_values(extras.secrets, extras.headers, extras.suspension)
    return {"options": dump_json(extras.options), **private}


def _from_row(row: Row[Any]) -> HookExtras:
    options = json.loads(row.options)
    return HookExtras(options, load_secrets(row.secrets), load_headers(row.headers), _suspension(row))


def _suspension(row: Row[Any]) -> Suspension | None:
    return load_suspension(row.suspended_since, row.next_probe, row.probes)
