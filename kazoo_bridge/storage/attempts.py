"""Attempts at deliveries, and what they say about each hook's health."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import asdict
from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite
from twisted.internet.defer import Deferred
from zope.interface import implementer

from kazoo_bridge.interfaces import Attempt, HookHealth, IAttemptStore, StoredAttempt
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.retention import Purge
from kazoo_bridge.storage.tables import account_limits, attempts, hook_health

#: Old attempts removed by one transaction at most, so that no other write waits long.
_PURGE_BATCH_SIZE = 5000


@implementer(IAttemptStore)
class AttemptStore:
    """See `IAttemptStore`. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, made: Sequence[Attempt], health: Mapping[str, HookHealth]) -> Deferred[None]:
        """Keep these attempts, and what they add to the health of these hooks."""
        return self._database.write(lambda connection: _add(connection, made, health))

    def page(
        self, account_id: str, hook_id: str | None, before: int | None, count: int
    ) -> Deferred[list[StoredAttempt]]:
        """The newest attempts first."""
        return self._database.read(lambda connection: _page(connection, account_id, hook_id, before, count))

    def health(self, hook_ids: Collection[str]) -> Deferred[Mapping[str, HookHealth]]:
        """When the hooks last succeeded and failed, and how often."""
        return self._database.read(lambda connection: _health(connection, hook_ids))

    def failures(self, revisions: Mapping[str, str], since: float) -> Deferred[Mapping[str, int]]:
        """How often the hooks failed since a time, while at these revisions."""
        return self._database.read(lambda connection: _failures(connection, revisions, since))

    def hooks_over_failure_limit(
        self, now: float, count: int, window: float
    ) -> Deferred[list[tuple[str, str, str]]]:
        """(account id, hook id, revision) of whatever failed too often, by its account's limits or else by these."""
        return self._database.read(
            lambda connection: _hooks_over_failure_limit(connection, now, count, window)
        )


def purge_older_than(seconds: float) -> Purge:
    """A purge for the housekeeping."""

    def purge(connection: Connection, now: float) -> int:
        old = sa.select(attempts.c.sequence).where(attempts.c.made < now - seconds).limit(_PURGE_BATCH_SIZE)
        return connection.execute(sa.delete(attempts).where(attempts.c.sequence.in_(old))).rowcount

    return purge


def _add(connection: Connection, made: Sequence[Attempt], health: Mapping[str, HookHealth]) -> None:
    if made:
        connection.execute(sa.insert(attempts), [_row(one) for one in made])
    if health:
        # In one order everywhere, or two nodes that write the same hooks could wait for each other.
        rows = [{"hook_id": hook_id, **asdict(one)} for hook_id, one in sorted(health.items())]
        connection.execute(_newer_health(connection), rows)


def _row(one: Attempt) -> dict[str, Any]:
    return {
        "account_id": one.account_id,
        "hook_id": one.hook_id,
        "revision": one.revision,
        "failed": one.failed,
        "made": one.made_at,
        # ASCII only: PostgreSQL's text takes neither NUL nor lone surrogates.
        "document": json.dumps(one.document, separators=(",", ":")),
    }


def _newer_health(connection: Connection) -> Any:
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    insert = dialect.insert(hook_health)
    newest = {
        name: _latest(hook_health.c[name], insert.excluded[name]) for name in ("last_success", "last_failure")
    }
    more = {name: hook_health.c[name] + insert.excluded[name] for name in ("successes", "failures")}
    return insert.on_conflict_do_update(index_elements=["hook_id"], set_=newest | more)


def _latest(kept: Any, given: Any) -> Any:
    return sa.case((given.is_(None), kept), (sa.or_(kept.is_(None), given > kept), given), else_=kept)


def _page(
    connection: Connection, account_id: str, hook_id: str | None, before: int | None, count: int
) -> list[StoredAttempt]:
    query = sa.select(attempts.c.sequence, attempts.c.made, attempts.c.document).where(
        attempts.c.account_id == account_id
    )
    if hook_id is not None:
        query = query.where(attempts.c.hook_id == hook_id)
    if before is not None:
        query = query.where(attempts.c.sequence < before)
    rows = connection.execute(query.order_by(attempts.c.sequence.desc()).limit(count))
    return [StoredAttempt(row.sequence, row.made, json.loads(row.document)) for row in rows]


def _health(connection: Connection, hook_ids: Collection[str]) -> dict[str, HookHealth]:
    rows = connection.execute(sa.select(hook_health).where(hook_health.c.hook_id.in_(hook_ids)))
    return {
        row.hook_id: HookHealth(row.last_success, row.last_failure, row.successes, row.failures)
        for row in rows
    }


def _failures(connection: Connection, revisions: Mapping[str, str], since: float) -> dict[str, int]:
    query = (
        sa.select(attempts.c.hook_id, attempts.c.revision, sa.func.count().label("number"))
        .where(attempts.c.hook_id.in_(revisions), attempts.c.failed, attempts.c.made > since)
        .group_by(attempts.c.hook_id, attempts.c.revision)
    )
    return {
        row.hook_id: row.number for row in connection.execute(query) if revisions[row.hook_id] == row.revision
    }


def _hooks_over_failure_limit(
    connection: Connection, now: float, count: int, window: float
) -> list[tuple[str, str, str]]:
    expiry = account_limits.c.attempt_failure_expiry_ms
    longest_ms = connection.scalar(sa.select(sa.func.max(expiry)))
    own_window = sa.func.coalesce(expiry / 1000.0, window)
    limit = sa.func.coalesce(sa.func.max(account_limits.c.attempt_failure_count), count)
    query = (
        sa.select(attempts.c.account_id, attempts.c.hook_id, attempts.c.revision)
        .select_from(attempts.outerjoin(account_limits, account_limits.c.account_id == attempts.c.account_id))
        # The first condition is there for the index.
        .where(
            attempts.c.made > now - max(window, (longest_ms or 0) / 1000),
            attempts.c.failed,
            attempts.c.revision != "",
        )
        .where(attempts.c.made > now - own_window)
        .group_by(attempts.c.account_id, attempts.c.hook_id, attempts.c.revision)
        .having(sa.func.count() >= limit)
    )
    return [(row.account_id, row.hook_id, row.revision) for row in connection.execute(query)]
