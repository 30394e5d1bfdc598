"""Creates, reads, changes and deletes hooks, and keeps the registry in memory equal to the storage."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from functools import partial
from typing import Any

from attrs import define, evolve, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import (
    HookAuthor,
    IHookStore,
    RevisionConflict,
    Secret,
    StoredHook,
    Suspension,
)
from kazoo_bridge.schema_errors import field_error
from kazoo_bridge.webhooks.egress import mask_credentials
from kazoo_bridge.webhooks.hooks import hook_secrets
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_document import DocumentRules, InvalidDocument, coerce_document
from kazoo_bridge.webhooks.hooks.hook_headers import adopt_alias, normalize_names, separate_headers
from kazoo_bridge.webhooks.hooks.hook_parser import HookParser
from kazoo_bridge.webhooks.hooks.registry import HookRegistry

_log = Logger()

#: Returns why webhooks may not be sent to a URI, as a text for the hook's owner; None if they may.
UriCheck = Callable[[str], Awaitable[str | None]]

#: Called after a change on this node with ``doc_created``, ``doc_edited`` or ``doc_deleted``, and the hook.
OnHookChanged = Callable[[str, StoredHook], None]

#: Called with the id of every hook that is read or written, and whether that has enabled it. A hook that was
#: just created has not been enabled: nothing waits for it.
OnHookLoaded = Callable[[str, bool], None]

_SECRET_KEYS = ("secret", "secret_overlap_seconds", "signature")

#: How often a hook is tried to be enabled while its owner changes it at the same time.
_MAX_RECOVERIES = 3

#: Hooks that are read at once.
BATCH_SIZE = 2000

#: The ``disable_reason`` of a hook that failed too often, as KAZOO writes it (applications/webhooks).
TOO_MANY_FAILURES = "too many failed attempts"


@define
class HookService:
    """The hooks of all accounts.

    Without `self_healing` there are no suspended hooks. Call `load` once at start-up, and `reload` when
    another node has changed hooks. Methods that access the storage raise `StorageUnavailable` if it does not
    answer.
    """

    _clock: IReactorTime
    _store: IHookStore
    _registry: HookRegistry
    rules: DocumentRules
    _check_uri: UriCheck
    _on_changed: OnHookChanged
    _on_hook_loaded: OnHookLoaded
    _self_healing: bool = True
    #: For each `load` under way, the changes since it began: what it has read may be older.
    _changes: list[list[Callable[[HookRegistry], None]]] = field(init=False, factory=list)

    async def load(self) -> None:
        """Fill the registry with all hooks of the storage, and with what changes meanwhile."""
        changes: list[Callable[[HookRegistry], None]] = []
        self._changes.append(changes)
        try:
            loaded = await self._read_all()
        finally:
            self._changes = [other for other in self._changes if other is not changes]
        for change in changes:
            change(loaded)
        self._registry.take_over(loaded)
        _log.info("hooks loaded enabled={count}", count=len(self._registry))

    async def _read_all(self) -> HookRegistry:
        loaded, position, parser = HookRegistry(), 0, HookParser(self.rules.catalogue)
        while True:
            # Documents take much more memory than hooks, and other events are handled between two batches.
            batch, position = await self._store.batch(position, BATCH_SIZE)
            if not batch:
                return loaded
            for stored in batch:
                if hook := self._parse(stored, parser.parse):
                    loaded.put(hook)

    def _change(self, change: Callable[[HookRegistry], None]) -> None:
        change(self._registry)
        for changes in self._changes:
            changes.append(change)

    async def reload(self, hook_ids: Collection[str]) -> None:
        """Read these hooks from the storage again; deleted ones leave the registry."""
        current = {stored.id: stored for stored in await self._store.by_ids(hook_ids)}
        for hook_id in hook_ids:
            stored = current.get(hook_id)
            if stored is None:
                self._change(partial(HookRegistry.remove, hook_id=hook_id))
            else:
                self._cache(stored)

    async def for_account(self, account_id: str) -> list[StoredHook]:
        """Return the account's hooks, oldest first, disabled ones included."""
        return [_coerced(stored) for stored in await self._store.for_account(account_id)]

    async def get(self, account_id: str, hook_id: str) -> StoredHook | None:
        """Return one of the account's hooks, None if it has none with this id."""
        stored = await self._store.get(account_id, hook_id)
        return None if stored is None else _coerced(stored)

    async def create(
        self, account_id: str, given: Mapping[str, Any], author: HookAuthor | None = None
    ) -> StoredHook:
        """Store a new hook and return it.

        `given` is the client's document, with a ``secret`` if requests are to be signed. `author` asks for
        it; None: the service itself. Raises `InvalidDocument`, and `TooManyHooks` if the account has as many
        as it may have.
        """
        secrets = self._updated_secrets(given, ())
        document, headers = await self._validate(given, {})
        stored = await self._store.create(account_id, document, secrets or (), headers, author=author)
        self._changed("doc_created", stored)
        return stored

    async def replace(
        self, hook: StoredHook, given: Mapping[str, Any], author: HookAuthor | None = None
    ) -> StoredHook:
        """Replace the document of `hook` and return the stored hook; the parameters are as for `create`.

        Secrets stay unless `given` has a ``secret``, and so do the values of headers that are masked in it.
        ``disable_reason`` stays until the hook is enabled. A
        suspended hook stays suspended if `given` repeats its ``disable_reason``, and is probed soon; without
        it, ``enabled: false`` is a person's, and the hook does not enable itself.

        Raises `InvalidDocument`, and `RevisionConflict` if the hook has changed since `hook` was read.
        """
        secrets = self._updated_secrets(given, hook.secrets)
        document, headers = await self._validate(given, hook.headers)
        if not document["enabled"] and "disable_reason" in hook.document:
            document["disable_reason"] = hook.document["disable_reason"]
        suspension = hook.suspension
        if suspension is not None:
            keeps = not document["enabled"] and "disable_reason" in given
            suspension = evolve(suspension, next_probe=self._clock.seconds(), probes=0) if keeps else None
        return await self._replace(hook, document, secrets, headers, suspension=suspension, author=author)

    async def rotate_secret(
        self, hook: StoredHook, given: Mapping[str, Any], author: HookAuthor | None = None
    ) -> StoredHook:
        """Change the hook's secrets only, and return the stored hook.

        `given` has ``secret``, ``secret_overlap_seconds`` and ``signature`` like a document, see
        `hook_secrets.updated_secrets`. Raises `InvalidDocument` or `RevisionConflict`.
        """
        secrets = self._updated_secrets(given, hook.secrets)
        return await self._replace(hook, hook.document, secrets, suspension=hook.suspension, author=author)

    async def patch(
        self, hook: StoredHook, changes: Mapping[str, Any], author: HookAuthor | None = None
    ) -> StoredHook:
        """Put `changes` into the document of `hook` (see `patched`), then do the same as `replace`."""
        changes = adopt_alias(changes)
        # Keys about secrets are not stored in the document, and null is a value for them.
        secret_keys = {name: changes[name] for name in _SECRET_KEYS if name in changes}
        if "headers" in changes:
            changes = {**changes, "headers": normalize_names(changes["headers"])}
        merged = patched(hook.document, changes) | secret_keys
        if "enabled" in changes:
            merged.pop("disable_reason", None)
        return await self.replace(hook, merged, author)

    async def delete(self, hook: StoredHook, author: HookAuthor | None = None, *, soft: bool = True) -> None:
        """Delete the hook; `soft`: see `IHookStore`.

        Raises `RevisionConflict` if it has changed since `hook` was read.
        """
        await self._store.delete(hook, author=author, soft=soft)
        self._change(partial(HookRegistry.remove, hook_id=hook.id))
        self._on_changed("doc_deleted", hook)

    async def disable(
        self,
        account_id: str,
        hook_id: str,
        revision: str,
        reason: str,
        suspension: Suspension | None = None,
    ) -> bool:
        """Disable a hook if it is enabled or suspended, and still at `revision`.

        `reason` becomes its ``disable_reason``. With `suspension` it is suspended. Returns whether this call
        has disabled it.
        """
        stored = await self.get(account_id, hook_id)
        if stored is None or stored.revision != revision:
            return False
        enabled = stored.document.get("enabled", True)
        if not enabled and (stored.suspension is None or suspension is not None):
            return False
        disabled = {**stored.document, "enabled": False, "disable_reason": reason}
        return await self._try_replace(stored, disabled, suspension) and bool(enabled)

    async def recover(self, account_id: str, hook_id: str) -> bool:
        """Enable a suspended hook, because its receiver has recovered; return whether this call did it."""
        for _ in range(_MAX_RECOVERIES):
            stored = await self.get(account_id, hook_id)
            if stored is None or stored.suspension is None:
                return False
            if await self._try_replace(stored, _enabled(stored.document)):
                return True
        return False

    async def give_up(self, account_id: str, hook_id: str) -> bool:
        """End the suspension of a hook, which stays disabled; return whether this call did it."""
        stored = await self.get(account_id, hook_id)
        if stored is None or stored.suspension is None:
            return False
        return await self._try_replace(stored, stored.document)

    async def re_enable(self, account_ids: Collection[str]) -> int:
        """Enable the hooks of these accounts that were disabled because of failures; return how many."""
        count = 0
        for stored in map(_coerced, await self._store.for_accounts(account_ids)):
            count += await self._enable_failed(stored)
        return count

    async def _enable_failed(self, hook: StoredHook) -> bool:
        """Enable a hook if it was disabled because of failures; return whether this call did it."""
        stored: StoredHook | None = hook
        for _ in range(_MAX_RECOVERIES):
            if stored is None or stored.document.get("enabled", True):
                return False
            if "disable_reason" not in stored.document:
                return False
            if await self._try_replace(stored, _enabled(stored.document)):
                return True
            stored = await self.get(hook.account_id, hook.id)
        return False

    async def account_deleted(self, account_id: str) -> None:
        """Delete every hook of a deleted account."""
        if count := await self._store.delete_of_account(account_id):
            _log.info(
                "hooks of deleted account deleted account_id={account_id} count={count}",
                account_id=account_id,
                count=count,
            )
        self._change(partial(HookRegistry.remove_account, account_id=account_id))

    def parse(self, stored: StoredHook) -> Hook | None:
        """Parse a stored hook; if its document cannot be used, log an error and return None."""
        return self._parse(stored, partial(Hook.from_document, catalogue=self.rules.catalogue))

    def _parse(self, stored: StoredHook, parse: Callable[[StoredHook], Hook]) -> Hook | None:
        try:
            hook = parse(stored)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            _log.error(
                "hook ignored, replace its document over REST hook_id={hook_id} account_id={account_id}"
                " reason={reason}",
                hook_id=stored.id,
                account_id=stored.account_id,
                reason=repr(error),
            )
            return None
        if hook.suspended and not self._self_healing:
            # It was suspended before the configuration was changed.
            return evolve(hook, suspended=False, failed=True)
        return hook

    async def _validate(
        self, given: Mapping[str, Any], current_headers: Mapping[str, str]
    ) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the document to store, and the values of its headers."""
        document, headers = separate_headers(self.rules.validate(given), current_headers)
        reason = await self._check_uri(document["uri"])
        if reason is not None:
            cause = mask_credentials(document["uri"])
            raise InvalidDocument(field_error("uri", "wrong_format", reason, cause=cause))
        return document, headers

    def _updated_secrets(
        self, given: Mapping[str, Any], current: tuple[Secret, ...]
    ) -> tuple[Secret, ...] | None:
        return hook_secrets.updated_secrets(given, current, self._clock.seconds())

    async def _replace(
        self,
        hook: StoredHook,
        document: Mapping[str, Any],
        secrets: tuple[Secret, ...] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        suspension: Suspension | None = None,
        author: HookAuthor | None = None,
    ) -> StoredHook:
        stored = await self._store.replace(
            hook, document, secrets, headers, suspension=suspension, author=author
        )
        self._changed("doc_edited", stored)
        return stored

    async def _try_replace(
        self, hook: StoredHook, document: Mapping[str, Any], suspension: Suspension | None = None
    ) -> bool:
        """Replace the document; False if another node, or the hook's owner, has just changed it."""
        try:
            await self._replace(hook, document, suspension=suspension)
        except RevisionConflict:
            return False
        return True

    def _changed(self, action: str, stored: StoredHook) -> None:
        self._cache(stored, created=action == "doc_created")
        self._on_changed(action, stored)

    def _cache(self, stored: StoredHook, *, created: bool = False) -> None:
        hook = self.parse(stored)
        if hook is None:
            # Its former version must not serve on.
            self._change(partial(HookRegistry.remove, hook_id=stored.id))
            return
        known = self._registry.find(hook.id)
        self._change(partial(HookRegistry.put, hook=hook))
        if known is None or known.revision != hook.revision:
            was_enabled = created if known is None else known.enabled
            self._on_hook_loaded(hook.id, hook.enabled and not was_enabled)


def _enabled(document: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in document.items() if name != "disable_reason"}
    return kept | {"enabled": True}


def _coerced(stored: StoredHook) -> StoredHook:
    return evolve(stored, document=coerce_document(stored.document))


def patched(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `document` with `changes` applied to it; a null removes the key.

    Like in KAZOO (``cb_webhooks``, ``kz_json:merge_jobjs``), a key is replaced as a whole: what
    ``custom_data`` had before is gone. Only ``headers``, which KAZOO lacks and whose values a client cannot
    read, keeps the headers that `changes` does not name.
    """
    result = _put_keys(document, changes)
    if isinstance(headers := changes.get("headers"), Mapping):
        result["headers"] = _put_keys(document.get("headers", {}), headers)
    return result


def _put_keys(document: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**document, **changes}.items() if value is not None}
