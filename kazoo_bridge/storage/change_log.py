"""The log of changes, by which one process notices what another has written to the same database."""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from attrs import frozen
from sqlalchemy import Connection

from kazoo_bridge.storage.tables import changes

#: Seconds for which a change stays in the log.
RETENTION = 3600.0

#: Changes that `since` returns at most.
BATCH_SIZE = 1000

# PostgreSQL assigns numbers before it commits, so a reader could pass over a number that is committed late.
# A transaction that records a change holds this advisory lock until its commit: numbers appear in their
# order.
_ORDER_LOCK = 0x6B617A6F6F636867


@frozen
class ChangeBatch:
    """The result of `since`.

    `position` is the number of the last change read; `changes` are (kind, subject). `behind` means that
    changes have been purged unread, so everything may have changed.
    """

    position: int
    changes: tuple[tuple[str, str], ...] = ()
    behind: bool = False


def lock_change_log(connection: Connection) -> None:
    """Keep other transactions from recording changes until this one commits.

    Call it before reading what must still hold when this transaction writes.
    """
    # A transaction that writes to SQLite excludes all other writers anyway.
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ORDER_LOCK)))


def record(connection: Connection, kind: str, subjects: Iterable[str], now: float) -> None:
    """Record that `subjects` changed. `now` is in Unix seconds.

    Subjects are ids, numbers for the kind ``number``, and digests for the kinds ``token`` and ``api_key``.
    """
    rows = [{"kind": kind, "subject": subject, "made": now} for subject in subjects]
    if rows:
        lock_change_log(connection)
        connection.execute(sa.insert(changes), rows)


def position(connection: Connection) -> int:
    """Return the number of the latest change, 0 if there is none."""
    return connection.scalar(sa.select(sa.func.max(changes.c.seq))) or 0


def since(connection: Connection, seen: int) -> ChangeBatch:
    """Return the first `BATCH_SIZE` changes after the number `seen`, oldest first."""
    rows = connection.execute(
        sa.select(changes.c.seq, changes.c.kind, changes.c.subject)
        .where(changes.c.seq > seen)
        .order_by(changes.c.seq)
        .limit(BATCH_SIZE)
    ).all()
    follows = bool(rows) and rows[0].seq == seen + 1
    if not (follows or _is_recorded(connection, seen) or (not rows and seen == 0)):
        return ChangeBatch(position(connection), behind=True)
    return ChangeBatch(rows[-1].seq if rows else seen, tuple((row.kind, row.subject) for row in rows))


def _is_recorded(connection: Connection, number: int) -> bool:
    # While the change that was read last is in the log, nothing after it has been purged: numbers that are
    # missing belong to transactions that were rolled back.
    return connection.scalar(sa.select(changes.c.seq).where(changes.c.seq == number)) is not None


def purge(connection: Connection, now: float) -> int:
    """Delete changes older than `RETENTION` and return how many. `now` is in Unix seconds.

    The latest change stays: readers recognise their position by it.
    """
    latest = sa.select(sa.func.max(changes.c.seq)).scalar_subquery()
    old = sa.delete(changes).where(changes.c.made < now - RETENTION, changes.c.seq < latest)
    return connection.execute(old).rowcount
