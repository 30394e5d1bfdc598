"""Attempts at deliveries, and the health of hooks that follows from them."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from attrs import asdict
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from zope.interface import implementer

from kazoo_bridge.interfaces import Attempt, HookHealth, IAttemptStore, StoredAttempt
from kazoo_bridge.storage.attempt_limits import AttemptLimits, delete_excess
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.engine import insert_into, read_bounded
from kazoo_bridge.storage.retention import BATCH_SIZE, Purge
from kazoo_bridge.storage.tables import account_limits, attempts, dump_json, hook_health

_MS_PER_SECOND = 1000


@implementer(IAttemptStore)
class AttemptStore:
    """See `IAttemptStore`. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, database: Database, limits: AttemptLimits | None = None) -> None:
        """Store in `database`, within `limits`; None: without any."""
        self._database = database
        self._limits = limits

    def add(self, made: Sequence[Attempt], health: Mapping[str, HookHealth]) -> Deferred[None]:
        """Store attempts, and merge `health` (by hook id) into the stored health of the hooks.

        Now and then the oldest attempts beyond the limits are deleted with it, see `AttemptLimits`.
        """
        full = self._limits.count(made) if self._limits is not None else ()

        def write(connection: Connection) -> None:
            _add(connection, made, health)
            for one in full:
                delete_excess(connection, one)

        return self._database.write(write)

    def page(
        self, account_id: str, hook_id: str | None, before: int | None, count: int
    ) -> Deferred[list[StoredAttempt]]:
        """Read at most `count` attempts of the account, newest first.

        `hook_id` restricts them to one hook, `before` to positions below it. Large ones come in smaller
        numbers, see `read_bounded`.
        """
        return self._database.read(lambda connection: _page(connection, account_id, hook_id, before, count))

    def get(self, account_id: str, hook_id: str | None, position: int) -> Deferred[StoredAttempt | None]:
        """Read one attempt of the account, with what a replay needs; None if there is none.

        `hook_id` restricts it to attempts at deliveries to one hook.
        """
        return self._database.read(lambda connection: _get(connection, account_id, hook_id, position))

    def health(self, hook_ids: Collection[str]) -> Deferred[Mapping[str, HookHealth]]:
        """Read the health of these hooks, by id; hooks without an attempt are left out."""
        return self._database.read(lambda connection: _health(connection, hook_ids))

    def failures(self, revisions: Mapping[str, str], since: float) -> Deferred[Mapping[str, int]]:
        """Count the failures of each hook after `since` (Unix seconds) while it was at this revision.

        `revisions` maps hook ids to revisions. Hooks without a failure are left out.
        """
        return self._database.read(lambda connection: _failures(connection, revisions, since))

    def hooks_over_failure_limit(
        self, now: float, count: int, window: float
    ) -> Deferred[list[tuple[str, str, str]]]:
        """Find hooks that failed at least `count` times in the `window` seconds before `now` (Unix seconds).

        The account's own limits override `count` and `window`. Fires with (account id, hook id, revision).
        """
        return self._database.read(lambda connection: _over_limit(connection, now, count, window))


def purge_older_than(max_age: float) -> Purge:
    """Return a purge of the attempts that are older than `max_age` seconds."""

    def purge(connection: Connection, now: float) -> int:
        old = sa.select(attempts.c.sequence).where(attempts.c.made < now - max_age).limit(BATCH_SIZE)
        return connection.execute(sa.delete(attempts).where(attempts.c.sequence.in_(old))).rowcount

    return purge


def _add(connection: Connection, made: Sequence[Attempt], health: Mapping[str, HookHealth]) -> None:
    if made:
        connection.execute(sa.insert(attempts), [_to_row(attempt) for attempt in made])
    if health:
        # Sorted, because two nodes that lock the same rows in different orders would deadlock.
        rows = [{"hook_id": hook_id, **asdict(change)} for hook_id, change in sorted(health.items())]
        connection.execute(_merge_health(connection), rows)


def _to_row(attempt: Attempt) -> dict[str, Any]:
    return {
        "account_id": attempt.account_id,
        "hook_id": attempt.hook_id,
        "revision": attempt.revision,
        "failed": attempt.failed,
        "made": attempt.made_at,
        "document": dump_json(attempt.document),
        "replay": attempt.replay or None,
        "event_account_id": attempt.event_account_id,
    }


def _merge_health(connection: Connection) -> Any:
    """Merge health like `HookHealth.merge`, except that the order of the writes does not matter."""
    insert = insert_into(connection, hook_health)
    times = {
        name: _later(hook_health.c[name], insert.excluded[name]) for name in ("last_success", "last_failure")
    }
    counts = {name: hook_health.c[name] + insert.excluded[name] for name in ("successes", "failures")}
    return insert.on_conflict_do_update(index_elements=["hook_id"], set_=times | counts)


def _later(stored: Any, given: Any) -> Any:
    return sa.case((given.is_(None), stored), (sa.or_(stored.is_(None), given > stored), given), else_=stored)


def _page(
    connection: Connection, account_id: str, hook_id: str | None, before: int | None, count: int
) -> list[StoredAttempt]:
    query = sa.select(
        attempts.c.sequence, attempts.c.made, attempts.c.document, attempts.c.event_account_id
    ).where(attempts.c.account_id == account_id)
    if hook_id is not None:
        query = query.where(attempts.c.hook_id == hook_id)
    if before is not None:
        query = query.where(attempts.c.sequence < before)
    newest = query.order_by(attempts.c.sequence.desc()).limit(count)
    return [
        StoredAttempt(row.sequence, row.made, json.loads(row.document), event_account_id=row.event_account_id)
        for row in read_bounded(connection, newest, lambda row: len(row.document))
    ]


def _get(connection: Connection, account_id: str, hook_id: str | None, position: int) -> StoredAttempt | None:
    query = sa.select(attempts).where(attempts.c.sequence == position, attempts.c.account_id == account_id)
    if hook_id is not None:
        query = query.where(attempts.c.hook_id == hook_id)
    row = connection.execute(query).first()
    if row is None:
        return None
    return StoredAttempt(
        row.sequence,
        row.made,
        json.loads(row.document),
        replay=row.replay or "",
        event_account_id=row.event_account_id,
    )


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
    rows = connection.execute(query)
    return {row.hook_id: row.number for row in rows if revisions[row.hook_id] == row.revision}


def _over_limit(connection: Connection, now: float, count: int, window: float) -> list[tuple[str, str, str]]:
    expiry_ms = account_limits.c.attempt_failure_expiry_ms
    longest_ms = connection.scalar(sa.select(sa.func.max(expiry_ms)))
    account_window = sa.func.coalesce(expiry_ms / float(_MS_PER_SECOND), window)
    limit = sa.func.coalesce(sa.func.max(account_limits.c.attempt_failure_count), count)
    query = (
        sa.select(attempts.c.account_id, attempts.c.hook_id, attempts.c.revision)
        .select_from(attempts.outerjoin(account_limits, account_limits.c.account_id == attempts.c.account_id))
        # The first condition lets the database use the index on `made`; the last one decides.
        .where(
            attempts.c.made > now - max(window, (longest_ms or 0) / _MS_PER_SECOND),
            attempts.c.failed,
            attempts.c.revision != "",
            attempts.c.made > now - account_window,
        )
        .group_by(attempts.c.account_id, attempts.c.hook_id, attempts.c.revision)
        .having(sa.func.count() >= limit)
    )
    return [(row.account_id, row.hook_id, row.revision) for row in connection.execute(query)]
