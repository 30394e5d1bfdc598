"""Telephone numbers and the accounts that own them."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from kazoo_bridge.kazoo import normalize_number
from kazoo_bridge.storage import accounts, change_log
from kazoo_bridge.storage.accounts import StoreRejected, UnknownAccount
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.engine import in_batches
from kazoo_bridge.storage.tables import numbers


class NumberStore:
    """Numbers (digits only) and their owners. Every Deferred may fail with `StorageUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> Deferred[dict[str, str]]:
        """Read every number and the id of the account that owns it."""
        return self._database.read(select_all)

    def owners(self, wanted: Collection[str]) -> Deferred[dict[str, str]]:
        """Read the owners of these numbers; numbers without an owner are left out."""
        return self._database.read(lambda connection: select_owners(connection, tuple(wanted)))


def select_all(connection: Connection) -> dict[str, str]:
    """Return every number and the id of the account that owns it, in the order of the digits."""
    rows = connection.execute(sa.select(numbers.c.number, numbers.c.account_id).order_by(numbers.c.number))
    return {row.number: row.account_id for row in rows}


def select_owners(connection: Connection, wanted: tuple[str, ...]) -> dict[str, str]:
    """Return the owners of these numbers; numbers without an owner are left out."""
    owners: dict[str, str] = {}
    for batch in in_batches(wanted):
        rows = sa.select(numbers.c.number, numbers.c.account_id).where(numbers.c.number.in_(batch))
        owners |= {row.number: row.account_id for row in connection.execute(rows)}
    return owners


def insert(connection: Connection, account_id: str, number: str, now: float) -> str:
    """Make the account the owner of `number`, in any notation; return the digits that are stored.

    `now` is in Unix seconds. Raises `StoreRejected` for a text that is no number and for a number that has
    an owner, and `UnknownAccount`.
    """
    digits = _normalize(number)
    change_log.lock_change_log(connection)
    if not accounts.exists(connection, account_id):
        raise UnknownAccount(account_id)
    owner = connection.scalar(sa.select(numbers.c.account_id).where(numbers.c.number == digits))
    if owner is not None:
        raise StoreRejected(f"account {owner} owns number {digits} already")
    connection.execute(sa.insert(numbers).values(number=digits, account_id=account_id))
    change_log.record(connection, "number", [digits], now)
    return digits


def assign(connection: Connection, account_id: str, number: str, now: float, *, move: bool = False) -> bool:
    """Make the account the owner of `number` unless it is; return whether that has changed anything.

    `move`: also if the number has another owner. `now` is in Unix seconds. Raises like `insert`.
    """
    digits = _normalize(number)
    change_log.lock_change_log(connection)
    if not accounts.exists(connection, account_id):
        raise UnknownAccount(account_id)
    owner = connection.scalar(sa.select(numbers.c.account_id).where(numbers.c.number == digits))
    if owner == account_id:
        return False
    if owner is not None and move:
        delete(connection, digits, now)
    insert(connection, account_id, digits, now)
    return True


def delete(connection: Connection, number: str, now: float) -> str:
    """Remove `number`, in any notation, from its owner; record the change and return the digits.

    `now` is in Unix seconds. Raises `StoreRejected` for a text that is no number and for a number without
    an owner.
    """
    digits = _normalize(number)
    change_log.lock_change_log(connection)
    if connection.execute(sa.delete(numbers).where(numbers.c.number == digits)).rowcount == 0:
        raise StoreRejected(f"no account owns number {digits}")
    change_log.record(connection, "number", [digits], now)
    return digits


def _normalize(number: str) -> str:
    digits = normalize_number(number)
    if digits is None:
        raise StoreRejected("a number has 2 to 32 digits, and perhaps a + before them, such as +4722555019")
    return digits
