"""The record of changes: how a process notices what another has written to the same database."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from attrs import frozen
from sqlalchemy import Connection

from kazoo_bridge.storage.tables import changes

#: Seconds for which a change stays on record.
RETENTION = 3600.0

#: The most changes that one look returns.
BATCH_SIZE = 1000

# PostgreSQL hands out numbers before it commits, so a reader could pass over one that is committed late.
# Whoever records a change holds this advisory lock to its commit, which makes the numbers appear in order.
_ORDER_LOCK = 0x6B617A6F6F636867


@frozen
class ChangeBatch:
    """What `since` found. `behind`: changes are missing from the record, so everything may have changed."""

    position: int
    changes: tuple[tuple[str, str], ...] = ()
    behind: bool = False


def lock_change_log(connection: Connection) -> None:
    """Let no other transaction that records a change come between now and this one's commit.

    Call it before reading what must still hold when this transaction writes.
    """
    # A transaction that writes to SQLite has the database to itself anyway.
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ORDER_LOCK)))


def record(connection: Connection, kind: str, subjects: Iterable[str], now: float) -> None:
    """Say that `subjects` changed: ids, or digests for the kinds ``token`` and ``api_key``. `now` is in Unix seconds."""
    rows = [{"kind": kind, "subject": subject, "made": now} for subject in subjects]
    if rows:
        lock_change_log(connection)
        connection.execute(sa.insert(changes), rows)


def position(connection: Connection) -> int:
    """The number of the latest change, 0 when there is none."""
    return connection.scalar(sa.select(sa.func.max(changes.c.seq))) or 0


def since(connection: Connection, seen: int) -> ChangeBatch:
    """The first `BATCH_SIZE` changes after number `seen`, oldest first."""
    rows = connection.execute(
        sa.select(changes.c.seq, changes.c.kind, changes.c.subject)
        .where(changes.c.seq > seen)
        .order_by(changes.c.seq)
        .limit(BATCH_SIZE)
    ).all()
    follows = bool(rows) and rows[0].seq == seen + 1
    if not (follows or _is_on_record(connection, seen) or (not rows and seen == 0)):
        return ChangeBatch(position(connection), behind=True)
    return ChangeBatch(rows[-1].seq if rows else seen, tuple((row.kind, row.subject) for row in rows))


def _is_on_record(connection: Connection, number: int) -> bool:
    """While the change seen last is there, nothing after it has been purged: missing numbers were never committed."""
    return connection.scalar(sa.select(changes.c.seq).where(changes.c.seq == number)) is not None


def purge(connection: Connection, now: float) -> int:
    """Forget changes older than `RETENTION`, but never the latest, by which readers know where they are. Returns how many."""
    latest = sa.select(sa.func.max(changes.c.seq)).scalar_subquery()
    return connection.execute(
        sa.delete(changes).where(changes.c.made < now - RETENTION, changes.c.seq < latest)
    ).rowcount
