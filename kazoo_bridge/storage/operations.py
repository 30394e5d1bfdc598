"""What operators do with the deliveries and failures of all accounts, in transactions."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import sqlalchemy as sa
from sqlalchemy import ColumnElement, Connection, Select

from kazoo_bridge.interfaces import StoredDelivery
from kazoo_bridge.storage.deliveries import revive
from kazoo_bridge.storage.delivery_rows import for_display
from kazoo_bridge.storage.engine import in_batches, read_bounded
from kazoo_bridge.storage.tables import attempts, deliveries, hooks

_c = deliveries.c


def _of(account_id: str | None, hook_id: str | None) -> list[ColumnElement[bool]]:
    where = []
    if account_id is not None:
        where.append(_c.account_id == account_id)
    if hook_id is not None:
        where.append(_c.hook_id == hook_id)
    return where


def select_deliveries(
    connection: Connection, status: str | None, account_id: str | None, hook_id: str | None, count: int
) -> list[StoredDelivery]:
    """Return the newest deliveries, at most `count`, newest first; None: of every status, account or hook.

    When they are large there may be fewer, see `read_bounded`.
    """
    query = sa.select(deliveries).where(*_of(account_id, hook_id))
    if status is not None:
        query = query.where(_c.status == status)
    newest = query.order_by(_c.sequence.desc()).limit(count)
    return [
        StoredDelivery(row.sequence, for_display(row), row.status, row.next_attempt, row.changed, row.reason)
        for row in read_bounded(connection, newest, lambda row: len(row.payload) + len(row.own_hook or ""))
    ]


def select_ids(connection: Connection, ids: Collection[str]) -> set[str]:
    """Return those of the ids that stored deliveries have."""
    return {
        found
        for batch in in_batches(tuple(ids))
        for found in connection.scalars(sa.select(_c.id).where(_c.id.in_(batch)))
    }


def retry_deliveries(connection: Connection, ids: Collection[str], now: float) -> int:
    """Make these deliveries, waiting or dead, due at `now` (Unix seconds); return how many there are."""
    return sum(revive(connection, now, _c.id.in_(batch)) for batch in in_batches(tuple(ids)))


def recover_deliveries(
    connection: Connection,
    account_id: str | None,
    hook_id: str | None,
    since: float,
    now: float,
    *,
    hooks_are_stored: bool = True,
) -> int:
    """Make the deliveries due at `now` that have died since a time (Unix seconds); return how many there are.

    Those of stored hooks that are not enabled stay dead, unless `hook_id` names the hook. `hooks_are_stored`:
    False if the hooks are those of CouchDB, whose copies in the storage have no meaning. Whether they are
    enabled is not known here: their deliveries are held when they are due, until the hook is enabled.
    """
    where: list[Any] = [*_of(account_id, hook_id), _c.status == "dead", _c.changed >= since]
    if hook_id is not None or not hooks_are_stored:
        return revive(connection, now, *where)
    dead = sa.select(_c.hook_id).where(*where).distinct()
    hook_ids = set(connection.scalars(dead)) - _disabled_hooks(connection, dead)
    batches = in_batches(tuple(sorted(hook_ids)))
    return sum(revive(connection, now, *where, _c.hook_id.in_(batch)) for batch in batches)


def _disabled_hooks(connection: Connection, hook_ids: Select[tuple[str]]) -> set[str]:
    """Return those of the selected ids that are of disabled hooks."""
    rows = connection.execute(sa.select(hooks.c.id, hooks.c.document).where(hooks.c.id.in_(hook_ids)))
    return {row.id for row in rows if json.loads(row.document).get("enabled", True) is False}


def count_failures(connection: Connection, since: float) -> list[tuple[str, str, str, int, float]]:
    """Count the failed attempts since a time (Unix seconds) that count against hooks.

    Returns (account id, hook id, revision, number, time of the last one), the most failures first.
    """
    number, last = sa.func.count(), sa.func.max(attempts.c.made)
    query = (
        sa.select(attempts.c.account_id, attempts.c.hook_id, attempts.c.revision, number, last)
        .where(attempts.c.made > since, attempts.c.failed, attempts.c.revision != "")
        .group_by(attempts.c.account_id, attempts.c.hook_id, attempts.c.revision)
        .order_by(number.desc())
    )
    return [(row[0], row[1], row[2], row[3], row[4]) for row in connection.execute(query)]


def flush_failures(connection: Connection, account_id: str | None, hook_id: str | None, since: float) -> int:
    """Let the failures since a time (Unix seconds) not count against their hooks; return how many there are.

    The records of the attempts stay.
    """
    update = sa.update(attempts).where(attempts.c.made > since, attempts.c.failed, attempts.c.revision != "")
    if account_id is not None:
        update = update.where(attempts.c.account_id == account_id)
    if hook_id is not None:
        update = update.where(attempts.c.hook_id == hook_id)
    return connection.execute(update.values(revision="")).rowcount
