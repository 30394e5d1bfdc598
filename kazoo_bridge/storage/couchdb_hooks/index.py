"""Which hooks CouchDB has: their accounts and revisions, in memory."""

from __future__ import annotations

from collections.abc import Collection
from sys import intern

from kazoo_bridge.interfaces import StoredHook


class HookIndex:
    """The account and the revision of each hook that is known."""

    def __init__(self) -> None:
        self._hooks: dict[str, tuple[str, str]] = {}
        self._by_account: dict[str, set[str]] = {}

    def __len__(self) -> int:
        return len(self._hooks)

    def put(self, hook_id: str, account_id: str, revision: str) -> None:
        """Add a hook, or replace what is known of it."""
        known = self._hooks.get(hook_id)
        if known is not None and known[0] != account_id:
            self.remove(hook_id)
        account_id = intern(account_id)
        self._hooks[hook_id] = (account_id, revision)
        self._by_account.setdefault(account_id, set()).add(hook_id)

    def note(self, hook_id: str, hook: StoredHook | None) -> None:
        """Add or replace a hook; None: there is none that can be used."""
        if hook is None:
            self.remove(hook_id)
        else:
            self.put(hook_id, hook.account_id, hook.revision)

    def remove(self, hook_id: str) -> None:
        """Remove a hook; an unknown id is ignored."""
        known = self._hooks.pop(hook_id, None)
        if known is not None:
            ids = self._by_account[known[0]]
            ids.discard(hook_id)
            if not ids:
                del self._by_account[known[0]]

    def revision(self, hook_id: str) -> str | None:
        """Return the revision of a hook; None if it is unknown."""
        known = self._hooks.get(hook_id)
        return None if known is None else known[1]

    def of_accounts(self, account_ids: Collection[str]) -> list[str]:
        """Return the ids of the hooks of these accounts."""
        return [hook_id for account_id in account_ids for hook_id in self._by_account.get(account_id, ())]

    def count(self, account_id: str) -> int:
        """Return the number of hooks of an account."""
        return len(self._by_account.get(account_id, ()))

    def clear(self) -> None:
        """Remove all."""
        self._hooks.clear()
        self._by_account.clear()
