"""Accounts and their tree."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import partial
from typing import Any

import sqlalchemy as sa
from attrs import evolve, frozen
from sqlalchemy import ColumnElement, Connection, Row
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.kazoo import is_account_id, to_gregorian
from kazoo_bridge.storage import change_log, pivots
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.engine import in_batches
from kazoo_bridge.storage.tables import (
    account_limits,
    accounts,
    api_keys,
    deliveries,
    hooks,
    numbers,
    tokens,
)
from kazoo_bridge.text_sanitizing import text_for_display

_MAX_NAME_LENGTH = 128
_REALM = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*")


class StoreRejected(Exception):
    """The store refuses a change; the text is the reason, written for the person who asked for the change."""


class UnknownAccount(StoreRejected):
    """No account has this id."""

    def __init__(self, account_id: str) -> None:
        super().__init__(f"there is no account {account_id}")


class RealmInUse(StoreRejected):
    """Another account has the realm."""

    def __init__(self, realm: str) -> None:
        super().__init__(f"another account has the realm {realm} already")


class HasSubAccounts(StoreRejected):
    """The account cannot be deleted, because it has sub-accounts."""

    def __init__(self, account_id: str) -> None:
        super().__init__(f"account {account_id} has sub-accounts; remove those first")


@frozen
class StoredAccount:
    """An account as it is stored.

    `id` is 32 hexadecimal characters; `parent_id` is None at the top of the tree; `realm` is the SIP realm
    or empty; `superadmin` accounts may act for every account; `created` is in Gregorian seconds. The tokens
    of an account that is not `enabled` are refused.
    """

    id: str
    parent_id: str | None
    name: str
    realm: str
    superadmin: bool
    created: int
    enabled: bool = True


class AccountStore:
    """Accounts, by id. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, clock: IReactorTime, database: Database) -> None:
        self._clock = clock
        self._database = database

    def all(self) -> Deferred[list[StoredAccount]]:
        """Read every account, oldest first."""
        return self._database.read(select_all)

    def by_ids(self, account_ids: Collection[str]) -> Deferred[list[StoredAccount]]:
        """Read the accounts with these ids; unknown ids are left out."""
        return self._database.read(partial(select_by_ids, account_ids=tuple(account_ids)))

    def create(
        self,
        account_id: str,
        *,
        parent_id: str | None = None,
        name: str = "",
        realm: str = "",
        superadmin: bool = False,
    ) -> Deferred[StoredAccount]:
        """Store a new account and fire with it.

        The parameters are those of `StoredAccount`. Fails with `StoreRejected`; see `insert`.
        """
        now = self._clock.seconds()
        account = StoredAccount(account_id, parent_id, name, realm, superadmin, to_gregorian(now))
        return self._database.write(lambda connection: insert(connection, account, now))

    def update(
        self, account_id: str, *, name: str | None = None, realm: str | None = None
    ) -> Deferred[StoredAccount]:
        """Change an account. Fails with `StoreRejected`; see `update`."""
        return self._database.write(
            lambda connection: update(connection, account_id, self._clock.seconds(), name=name, realm=realm)
        )

    def delete(self, account_id: str) -> Deferred[None]:
        """Delete an account and everything that belongs to it. Fails with `StoreRejected`; see `delete`."""
        return self._database.write(lambda connection: delete(connection, account_id, self._clock.seconds()))


def select_all(connection: Connection) -> list[StoredAccount]:
    """Return every account, oldest first."""
    return _select(connection)


def select_by_ids(connection: Connection, account_ids: tuple[str, ...]) -> list[StoredAccount]:
    """Return the accounts with these ids; unknown ids are left out."""
    return [
        account
        for batch in in_batches(account_ids)
        for account in _select(connection, accounts.c.id.in_(batch))
    ]


def exists(connection: Connection, account_id: str) -> bool:
    """Return True if the account is stored."""
    return connection.scalar(sa.select(accounts.c.id).where(accounts.c.id == account_id)) is not None


def insert(connection: Connection, account: StoredAccount, now: float) -> StoredAccount:
    """Store a new account, record the change and return the account. `now` is in Unix seconds.

    Raises `StoreRejected` for a malformed id, name or realm, an id or realm in use, and an unknown parent.
    """
    check_form(account)
    change_log.lock_change_log(connection)
    if exists(connection, account.id):
        raise StoreRejected(f"there is an account {account.id} already")
    if account.parent_id is not None and not exists(connection, account.parent_id):
        raise StoreRejected(f"there is no account {account.parent_id} to be the parent")
    _check_realm_is_free(connection, account)
    connection.execute(
        sa.insert(accounts).values(
            id=account.id,
            parent_id=account.parent_id,
            name=account.name,
            realm=account.realm,
            superadmin=account.superadmin,
            created=account.created,
            enabled=account.enabled,
        )
    )
    change_log.record(connection, "account", [account.id], now)
    return account


