"""Whose the telephone numbers are."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from kazoo_bridge.kazoo import normalize_number
from kazoo_bridge.storage import accounts, change_log
from kazoo_bridge.storage.accounts import StoreRejected, UnknownAccount
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.tables import numbers

_CHUNK = 500


class NumberStore:
    """Numbers and their owners. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Deferred[dict[str, str]]:
        """Every number and the account that owns it."""
        return self._database.read(select_all)

    def owners(self, wanted: Collection[str]) -> Deferred[dict[str, str]]:
        """Those of these numbers that have an owner, with it."""
        return self._database.read(lambda connection: select_owners(connection, tuple(wanted)))


def select_all(connection: Connection) -> dict[str, str]:
    """Every number and the account that owns it, in the order of the digits."""
    rows = connection.execute(sa.select(numbers.c.number, numbers.c.account_id).order_by(numbers.c.number))
    return {row.number: row.account_id for row in rows}


def select_owners(connection: Connection, wanted: tuple[str, ...]) -> dict[str, str]:
    """Those of these numbers that have an owner, with it."""
    found: dict[str, str] = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = numbers.c.number.in_(wanted[start : start + _CHUNK])
        found |= {
            row.number: row.account_id
            for row in connection.execute(sa.select(numbers.c.number, numbers.c.account_id).where(chunk))
        }
    return found


def insert(connection: Connection, account_id: str, given: str, now: float) -> str:
    """Say that the account owns a number; the digits that are kept.

    Raises `ActionRejected` for what is no number, or somebody's already, and `UnknownAccount`.
    """
    number = _digits(given)
    change_log.lock_change_log(connection)
    if not accounts.exists(connection, account_id):
        raise UnknownAccount(account_id)
    owner = connection.scalar(sa.select(numbers.c.account_id).where(numbers.c.number == number))
    if owner is not None:
        raise StoreRejected(f"the number {number} is that of account {owner} already")
    connection.execute(sa.insert(numbers).values(number=number, account_id=account_id))
    change_log.record(connection, "number", [number], now)
    return number


def delete(connection: Connection, given: str, now: float) -> str:
    """Say that nobody owns a number any more; its digits. Raises `ActionRejected` when nobody did."""
    number = _digits(given)
    change_log.lock_change_log(connection)
    if connection.execute(sa.delete(numbers).where(numbers.c.number == number)).rowcount == 0:
        raise StoreRejected(f"nobody has the number {number}")
    change_log.record(connection, "number", [number], now)
    return number


def _digits(given: str) -> str:
    number = normalize_number(given)
    if number is None:
        raise StoreRejected("a number has 2 to 32 digits, and perhaps a + before them, such as +4722555019")
    return number
