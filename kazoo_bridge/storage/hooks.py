"""Hook documents."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import partial
from secrets import token_hex
from typing import Any

import sqlalchemy as sa
from attrs import evolve
from sqlalchemy import ColumnElement, Connection, Row
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from kazoo_bridge.interfaces import IHookStore, RevisionConflict, Secret, StoredHook, TooManyHooks
from kazoo_bridge.kazoo import is_account_id, to_gregorian
from kazoo_bridge.storage import change_log
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.tables import deliveries, hooks

_CHUNK = 500


@implementer(IHookStore)
class HookStore:
    """Hook documents, by account and id. Every Deferred may fail with `StorageUnavailable`.

    An account may have `max_per_account` hooks; 0: any number.
    """

    def __init__(self, clock: IReactorTime, database: Database, max_per_account: int = 0) -> None:
        self._clock = clock
        self._database = database
        self._max_per_account = max_per_account

    def all(self) -> Deferred[list[StoredHook]]:
        """Every hook, in the order they were created."""
        return self._database.read(lambda connection: _select(connection))

    def for_account(self, account_id: str) -> Deferred[list[StoredHook]]:
        """The account's hooks, in the order they were created."""
        return self._database.read(lambda connection: _select(connection, hooks.c.account_id == account_id))

    def for_accounts(self, account_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        """The hooks of all these accounts."""
        return self._database.read(partial(_in_chunks, column=hooks.c.account_id, ids=tuple(account_ids)))

    def by_ids(self, hook_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        """Those of these hooks that there are, in any order."""
        return self._database.read(
            partial(_in_chunks, column=hooks.c.id, ids=tuple(filter(is_account_id, hook_ids)))
        )

    def get(self, account_id: str, hook_id: str) -> Deferred[StoredHook | None]:
        """One hook."""
        if not (is_account_id(account_id) and is_account_id(hook_id)):
            return succeed(None)  # whatever it is, no database needs to be asked, or could be offended
        where = (hooks.c.id == hook_id, hooks.c.account_id == account_id)
        return self._database.read(lambda connection: next(iter(_select(connection, *where)), None))

    def create(
        self, account_id: str, document: Mapping[str, Any], secrets: tuple[Secret, ...] = ()
    ) -> Deferred[StoredHook]:
        """Keep a new hook under a fresh id; fails with `TooManyHooks` if the account may have no more."""
        now = to_gregorian(self._clock.seconds())
        hook = StoredHook(token_hex(16), account_id, _copy(document), _revision(1), now, now, secrets)

        def create(connection: Connection) -> StoredHook:
            if self._max_per_account:
                _require_below_limit(connection, account_id, self._max_per_account)
            return _insert(connection, hook, self._clock.seconds())

        return self._database.write(create)

    def replace(
        self, hook: StoredHook, document: Mapping[str, Any], secrets: tuple[Secret, ...] | None = None
    ) -> Deferred[StoredHook]:
        """Put `document` in the place of `hook`; fails with `RevisionConflict` if that is not the current revision."""
        number = int(hook.revision.partition("-")[0]) + 1
        modified = to_gregorian(self._clock.seconds())
        kept = hook.secrets if secrets is None else secrets
        fresh = evolve(
            hook, document=_copy(document), revision=_revision(number), modified=modified, secrets=kept
        )
        return self._database.write(
            lambda connection: _update(connection, hook, fresh, self._clock.seconds())
        )

    def delete(self, hook: StoredHook) -> Deferred[None]:
        """Remove the hook; fails with `RevisionConflict` if it is not the current revision."""
        return self._database.write(lambda connection: _delete(connection, hook, self._clock.seconds()))

    def delete_of_account(self, account_id: str) -> Deferred[int]:
        """Remove every hook of an account, which has gone; fires with how many there were."""
        return self._database.write(
            lambda connection: _delete_of_account(connection, account_id, self._clock.seconds())
        )


def _revision(number: int) -> str:
    return f"{number}-{token_hex(16)}"


def _copy(document: Mapping[str, Any]) -> dict[str, Any]:
    """What will be read back; raises ValueError or TypeError for what JSON cannot say."""
    result: dict[str, Any] = json.loads(_dump(document))
    return result


def _dump(document: Mapping[str, Any]) -> str:
    # ASCII only: PostgreSQL's text takes neither NUL nor lone surrogates.
    return json.dumps(dict(document), separators=(",", ":"), allow_nan=False, default=_plain)


def _plain(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a hook document cannot hold {type(value).__name__}")


def _select(connection: Connection, *where: ColumnElement[bool]) -> list[StoredHook]:
    return [
        _stored(row) for row in connection.execute(sa.select(hooks).where(*where).order_by(hooks.c.sequence))
    ]


def _in_chunks(connection: Connection, column: ColumnElement[str], ids: tuple[str, ...]) -> list[StoredHook]:
    chunks = (ids[start : start + _CHUNK] for start in range(0, len(ids), _CHUNK))
    return [hook for chunk in chunks for hook in _select(connection, column.in_(chunk))]


def _stored(row: Row[Any]) -> StoredHook:
    secrets = tuple(Secret(value, expires) for value, expires in json.loads(row.secrets))
    return StoredHook(
        row.id, row.account_id, json.loads(row.document), row.revision, row.created, row.modified, secrets
    )


def _dump_secrets(hook: StoredHook) -> str:
    return json.dumps([[secret.value, secret.expires] for secret in hook.secrets])


def _require_below_limit(connection: Connection, account_id: str, limit: int) -> None:
    change_log.lock_change_log(
        connection
    )  # whoever else creates a hook has either committed it by now, or waits for us
    count = (
        connection.scalar(
            sa.select(sa.func.count()).select_from(hooks).where(hooks.c.account_id == account_id)
        )
        or 0
    )
    if count >= limit:
        raise TooManyHooks(limit)


def _insert(connection: Connection, hook: StoredHook, now: float) -> StoredHook:
    connection.execute(
        sa.insert(hooks).values(
            id=hook.id,
            account_id=hook.account_id,
            document=_dump(hook.document),
            secrets=_dump_secrets(hook),
            revision=hook.revision,
            created=hook.created,
            modified=hook.modified,
        )
    )
    change_log.record(connection, "hook", [hook.id], now)
    return hook


def _at_revision(hook: StoredHook) -> ColumnElement[bool]:
    return sa.and_(
        hooks.c.id == hook.id, hooks.c.account_id == hook.account_id, hooks.c.revision == hook.revision
    )


def _update(connection: Connection, hook: StoredHook, fresh: StoredHook, now: float) -> StoredHook:
    result = connection.execute(
        sa.update(hooks)
        .where(_at_revision(hook))
        .values(
            document=_dump(fresh.document),
            secrets=_dump_secrets(fresh),
            revision=fresh.revision,
            modified=fresh.modified,
        )
    )
    _require_one(result.rowcount, hook)
    change_log.record(connection, "hook", [hook.id], now)
    return fresh


def _delete(connection: Connection, hook: StoredHook, now: float) -> None:
    _require_one(connection.execute(sa.delete(hooks).where(_at_revision(hook))).rowcount, hook)
    connection.execute(sa.delete(deliveries).where(deliveries.c.hook_id == hook.id))
    change_log.record(connection, "hook", [hook.id], now)


def _require_one(count: int, hook: StoredHook) -> None:
    if count != 1:
        raise RevisionConflict(f"hook {hook.id} is no longer at revision {hook.revision}")


def _delete_of_account(connection: Connection, account_id: str, now: float) -> int:
    change_log.lock_change_log(connection)
    hook_ids = connection.scalars(sa.select(hooks.c.id).where(hooks.c.account_id == account_id)).all()
    connection.execute(sa.delete(hooks).where(hooks.c.account_id == account_id))
    connection.execute(sa.delete(deliveries).where(deliveries.c.account_id == account_id))
    change_log.record(connection, "hook", hook_ids, now)
    return len(hook_ids)
