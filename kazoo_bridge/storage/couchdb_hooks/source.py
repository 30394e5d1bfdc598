"""The hooks of KAZOO's CouchDB: reads all, then follows the changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.application.internet import backoffPolicy
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.config import Config
from kazoo_bridge.couchdb.changes import Change, ChangesFollower
from kazoo_bridge.couchdb.client import CouchClient
from kazoo_bridge.couchdb.names import WEBHOOKS
from kazoo_bridge.interfaces import IAttemptStore, StorageUnavailable
from kazoo_bridge.metrics import register_gauge, register_labelled_counter
from kazoo_bridge.storage.couchdb_hooks.attempts import RESULTS, AttemptCopier, CopiedAttemptStore
from kazoo_bridge.storage.couchdb_hooks.extras import HookExtrasStore
from kazoo_bridge.storage.couchdb_hooks.orphans import OrphanRemoval
from kazoo_bridge.storage.couchdb_hooks.store import CouchHookStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.hook_source import HookSource

_log = Logger()

#: Seconds between two attempts to read all hooks: from the shortest to the longest.
_MIN_DELAY, _MAX_DELAY = 1.0, 15.0


class CouchHookSource(HookSource):
    """See `HookSource`. While CouchDB is away at the start, the service goes on trying to read the hooks.

    Later, the hooks in memory serve on, and writing one fails with `StorageUnavailable`.
    """

    kind = "couchdb"
    hooks: CouchHookStore

    def __init__(
        self,
        clock: IReactorTime,
        client: CouchClient,
        hooks: CouchHookStore,
        extras: HookExtrasStore,
        attempts: IAttemptStore,
    ) -> None:
        """Copy what is added to `attempts` into CouchDB."""
        self._copier = AttemptCopier(clock, client)
        super().__init__(hooks, CopiedAttemptStore(attempts, self._copier))
        self._clock = clock
        self._client = client
        self._follower = ChangesFollower(clock, client, WEBHOOKS, self._on_changes)
        self._orphans = OrphanRemoval(clock, client, hooks, extras)
        self._loading: Deferred[None] | None = None
        self._removing: Deferred[None] | None = None

    @classmethod
    def from_config(
        cls, reactor: Any, config: Config, database: Database, attempts: IAttemptStore, node: str
    ) -> CouchHookSource:
        """Make the source of the section ``couchdb``. `node` is the name of this node."""
        settings = config.couchdb
        client = CouchClient.from_uri(reactor, settings.uri, timeout=settings.request_timeout_ms / 1000)
        extras = HookExtrasStore(reactor, database)
        hooks = CouchHookStore(reactor, client, extras, node, config.webhooks.max_hooks_per_account)
        return cls(reactor, client, hooks, extras, attempts)

    async def load(self) -> None:
        """Read all hooks into memory. If CouchDB is away, the service tries again."""
        try:
            await self._load()
        except StorageUnavailable as error:
            self.hooks.not_loaded = str(error)
            _log.error("hooks of CouchDB not read, trying again reason={reason}", reason=error)

    def startService(self) -> None:
        """Follow the changes; before that, read the hooks if they have not been read."""
        Service.startService(self)
        self._copier.startService()
        if self.hooks.not_loaded is None:
            self._follow()
        else:
            self._loading = Deferred.fromCoroutine(self._load_when_possible())
            self._loading.addErrback(_log_failure)

    def stopService(self) -> Deferred[None]:
        """Follow no more, write the attempts that wait, and close the connections."""
        super().stopService()
        for work in (self._loading, self._removing):
            if work is not None:
                work.cancel()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        services = [service for service in (self._follower, self._copier) if service.running]
        stopping = [maybeDeferred(service.stopService) for service in services]
        await DeferredList(stopping, consumeErrors=True)
        await self._client.close()

    async def close(self) -> None:
        """Write the attempts that wait, and close what is open, without the service running."""
        await self._copier.flush()
        await self._client.close()

    def problem(self) -> str | None:
        """Return why the hooks are not those of this moment; None if they are."""
        if self.hooks.not_loaded is not None:
            return self.hooks.not_loaded
        problem = self._follower.problem()
        return None if problem is None else f"what is in memory serves on, but {problem}"

    def register_metrics(self, registry: CollectorRegistry) -> None:
        """Export the metrics in `registry`."""
        register_gauge(registry, "couchdb_hooks", "Hooks of CouchDB", lambda: len(self.hooks))
        register_labelled_counter(
            registry,
            "couchdb_attempts",
            "Attempts to be written into the monthly databases of CouchDB",
            "result",
            lambda: dict.fromkeys(RESULTS, 0) | self._copier.results,
        )

    async def _load(self) -> None:
        self._follower.since = await self.hooks.begin()
        await self._load_hooks()
        self.hooks.not_loaded = None

    async def _load_when_possible(self) -> None:
        delay, failures = backoffPolicy(_MIN_DELAY, _MAX_DELAY), 0
        while self.hooks.not_loaded is not None:
            await deferLater(self._clock, delay(min(failures, 100)))
            failures += 1
            try:
                await self._load()
            except StorageUnavailable as error:
                self.hooks.not_loaded = str(error)
        self._follow()

    def _follow(self) -> None:
        self._follower.startService()
        self._removing = Deferred.fromCoroutine(self._remove_orphans())
        self._removing.addErrback(_log_failure)
        self._on_loaded()

    async def _remove_orphans(self) -> None:
        try:
            await self._orphans.run()
        except StorageUnavailable as error:
            _log.warn("extras of deleted hooks stay until the next start reason={reason}", reason=error)

    async def _apply(self, changes: Sequence[Change]) -> None:
        news = await self.hooks.news(changes)
        if news:
            await self._reload_hooks({change.id for change in news})
            await self.hooks.applied(news)

    def _on_changes(self, changes: Sequence[Change]) -> Deferred[None]:
        return Deferred.fromCoroutine(self._apply(changes))


def _log_failure(failure: Failure) -> None:
    if not failure.check(CancelledError):
        _log.failure("work on the hooks of CouchDB failed", failure)
