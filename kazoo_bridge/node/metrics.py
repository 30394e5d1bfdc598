"""The Prometheus metrics of one node."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Info,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

import twisted
from kazoo_bridge import __version__
from kazoo_bridge.calls.service import CallService
from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.metrics import NAMESPACE, register_counters, register_gauge, register_labelled_counter
from kazoo_bridge.node.reactor_lag import ReactorLag
from kazoo_bridge.pivot.service import PivotService
from kazoo_bridge.rest.server.request_metrics import RequestMetrics
from kazoo_bridge.storage.database import CHECK_TIMEOUT, Database
from kazoo_bridge.storage.retention import RetentionService
from kazoo_bridge.webhooks.service import WebhookService
from kazoo_bridge.websockets.service import WebsocketService


class NodeMetrics:
    """All metrics of a node, in their own registry. `is_bus_up` says whether the node consumes events.

    `register_parts` register the metrics of parts of which there are several kinds. `count_delayed_calls`
    returns how many calls of the reactor are due later.
    """

    def __init__(
        self,
        *,
        is_bus_up: Callable[[], bool],
        count_delayed_calls: Callable[[], int],
        register_parts: Iterable[Callable[[CollectorRegistry], None]],
        reactor_lag: ReactorLag,
        requests: RequestMetrics,
        directory: BaseDirectory,
        database: Database,
        retention: RetentionService,
        calls: CallService,
        pivots: PivotService,
        webhooks: WebhookService,
        websockets: WebsocketService,
    ) -> None:
        # Without this, each counter and histogram has a second metric, ..._created, that is not documented.
        disable_created_metrics()
        self._database = database
        self._is_storage_up = False
        self._registry = registry = CollectorRegistry(auto_describe=False)
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        Info(NAMESPACE, "Version of this node", registry=registry).info({"version": __version__})
        Info(f"{NAMESPACE}_build", "Versions of this node and what it runs on", registry=registry).info(
            {
                "version": __version__,
                "python": platform.python_version(),
                "twisted": twisted.__version__,
            }
        )
        register_gauge(registry, "bus_up", "1 while the node consumes events", is_bus_up)
        register_gauge(registry, "storage_up", "1 while the storage answers", lambda: self._is_storage_up)
        register_gauge(
            registry, "delayed_calls", "Timers of the process: calls that are due later", count_delayed_calls
        )
        register_gauge(
            registry, "watched_accounts", "Accounts with live calls watched", lambda: calls.watched
        )
        register_labelled_counter(
            registry,
            "rows_purged",
            "Stored rows that this node has deleted or marked because they were too old or too many",
            "purge",
            lambda: retention.purged,
        )
        register_counters(
            registry,
            "directory_cache_lookups",
            "Lookups in the caches of the directory",
            ("cache", "result"),
            lambda: {
                (name, result): count
                for name, one in directory.cache_lookups.items()
                for result, count in (("hit", one.hits), ("miss", one.misses))
            },
        )
        register_labelled_counter(
            registry,
            "auth_failures",
            "Requests and messages without a valid token, API key or password",
            "client",
            lambda: {**requests.auth_failures, "websocket": websockets.server.actions.invalid_tokens},
        )
        database.register_metrics(registry)
        reactor_lag.register_metrics(registry)
        requests.register(registry)
        for register in register_parts:
            register(registry)
        websockets.register_metrics(registry)
        pivots.register_metrics(registry)
        self._stored_deliveries = webhooks.register_metrics(registry)

    async def read(
        self, timeout: float = CHECK_TIMEOUT, *, count_deliveries: bool = True
    ) -> CollectorRegistry:
        """Read what the storage says within `timeout` seconds, then return the registry for a scrape.

        While the storage is unavailable, all metrics but the number of stored deliveries are there.
        `count_deliveries` False: without that number, too.
        """
        self._is_storage_up = await self._database.check(timeout) is None
        if self._is_storage_up and count_deliveries:
            await self._stored_deliveries.update()
        else:
            self._stored_deliveries.clear()
        return self._registry
