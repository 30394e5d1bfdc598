"""All accounts in memory, as a tree."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import Logger

from kazoo_bridge.directory.store_protocols import AccountRow
from kazoo_bridge.interfaces import Account


class AccountTree:
    """Accounts by id, with their ancestors worked out when first asked for and forgotten at every change.

    Rows that make a ring (which only a hand in the database can do) are cut where the ring closes.
    """

    log = Logger()

    def __init__(self) -> None:
        self._rows: dict[str, AccountRow] = {}
        self._accounts: dict[str, Account] = {}
        self._children: dict[str, list[str]] | None = None

    def __contains__(self, account_id: object) -> bool:
        return account_id in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    def replace_all(self, rows: Iterable[AccountRow]) -> None:
        """Hold these accounts and no others."""
        self._rows = {row.id: row for row in rows}
        self._forget()

    def update(self, account_ids: Iterable[str], rows: Iterable[AccountRow]) -> None:
        """Hold `rows` for the accounts `account_ids`; those without a row are gone."""
        for account_id in account_ids:
            self._rows.pop(account_id, None)
        self._rows.update((row.id, row) for row in rows)
        self._forget()

    def find(self, account_id: str) -> Account | None:
        """The account, or None."""
        known = self._accounts.get(account_id)
        if known is not None:
            return known
        row = self._rows.get(account_id)
        if row is None:
            return None
        account = Account(row.id, row.name, row.realm, self._ancestors(row), row.superadmin)
        self._accounts[account_id] = account
        return account

    def missing_parent(self, account_id: str) -> str | None:
        """The first account on the way up that is not in memory; None when the way is complete."""
        account = self.find(account_id)
        if account is None:
            return account_id
        top = self._rows[account.ancestors[-1] if account.ancestors else account_id]
        return top.parent_id if top.parent_id is not None and top.parent_id not in self._rows else None

    def descendants(self, account_id: str) -> frozenset[str]:
        """The ids of all accounts below this one, at any depth."""
        if self._children is None:
            self._children = {}
            for row in self._rows.values():
                if row.parent_id is not None:
                    self._children.setdefault(row.parent_id, []).append(row.id)
        found: set[str] = set()
        waiting = [account_id]
        while waiting:
            fresh = [
                child
                for child in self._children.get(waiting.pop(), ())
                if child not in found and child != account_id
            ]
            found.update(fresh)
            waiting.extend(fresh)
        return frozenset(found)

    def _ancestors(self, row: AccountRow) -> tuple[str, ...]:
        path: dict[str, None] = {}
        above = row.parent_id
        while above is not None and above in self._rows:
            if above == row.id or above in path:
                self.log.warn("account {account} is its own ancestor; set its parent right", account=above)
                break
            path[above] = None
            above = self._rows[above].parent_id
        return tuple(path)

    def _forget(self) -> None:
        self._accounts.clear()
        self._children = None
