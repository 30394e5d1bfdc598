"""All accounts in memory, as a tree."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.logger import Logger

from kazoo_bridge.directory.store_protocols import AccountRow
from kazoo_bridge.interfaces import Account


class AccountTree:
    """Accounts by id. Ancestors and children are computed on first use and dropped with every change.

    A cycle of parents, which only a manual change of the database can create, is cut where it closes.
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
        """Replace all accounts by `rows`."""
        self._rows = {row.id: row for row in rows}
        self._drop_computed()

    def update(self, account_ids: Iterable[str], rows: Iterable[AccountRow]) -> None:
        """Replace the accounts `account_ids` by `rows`; an account without a row is removed."""
        for account_id in account_ids:
            self._rows.pop(account_id, None)
        self._rows.update((row.id, row) for row in rows)
        self._drop_computed()

    def find(self, account_id: str) -> Account | None:
        """Return the account, or None if it is unknown."""
        known = self._accounts.get(account_id)
        if known is not None:
            return known
        row = self._rows.get(account_id)
        if row is None:
            return None
        ancestors = self._ancestors(row)
        account = Account(row.id, row.name, row.realm, ancestors, row.superadmin, enabled=row.enabled)
        self._accounts[account_id] = account
        return account

    def missing_parent(self, account_id: str) -> str | None:
        """Return the first account that is unknown on the way from `account_id` to the top, or None."""
        account = self.find(account_id)
        if account is None:
            return account_id
        top = self._rows[account.ancestors[-1] if account.ancestors else account_id]
        return top.parent_id if top.parent_id is not None and top.parent_id not in self._rows else None

    def descendants(self, account_id: str) -> frozenset[str]:
        """Return the ids of all accounts below this account, at any depth."""
        children = self._children_by_parent()
        found: set[str] = set()
        pending = [account_id]
        while pending:
            new = [
                child
                for child in children.get(pending.pop(), ())
                if child not in found and child != account_id
            ]
            found.update(new)
            pending.extend(new)
        return frozenset(found)

    def _children_by_parent(self) -> dict[str, list[str]]:
        if self._children is None:
            self._children = {}
            for row in self._rows.values():
                if row.parent_id is not None:
                    self._children.setdefault(row.parent_id, []).append(row.id)
        return self._children

    def _ancestors(self, row: AccountRow) -> tuple[str, ...]:
        path: dict[str, None] = {}
        above = row.parent_id
        while above is not None and above in self._rows:
            if above == row.id or above in path:
                self.log.warn(
                    "account is its own ancestor, correct its parent account_id={account}", account=above
                )
                break
            path[above] = None
            above = self._rows[above].parent_id
        return tuple(path)

    def _drop_computed(self) -> None:
        self._accounts.clear()
        self._children = None
