"""Hook documents in KAZOO's CouchDB, and what they have beyond that in the storage."""

from __future__ import annotations

from collections.abc import Collection, Coroutine, Iterable, Mapping, Sequence
from secrets import token_hex
from typing import Any, TypeVar

from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from kazoo_bridge.couchdb.changes import Change
from kazoo_bridge.couchdb.client import (
    CouchClient,
    Document,
    SequenceId,
)
from kazoo_bridge.couchdb.names import WEBHOOKS
from kazoo_bridge.interfaces import (
    HookAuthor,
    IHookStore,
    RevisionConflict,
    Secret,
    StorageUnavailable,
    StoredHook,
    Suspension,
    TooManyHooks,
)
from kazoo_bridge.storage.couchdb_hooks.document_writer import HookDocumentWriter
from kazoo_bridge.storage.couchdb_hooks.documents import (
    is_hook_id,
    is_live_hook,
    own_options,
    parse_or_log,
    parse_quietly,
    with_extras,
)
from kazoo_bridge.storage.couchdb_hooks.extras import NO_EXTRAS, HookExtras, HookExtrasStore
from kazoo_bridge.storage.couchdb_hooks.index import HookIndex
from kazoo_bridge.storage.couchdb_hooks.keyed_locks import KeyedLocks
from kazoo_bridge.storage.couchdb_hooks.reader import TolerantReader, available
from kazoo_bridge.storage.hooks import copy_json

T = TypeVar("T")


