"""Hook documents."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from secrets import token_hex
from typing import Any

import orjson
import sqlalchemy as sa
from attrs import evolve
from sqlalchemy import ColumnElement, Connection
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    HookAuthor,
    IHookStore,
    RevisionConflict,
    Secret,
    StoredHook,
    Suspension,
    TooManyHooks,
)
from kazoo_bridge.kazoo import is_account_id, to_gregorian
from kazoo_bridge.storage import change_log
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.engine import in_batches
from kazoo_bridge.storage.hook_columns import (
    NO_HEADERS,
    NO_SECRETS,
    claim_probe,
    load_headers,
    load_secrets,
    load_suspension,
    private_values,
    return_probe,
    select_due,
)
from kazoo_bridge.storage.tables import deliveries, dump_json, hooks, missed_events

_DIGITS = bytes.maketrans(b"123456789", b"000000000")

#: After `_DIGITS`; shorter integers have at most 64 bits.
_LONG_INTEGER = b"0" * 19

_DOCUMENT = list(hooks.c).index(hooks.c.document)


@implementer(IHookStore)
class HookStore:
    """See `IHookStore`. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, clock: IReactorTime, database: Database, max_per_account: int = 0) -> None:
        """Limit each account to `max_per_account` hooks; 0: no limit."""
        self._clock = clock
        self._database = database
        self._max_per_account = max_per_account

    def batch(self, after: int, count: int) -> Deferred[tuple[list[StoredHook], int]]:
        """Read at most `count` hooks after a position, oldest first, and the position of the last of them."""
        return self._database.read(partial(select_batch, after=after, count=count))

    def for_account(self, account_id: str) -> Deferred[list[StoredHook]]:
        """Read the account's hooks, oldest first."""
        return self._database.read(lambda connection: _select(connection, hooks.c.account_id == account_id))

    def for_accounts(self, account_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        """Read the hooks of all these accounts, in any order."""
        return self._database.read(partial(_select_in, column=hooks.c.account_id, ids=tuple(account_ids)))

    def by_ids(self, hook_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        """Read the hooks with these ids, in any order; unknown ids are left out."""
        return self._database.read(
            partial(_select_in, column=hooks.c.id, ids=tuple(filter(is_account_id, hook_ids)))
        )

    def get(self, account_id: str, hook_id: str) -> Deferred[StoredHook | None]:
        """Read one hook; None if the account has no hook with this id."""
        if not (is_account_id(account_id) and is_account_id(hook_id)):
            # Never stored; PostgreSQL would refuse some such texts, such as NUL.
            return succeed(None)
        where = (hooks.c.id == hook_id, hooks.c.account_id == account_id)
        return self._database.read(lambda connection: next(iter(_select(connection, *where)), None))

    def create(
        self,
        account_id: str,
        document: Mapping[str, Any],
        secrets: tuple[Secret, ...] = (),
        headers: Mapping[str, str] | None = None,
        *,
        author: HookAuthor | None = None,
    ) -> Deferred[StoredHook]:
        """Store a new hook under a random id and fire with it. `author` is not kept.

        Fails with `TooManyHooks` if the account has as many as it may have. Raises `ValueError` or
        `TypeError` for a document that JSON cannot express.
        """
        now = to_gregorian(self._clock.seconds())
        hook = StoredHook(
            token_hex(16),
            account_id,
            copy_json(document),
            new_revision(1),
            now,
            now,
            secrets,
            dict(headers or {}),
        )

        def create(connection: Connection) -> StoredHook:
            if self._max_per_account:
                _require_below_limit(connection, account_id, self._max_per_account)
            return insert(connection, hook, self._clock.seconds())

        return self._database.write(create)

    def replace(
        self,
        hook: StoredHook,
        document: Mapping[str, Any],
        secrets: tuple[Secret, ...] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        suspension: Suspension | None = None,
        author: HookAuthor | None = None,
    ) -> Deferred[StoredHook]:
        """Replace the document of `hook`, and its secrets and header values unless they are None.

        Fires with the new revision.

        `suspension` replaces the hook's; None ends it. Fails with `RevisionConflict` if `hook` is not the
        current revision. Raises like `create`.
        """
        number = int(hook.revision.partition("-")[0]) + 1
        replacement = evolve(
            hook,
            document=copy_json(document),
            revision=new_revision(number),
            modified=to_gregorian(self._clock.seconds()),
            secrets=hook.secrets if secrets is None else secrets,
            suspension=suspension,
            headers=hook.headers if headers is None else dict(headers),
        )
        return self._database.write(
            lambda connection: update(connection, hook, replacement, self._clock.seconds())
        )

    def delete(
        self, hook: StoredHook, *, author: HookAuthor | None = None, soft: bool = True
    ) -> Deferred[None]:
        """Delete the hook and its deliveries.

        Fails with `RevisionConflict` if it is not the current revision.
        """
        return self._database.write(lambda connection: _delete(connection, hook, self._clock.seconds()))

    def delete_of_account(self, account_id: str) -> Deferred[int]:
        """Delete every hook and delivery of an account; fires with the number of hooks."""
        return self._database.write(
            lambda connection: _delete_of_account(connection, account_id, self._clock.seconds())
        )

    def due_probes(self, now: float) -> Deferred[list[StoredHook]]:
        """Read suspended hooks whose probe is due at `now` (Unix seconds) and that have a held delivery.

        The hooks that wait longest come first, `MAX_DUE_PROBES` at most.
        """
        due = select_due(hooks, hooks.c.id, now)
        return self._database.read(lambda connection: from_rows(connection.execute(due).all()))

    def claim_probe(self, hook: StoredHook, next_probe: float) -> Deferred[bool]:
        """Count a probe of `hook`, and postpone the next one to `next_probe` (Unix seconds).

        Fires with False if another node has claimed it, or if the hook has changed.
        """
        suspension = hook.suspension
        if suspension is None:
            return succeed(False)
        claim = claim_probe(hooks, _at_revision(hook), suspension, next_probe)
        return self._database.write(lambda connection: connection.execute(claim).rowcount == 1)

    def return_probe(self, hook: StoredHook, next_probe: float) -> Deferred[None]:
        """Uncount a probe that was claimed from the state `hook`, and was not made.

        The next one is due at `next_probe` (Unix seconds). Does nothing if the hook has changed.
        """
        suspension = hook.suspension
        if suspension is None:
            return succeed(None)
        undo = return_probe(hooks, _at_revision(hook), suspension, next_probe)
        return self._database.write(lambda connection: _execute(connection, undo))


def _execute(connection: Connection, statement: sa.Update) -> None:
    connection.execute(statement)


def copy_json(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return the document as it will be read back.

    Raises `ValueError` or `TypeError` if JSON cannot express it.
    """
    copy: dict[str, Any] = json.loads(_dump(document))
    return copy


def new_revision(number: int) -> str:
    """Return a revision that no hook has; `number` counts the writes of the hook."""
    return f"{number}-{token_hex(16)}"


def _dump(document: Mapping[str, Any]) -> str:
    return dump_json(dict(document), allow_nan=False, default=_to_dict)


def _to_dict(value: object) -> dict[Any, Any]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a hook document cannot hold {type(value).__name__}")


def _select(connection: Connection, *where: ColumnElement[bool]) -> list[StoredHook]:
    return from_rows(connection.execute(sa.select(hooks).where(*where).order_by(hooks.c.sequence)).all())


def _select_in(connection: Connection, column: ColumnElement[str], ids: tuple[str, ...]) -> list[StoredHook]:
    return [hook for batch in in_batches(ids) for hook in _select(connection, column.in_(batch))]


def find(connection: Connection, hook_id: str) -> StoredHook | None:
    """Return the hook with this id, of any account; None if there is none."""
    return next(iter(_select_in(connection, hooks.c.id, (hook_id,))), None)


def select_batch(connection: Connection, after: int, count: int) -> tuple[list[StoredHook], int]:
    """Return at most `count` hooks that follow a position, oldest first, and the position of the last one."""
    following = sa.select(hooks).where(hooks.c.sequence > after).order_by(hooks.c.sequence).limit(count)
    rows = connection.execute(following).all()
    return from_rows(rows), rows[-1].sequence if rows else after


def from_rows(rows: Sequence[Sequence[Any]]) -> list[StoredHook]:
    """Return the hooks of rows of the whole table."""
    documents = _load_all([row[_DOCUMENT] for row in rows])
    # Faster than by name. The order is that of the table.
    return [
        StoredHook(
            hook_id,
            account_id,
            document,
            revision,
            created,
            modified,
            # Most hooks have neither.
            () if secrets == NO_SECRETS else load_secrets(secrets),
            {} if headers == NO_HEADERS else load_headers(headers),
            None if suspended_since is None else load_suspension(suspended_since, next_probe, probes),
        )
        for (
            (
                _sequence,
                hook_id,
                account_id,
                _text,
                secrets,
                headers,
                revision,
                created,
                modified,
                suspended_since,
                next_probe,
                probes,
            ),
            document,
        ) in zip(rows, documents, strict=True)
    ]


def _load_all(documents: list[str]) -> list[dict[str, Any]]:
    """Return stored documents, like `json.loads` but faster."""
    if _LONG_INTEGER in "\n".join(documents).encode().translate(_DIGITS):
        # One has a long integer, of which orjson would make a float.
        return [_load(document) for document in documents]
    try:
        return [orjson.loads(document) for document in documents]
    except orjson.JSONDecodeError:
        return [_load(document) for document in documents]


def _load(document: str) -> dict[str, Any]:
    result: dict[str, Any]
    raw = document.encode()
    try:
        result = json.loads(document) if _LONG_INTEGER in raw.translate(_DIGITS) else orjson.loads(raw)
    except orjson.JSONDecodeError:
        # It refuses lone surrogates.
        result = json.loads(document)
    return result


def _require_below_limit(connection: Connection, account_id: str, limit: int) -> None:
    # Other nodes that create a hook have either committed before this, or wait.
    change_log.lock_change_log(connection)
    counted = sa.select(sa.func.count()).select_from(hooks).where(hooks.c.account_id == account_id)
    if (connection.scalar(counted) or 0) >= limit:
        raise TooManyHooks(limit)


def insert(connection: Connection, hook: StoredHook, now: float) -> StoredHook:
    """Store a new hook, record the change and return the hook."""
    connection.execute(
        sa.insert(hooks).values(
            id=hook.id,
            account_id=hook.account_id,
            document=_dump(hook.document),
            revision=hook.revision,
            created=hook.created,
            modified=hook.modified,
            **private_values(hook.secrets, hook.headers, suspension=None),
        )
    )
    change_log.record(connection, "hook", [hook.id], now)
    return hook


def _at_revision(hook: StoredHook) -> ColumnElement[bool]:
    return sa.and_(
        hooks.c.id == hook.id, hooks.c.account_id == hook.account_id, hooks.c.revision == hook.revision
    )


def update(connection: Connection, hook: StoredHook, replacement: StoredHook, now: float) -> StoredHook:
    """Replace `hook`; record the change. Raises `RevisionConflict` if it is not the current revision."""
    updated = connection.execute(
        sa.update(hooks)
        .where(_at_revision(hook))
        .values(
            document=_dump(replacement.document),
            revision=replacement.revision,
            modified=replacement.modified,
            **private_values(replacement.secrets, replacement.headers, replacement.suspension),
        )
    )
    _require_one(updated.rowcount, hook)
    change_log.record(connection, "hook", [hook.id], now)
    return replacement


def _delete(connection: Connection, hook: StoredHook, now: float) -> None:
    _require_one(connection.execute(sa.delete(hooks).where(_at_revision(hook))).rowcount, hook)
    for table in (deliveries, missed_events):
        connection.execute(sa.delete(table).where(table.c.hook_id == hook.id))
    change_log.record(connection, "hook", [hook.id], now)


def _require_one(count: int, hook: StoredHook) -> None:
    if count != 1:
        raise RevisionConflict(f"hook {hook.id} is no longer at revision {hook.revision}")


def _delete_of_account(connection: Connection, account_id: str, now: float) -> int:
    change_log.lock_change_log(connection)
    hook_ids = connection.scalars(sa.select(hooks.c.id).where(hooks.c.account_id == account_id)).all()
    for batch in in_batches(tuple(hook_ids)):
        connection.execute(sa.delete(missed_events).where(missed_events.c.hook_id.in_(batch)))
    for table in (hooks, deliveries):
        connection.execute(sa.delete(table).where(table.c.account_id == account_id))
    change_log.record(connection, "hook", hook_ids, now)
    return len(hook_ids)
