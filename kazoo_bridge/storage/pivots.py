"""Pivot points, and what was asked of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from secrets import token_hex
from typing import Any

import orjson
import sqlalchemy as sa
from attrs import evolve
from sqlalchemy import Connection, Row
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    IPivotStore,
    PivotNameInUse,
    PivotRecord,
    RevisionConflict,
    StoredPivot,
    TooManyPivots,
)
from kazoo_bridge.kazoo import is_account_id, to_gregorian
from kazoo_bridge.storage import change_log
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.hooks import new_revision
from kazoo_bridge.storage.tables import dump_json, pivot_records, pivots

#: Pivot points of one account.
MAX_PIVOTS_PER_ACCOUNT = 100

#: Records of one pivot point that are kept, and listed.
MAX_RECORDS = 100

#: Seconds for which records are kept.
RECORD_RETENTION = 7 * 86400

#: Records that one statement of `purge_records` deletes, as `retention.BATCH_SIZE`.
PURGE_BATCH_SIZE = 5000


@implementer(IPivotStore)
class PivotStore:
    """See `IPivotStore`."""

    def __init__(self, clock: IReactorTime, database: Database) -> None:
        self._clock = clock
        self._database = database

    def for_account(self, account_id: str) -> Deferred[Sequence[StoredPivot]]:
        """See `IPivotStore`."""
        found = (
            sa.select(pivots).where(pivots.c.account_id == account_id).order_by(pivots.c.created, pivots.c.id)
        )
        return self._database.read(lambda connection: [_from_row(row) for row in connection.execute(found)])

    def by_id(self, pivot_point_id: str) -> Deferred[StoredPivot | None]:
        """See `IPivotStore`."""
        if not is_account_id(pivot_point_id):  # all ids have this form; a database may refuse other texts
            return succeed(None)
        return self._database.read(partial(_select, pivot_point_id))

    def create(self, account_id: str, document: Mapping[str, Any], secret: str) -> Deferred[StoredPivot]:
        """See `IPivotStore`."""
        now = self._clock.seconds()
        created = to_gregorian(now)
        pivot = StoredPivot(
            token_hex(16), account_id, dict(document), secret, new_revision(1), created, created
        )
        return self._database.write(partial(_insert, pivot, now))

    def replace(
        self, pivot: StoredPivot, document: Mapping[str, Any], secret: str | None = None
    ) -> Deferred[StoredPivot]:
        """See `IPivotStore`."""
        now = self._clock.seconds()
        replacement = evolve(
            pivot,
            document=dict(document),
            secret=pivot.secret if secret is None else secret,
            revision=new_revision(int(pivot.revision.partition("-")[0]) + 1),
            modified=to_gregorian(now),
        )
        return self._database.write(partial(_update, pivot, replacement, now))

    def delete(self, pivot: StoredPivot) -> Deferred[None]:
        """See `IPivotStore`."""
        return self._database.write(partial(_delete, pivot, self._clock.seconds()))

    def delete_of_account(self, account_id: str) -> Deferred[None]:
        """See `IPivotStore`."""
        return self._database.write(
            lambda connection: delete_of_account(connection, account_id, self._clock.seconds())
        )

    def add_records(self, records: Sequence[PivotRecord]) -> Deferred[None]:
        """See `IPivotStore`."""
        rows = [
            {
                "account_id": record.account_id,
                "pivot_point_id": record.pivot_point_id,
                "time": record.time,
                "document": dump_json(dict(record.document)),
            }
            for record in records
        ]
        return self._database.write(lambda connection: _insert_records(connection, rows))

    def records(self, account_id: str, pivot_point_id: str) -> Deferred[Sequence[PivotRecord]]:
        """See `IPivotStore`."""
        latest = (
            sa.select(pivot_records)
            .where(pivot_records.c.pivot_point_id == pivot_point_id, pivot_records.c.account_id == account_id)
            .order_by(pivot_records.c.sequence.desc())
            .limit(MAX_RECORDS)
        )
        return self._database.read(
            lambda connection: [
                PivotRecord(row.account_id, row.pivot_point_id, row.time, orjson.loads(row.document))
                for row in connection.execute(latest)
            ]
        )


def _from_row(row: Row[Any]) -> StoredPivot:
    return StoredPivot(
        row.id,
        row.account_id,
        orjson.loads(row.document),
        row.secret,
        row.revision,
        row.created,
        row.modified,
    )


def _select(pivot_point_id: str, connection: Connection) -> StoredPivot | None:
    row = connection.execute(sa.select(pivots).where(pivots.c.id == pivot_point_id)).first()
    return None if row is None else _from_row(row)


def _insert(pivot: StoredPivot, now: float, connection: Connection) -> StoredPivot:
    change_log.lock_change_log(connection)
    of_account = sa.select(sa.func.count()).select_from(pivots).where(pivots.c.account_id == pivot.account_id)
    if (connection.scalar(of_account) or 0) >= MAX_PIVOTS_PER_ACCOUNT:
        raise TooManyPivots(MAX_PIVOTS_PER_ACCOUNT)
    _require_free_name(connection, pivot)
    connection.execute(
        sa.insert(pivots).values(
            id=pivot.id,
            account_id=pivot.account_id,
            created=pivot.created,
            modified=pivot.modified,
            **_values(pivot),
        )
    )
    change_log.record(connection, "pivot", [pivot.id], now)
    return pivot


def _update(pivot: StoredPivot, replacement: StoredPivot, now: float, connection: Connection) -> StoredPivot:
    change_log.lock_change_log(connection)
    _require_free_name(connection, replacement)
    updated = connection.execute(
        sa.update(pivots)
        .where(pivots.c.id == pivot.id, pivots.c.revision == pivot.revision)
        .values(modified=replacement.modified, **_values(replacement))
    )
    _require_one(updated.rowcount, pivot)
    change_log.record(connection, "pivot", [pivot.id], now)
    return replacement


def _values(pivot: StoredPivot) -> dict[str, Any]:
    return {
        "name": pivot.name,
        "document": dump_json(dict(pivot.document)),
        "secret": pivot.secret,
        "revision": pivot.revision,
    }


def _delete(pivot: StoredPivot, now: float, connection: Connection) -> None:
    deleted = sa.delete(pivots).where(pivots.c.id == pivot.id, pivots.c.revision == pivot.revision)
    _require_one(connection.execute(deleted).rowcount, pivot)
    connection.execute(sa.delete(pivot_records).where(pivot_records.c.pivot_point_id == pivot.id))
    change_log.record(connection, "pivot", [pivot.id], now)


def delete_of_account(connection: Connection, account_id: str, now: float) -> None:
    """Delete all pivot points of an account and their records; record the change.

    `now` is in Unix seconds.
    """
    change_log.lock_change_log(connection)
    ids = connection.scalars(sa.select(pivots.c.id).where(pivots.c.account_id == account_id)).all()
    for table in (pivots, pivot_records):
        connection.execute(sa.delete(table).where(table.c.account_id == account_id))
    change_log.record(connection, "pivot", ids, now)


def _require_free_name(connection: Connection, pivot: StoredPivot) -> None:
    taken = sa.select(pivots.c.id).where(
        pivots.c.account_id == pivot.account_id, pivots.c.name == pivot.name, pivots.c.id != pivot.id
    )
    if connection.scalar(taken) is not None:
        raise PivotNameInUse(pivot.name)


def _require_one(count: int, pivot: StoredPivot) -> None:
    if count != 1:
        raise RevisionConflict(f"pivot point {pivot.id} is no longer at revision {pivot.revision}")


def _insert_records(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store records of pivot points that still exist."""
    wanted = {row["pivot_point_id"] for row in rows}
    present = set(connection.scalars(sa.select(pivots.c.id).where(pivots.c.id.in_(wanted))))
    kept = [row for row in rows if row["pivot_point_id"] in present]
    if kept:
        connection.execute(sa.insert(pivot_records), kept)


def purge_records(connection: Connection, now: float) -> int:
    """Delete records that are too old, or beyond the latest of a pivot point; return how many.

    See `retention.Purge`: a call may leave some to the next call.
    """
    c = pivot_records.c
    old = sa.select(c.sequence).where(c.time < now - RECORD_RETENTION).limit(PURGE_BATCH_SIZE)
    deleted = connection.execute(sa.delete(pivot_records).where(c.sequence.in_(old))).rowcount
    crowded = sa.select(c.pivot_point_id).group_by(c.pivot_point_id).having(sa.func.count() > MAX_RECORDS)
    for pivot_point_id in connection.scalars(crowded).all():
        of_point = c.pivot_point_id == pivot_point_id
        first_surplus = (
            sa.select(c.sequence).where(of_point).order_by(c.sequence.desc()).offset(MAX_RECORDS).limit(1)
        )
        surplus = (
            sa.select(c.sequence)
            .where(of_point, c.sequence <= connection.scalar(first_surplus))
            .order_by(c.sequence)
            .limit(PURGE_BATCH_SIZE)
        )
        deleted += connection.execute(sa.delete(pivot_records).where(c.sequence.in_(surplus))).rowcount
    return deleted
