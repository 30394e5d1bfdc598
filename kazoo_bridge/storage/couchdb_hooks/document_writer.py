"""Writes hook documents to KAZOO's database ``webhooks``, each over the revision that was read."""

from __future__ import annotations

from typing import Any

from attrs import frozen
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.couchdb.client import CouchClient, Document, DocumentConflict
from kazoo_bridge.couchdb.names import WEBHOOKS
from kazoo_bridge.interfaces import HookAuthor, RevisionConflict, StoredHook
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.storage.couchdb_hooks.documents import (
    is_live_hook,
    parse_hook,
    soft_deleted,
    to_kazoo,
    with_extras,
)
from kazoo_bridge.storage.couchdb_hooks.extras import HookExtras
from kazoo_bridge.storage.couchdb_hooks.reader import available


@frozen
class HookDocumentWriter:
    """Writes documents; all methods may raise `StorageUnavailable` and `RevisionConflict`.

    `node` is the name of this node, which stands in the documents that it writes.
    """

    _clock: IReactorTime
    _client: CouchClient
    _node: str

    async def current(self, hook: StoredHook) -> Document:
        """Return the document of `hook`, which must be the current revision."""
        document = await self._client.find(WEBHOOKS, hook.id)
        if (
            document is None
            or document.get("_rev") != hook.revision
            or document.get("pvt_account_id") != hook.account_id
            or not is_live_hook(document)
        ):
            raise RevisionConflict(f"hook {hook.id} is no longer at revision {hook.revision}")
        return document

    async def put(
        self,
        previous: Document,
        account_id: str,
        document: dict[str, Any],
        extras: HookExtras,
        author: HookAuthor | None,
    ) -> StoredHook:
        """Write the public `document` over `previous`, for `author`; return the hook with its `extras`."""
        written = to_kazoo(document, previous, account_id, self._node, self._now(), author)
        written["_rev"] = await self._write(written)
        return with_extras(parse_hook(written), extras)

    async def delete_softly(self, current: Document, author: HookAuthor | None) -> None:
        """Mark a document as deleted, as KAZOO does."""
        await self._write(soft_deleted(current, self._node, self._now(), author))

    async def remove(self, hook: StoredHook) -> None:
        """Delete a document for good."""
        try:
            await self._client.delete(WEBHOOKS, hook.id, hook.revision)
        except DocumentConflict:
            raise RevisionConflict(f"hook {hook.id} has just been changed") from None

    async def _write(self, document: Document) -> str:
        try:
            return await available(self._client.put(WEBHOOKS, document))
        except DocumentConflict:
            raise RevisionConflict(f"hook {document['_id']} has just been changed") from None

    def _now(self) -> int:
        return to_gregorian(self._clock.seconds())
