"""Hooks over the fake CouchDB and a database that answers at once, on a clock."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock

from kazoo_bridge.couchdb.names import WEBHOOKS
from kazoo_bridge.interfaces import StorageUnavailable, StoredHook
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.storage.attempts import AttemptStore
from kazoo_bridge.storage.couchdb_hooks.extras import HookExtrasStore
from kazoo_bridge.storage.couchdb_hooks.source import CouchHookSource
from kazoo_bridge.storage.couchdb_hooks.store import CouchHookStore
from tests.couchdb.fake_couch import FakeCouch
from tests.directory.couchdb.harness import result_of
from tests.storage.record_factories import NOW, ONE, A
from tests.storage.sqlite_template import make_migrated_database
from tests.webhooks.outage_harness import InlineDatabase

T = TypeVar("T")

GREGORIAN_NOW = to_gregorian(NOW)


def hook_document(hook_id: str = ONE, account_id: str = A, **more: Any) -> dict[str, Any]:
    """Return a hook's document as KAZOO's crossbar writes it."""
    return {
        "_id": hook_id,
        "name": "Calls",
        "uri": "http://receiver.example/",
        "hook": "channel_create",
        "http_verb": "post",
        "retries": 2,
        "enabled": True,
        "pvt_type": "webhook",
        "pvt_vsn": "1",
        "pvt_account_id": account_id,
        "pvt_account_db": "webhooks",
        "pvt_created": 63667898685,
        "pvt_modified": 63667898685,
        "pvt_auth_account_id": account_id,
    } | more


class RefusingDatabase(InlineDatabase):
    """Answers at once; while it is `away`, nothing can be written."""

    away = False

    def write(self, work: Callable[[Connection], T]) -> Deferred[T]:
        return fail(StorageUnavailable("no storage")) if self.away else super().write(work)


class HooksHarness:
    """The parts. `times_loaded` counts how often all hooks were read, `reloads` has what was read again.

    `memory` are the hooks by id that serve, like those of the registry.
    """

    def __init__(self, folder: Path, max_per_account: int = 0) -> None:
        self.clock = Clock()
        self.clock.advance(NOW)
        self.couch = FakeCouch()
        self.couch.create(WEBHOOKS)
        self.client = self.couch.client(self.clock, timeout=10)
        self.database = RefusingDatabase(self.clock, make_migrated_database(folder / "bridge.sqlite3"))
        self.extras = HookExtrasStore(self.clock, self.database)
        self.store = CouchHookStore(
            self.clock, self.client, self.extras, "kazoo_bridge@host", max_per_account
        )
        self.attempts = AttemptStore(self.database)
        self.source = CouchHookSource(self.clock, self.client, self.store, self.extras, self.attempts)
        self.source.connect(self._load, self._reload, self._on_loaded)
        self.hooks: list[StoredHook] = []
        self.memory: dict[str, StoredHook] = {}
        self.reloads: list[set[str]] = []
        self.times_loaded = 0

    async def _load(self) -> None:
        self.hooks, position = [], 0
        while True:
            batch, position = await self.store.batch(position, 2)
            if not batch:
                self.memory = {hook.id: hook for hook in self.hooks}
                return
            self.hooks += batch

    async def _reload(self, hook_ids: Any) -> None:
        current = {hook.id: hook for hook in await self.store.by_ids(hook_ids)}
        for hook_id in hook_ids:
            self.memory.pop(hook_id, None)
        self.memory |= current
        self.reloads.append(set(hook_ids))

    def _on_loaded(self) -> None:
        self.times_loaded += 1

    def load(self) -> None:
        """Read all hooks."""
        result_of(self.source.load())

    def start(self) -> None:
        """Read all hooks, and follow."""
        self.load()
        self.source.startService()
        self.couch.flush()

    def stop(self) -> None:
        """Stop, and check that nothing is left."""
        result_of(self.source.stopService())
        assert self.clock.getDelayedCalls() == []
        result_of(self.database.close())

    def advance(self, seconds: int) -> None:
        """Let time pass, with heartbeats of CouchDB unless it is away."""
        for _ in range(seconds):
            self.clock.advance(1)
            if not self.couch.away:
                self.couch.heartbeat()
            self.couch.flush()

    def save(self, hook_id: str = ONE, account_id: str = A, **more: Any) -> None:
        """Write a hook's document like KAZOO."""
        self.couch.save(WEBHOOKS, hook_document(hook_id, account_id, **more))
        self.couch.flush()

    def document(self, hook_id: str = ONE) -> dict[str, Any]:
        """Return the document as it is in CouchDB."""
        return self.couch.databases[WEBHOOKS][hook_id]

    def hook(self, hook_id: str = ONE, account_id: str = A) -> StoredHook:
        """Return a hook, which must exist."""
        hook = result_of(self.store.get(account_id, hook_id))
        assert hook is not None
        return hook
