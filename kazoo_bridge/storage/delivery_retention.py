"""How long, and how many, deliveries wait and dead ones are kept: purges for the housekeeping."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection

from kazoo_bridge.storage.retention import Purge
from kazoo_bridge.storage.tables import deliveries

_c = deliveries.c
_WAITING = ("pending", "held")

#: Rows that one transaction changes at most, so that no other write waits long.
_BATCH_SIZE = 5000


def expire_old(max_age: float) -> Purge:
    """Deliveries that have been waiting for more than `max_age` seconds, since they were made or last replayed, become dead."""

    def purge(connection: Connection, now: float) -> int:
        since = sa.func.coalesce(_c.waiting_since, _c.created)
        old = (
            sa.select(_c.sequence)
            .where(_c.status.in_(_WAITING), since < now - max_age, _c.lease_until <= now)
            .limit(_BATCH_SIZE)
        )
        return _mark_dead(connection, old, now, "it waited too long")

    return purge


def expire_excess(max_waiting: int) -> Purge:
    """Of each hook's waiting deliveries, those beyond `max_waiting` become dead, the oldest first."""

    def purge(connection: Connection, now: float) -> int:
        counted = (
            sa.select(_c.hook_id, sa.func.count().label("number"))
            .where(_c.status.in_(_WAITING))
            .group_by(_c.hook_id)
        )
        buried = 0
        for hook_id, number in connection.execute(counted.having(sa.func.count() > max_waiting)).all():
            surplus = (
                sa.select(_c.sequence)
                .where(_c.hook_id == hook_id, _c.status.in_(_WAITING), _c.lease_until <= now)
                .order_by(_c.sequence)
                .limit(min(number - max_waiting, _BATCH_SIZE))
            )
            buried += _mark_dead(connection, surplus, now, "too many deliveries of its hook were waiting")
        return buried

    return purge


def purge_dead(max_age: float, max_dead: int) -> Purge:
    """Dead deliveries are deleted after `max_age` seconds, and of each hook those beyond `max_dead`, the oldest first."""

    def purge(connection: Connection, now: float) -> int:
        old = sa.select(_c.sequence).where(_c.status == "dead", _c.changed < now - max_age).limit(_BATCH_SIZE)
        gone = connection.execute(sa.delete(deliveries).where(_c.sequence.in_(old))).rowcount
        counted = (
            sa.select(_c.hook_id, sa.func.count().label("number"))
            .where(_c.status == "dead")
            .group_by(_c.hook_id)
        )
        for hook_id, number in connection.execute(counted.having(sa.func.count() > max_dead)).all():
            surplus = (
                sa.select(_c.sequence)
                .where(_c.hook_id == hook_id, _c.status == "dead")
                .order_by(_c.sequence)
                .limit(min(number - max_dead, _BATCH_SIZE))
            )
            gone += connection.execute(sa.delete(deliveries).where(_c.sequence.in_(surplus))).rowcount
        return gone

    return purge


def _mark_dead(connection: Connection, sequences: sa.Select[tuple[int]], now: float, reason: str) -> int:
    values = {"status": "dead", "changed": now, "reason": reason}
    return connection.execute(
        sa.update(deliveries).where(_c.sequence.in_(sequences)).values(**values)
    ).rowcount
