"""Deletes what the storage keeps of hooks that CouchDB no longer has: they were deleted while no node ran."""

from __future__ import annotations

from attrs import frozen
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from kazoo_bridge.couchdb.client import CouchClient
from kazoo_bridge.couchdb.names import WEBHOOKS
from kazoo_bridge.storage.couchdb_hooks.documents import is_live_hook
from kazoo_bridge.storage.couchdb_hooks.extras import HookExtrasStore
from kazoo_bridge.storage.couchdb_hooks.reader import TolerantReader, available
from kazoo_bridge.storage.couchdb_hooks.store import CouchHookStore

_log = Logger()

#: Seconds after all hooks were read. A hook that was deleted may just be written again by another node, which
#: writes its secrets before its document; a request takes at most two minutes.
DELAY = 300.0


@frozen
class OrphanRemoval:
    """Deletes the extras, deliveries and missed events of hooks that were deleted."""

    clock: IReactorTime
    client: CouchClient
    hooks: CouchHookStore
    extras: HookExtrasStore

    async def run(self) -> int:
        """Delete what is kept of hooks that are deleted now and still after `DELAY`; return their number.

        A document that cannot be used, or cannot be read, still has what is kept of it. So has one that
        CouchDB has never had, not even as a deleted one: a CouchDB that is still replicating, or was restored
        from an older backup, may get it yet. Call it when all hooks are in memory. Raises
        `StorageUnavailable`.
        """
        kept = await self.extras.hook_ids()
        candidates = [hook_id for hook_id in kept if hook_id not in self.hooks]
        if not candidates:
            return 0
        await deferLater(self.clock, DELAY)
        candidates = [hook_id for hook_id in candidates if hook_id not in self.hooks]
        presence = await available(self.client.presence(WEBHOOKS, candidates))
        documents = await available(TolerantReader(self.client, WEBHOOKS).read(presence.existing))
        gone = {hook_id for hook_id, document in documents.items() if not is_live_hook(document)}
        gone |= presence.deleted
        if gone:
            await self.extras.delete(gone)
            _log.info("extras of deleted hooks deleted count={count}", count=len(gone))
        return len(gone)
