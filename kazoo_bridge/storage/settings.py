"""Settings that all nodes on one storage share: values by name, and the limits of single accounts."""

from __future__ import annotations

from collections.abc import Callable

import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from zope.interface import implementer

from kazoo_bridge.interfaces import AccountLimits, ILimitStore
from kazoo_bridge.storage import change_log
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.tables import account_limits, settings


class SettingStore:
    """Values by name. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_or_create(self, name: str, make: Callable[[], str]) -> Deferred[str]:
        """Read the value of `name`; if there is none, store the result of `make`, on one node only."""
        return self._database.write(lambda connection: get_or_create(connection, name, make))


@implementer(ILimitStore)
class LimitStore:
    """See `ILimitStore`. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, account_id: str) -> Deferred[AccountLimits]:
        """Read the account's own limits."""
        return self._database.read(lambda connection: get_limits(connection, account_id))

    def put(self, account_id: str, limits: AccountLimits) -> Deferred[None]:
        """Replace the account's own limits."""
        return self._database.write(lambda connection: put_limits(connection, account_id, limits))

    def shortest_expiry_ms(self) -> Deferred[int | None]:
        """Read the shortest `attempt_failure_expiry_ms` of all accounts; None if no account has one."""
        shortest = sa.select(sa.func.min(account_limits.c.attempt_failure_expiry_ms))
        return self._database.read(lambda connection: connection.scalar(shortest))


def get_or_create(connection: Connection, name: str, make: Callable[[], str]) -> str:
    """Return the value of `name`; if there is none, store and return the result of `make`."""
    change_log.lock_change_log(connection)
    stored = connection.scalar(sa.select(settings.c.value).where(settings.c.name == name))
    if stored is not None:
        return str(stored)
    value = make()
    connection.execute(sa.insert(settings).values(name=name, value=value))
    return value


def get_limits(connection: Connection, account_id: str) -> AccountLimits:
    """Return the account's own limits."""
    stored = sa.select(account_limits).where(account_limits.c.account_id == account_id)
    row = connection.execute(stored).first()
    if row is None:
        return AccountLimits()
    return AccountLimits(row.attempt_failure_count, row.attempt_failure_expiry_ms)


def put_limits(connection: Connection, account_id: str, limits: AccountLimits) -> None:
    """Replace the account's own limits."""
    connection.execute(sa.delete(account_limits).where(account_limits.c.account_id == account_id))
    if limits != AccountLimits():
        connection.execute(
            sa.insert(account_limits).values(
                account_id=account_id,
                attempt_failure_count=limits.attempt_failure_count,
                attempt_failure_expiry_ms=limits.attempt_failure_expiry_ms,
            )
        )
