"""Hook documents in memory."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from kazoo_bridge.interfaces import IHookStore, RevisionConflict, Secret, StoredHook, TooManyHooks


@implementer(IHookStore)
@define
class FakeHookStore:
    """Stores at most `max_hooks`; `add` stores a document directly."""

    max_hooks: int = 100
    hooks: dict[str, StoredHook] = field(factory=dict)
    _created: int = 0

    def add(self, account_id: str, document: Mapping[str, Any], *secrets: Secret) -> StoredHook:
        self._created += 1
        hook_id = f"{self._created:032x}"
        stored = StoredHook(hook_id, account_id, document, "1-x", self._created, self._created, secrets)
        self.hooks[hook_id] = stored
        return stored

    def all(self) -> Deferred[list[StoredHook]]:
        return succeed(list(self.hooks.values()))

    def by_ids(self, hook_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        return succeed([self.hooks[hook_id] for hook_id in hook_ids if hook_id in self.hooks])

    def for_account(self, account_id: str) -> Deferred[list[StoredHook]]:
        return self.for_accounts([account_id])

    def for_accounts(self, account_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        return succeed([hook for hook in self.hooks.values() if hook.account_id in account_ids])

    def get(self, account_id: str, hook_id: str) -> Deferred[StoredHook | None]:
        hook = self.hooks.get(hook_id)
        return succeed(hook if hook is not None and hook.account_id == account_id else None)

    def create(
        self, account_id: str, document: Mapping[str, Any], secrets: tuple[Secret, ...] = ()
    ) -> Deferred[StoredHook]:
        if len(self.hooks) >= self.max_hooks:
            return fail(TooManyHooks(self.max_hooks))
        return succeed(self.add(account_id, document, *secrets))

    def replace(
        self, hook: StoredHook, document: Mapping[str, Any], secrets: tuple[Secret, ...] | None = None
    ) -> Deferred[StoredHook]:
        current = self.hooks.get(hook.id)
        if current is None or current.revision != hook.revision:
            return fail(RevisionConflict())
        revision = f"{int(current.revision.partition('-')[0]) + 1}-x"
        stored = evolve(current, document=document, revision=revision)
        if secrets is not None:
            stored = evolve(stored, secrets=secrets)
        self.hooks[hook.id] = stored
        return succeed(stored)

    def delete(self, hook: StoredHook) -> Deferred[None]:
        current = self.hooks.get(hook.id)
        if current is None or current.revision != hook.revision:
            return fail(RevisionConflict())
        del self.hooks[hook.id]
        return succeed(None)

    def delete_of_account(self, account_id: str) -> Deferred[int]:
        gone = [hook.id for hook in self.hooks.values() if hook.account_id == account_id]
        for hook_id in gone:
            del self.hooks[hook_id]
        return succeed(len(gone))
