"""The wiring: configuration in, a tree of services out. The one place that knows every room."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Coroutine
from functools import partial
from typing import Any, cast

from attrs import define, field
from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger
from twisted.python.usage import Options as UsageOptions
from twisted.web.client import HTTPConnectionPool

from kazoo_bridge.bus.amqp.bus import AmqpBus
from kazoo_bridge.bus.amqp.uris import parse_uris
from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.config import Config, ConfigError, load
from kazoo_bridge.directory.local import LocalDirectory
from kazoo_bridge.interfaces import IBus, IConsumer, IEventCategory, Queue, StorageUnavailable
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.process import Process
from kazoo_bridge.rest.account_tree import AccountResource
from kazoo_bridge.rest.catalogue import SampleResource
from kazoo_bridge.rest.health import HealthResource
from kazoo_bridge.rest.logins import LoginResource
from kazoo_bridge.rest.site import Resource, make_site
from kazoo_bridge.rest.webhooks import WebhookResource
from kazoo_bridge.storage.accounts import AccountStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.feed import EVERYTHING, ChangeFeed
from kazoo_bridge.storage.hooks import HookStore
from kazoo_bridge.storage.housekeeping import Housekeeping
from kazoo_bridge.storage.tokens import TokenStore
from kazoo_bridge.webhooks.dispatcher import Dispatcher, DispatchLimits
from kazoo_bridge.webhooks.document import DocumentRules
from kazoo_bridge.webhooks.egress import EgressPolicy, forbidden_reason, guarded_agent
from kazoo_bridge.webhooks.hooks import Hooks
from kazoo_bridge.webhooks.intake import Intake, webhook_topics
from kazoo_bridge.webhooks.registry import HookRegistry

_log = Logger()

_URI_JUDGEMENT_TIMEOUT = 2.0


class Options(UsageOptions):
    """What ``twistd kazoo_bridge`` takes."""

    optParameters = [["config", "c", None, "The configuration file (TOML); without it the defaults"]]  # noqa: RUF012 - twisted's form


class StartupFailed(Exception):
    """The service cannot start; the text says why and what to do."""


def make_bus(reactor: Any, config: Config) -> IBus:
    """The bus that the configuration names; raises `ConfigError`."""
    if config.amqp.uri.strip() == "embedded:":
        return cast(IBus, EmbeddedBus(reactor))
    try:
        uris = parse_uris(config.amqp.uri)
    except ValueError as error:
        raise ConfigError([f"amqp.uri: {error}"]) from None
    return cast(IBus, AmqpBus(reactor, uris, connection_name=f"kazoo_bridge on {socket.gethostname()}"))


@define(eq=False)
class Bridge:
    """Everything that one node runs, and how it starts and ends."""

    reactor: Any
    config: Config
    bus: IBus
    categories: list[IEventCategory]
    database: Database
    feed: ChangeFeed
    housekeeping: Housekeeping
    accounts: AccountStore
    tokens: TokenStore
    directory: LocalDirectory
    registry: HookRegistry
    hooks: Hooks
    dispatcher: Dispatcher
    intake: Intake
    pool: HTTPConnectionPool
    _consumer: IConsumer | None = field(init=False, default=None)
    _port: IListeningPort | None = field(init=False, default=None)
    _started: bool = field(init=False, default=False)

    @classmethod
    def of(cls, reactor: Any, config: Config) -> Bridge:
        """Build the tree; nothing runs yet. Raises `ConfigError`."""
        bus = make_bus(reactor, config)
        categories = find_categories(config.plugins.path)
        try:
            database = Database(reactor, config.storage.uri)
        except ValueError as error:
            raise ConfigError([f"storage.uri: {error}"]) from None
        webhooks = config.webhooks
        accounts, tokens = AccountStore(reactor, database), TokenStore(reactor, database)
        directory = LocalDirectory(reactor, accounts, tokens)
        registry = HookRegistry()
        policy = EgressPolicy.of(config.egress.denied_networks, config.egress.allowed_networks)
        rules = DocumentRules.for_hooks([hook.id for category in categories for hook in category.hooks])
        judge = partial(forbidden_reason, reactor, policy, timeout=_URI_JUDGEMENT_TIMEOUT)
        agent, pool = guarded_agent(reactor, policy, webhooks.connect_timeout_ms / 1000)
        limits = DispatchLimits(webhooks.request_timeout_ms / 1000, webhooks.max_requests, webhooks.max_requests_per_hook)
        dispatcher = Dispatcher(reactor, agent, registry, limits, webhooks.cluster_id)
        hooks = Hooks(HookStore(reactor, database), registry, rules, judge)
        intake = Intake(reactor, directory, registry, dispatcher)
        intake.serve(categories)
        feed, housekeeping = ChangeFeed(reactor, database), Housekeeping(reactor, database)
        return cls(
            reactor,
            config,
            bus,
            categories,
            database,
            feed,
            housekeeping,
            accounts,
            tokens,
            directory,
            registry,
            hooks,
            dispatcher,
            intake,
            pool,
        )

    async def start(self) -> None:
        """Bring everything up, events last; raises `StartupFailed`, after which `stop` cleans up."""
        try:
            await self.database.migrate()
            await self.feed.mark()
            await self.directory.load()
            await self.hooks.load()
        except StorageUnavailable as error:
            raise StartupFailed(f"storage.uri: the storage cannot be used: {error}") from None
        self.feed.subscribe(self.directory.changed)
        self.feed.subscribe(self._hooks_changed)
        self.feed.startService()
        self.housekeeping.startService()
        await self._listen()
        IService(self.bus).startService()
        queue = Queue(self.config.amqp.queue, webhook_topics(self.categories), durable=True, prefetch=self.config.amqp.prefetch)
        self._consumer = self.bus.consume(queue, self.intake.handle)
        self._started = True

    async def _listen(self) -> None:
        node = f"kazoo_bridge@{socket.gethostname()}"
        hook_types = [hook for category in self.categories for hook in category.hooks]
        webhooks = WebhookResource(self.directory, self.hooks, hook_types, node)
        resources: list[Resource] = [
            webhooks,
            SampleResource(hook_types, node),
            AccountResource(self.directory, node),
            LoginResource(self.directory, node, self.reactor),
            HealthResource(self.troubles),
        ]
        site = make_site(resources, node)
        try:
            self._port = await serverFromString(self.reactor, self.config.http.endpoint).listen(site)
        except CannotListenError as error:
            raise StartupFailed(f"http.endpoint: cannot listen on {self.config.http.endpoint}: {error.socketError}") from None

    @property
    def http_host(self) -> str:
        """Host and port on which REST is served, as a URL has them."""
        address = self._port.getHost() if self._port is not None else None
        return f"{getattr(address, 'host', 'localhost')}:{getattr(address, 'port', 0)}"

    def _hooks_changed(self, kind: str, subjects: frozenset[str]) -> Deferred[None] | None:
        if kind == EVERYTHING:
            return Deferred.fromCoroutine(self.hooks.load())
        return Deferred.fromCoroutine(self.hooks.reload(subjects)) if kind == "hook" else None

    async def troubles(self) -> list[str]:
        """Why this node is not ready, in words; empty when it is."""
        bus = "the service is still starting" if not self._started else self.bus.trouble()
        storage = await self.database.check()
        return [f"{part}: {trouble}" for part, trouble in (("bus", bus), ("storage", storage)) if trouble]

    async def stop(self, hurry: Deferred[None]) -> None:
        """Drain: take no more events, let what is in flight end (until `hurry` fires), then close everything."""
        if self._consumer is not None:
            await self._consumer.cancel()
            await self._drained(hurry)
        if self._port is not None:
            await _maybe(self._port.stopListening())
        await _maybe(IService(self.bus).stopService() if IService(self.bus).running else None)
        for service in (self.feed, self.housekeeping):
            await _maybe(service.stopService() if service.running else None)
        await self.pool.closeCachedConnections()
        await self.database.close()

    async def _drained(self, hurry: Deferred[None]) -> None:
        """Wait until no delivery is under way, but no longer than two requests take: the broker keeps the rest."""
        drained = self.dispatcher.drain()
        hurry.addCallback(lambda _: drained.cancel())
        bound = 2 * self.config.webhooks.request_timeout_ms / 1000
        try:
            await drained.addTimeout(bound, self.reactor)
        except Exception:
            _log.warn("{count} deliveries are not finished and stay with the broker", count=self.dispatcher.under_way)


async def _maybe(result: Any) -> None:
    if isinstance(result, Deferred):
        await result


class BridgeService(MultiService):
    """The bridge under twistd: starts in the background, ends the process when it cannot start."""

    def __init__(self, bridge: Bridge, process: Process) -> None:
        super().__init__()
        self.bridge = bridge
        self._process = process
        self._hurry: Deferred[None] = Deferred()
        self._starting: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []

    def startService(self) -> None:
        """Begin to start."""
        super().startService()
        self._starting = _in_background(self._start())

    def started(self) -> Deferred[None]:
        """Fires when everything runs; never when it cannot."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    async def _start(self) -> None:
        try:
            await self.bridge.start()
        except StartupFailed as error:
            self._process.fail(str(error))
        except Exception:
            _log.failure("kazoo_bridge cannot start")
            self._process.fail("cannot start because of an unexpected error, see the log")
        else:
            _log.info("kazoo_bridge serves REST on {endpoint}", endpoint=self.bridge.config.http.endpoint)
            for waiting in self._waiting:
                waiting.callback(None)

    def stopService(self) -> Deferred[None]:
        """Drain and close; fires when nothing is left."""
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._starting is not None:
            await self._starting
        await self.bridge.stop(self._hurry)
        await _maybe(super().stopService())
        _log.info("kazoo_bridge has stopped")

    def hurry(self) -> None:
        """Wait no longer for what is in flight."""
        if not self._hurry.called:
            self._hurry.callback(None)


def _in_background(work: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
    return Deferred.fromCoroutine(work).addErrback(lambda failure: _log.failure("unexpected", failure))


def makeService(options: Options) -> IService:
    """What twistd runs. A bad configuration ends the process with exit code 1 and a line for each mistake."""
    from twisted.internet import reactor  # twistd has installed it by now

    try:
        bridge = Bridge.of(reactor, load(cast("str | None", options["config"]), os.environ))
    except ConfigError as error:
        sys.stderr.write("".join(f"{mistake}\n" for mistake in error.mistakes))
        raise SystemExit(1) from None
    process = Process(reactor)
    service = BridgeService(bridge, process)
    process.install(service.hurry)
    return cast(IService, service)
