"""An account's hooks: created, read, changed and deleted; the storage and the memory kept in step."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

from attrs import define, evolve
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import IHookStore, RevisionConflict, Secret, StoredHook
from kazoo_bridge.webhooks.egress import masked
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_document import DocumentRules, InvalidDocument, read_numbers
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.http import signing

_log = Logger()

#: Tells why webhooks may not go to a URI; None: they may.
UriCheck = Callable[[str], Awaitable[str | None]]

#: Told of every change made here: ``doc_created``, ``doc_edited`` or ``doc_deleted``, and the hook.
OnHookChanged = Callable[[str, StoredHook], None]

#: Called with the id of every hook that is read or written, and whether that has enabled it.
OnHookLoaded = Callable[[str, bool], None]

_ABOUT_SECRETS = ("secret", "secret_overlap_seconds")

#: What a hook that failed too often says of itself, in KAZOO's words.
TOO_MANY_FAILURES = "too many failed attempts"


@define
class HookService:
    """What REST asks for. `load` first; `reload` when others have changed the storage."""

    _clock: IReactorTime
    _store: IHookStore
    _registry: HookRegistry
    _rules: DocumentRules
    _check_uri: UriCheck
    _on_changed: OnHookChanged
    _on_hook_loaded: OnHookLoaded

    async def load(self) -> None:
        """Take every hook from the storage."""
        self._registry.replace_all(hook for stored in await self._store.all() if (hook := self.parse(stored)))
        _log.info("{count} hooks are enabled", count=len(self._registry))

    async def reload(self, hook_ids: Collection[str]) -> None:
        """Take these hooks from the storage again."""
        current = {stored.id: stored for stored in await self._store.by_ids(hook_ids)}
        for hook_id in hook_ids:
            stored = current.get(hook_id)
            if stored is None:
                self._registry.remove(hook_id)
            else:
                self._cache(stored)

    async def for_account(self, account_id: str) -> list[StoredHook]:
        """The account's hooks, oldest first."""
        return [_with_numbers(stored) for stored in await self._store.for_account(account_id)]

    async def get(self, account_id: str, hook_id: str) -> StoredHook | None:
        """One of the account's hooks."""
        stored = await self._store.get(account_id, hook_id)
        return None if stored is None else _with_numbers(stored)

    async def create(
        self, account_id: str, given: Mapping[str, Any], *, superadmin: bool = False
    ) -> StoredHook:
        """Keep a new hook; raises `InvalidDocument`, or `TooManyHooks` if the account may have no more."""
        secrets = self._secrets(given, ())
        stored = await self._store.create(account_id, await self._validate(given, superadmin), secrets or ())
        self._changed("doc_created", stored)
        return stored

    async def replace(
        self, hook: StoredHook, given: Mapping[str, Any], *, superadmin: bool = False
    ) -> StoredHook:
        """Put a whole new document in place; raises `InvalidDocument` or `RevisionConflict`.

        A hook that was disabled for its failures keeps saying so until it is enabled.
        """
        secrets = self._secrets(given, hook.secrets)
        document = await self._validate(given, superadmin)
        if not document["enabled"] and "disable_reason" in hook.document:
            document["disable_reason"] = hook.document["disable_reason"]
        return await self._replace(hook, document, secrets)

    async def rotate_secret(self, hook: StoredHook, given: Mapping[str, Any]) -> StoredHook:
        """Give the hook a new secret, as a document would that says so; raises `InvalidDocument` or `RevisionConflict`."""
        return await self._replace(hook, hook.document, self._secrets(given, hook.secrets))

    async def patch(
        self, hook: StoredHook, changes: Mapping[str, Any], *, superadmin: bool = False
    ) -> StoredHook:
        """Merge changes into the document, null removing a key; raises as `replace` does."""
        # What is said of secrets is no part of the document, and null says something there.
        about_secrets = {name: changes[name] for name in _ABOUT_SECRETS if name in changes}
        return await self.replace(hook, merge(hook.document, changes) | about_secrets, superadmin=superadmin)

    async def delete(self, hook: StoredHook) -> None:
        """Remove the hook; raises `RevisionConflict`."""
        await self._store.delete(hook)
        self._registry.remove(hook.id)
        self._on_changed("doc_deleted", hook)

    async def disable(self, account_id: str, hook_id: str, revision: str, reason: str) -> bool:
        """Disable a hook if it is enabled and still at `revision`; whether it was this call that did it."""
        stored = await self.get(account_id, hook_id)
        if stored is None or stored.revision != revision or not stored.document.get("enabled", True):
            return False
        try:
            await self._replace(stored, {**stored.document, "enabled": False, "disable_reason": reason})
        except RevisionConflict:
            return False  # another node was faster, or the customer has just edited it
        return True

    async def re_enable(self, account_ids: Collection[str]) -> int:
        """Enable every hook of these accounts that was disabled for its failures; how many there were."""
        count = 0
        for stored in map(_with_numbers, await self._store.for_accounts(account_ids)):
            if not stored.document.get("enabled", True) and "disable_reason" in stored.document:
                enabled = {
                    name: value for name, value in stored.document.items() if name != "disable_reason"
                } | {"enabled": True}
                try:
                    await self._replace(stored, enabled)
                except RevisionConflict:
                    continue  # somebody is editing it at this moment, and knows best
                count += 1
        return count

    async def account_deleted(self, account_id: str) -> None:
        """Remove every hook of an account that is no more."""
        if await self._store.delete_of_account(account_id):
            _log.info("the hooks of account {account_id} are removed with it", account_id=account_id)
        self._registry.remove_account(account_id)

    def parse(self, stored: StoredHook) -> Hook | None:
        """The hook for the hot path; None, and a log line, when its document cannot be read."""
        try:
            return Hook.from_document(stored, self._rules.catalogue)
        except (KeyError, TypeError, AttributeError) as error:
            _log.error(
                "hook {hook_id} of account {account_id} is left out: its document cannot be read ({reason}); write it anew over REST",
                hook_id=stored.id,
                account_id=stored.account_id,
                reason=repr(error),
            )
            return None

    async def _validate(self, given: Mapping[str, Any], superadmin: bool) -> dict[str, Any]:
        document = self._rules.validate(given, superadmin=superadmin)
        reason = await self._check_uri(document["uri"])
        if reason is not None:
            raise InvalidDocument(
                {"uri": {"wrong_format": {"message": reason, "cause": masked(document["uri"])}}}
            )
        return document

    def _secrets(self, given: Mapping[str, Any], known: tuple[Secret, ...]) -> tuple[Secret, ...] | None:
        try:
            return signing.updated_secrets(given, known, self._clock.seconds())
        except signing.BadSecret as error:
            raise InvalidDocument(error.errors) from None

    async def _replace(
        self, hook: StoredHook, document: Mapping[str, Any], secrets: tuple[Secret, ...] | None = None
    ) -> StoredHook:
        stored = await self._store.replace(hook, document, secrets)
        self._changed("doc_edited", stored)
        return stored

    def _changed(self, action: str, stored: StoredHook) -> None:
        self._cache(stored)
        self._on_changed(action, stored)

    def _cache(self, stored: StoredHook) -> None:
        hook = self.parse(stored)
        if hook is None:
            return
        known = self._registry.get(hook.id)
        self._registry.put(hook)
        if known is None or known.revision != hook.revision:
            self._on_hook_loaded(hook.id, hook.enabled and known is None)


def _with_numbers(stored: StoredHook) -> StoredHook:
    return evolve(stored, document=read_numbers(stored.document))


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
