"""Purges for `RetentionService`: how long, and how many, deliveries wait, and how long dead ones are kept."""

from __future__ import annotations

from collections import Counter
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kazoo_bridge.storage.delivery_rows import WAITING
from kazoo_bridge.storage.missed_events import add_missed
from kazoo_bridge.storage.retention import BATCH_SIZE, Purge
from kazoo_bridge.storage.tables import deliveries

_c = deliveries.c

#: Why an event is missed: its dead delivery was kept as long as it may be.
DEAD_EXPIRED = "dead_delivery_expired"

#: Why an event is missed: its hook had more dead deliveries than it may have.
DEAD_EXCESS = "too_many_dead_deliveries"


def expire_old(max_age: float) -> Purge:
    """Return a purge that marks deliveries dead that have waited for more than `max_age` seconds.

    A delivery waits since it was created or last replayed. Leased deliveries are left alone.
    """

    def purge(connection: Connection, now: float) -> int:
        since = sa.func.coalesce(_c.waiting_since, _c.created)
        old = (
            sa.select(_c.sequence)
            .where(_c.status.in_(WAITING), since < now - max_age, _c.lease_until <= now)
            .limit(BATCH_SIZE)
        )
        return _mark_dead(connection, old, now, "it waited too long")

    return purge


def expire_excess(max_waiting: int) -> Purge:
    """Return a purge that keeps at most `max_waiting` deliveries of each hook waiting.

    The oldest beyond that are marked dead. Leased deliveries are left alone.
    """

    def purge(connection: Connection, now: float) -> int:
        expired = 0
        for hook_id, excess in _excess(connection, max_waiting, _c.status.in_(WAITING)):
            oldest = _oldest(hook_id, excess, _c.status.in_(WAITING), _c.lease_until <= now)
            expired += _mark_dead(connection, oldest, now, "too many deliveries of its hook were waiting")
        return expired

    return purge


def purge_dead(max_age: float, max_dead: int) -> Purge:
    """Return a purge that deletes deliveries that have been dead for more than `max_age` seconds.

    Of each hook it also deletes the oldest dead deliveries beyond `max_dead`. Both are counted as missed.
    """

    def purge(connection: Connection, now: float) -> int:
        old = sa.select(_c.sequence).where(_c.status == "dead", _c.changed < now - max_age).limit(BATCH_SIZE)
        deleted = _delete_as_missed(connection, old, DEAD_EXPIRED)
        for hook_id, excess in _excess(connection, max_dead, _c.status == "dead"):
            deleted += _delete_as_missed(
                connection, _oldest(hook_id, excess, _c.status == "dead"), DEAD_EXCESS
            )
        return deleted

    return purge


def _delete_as_missed(connection: Connection, sequences: sa.Select[tuple[int]], reason: str) -> int:
    delete = sa.delete(deliveries).where(_c.sequence.in_(sequences)).returning(_c.hook_id, _c.own_hook)
    rows = connection.execute(delete).all()
    # An inline hook is not stored, and its count never read.
    add_missed(connection, Counter((row.hook_id, reason) for row in rows if row.own_hook is None))
    return len(rows)


def _excess(connection: Connection, limit: int, where: Any) -> list[tuple[str, int]]:
    """Return the hooks that have more than `limit` deliveries that match `where`, and how many more."""
    counted = (
        sa.select(_c.hook_id, sa.func.count().label("number"))
        .where(where)
        .group_by(_c.hook_id)
        .having(sa.func.count() > limit)
    )
    return [(row.hook_id, row.number - limit) for row in connection.execute(counted)]


def _oldest(hook_id: str, count: int, *where: Any) -> sa.Select[tuple[int]]:
    query = sa.select(_c.sequence).where(_c.hook_id == hook_id, *where)
    return query.order_by(_c.sequence).limit(min(count, BATCH_SIZE))


def _mark_dead(connection: Connection, sequences: sa.Select[tuple[int]], now: float, reason: str) -> int:
    expired = sa.update(deliveries).where(_c.sequence.in_(sequences))
    return connection.execute(expired.values(status="dead", changed=now, reason=reason)).rowcount
