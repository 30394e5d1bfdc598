"""One node: its parts, how they start, and how they stop."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, cast

from attrs import define, field
from prometheus_client import CollectorRegistry
from twisted.application.service import IService
from twisted.internet.defer import Deferred, maybeDeferred

from kazoo_bridge.calls.service import CallService
from kazoo_bridge.config import Config, ConfigError
from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.interfaces import (
    IBus,
    ICalls,
    IDirectory,
    IEventCategory,
    INodes,
    IPivots,
    IWebhooks,
    IWebsockets,
    StorageUnavailable,
)
from kazoo_bridge.node.account_manager import AccountManager
from kazoo_bridge.node.cluster import Cluster
from kazoo_bridge.node.directory_watch import DirectoryWatch
from kazoo_bridge.node.graceful_shutdown import ShutdownSequence
from kazoo_bridge.node.metrics import NodeMetrics
from kazoo_bridge.node.node_status import StatusReader
from kazoo_bridge.node.parts import AnyBus
from kazoo_bridge.node.processes.workers import Workers
from kazoo_bridge.node.reactor_lag import ReactorLag
from kazoo_bridge.node.readiness import Readiness
from kazoo_bridge.node.rest_server import RestServer
from kazoo_bridge.node.startup import StartupFailed, StoppedWhileStarting, open_port
from kazoo_bridge.node.storage_changes import StorageChanges
from kazoo_bridge.node.storage_wait import StorageWait
from kazoo_bridge.node.tls_certificates import TlsCertificates
from kazoo_bridge.pivot.service import PivotService
from kazoo_bridge.rest.resources.console import WebsocketLocation
from kazoo_bridge.rest.routes import RestServices, build_resources
from kazoo_bridge.rest.server.request_metrics import RequestMetrics
from kazoo_bridge.storage.accounts import AccountStore
from kazoo_bridge.storage.change_feed import ChangeFeed
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.hook_source import HookSource
from kazoo_bridge.storage.retention import RetentionService
from kazoo_bridge.storage.tokens import TokenStore
from kazoo_bridge.webhooks.service import WebhookService
from kazoo_bridge.websockets.service import WebsocketService

if TYPE_CHECKING:
    from kazoo_bridge.node.span_exporter import OtlpSpanRecorder

#: Seconds that the storage has to answer when a worker reads its metrics, within those that it has itself.
WORKER_CHECK_TIMEOUT = 0.5


@define(eq=False)
class Node:
    """The parts of one node. Call `start`, and `stop` even if that failed.

    `name` identifies the node in messages to other nodes and in answers of REST. `loading` makes a context in
    which all hooks are read, at the start and whenever they are read again. `spans` exports spans, if any.
    `is_worker`: it serves no clients and only delivers webhooks. `workers` are further processes of the node.
    """

    reactor: Any
    config: Config
    name: str
    bus: AnyBus
    categories: list[IEventCategory]
    database: Database
    change_feed: ChangeFeed
    retention: RetentionService
    accounts: AccountStore
    tokens: TokenStore
    directory: BaseDirectory
    hook_source: HookSource
    webhooks: WebhookService
    calls: CallService
    pivots: PivotService
    websockets: WebsocketService
    loading: Callable[[], AbstractContextManager[None]]
    spans: OtlpSpanRecorder | None
    workers: Workers
    is_worker: bool
    reactor_lag: ReactorLag = field(init=False)
    request_metrics: RequestMetrics = field(init=False, factory=RequestMetrics)
    metrics: NodeMetrics = field(init=False)
    readiness: Readiness = field(init=False)
    storage_wait: StorageWait = field(init=False)
    storage_changes: StorageChanges = field(init=False)
    directory_watch: DirectoryWatch = field(init=False)
    certificates: TlsCertificates = field(init=False, factory=TlsCertificates)
    cluster: Cluster = field(init=False)
    rest_server: RestServer = field(init=False)
    _started: bool = field(init=False, default=False)
    _stopping: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        hooks = self.webhooks.hooks
        self.storage_changes = StorageChanges(hooks, self.pivots, self.loading)
        self.hook_source.connect(self.storage_changes.load_hooks, hooks.reload, self.webhooks.start)
        self.directory_watch = DirectoryWatch(
            self.reactor, cast(IBus, self.bus), self.directory, self._check_rights
        )
        self.storage_wait = StorageWait(self.reactor)
        self.readiness = Readiness(
            self.bus,
            self.database,
            lambda: self.directory,
            self.hook_source,
            lambda: None if self._started else "the node is still starting",
            lambda: self.storage_wait.problem,
        )
        self.reactor_lag = ReactorLag(self.reactor)
        parts = [self.bus, self.hook_source, *([self.spans] if self.spans is not None else [])]
        self.metrics = NodeMetrics(
            is_bus_up=lambda: self.readiness.bus_problem() is None,
            count_delayed_calls=lambda: len(self.reactor.getDelayedCalls()),
            register_parts=[part.register_metrics for part in parts],
            reactor_lag=self.reactor_lag,
            requests=self.request_metrics,
            directory=self.directory,
            database=self.database,
            retention=self.retention,
            calls=self.calls,
            pivots=self.pivots,
            webhooks=self.webhooks,
            websockets=self.websockets,
        )
        self.rest_server = RestServer(
            self.reactor,
            self.config,
            self.name,
            cast(IDirectory, self.directory),
            self.certificates,
            lambda: self.storage_wait.problem is not None,
            self.read_metrics,
            self.request_metrics,
            self.workers.look if self.config.node.processes > 1 else None,
        )
        status = StatusReader(
            self.reactor,
            self.reactor.seconds(),
            self.metrics.read,
            self.readiness.problems,
            self.degradations,
        )
        self.cluster = Cluster.from_parts(
            cast(IBus, self.bus),
            self.name,
            self.database,
            self.webhooks,
            self.websockets,
            status,
        )

    async def start(self) -> None:
        """Prepare the storage, listen, then consume events. Raises `StartupFailed`; call `stop` then, too.

        Raises `StoppedWhileStarting` if `stop` is called meanwhile; nothing more is started then.
        While the storage is not there yet, the node waits; REST answers 503.
        """
        try:
            await self.storage_wait.run(self.load, self._listen_http)
        except StorageUnavailable as error:
            self._require_not_stopping()
            raise StartupFailed(f"storage.uri: the storage cannot be used: {error}") from None
        self._require_not_stopping()
        self.storage_changes.follow(self.change_feed, self.directory, self.directory_watch)
        self.change_feed.startService()
        if self.is_worker:
            # The first process may have answered that all processes know a change that came after `load`.
            await self.change_feed.look()
        self.retention.startService()
        self.directory.startService()
        try:
            await self._listen_http()
            await self._listen_websockets()
        finally:
            if self._stopping:
                await self.rest_server.stop()
                await self.websockets.stop()
        self._require_not_stopping()
        if self.spans is not None:
            self.spans.start()
        IService(self.bus).startService()
        self.hook_source.startService()
        if not self.is_worker:
            self.calls.start()
            self.pivots.start(self.websockets.pivot_clients)
            self.websockets.start()
        self.directory_watch.startService()
        self.cluster.responder.start()
        self.reactor_lag.startService()
        self._started = True
        self.workers.start()

    def _require_not_stopping(self) -> None:
        if self._stopping:
            raise StoppedWhileStarting

    async def load(self) -> None:
        """Migrate the storage and read what is kept in memory. Raises `StorageUnavailable`."""
        await self.database.migrate()
        await self.change_feed.mark()
        await self.webhooks.load()
        with self.loading():
            await self.directory.load()
        await self.hook_source.load()

    async def _listen_http(self) -> None:
        if self.is_worker or self.rest_server.is_listening:
            return
        await self.rest_server.listen(build_resources(self.rest_services()))

    async def _listen_websockets(self) -> None:
        if self.is_worker:
            return
        await open_port(
            "websockets.endpoint",
            self.config.websockets.endpoint,
            Deferred.fromCoroutine(self.websockets.listen(self.certificates.make_endpoint)),
        )

    def configure(self, config: Config) -> None:
        """Apply the limits of a configuration that can change while the node runs."""
        self.websockets.configure(config.websockets)
        self.rest_server.configure(config.http)

    def read_certificates(self) -> Callable[[], None]:
        """Read the certificates of TLS endpoints again; returns what applies them. Raises `ConfigError`."""
        try:
            return self.certificates.read()
        except ValueError as error:
            raise ConfigError([str(error)]) from None

    def rest_services(self) -> RestServices:
        """Return what the resources of REST need of this node."""
        settings = self.config.websockets
        location = WebsocketLocation(
            uri=self.config.console.websocket_uri,
            secure=settings.endpoint.startswith(("ssl:", "tls:")),
            port=lambda: self.websockets.port,
        )
        return RestServices(
            clock=self.reactor,
            directory=cast(IDirectory, self.directory),
            accounts=AccountManager(self.accounts, self.tokens, self.directory),
            webhooks=cast(IWebhooks, self.webhooks.api),
            websockets=cast(IWebsockets, self.websockets.api),
            calls=cast(ICalls, self.calls),
            pivots=cast(IPivots, self.pivots),
            pivot_base_uri=self.config.pivot.base_uri,
            nodes=cast(INodes, self.cluster),
            websocket_location=location,
            read_metrics=None if self.config.metrics.endpoint else self.read_metrics,
            readiness_problems=self.readiness_problems,
            degradations=self.degradations,
            has_system_wide_channels=self.config.calls.system_wide_channels,
            is_embedded=self.readiness.is_embedded,
            may_eavesdrop=self.config.calls.allow_eavesdrop,
        )

    @property
    def http_host(self) -> str:
        """Host and port of REST, as in a URL; the port is 0 before `start`."""
        return self.rest_server.host

    def _check_rights(self) -> None:
        self.websockets.sessions.check_rights()

    async def readiness_problems(self) -> list[str]:
        """Return why this node is not ready; see `Readiness`."""
        return await self.readiness.problems()

    def degradations(self) -> list[str]:
        """Return what does not work although the node is ready; see `Readiness`."""
        return [*self.readiness.degradations(), *self.workers.problems()]

    async def read_metrics(self) -> CollectorRegistry:
        """Read the metrics of all processes of the node."""
        return await self.workers.add_metrics(self.metrics.read())

    async def read_worker_metrics(self) -> CollectorRegistry:
        """Read the metrics of this worker; what all processes count in the storage, the first one does."""
        return await self.metrics.read(WORKER_CHECK_TIMEOUT, count_deliveries=False)

    def worker_problem(self) -> str | None:
        """Return why this worker delivers no events, or those of hooks that are not those of this moment."""
        return self.readiness.bus_problem() or self.hook_source.problem()

    def give_up_start(self) -> None:
        """Let `start` wait no more for the storage: it raises `CancelledError`."""
        self.storage_wait.stop()

    async def stop(self, forced: Deferred[None]) -> None:
        """Consume no more events, let requests in flight end, then close everything.

        `forced`, when it fires, shortens all waiting. No step waits longer than `ShutdownSequence` allows for
        a broker, database or client that does not answer; requests in flight may take twice their time-out.
        """
        self._stopping = True
        self.storage_wait.stop()
        shutdown = ShutdownSequence(self.reactor, forced)
        workers = Deferred.fromCoroutine(self.workers.stop(forced))
        await shutdown.run_step("pivot points: answer what waits", self.pivots.stop())
        await shutdown.run_step("websockets: stop consuming", self.websockets.stop())
        await shutdown.run_step("live calls: stop consuming", self.calls.stop())
        await shutdown.run_step("webhooks: stop consuming", self.webhooks.stop_consuming())
        await shutdown.run_step("directory: stop consuming", _stop_service(self.directory_watch))
        await shutdown.run_step("queries: stop consuming", self.cluster.responder.stop())
        await shutdown.run_step("webhooks: drain", self.webhooks.drain(forced), bounded=True)
        await shutdown.run_step("REST: stop listening", self.rest_server.stop())
        await shutdown.run_step("bus: disconnect", _stop_service(self.bus))
        await shutdown.run_step("storage: stop following changes", _stop_service(self.change_feed))
        await shutdown.run_step("storage: stop removing old rows", _stop_service(self.retention))
        await shutdown.run_step("websockets: close", self.websockets.when_closed(forced), bounded=True)
        await shutdown.run_step("webhooks: write results", self.webhooks.stop())
        if self.spans is not None:
            await shutdown.run_step("spans: export", self.spans.stop())
        await shutdown.run_step("hooks: stop", _stop_service(self.hook_source))
        await shutdown.run_step("directory: stop", _stop_service(self.directory))
        if self.reactor_lag.running:
            self.reactor_lag.stopService()
        await shutdown.run_step("storage: close", self._close_database())
        await shutdown.run_step("processes: drain", _wait_for(workers), bounded=True)

    async def _close_database(self) -> None:
        await maybeDeferred(self.database.close)

    async def close(self) -> None:
        """Close what is open without services running, for commands that only `load`."""
        await self.webhooks.stop()
        await self.hook_source.close()
        await self.directory.close()
        await self._close_database()


async def _stop_service(service: Any) -> None:
    if IService(service).running:
        await maybeDeferred(IService(service).stopService)


async def _wait_for(result: Deferred[None]) -> None:
    await result
