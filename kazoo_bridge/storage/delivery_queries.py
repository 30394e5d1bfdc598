"""Reads of the table of deliveries."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from kazoo_bridge.interfaces import StoredDelivery
from kazoo_bridge.storage.delivery_rows import WAITING, for_display
from kazoo_bridge.storage.engine import read_bounded
from kazoo_bridge.storage.tables import deliveries

_c = deliveries.c


def is_due(now: float) -> list[Any]:
    """Return the conditions of deliveries that can be claimed at the time `now` (Unix seconds)."""
    return [_c.status == "pending", _c.next_attempt <= now, _c.lease_until <= now]


def select_hooks_with(connection: Connection, status: str, *where: Any) -> list[str]:
    """Return the hooks that have a delivery of this status, and one that matches all of `where`."""
    # Recursive: jumps along the index from hook to hook, however many deliveries each has.
    first = (
        sa.select(sa.func.min(_c.hook_id).label("hook_id"))
        .where(_c.status == status)
        .cte("hooks", recursive=True)
    )
    following = (
        sa.select(sa.func.min(_c.hook_id))
        .where(_c.status == status, _c.hook_id > first.c.hook_id)
        .scalar_subquery()
    )
    hooks = first.union_all(sa.select(following).where(first.c.hook_id.is_not(None)))
    found = sa.select(hooks.c.hook_id).where(hooks.c.hook_id.is_not(None))
    if where:
        found = found.where(sa.exists().where(_c.hook_id == hooks.c.hook_id, *where))
    return list(connection.scalars(found))


def select_due_hooks(connection: Connection, now: float) -> list[str]:
    """Return the hooks that have a delivery to claim at the time `now` (Unix seconds)."""
    return select_hooks_with(connection, "pending", *is_due(now))


def count_by_hook(
    connection: Connection, hook_ids: Collection[str], statuses: Collection[str]
) -> dict[str, int]:
    """Count the deliveries of these statuses of each of these hooks; hooks without any are left out."""
    query = (
        sa.select(_c.hook_id, sa.func.count().label("number"))
        .where(_c.hook_id.in_(hook_ids), _c.status.in_(statuses))
        .group_by(_c.hook_id)
    )
    return {row.hook_id: row.number for row in connection.execute(query)}


def select_page(
    connection: Connection, account_id: str, hook_id: str | None, status: str, before: int | None, count: int
) -> list[StoredDelivery]:
    """Return deliveries of an account; see `DeliveryStore.page`."""
    statuses = WAITING if status == "pending" else (status,)
    query = sa.select(deliveries).where(_c.account_id == account_id, _c.status.in_(statuses))
    if hook_id is not None:
        query = query.where(_c.hook_id == hook_id)
    if before is not None:
        query = query.where(_c.sequence < before)
    newest = query.order_by(_c.sequence.desc()).limit(count)
    return [
        StoredDelivery(row.sequence, for_display(row), row.status, row.next_attempt, row.changed, row.reason)
        for row in read_bounded(connection, newest, lambda row: len(row.payload) + len(row.own_hook or ""))
    ]
