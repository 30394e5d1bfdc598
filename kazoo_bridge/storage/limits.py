"""Limits of single accounts."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from zope.interface import implementer

from kazoo_bridge.interfaces import AccountLimits, ILimitStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.tables import account_limits


@implementer(ILimitStore)
class LimitStore:
    """See `ILimitStore`. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, account_id: str) -> Deferred[AccountLimits]:
        """The account's own limits."""
        return self._database.read(lambda connection: get(connection, account_id))

    def put(self, account_id: str, limits: AccountLimits) -> Deferred[None]:
        """Keep these limits for the account, in the place of those it had."""
        return self._database.write(lambda connection: put(connection, account_id, limits))

    def shortest_expiry_ms(self) -> Deferred[int | None]:
        """The shortest time for which an account's own limits count a failure."""
        return self._database.read(
            lambda connection: connection.scalar(
                sa.select(sa.func.min(account_limits.c.attempt_failure_expiry_ms))
            )
        )


def get(connection: Connection, account_id: str) -> AccountLimits:
    """The account's own limits."""
    row = connection.execute(
        sa.select(account_limits).where(account_limits.c.account_id == account_id)
    ).first()
    return (
        AccountLimits()
        if row is None
        else AccountLimits(row.attempt_failure_count, row.attempt_failure_expiry_ms)
    )


def put(connection: Connection, account_id: str, limits: AccountLimits) -> None:
    """Keep these limits for the account, in the place of those it had."""
    connection.execute(sa.delete(account_limits).where(account_limits.c.account_id == account_id))
    if limits != AccountLimits():
        connection.execute(
            sa.insert(account_limits).values(
                account_id=account_id,
                attempt_failure_count=limits.attempt_failure_count,
                attempt_failure_expiry_ms=limits.attempt_failure_expiry_ms,
            )
        )