@implementer(IHookStore)
class CouchHookStore:
    """See `IHookStore`. Call `begin`, then read all hooks by `batch`; then pass each `Change` to `news`.

    `node` is the name of this node, which stands in the documents that it writes. While a hook is written,
    other reads by id and writes of it wait: what they return is never older than what was returned before.
    """

    def __init__(
        self,
        clock: IReactorTime,
        client: CouchClient,
        extras: HookExtrasStore,
        node: str,
        max_per_account: int = 0,
    ) -> None:
        """Limit each account to `max_per_account` hooks; 0: no limit."""
        self._clock = clock
        self._client = client
        self._extras = extras
        self._documents = HookDocumentWriter(clock, client, node)
        self._max_per_account = max_per_account
        self._reader = TolerantReader(client, WEBHOOKS)
        self._index = HookIndex()
        self._locks = KeyedLocks()
        #: The last id of a batch, by the position that it came with.
        self._positions: dict[int, str] = {}
        self._batches = 0
        #: Why the hooks of an account are not known; None: they are.
        self.not_loaded: str | None = "the hooks of CouchDB have not been read yet"

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, hook_id: object) -> bool:
        return isinstance(hook_id, str) and self._index.revision(hook_id) is not None

    # -- following

    async def begin(self) -> SequenceId:
        """Forget what is known, before all hooks are read; return the present end of the changes.

        Raises `StorageUnavailable`.
        """
        sequence = await available(self._client.update_sequence(WEBHOOKS))
        self._index.clear()
        self._positions.clear()
        return sequence

    async def news(self, changes: Sequence[Change]) -> list[Change]:
        """Return the latest change of each hook that others than this node have changed or deleted.

        Read these hooks again, then call `applied`: until then, the same changes are news again.
        """
        latest = {change.id: change for change in changes}
        news = {hook_id: change for hook_id, change in latest.items() if self._is_news(change)}
        # The change may come before the answer to the write that has made it.
        async with self._locks.hold(news):
            return [change for change in news.values() if self._is_news(change)]

    async def applied(self, news: Sequence[Change]) -> None:
        """Note that the hooks in memory are at least as new as these changes.

        Deletes what is kept of deleted hooks. Raises `StorageUnavailable`.
        """
        async with self._locks.hold(change.id for change in news):
            if gone := [change.id for change in news if _is_deletion(change)]:
                await self._extras.delete(gone)
            for change in news:
                if _is_deletion(change):
                    self._index.remove(change.id)
                elif change.doc is not None:
                    self._index.note(change.id, parse_quietly(change.doc))

    def _is_news(self, change: Change) -> bool:
        known = self._index.revision(change.id)
        if change.doc is None or not is_live_hook(change.doc):
            return known is not None
        return known is None or known != change.doc.get("_rev")

    # -- reading

    def batch(self, after: int, count: int) -> Deferred[tuple[list[StoredHook], int]]:
        """Read at most `count` hooks after a position, and the position of the last of them."""
        return _deferred(self._batch(after, count))

    def by_ids(self, hook_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        """Read the hooks with these ids, in any order; unknown ids are left out."""
        return _deferred(self._by_ids([hook_id for hook_id in hook_ids if is_hook_id(hook_id)]))

    def for_account(self, account_id: str) -> Deferred[list[StoredHook]]:
        """Read the account's hooks, oldest first."""
        return self.for_accounts([account_id])

    def for_accounts(self, account_ids: Collection[str]) -> Deferred[list[StoredHook]]:
        """Read the hooks of all these accounts, oldest first."""
        return _deferred(self._for_accounts(account_ids))

    def get(self, account_id: str, hook_id: str) -> Deferred[StoredHook | None]:
        """Read one hook; None if the account has no hook with this id."""
        return _deferred(self._get(account_id, hook_id)) if is_hook_id(hook_id) else succeed(None)

    async def _batch(self, after: int, count: int) -> tuple[list[StoredHook], int]:
        last = self._positions.pop(after) if after else ""
        while True:
            # Ids alone: of the documents, some may be too large to be read with others.
            pages = self._client.pages(
                WEBHOOKS,
                include_docs=False,
                page_size=count + (1 if last else 0),
                start_key=last or None,
            )
            ids = [row.id for row in await available(anext(pages, [])) if row.id != last]
            await pages.aclose()
            if not ids:
                return [], after
            last = ids[-1]
            hooks = await self._read(filter(is_hook_id, ids))
            # Later, the changes fill the index: they may be newer than what was read here.
            if self.not_loaded is not None:
                for hook in hooks:
                    self._index.put(hook.id, hook.account_id, hook.revision)
            if hooks:
                self._batches += 1
                self._positions[self._batches] = last
                return hooks, self._batches

    async def _by_ids(self, hook_ids: Collection[str]) -> list[StoredHook]:
        async with self._locks.hold(hook_ids):
            return await self._read(hook_ids)

    async def _for_accounts(self, account_ids: Collection[str]) -> list[StoredHook]:
        hooks = await self._read(self._ids_of(account_ids))
        mine = [hook for hook in hooks if hook.account_id in account_ids]
        return sorted(mine, key=lambda hook: (hook.created, hook.id))

    async def _get(self, account_id: str, hook_id: str) -> StoredHook | None:
        document = await self._client.find(WEBHOOKS, hook_id)
        hook = None if document is None else parse_or_log(document)
        if hook is None or hook.account_id != account_id:
            return None
        return with_extras(hook, await self._extras_of(hook_id))

    async def _read(self, hook_ids: Iterable[str]) -> list[StoredHook]:
        documents = await available(self._reader.read(list(hook_ids)))
        return await self._parse(documents.values())

    async def _parse(self, documents: Iterable[Document]) -> list[StoredHook]:
        hooks = [hook for document in documents if (hook := parse_or_log(document)) is not None]
        # Without the storage, deleted hooks at least serve no longer.
        extras = await self._extras.read([hook.id for hook in hooks]) if hooks else {}
        return [with_extras(hook, extras.get(hook.id, NO_EXTRAS)) for hook in hooks]

    async def _extras_of(self, hook_id: str) -> HookExtras:
        return (await self._extras.read([hook_id])).get(hook_id, NO_EXTRAS)

    def _ids_of(self, account_ids: Collection[str]) -> list[str]:
        if self.not_loaded is not None:
            raise StorageUnavailable(self.not_loaded)
        return self._index.of_accounts(account_ids)

    # -- writing

    def create(
        self,
        account_id: str,
        document: Mapping[str, Any],
        secrets: tuple[Secret, ...] = (),
        headers: Mapping[str, str] | None = None,
        *,
        author: HookAuthor | None = None,
    ) -> Deferred[StoredHook]:
        """Write a new hook under a random id and fire with it; `author` stands in the document.

        Fails with `TooManyHooks` if the account has as many as it may have. Raises `ValueError` or
        `TypeError` for a document that JSON cannot express.
        """
        return _deferred(self._create(account_id, copy_json(document), secrets, dict(headers or {}), author))

    def replace(
        self,
        hook: StoredHook,
        document: Mapping[str, Any],
        secrets: tuple[Secret, ...] | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        suspension: Suspension | None = None,
        author: HookAuthor | None = None,
    ) -> Deferred[StoredHook]:
        """Replace the document of `hook`, and its secrets and header values unless they are None.

        `suspension` replaces the hook's; None ends it. Fails with `RevisionConflict` if `hook` is not the
        current revision. Raises like `create`.
        """
        return _deferred(self._replace(hook, copy_json(document), secrets, headers, suspension, author))

    def delete(
        self, hook: StoredHook, *, author: HookAuthor | None = None, soft: bool = True
    ) -> Deferred[None]:
        """Delete the hook, softly or not, like crossbar, and its deliveries.

        Fails with `RevisionConflict` if it is not the current revision.
        """
        return _deferred(self._delete(hook, author, soft))

    def delete_of_account(self, account_id: str) -> Deferred[int]:
        """Delete every hook and delivery of an account, as crossbar does; fires with the number of hooks."""
        return _deferred(self._delete_of_account(account_id))

    async def _create(
        self,
        account_id: str,
        document: dict[str, Any],
        secrets: tuple[Secret, ...],
        headers: Mapping[str, str],
        author: HookAuthor | None,
    ) -> StoredHook:
        if self._max_per_account and len(self._ids_of([account_id])) >= self._max_per_account:
            raise TooManyHooks(self._max_per_account)
        hook_id = token_hex(16)
        async with self._locks.hold([hook_id]):
            extras = HookExtras(own_options(document), secrets, headers)
            # First, so that the hook never exists without its secrets.
            if extras != NO_EXTRAS:
                await self._extras.write(hook_id, account_id, extras)
            stored = await self._documents.put({"_id": hook_id}, account_id, document, extras, author)
            return self._noted(stored)

    async def _replace(
        self,
        hook: StoredHook,
        document: dict[str, Any],
        secrets: tuple[Secret, ...] | None,
        headers: Mapping[str, str] | None,
        suspension: Suspension | None,
        author: HookAuthor | None,
    ) -> StoredHook:
        async with self._locks.hold([hook.id]):
            previous = await self._documents.current(hook)
            known = await self._extras_of(hook.id)
            extras = HookExtras(
                own_options(document),
                known.secrets if secrets is None else secrets,
                known.headers if headers is None else dict(headers),
                suspension,
            )
            if suspension is not None and suspension != known.suspension:
                # First, so that the hook is never disabled without it: it would wait for a person.
                await self._extras.suspend(hook.id, hook.account_id, suspension)
            try:
                stored = await self._documents.put(previous, hook.account_id, document, extras, author)
            except RevisionConflict:
                if suspension is not None and known.suspension is None:
                    await self._extras.end_suspensions({hook.id: suspension})
                raise
            if extras != (known if suspension is None else evolve(known, suspension=suspension)):
                await self._extras.write(hook.id, hook.account_id, extras)
            return self._noted(stored)

    def _noted(self, stored: StoredHook) -> StoredHook:
        """Note that this node has written a hook: call it last, when nothing can fail any more.

        Before that, the change that CouchDB brings is news, and the hook in memory is read again.
        """
        self._index.put(stored.id, stored.account_id, stored.revision)
        return stored

    async def _delete(self, hook: StoredHook, author: HookAuthor | None, soft: bool) -> None:
        async with self._locks.hold([hook.id]):
            current = await self._documents.current(hook)
            if soft:
                await self._documents.delete_softly(current, author)
            else:
                await self._documents.remove(hook)
            await self._extras.delete([hook.id])
            self._index.remove(hook.id)

    async def _delete_of_account(self, account_id: str) -> int:
        hook_ids = self._ids_of([account_id])
        async with self._locks.hold(hook_ids):
            documents = await available(self._reader.read(hook_ids))
            deletions = [
                {"_id": document["_id"], "_rev": document["_rev"], "_deleted": True}
                for document in documents.values()
                if document.get("pvt_account_id") == account_id and is_live_hook(document)
            ]
            # KAZOO deletes them at the same time; a conflict says that it has.
            results = await available(self._client.bulk(WEBHOOKS, deletions))
            await self._extras.delete_of_account(account_id, hook_ids)
            for hook_id in hook_ids:
                self._index.remove(hook_id)
        return sum(result.rev is not None for result in results)

    # -- probes of suspended hooks

    def due_probes(self, now: float) -> Deferred[list[StoredHook]]:
        """Read suspended hooks whose probe is due at `now` (Unix seconds) and that have a held delivery."""
        return _deferred(self._due_probes(now))

    async def _due_probes(self, now: float) -> list[StoredHook]:
        due = await self._extras.due_probes(now)
        found = {hook.id: hook for hook in await self._read(due)} if due else {}
        hooks = [found[hook_id] for hook_id in due if hook_id in found]
        suspended = [hook for hook in hooks if hook.suspension is not None]
        ended = due.keys() - {hook.id for hook in suspended}
        if ended:
            # KAZOO has enabled or deleted them.
            await self._extras.end_suspensions({hook_id: due[hook_id] for hook_id in ended})
        return suspended

    def claim_probe(self, hook: StoredHook, next_probe: float) -> Deferred[bool]:
        """Count a probe of `hook`, and postpone the next one to `next_probe` (Unix seconds).

        Fires with False if another node has claimed it, or if the hook has changed.
        """
        if hook.suspension is None:
            return succeed(False)
        return self._extras.claim_probe(hook.id, hook.suspension, next_probe)

    def return_probe(self, hook: StoredHook, next_probe: float) -> Deferred[None]:
        """Uncount a probe that was claimed from the state `hook`, and was not made."""
        if hook.suspension is None:
            return succeed(None)
        return self._extras.return_probe(hook.id, hook.suspension, next_probe)


def _is_deletion(change: Change) -> bool:
    return change.deleted or (change.doc is not None and not is_live_hook(change.doc))


def _deferred(work: Coroutine[Any, Any, T]) -> Deferred[T]:
    return Deferred.fromCoroutine(work)
