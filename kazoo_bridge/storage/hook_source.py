"""Where a node's hooks come from: its own storage, or KAZOO's CouchDB (see `storage.couchdb_hooks`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from prometheus_client import CollectorRegistry
from twisted.application.service import Service
from twisted.internet.defer import Deferred, succeed

from kazoo_bridge.interfaces import IAttemptStore, IHookStore

#: Reads all hooks into memory. Raises `StorageUnavailable`.
LoadHooks = Callable[[], Awaitable[None]]

#: Reads the hooks with these ids again. Raises `StorageUnavailable`.
ReloadHooks = Callable[[Collection[str]], Awaitable[None]]


class HookSource(Service):
    """The stores of hooks and attempts, here those of the node's own storage.

    The node calls `load`, then starts the service, which calls `on_loaded` when all hooks are in memory:
    before that, events must stay in their queue.
    """

    #: The value of ``webhooks.source``.
    kind = "storage"

    def __init__(self, hooks: IHookStore, attempts: IAttemptStore) -> None:
        self.hooks = hooks
        self.attempts = attempts
        self._on_loaded: Callable[[], None] = lambda: None

    def connect(self, load: LoadHooks, reload: ReloadHooks, on_loaded: Callable[[], None]) -> None:
        """Set what reads the hooks into memory, and what is called once when that is done."""
        self._load_hooks, self._reload_hooks, self._on_loaded = load, reload, on_loaded

    async def load(self) -> None:
        """Read all hooks into memory. Raises `StorageUnavailable` if the node cannot start without them."""
        await self._load_hooks()

    def startService(self) -> None:
        """Follow the hooks."""
        super().startService()
        self._on_loaded()

    def stopService(self) -> Deferred[None]:
        """Follow no more; fires when nothing is under way."""
        super().stopService()
        return succeed(None)

    async def close(self) -> None:
        """Close what is open without the service running."""

    def problem(self) -> str | None:
        """Return why the hooks are not those of this moment; None if they are."""
        return None

    def register_metrics(self, registry: CollectorRegistry) -> None:
        """Export the metrics in `registry`."""
