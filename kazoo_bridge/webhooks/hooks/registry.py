"""The hooks of all accounts that listen to events in memory, indexed by account and event."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_catalogue import ANY_EVENT, EVERYTHING, KAZOO_EVENTS

#: Account id -> its hooks for one event, in the order in which they were added.
_ByAccount = dict[str, tuple[Hook, ...]]

#: Event -> account id -> hooks.
_Index = dict[str, _ByAccount]

_NO_ACCOUNTS: _ByAccount = {}

#: Event of KAZOO -> what hooks for it listen to.
_LISTENED_TO = {event: (event, ANY_EVENT, EVERYTHING) for event in KAZOO_EVENTS}


class HookRegistry:
    """Finds the hooks that an event matches without looking at the others.

    It is filled from the storage by `HookService`, which keeps it up to date.
    """

    def __init__(self) -> None:
        self._hooks: dict[str, Hook] = {}
        self._suspended: set[str] = set()
        self._failed: set[str] = set()
        self._by_account: _Index = {}
        self._including_subaccounts: _Index = {}

    def __len__(self) -> int:
        """Return the number of enabled hooks."""
        return len(self._hooks) - len(self._suspended) - len(self._failed)

    @property
    def suspended(self) -> int:
        """The number of suspended hooks."""
        return len(self._suspended)

    @property
    def failed(self) -> int:
        """The number of hooks that are disabled because of failures."""
        return len(self._failed)

    def get(self, hook_id: str) -> Hook | None:
        """Return the hook, None if it is unknown or disabled."""
        hook = self._hooks.get(hook_id)
        return hook if hook is not None and hook.enabled else None

    def find(self, hook_id: str) -> Hook | None:
        """Return the hook, None if it is unknown or does not listen to events."""
        return self._hooks.get(hook_id)

    def replace_all(self, hooks: Iterable[Hook]) -> None:
        """Remove every hook, then add these."""
        other = HookRegistry()
        for hook in hooks:
            other.put(hook)
        self.take_over(other)

    def take_over(self, other: HookRegistry) -> None:
        """Replace every hook by those of `other`, which is not used any more."""
        self._hooks, self._suspended, self._failed = other._hooks, other._suspended, other._failed
        self._by_account, self._including_subaccounts = other._by_account, other._including_subaccounts

    def put(self, hook: Hook) -> None:
        """Add a hook, replacing the one with its id; one that does not listen is removed instead."""
        if hook.id in self._hooks:
            self.remove(hook.id)
        if not hook.enabled:
            if hook.suspended:
                self._suspended.add(hook.id)
            elif hook.failed:
                self._failed.add(hook.id)
            else:
                return
        self._hooks[hook.id] = hook
        _add(self._by_account, hook)
        if hook.include_subaccounts:
            _add(self._including_subaccounts, hook)

    def remove(self, hook_id: str) -> None:
        """Remove a hook; an unknown id is ignored."""
        hook = self._hooks.pop(hook_id, None)
        if hook is None:
            return
        self._suspended.discard(hook_id)
        self._failed.discard(hook_id)
        for index in self._indexes(hook):
            by_account = index[hook.event]
            others = tuple(other for other in by_account[hook.account_id] if other is not hook)
            if others:
                by_account[hook.account_id] = others
            else:
                del by_account[hook.account_id]

    def remove_account(self, account_id: str) -> None:
        """Remove every hook of an account."""
        for by_account in self._by_account.values():
            for hook in by_account.get(account_id, ()):
                self.remove(hook.id)

    def matching(self, event: str, account_id: str, ancestors: Sequence[str]) -> tuple[Hook, ...]:
        """Return the hooks that listen to `event`, or to several, enabled or not (see `Hook.listens`).

        Hooks for `ANY_EVENT` listen to the events that KAZOO has, and those for `EVERYTHING` to every event.

        These are the hooks of `account_id`, and those of its `ancestors` (in any order) that have
        ``include_subaccounts``. Whether a hook's selectors match is not checked, see `Hook.matches`.
        """
        found: tuple[Hook, ...] = ()
        for name in _LISTENED_TO.get(event) or (event, EVERYTHING):
            found += self._by_account.get(name, _NO_ACCOUNTS).get(account_id, ())
            if ancestors and name in self._including_subaccounts:
                by_account = self._including_subaccounts[name]
                for ancestor in ancestors:
                    found += by_account.get(ancestor, ())
        return found

    def _indexes(self, hook: Hook) -> Iterable[_Index]:
        return (
            (self._by_account, self._including_subaccounts)
            if hook.include_subaccounts
            else (self._by_account,)
        )


def _add(index: _Index, hook: Hook) -> None:
    by_account = index.get(hook.event)
    if by_account is None:
        by_account = index[hook.event] = {}
    others = by_account.get(hook.account_id)
    by_account[hook.account_id] = (hook,) if others is None else (*others, hook)
