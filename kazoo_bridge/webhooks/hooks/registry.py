"""All hooks in memory, found by account and event without looking at the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_catalogue import ANY_EVENT

_Index = dict[tuple[str, str], dict[str, Hook]]


class HookRegistry:
    """The enabled hooks, indexed by (account, event); the storage is their source."""

    def __init__(self) -> None:
        self._hooks: dict[str, Hook] = {}
        self._own: _Index = {}
        self._of_descendants: _Index = {}

    def __len__(self) -> int:
        return len(self._hooks)

    def get(self, hook_id: str) -> Hook | None:
        """The hook if it is enabled."""
        return self._hooks.get(hook_id)

    def replace_all(self, hooks: Iterable[Hook]) -> None:
        """Forget every hook and take these."""
        self._hooks, self._own, self._of_descendants = {}, {}, {}
        for hook in hooks:
            self.put(hook)

    def put(self, hook: Hook) -> None:
        """Add a hook, or put it in the place of the one with its id."""
        self.remove(hook.id)
        if hook.enabled:
            self._hooks[hook.id] = hook
            for index in self._indexes(hook):
                index.setdefault((hook.account_id, hook.event), {})[hook.id] = hook

    def remove(self, hook_id: str) -> None:
        """Forget a hook; unknown ones are no error."""
        hook = self._hooks.pop(hook_id, None)
        if hook is None:
            return
        place = (hook.account_id, hook.event)
        for index in self._indexes(hook):
            del index[place][hook_id]
            if not index[place]:
                del index[place]

    def remove_account(self, account_id: str) -> None:
        """Forget every hook of an account."""
        for hook_id in [hook.id for hook in self._hooks.values() if hook.account_id == account_id]:
            self.remove(hook_id)

    def matching(self, event: str, account_id: str, ancestors: Sequence[str]) -> Iterator[Hook]:
        """The hooks of the account, and those of its ancestors that include sub-accounts, that listen to `event`."""
        for name in (event, ANY_EVENT):
            yield from self._own.get((account_id, name), {}).values()
            for ancestor in ancestors:
                yield from self._of_descendants.get((ancestor, name), {}).values()

    def _indexes(self, hook: Hook) -> Iterable[_Index]:
        return (self._own, self._of_descendants) if hook.include_subaccounts else (self._own,)