def update(
    connection: Connection,
    account_id: str,
    now: float,
    *,
    name: str | None = None,
    realm: str | None = None,
    enabled: bool | None = None,
) -> StoredAccount:
    """Change an account, record the change and return the account. None: that stays as it is.

    `now` is in Unix seconds. Raises `UnknownAccount`, and `StoreRejected` for a malformed name or realm and
    a realm in use.
    """
    change_log.lock_change_log(connection)
    found = select_by_ids(connection, (account_id,))
    if not found:
        raise UnknownAccount(account_id)
    changed = evolve(
        found[0],
        name=found[0].name if name is None else name,
        realm=found[0].realm if realm is None else realm,
        enabled=found[0].enabled if enabled is None else enabled,
    )
    if changed == found[0]:
        return changed
    check_form(changed)
    _check_realm_is_free(connection, changed)
    values = {"name": changed.name, "realm": changed.realm, "enabled": changed.enabled}
    connection.execute(sa.update(accounts).where(accounts.c.id == account_id).values(values))
    change_log.record(connection, "account", [account_id], now)
    return changed


def delete(connection: Connection, account_id: str, now: float) -> None:
    """Delete an account with all that belongs to it; record the changes.

    `now` is in Unix seconds. Raises `UnknownAccount`, and `StoreRejected` while the account has sub-accounts.
    """
    change_log.lock_change_log(connection)
    if not exists(connection, account_id):
        raise UnknownAccount(account_id)
    children = sa.select(accounts.c.id).where(accounts.c.parent_id == account_id)
    if connection.scalar(children.limit(1)) is not None:
        raise HasSubAccounts(account_id)
    for kind, subject in (
        ("token", tokens.c.digest),
        ("api_key", api_keys.c.digest),
        ("number", numbers.c.number),
    ):
        owned = sa.select(subject).where(subject.table.c.account_id == account_id)
        change_log.record(connection, kind, connection.scalars(owned).all(), now)
    hook_ids = connection.scalars(sa.select(hooks.c.id).where(hooks.c.account_id == account_id)).all()
    change_log.record(connection, "hook", hook_ids, now)
    pivots.delete_of_account(connection, account_id, now)
    for table in (hooks, deliveries, account_limits):
        connection.execute(sa.delete(table).where(table.c.account_id == account_id))
    # Tokens, API keys and numbers are deleted by their foreign keys.
    connection.execute(sa.delete(accounts).where(accounts.c.id == account_id))
    change_log.record(connection, "account", [account_id], now)


def check_form(account: StoredAccount) -> None:
    """Raise `StoreRejected` for a malformed id, name or realm."""
    for account_id in (account.id, account.parent_id):
        if account_id is not None and not is_account_id(account_id):
            raise StoreRejected("an account id is 32 characters, 0-9 and a-f")
    if len(account.name) > _MAX_NAME_LENGTH or not account.name.isprintable():
        raise StoreRejected(
            f"an account's name is at most {_MAX_NAME_LENGTH} printable characters,"
            f" not {text_for_display(account.name)!r}"
        )
    if account.realm and _REALM.fullmatch(account.realm) is None:
        raise StoreRejected(
            "a realm is a domain name in lower case, such as pbx.example.com,"
            f" not {text_for_display(account.realm)!r}"
        )


def _check_realm_is_free(connection: Connection, account: StoredAccount) -> None:
    other = sa.select(accounts.c.id).where(accounts.c.realm == account.realm, accounts.c.id != account.id)
    if account.realm and connection.scalar(other) is not None:
        raise RealmInUse(account.realm)


def _select(connection: Connection, *where: ColumnElement[bool]) -> list[StoredAccount]:
    rows = connection.execute(sa.select(accounts).where(*where).order_by(accounts.c.created, accounts.c.id))
    return [_from_row(row) for row in rows]


def _from_row(row: Row[Any]) -> StoredAccount:
    return StoredAccount(row.id, row.parent_id, row.name, row.realm, row.superadmin, row.created, row.enabled)
