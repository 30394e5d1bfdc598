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
from kazoo_bridge.storage.engine import in_batches
from kazoo_bridge.storage.hooks import MAX_DUE_PROBES
from kazoo_bridge.storage.tables import deliveries, dump_json, hook_extras, missed_events


@frozen
class HookExtras:
    """What is kept of one hook. `options` are keys of its document that KAZOO does not know."""

    options: Mapping[str, Any] = field(factory=dict)
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    headers: Mapping[str, str] = field(factory=dict, repr=False)
    suspension: Suspension | None = None


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
            connection.execute(sa.delete(hook_extras).where(hook_extras.c.hook_id == hook_id))
            if extras != NO_EXTRAS:
                row = {"hook_id": hook_id, "account_id": account_id, **_values(extras)}
                connection.execute(sa.insert(hook_extras).values(**row))
            change_log.record(connection, "hook", [hook_id], self._clock.seconds())

        return self._database.write(write)

    def delete(self, hook_ids: Collection[str]) -> Deferred[None]:
        """Delete what is kept of hooks that have been deleted, and their deliveries."""

        def delete(connection: Connection) -> None:
            for batch in in_batches(tuple(hook_ids)):
                for table in (hook_extras, deliveries, missed_events):
                    connection.execute(sa.delete(table).where(table.c.hook_id.in_(batch)))
            change_log.record(connection, "hook", hook_ids, self._clock.seconds())

        return self._database.write(delete)

    def delete_of_account(self, account_id: str) -> Deferred[None]:
        """Delete what is kept of all hooks of an account that has been deleted, and its deliveries."""

        def delete(connection: Connection) -> None:
            ids = sa.select(hook_extras.c.hook_id).where(hook_extras.c.account_id == account_id)
            known = connection.scalars(ids).all()
            for batch in in_batches(tuple(known)):
                connection.execute(sa.delete(missed_events).where(missed_events.c.hook_id.in_(batch)))
            for table in (hook_extras, deliveries):
                connection.execute(sa.delete(table).where(table.c.account_id == account_id))
            change_log.record(connection, "hook", known, self._clock.seconds())

        return self._database.write(delete)

    # -- probes

    def due_probes(self, now: float) -> Deferred[dict[str, Suspension]]:
        """Read the suspensions whose probe is due at `now` (Unix seconds), of hooks with a held delivery.

        The hooks that wait longest come first, `MAX_DUE_PROBES` at most.
        """
        held = sa.exists().where(
            deliveries.c.hook_id == hook_extras.c.hook_id,
            deliveries.c.status == "held",
            deliveries.c.lease_until <= now,
        )
        due = (
            sa.select(hook_extras)
            .where(hook_extras.c.next_probe <= now, held)
            .order_by(hook_extras.c.next_probe)
            .limit(MAX_DUE_PROBES)
        )

        def read(connection: Connection) -> dict[str, Suspension]:
            found = {row.hook_id: _suspension(row) for row in connection.execute(due)}
            return {hook_id: one for hook_id, one in found.items() if one is not None}

        return self._database.read(read)

    def claim_probe(self, hook_id: str, suspension: Suspension, next_probe: float) -> Deferred[bool]:
        """Count a probe and postpone the next one to `next_probe`; False if another node has claimed it."""
        claim = (
            sa.update(hook_extras)
            .where(_suspended(hook_id, suspension), hook_extras.c.probes == suspension.probes)
            .values(next_probe=next_probe, probes=suspension.probes + 1)
        )
        return self._database.write(lambda connection: connection.execute(claim).rowcount == 1)

    def return_probe(self, hook_id: str, suspension: Suspension, next_probe: float) -> Deferred[None]:
        """Uncount a probe that was claimed from the state `suspension`, and was not made."""
        undo = (
            sa.update(hook_extras)
            .where(_suspended(hook_id, suspension), hook_extras.c.probes == suspension.probes + 1)
            .values(next_probe=next_probe, probes=suspension.probes)
        )
        return self._database.write(lambda connection: _execute(connection, [undo]))

    def end_suspensions(self, ended: Mapping[str, Suspension]) -> Deferred[None]:
        """End suspensions, by the id of the hook, which KAZOO has enabled, changed or deleted."""
        updates = [
            sa.update(hook_extras)
            .where(_suspended(hook_id, suspension))
            .values(suspended_since=None, next_probe=None, probes=0)
            for hook_id, suspension in ended.items()
        ]
        return self._database.write(lambda connection: _execute(connection, updates))


def _select(connection: Connection, hook_ids: tuple[str, ...]) -> dict[str, HookExtras]:
    return {
        row.hook_id: _from_row(row)
        for batch in in_batches(hook_ids)
        for row in connection.execute(sa.select(hook_extras).where(hook_extras.c.hook_id.in_(batch)))
    }


def _execute(connection: Connection, statements: Iterable[sa.Update]) -> None:
    for statement in statements:
        connection.execute(statement)


def _suspended(hook_id: str, suspension: Suspension) -> ColumnElement[bool]:
    return sa.and_(hook_extras.c.hook_id == hook_id, hook_extras.c.suspended_since == suspension.since)


def _values(extras: HookExtras) -> dict[str, Any]:
    suspension = extras.suspension
    return {
        "options": dump_json(extras.options),
        "secrets": json.dumps([[secret.value, secret.expires] for secret in extras.secrets]),
        "headers": dump_json(extras.headers),
        "suspended_since": None if suspension is None else suspension.since,
        "next_probe": None if suspension is None else suspension.next_probe,
        "probes": 0 if suspension is None else suspension.probes,
    }


def _from_row(row: Row[Any]) -> HookExtras:
    secrets = tuple(Secret(value, expires) for value, expires in json.loads(row.secrets))
    return HookExtras(json.loads(row.options), secrets, json.loads(row.headers), _suspension(row))


def _suspension(row: Row[Any]) -> Suspension | None:
    if row.suspended_since is None:
        return None
    return Suspension(row.suspended_since, row.next_probe, row.probes)
