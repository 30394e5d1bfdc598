"""An account's hooks: created, read, changed and deleted; the storage and the memory kept in step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from attrs import define
from twisted.logger import Logger

from kazoo_bridge.interfaces import IHookStore, StoredHook
from kazoo_bridge.webhooks.document import DocumentRules, InvalidDocument
from kazoo_bridge.webhooks.hook import Hook
from kazoo_bridge.webhooks.registry import HookRegistry

_log = Logger()

#: Tells why webhooks may not go to a URI; None: they may.
UriJudge = Callable[[str], Awaitable[str | None]]


@define
class Hooks:
    """What REST asks for. `load` first; `reload` when others have changed the storage."""

    _store: IHookStore
    _registry: HookRegistry
    _rules: DocumentRules
    _judge_uri: UriJudge

    async def load(self) -> None:
        """Take every hook from the storage."""
        self._registry.replace_all(hook for stored in await self._store.all() if (hook := _parsed(stored)))
        _log.info("{count} hooks are enabled", count=len(self._registry))

    async def reload(self, hook_ids: Collection[str]) -> None:
        """Take these hooks from the storage again."""
        current = {stored.id: stored for stored in await self._store.by_ids(hook_ids)}
        for hook_id in hook_ids:
            stored = current.get(hook_id)
            if stored is None:
                self._registry.remove(hook_id)
            else:
                self._take(stored)

    async def of_account(self, account_id: str) -> list[StoredHook]:
        """The account's hooks, oldest first."""
        return await self._store.of_account(account_id)

    async def get(self, account_id: str, hook_id: str) -> StoredHook | None:
        """One of the account's hooks."""
        return await self._store.get(account_id, hook_id)

    async def create(self, account_id: str, given: Mapping[str, Any]) -> StoredHook:
        """Keep a new hook; raises `InvalidDocument`."""
        stored = await self._store.create(account_id, await self._checked(given))
        self._take(stored)
        return stored

    async def replace(self, hook: StoredHook, given: Mapping[str, Any]) -> StoredHook:
        """Put a whole new document in place; raises `InvalidDocument` or `RevisionConflict`."""
        stored = await self._store.replace(hook, await self._checked(given))
        self._take(stored)
        return stored

    async def patch(self, hook: StoredHook, changes: Mapping[str, Any]) -> StoredHook:
        """Merge changes into the document, null removing a key; raises as `replace` does."""
        return await self.replace(hook, merge(hook.document, changes))

    async def delete(self, hook: StoredHook) -> None:
        """Remove the hook; raises `RevisionConflict`."""
        await self._store.delete(hook)
        self._registry.remove(hook.id)

    async def _checked(self, given: Mapping[str, Any]) -> dict[str, Any]:
        document = self._rules.complete(given)
        reason = await self._judge_uri(document["uri"])
        if reason is not None:
            raise InvalidDocument({"uri": {"wrong_format": {"message": reason, "cause": document["uri"]}}})
        return document

    def _take(self, stored: StoredHook) -> None:
        hook = _parsed(stored)
        if hook is not None:
            self._registry.put(hook)


def merge(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`document` with `changes` over it, at every depth; null removes a key."""
    merged = dict(document)
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, Mapping):
            old = merged.get(name)
            merged[name] = merge(old if isinstance(old, Mapping) else {}, value)
        else:
            merged[name] = value
    return merged


def _parsed(stored: StoredHook) -> Hook | None:
    try:
        return Hook.of(stored)
    except (KeyError, TypeError, AttributeError) as error:
        _log.error(
            "hook {hook_id} of account {account_id} is left out: its document cannot be read ({reason}); write it anew over REST",
            hook_id=stored.id,
            account_id=stored.account_id,
            reason=repr(error),
        )
        return None
