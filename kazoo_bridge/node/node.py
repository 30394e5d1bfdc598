"""The wiring: configuration in, everything that one node runs out. The one place that knows every room."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar, cast

from attrs import define, field
from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from twisted.logger import Logger

from kazoo_bridge import __version__
from kazoo_bridge.bus.amqp.bus import AmqpBus
from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.calls.service import CallService
from kazoo_bridge.config import Config, ConfigError, parse_uris
from kazoo_bridge.directory.local import LocalDirectory
from kazoo_bridge.interfaces import (
    IBus,
    ICalls,
    IDirectory,
    IEventCategory,
    IWebhooks,
    IWebsockets,
    StorageUnavailable,
)
from kazoo_bridge.metrics import Durations, Figure, gauge
from kazoo_bridge.node.graceful_shutdown import ShutdownSequence
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.rest.resources.console import WebsocketLocation
from kazoo_bridge.rest.routes import RestServices, build_resources
from kazoo_bridge.rest.server.site import make_site
from kazoo_bridge.storage import change_log, tokens
from kazoo_bridge.storage.accounts import AccountStore, StoreRejected
from kazoo_bridge.storage.attempts import AttemptStore, purge_older_than
from kazoo_bridge.storage.change_feed import ALL, ChangeFeed
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.delivery_retention import expire_excess, expire_old, purge_dead
from kazoo_bridge.storage.hooks import HookStore
from kazoo_bridge.storage.phone_numbers import NumberStore
from kazoo_bridge.storage.retention import RetentionService
from kazoo_bridge.storage.settings import LimitStore, SettingStore
from kazoo_bridge.storage.tokens import TokenStore
from kazoo_bridge.webhooks.service import WebhookService, WebhookStores
from kazoo_bridge.websockets.service import WebsocketService

T = TypeVar("T")

_log = Logger()

_SECONDS_PER_DAY = 86400

#: A quorum queue survives its broker. Some brokers let it drop a message that came back often, which is not ours to lose.
QUEUE_ARGUMENTS: Mapping[str, Mapping[str, Any]] = {
    "quorum": {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000},
    "classic": {},
}

#: Seconds.
_RETENTION_INTERVAL = 60


class StartupFailed(Exception):
    """The service cannot start; the text says why and what to do."""


def make_bus(reactor: Any, config: Config) -> IBus:
    """The bus that the configuration names."""
    if config.amqp.uri.strip() == "embedded:":
        return cast(IBus, EmbeddedBus(reactor))
    name = f"kazoo_bridge on {socket.gethostname()}"
    arguments = QUEUE_ARGUMENTS[config.amqp.queue_type]
    return cast(
        IBus, AmqpBus(reactor, parse_uris(config.amqp.uri), connection_name=name, queue_arguments=arguments)
    )


def make_retention(reactor: Any, config: Config, database: Database) -> RetentionService:
    """Removes what the configuration does not want kept."""
    settings = config.webhooks
    purges = (
        change_log.purge,
        tokens.purge,
        purge_older_than(settings.attempt_retention_days * _SECONDS_PER_DAY),
        expire_old(settings.pending_max_age_s),
        expire_excess(settings.pending_max_per_hook),
        purge_dead(settings.dead_retention_days * _SECONDS_PER_DAY, settings.dead_max_per_hook),
    )
    return RetentionService(reactor, database, purges, _RETENTION_INTERVAL)


@define(eq=False)
class Node:
    """Everything that one node runs, and how it starts and ends."""

    reactor: Any
    config: Config
    node: str
    bus: IBus
    categories: list[IEventCategory]
    database: Database
    feed: ChangeFeed
    retention: RetentionService
    accounts: AccountStore
    tokens: TokenStore
    settings: SettingStore
    directory: LocalDirectory
    webhooks: WebhookService
    calls: CallService
    websockets: WebsocketService
    _port: IListeningPort | None = field(init=False, default=None)
    _started: bool = field(init=False, default=False)

    @classmethod
    def from_config(cls, reactor: Any, config: Config) -> Node:
        """Build the tree; nothing runs yet. Raises `ConfigError`."""
        bus = make_bus(reactor, config)
        categories = find_categories(config.plugins.path)
        try:
            database = Database(reactor, config.storage.uri)
        except ValueError as error:
            raise ConfigError([f"storage.uri: {error}"]) from None
        node = f"kazoo_bridge@{socket.gethostname()}"
        calls = CallService.from_config(reactor, config, bus)
        accounts, token_store = AccountStore(reactor, database), TokenStore(reactor, database)
        directory = LocalDirectory(reactor, accounts, token_store, NumberStore(database))
        hook_store = HookStore(reactor, database, config.webhooks.max_hooks_per_account)
        settings = SettingStore(database)
        stores = WebhookStores(
            hook_store,
            AttemptStore(database),
            DeliveryStore(database),
            LimitStore(database),
            cluster_id=partial(settings.get_or_create, "cluster_id", lambda: secrets.token_hex(16)),
        )

        async def account_gone(account_id: str) -> None:
            try:
                await accounts.delete(account_id)
            except StoreRejected as error:
                _log.info(
                    "account {account_id}, deleted elsewhere: {reason}", account_id=account_id, reason=error
                )

        return cls(
            reactor=reactor,
            config=config,
            node=node,
            bus=bus,
            categories=categories,
            database=database,
            feed=ChangeFeed(reactor, database),
            retention=make_retention(reactor, config, database),
            accounts=accounts,
            tokens=token_store,
            settings=settings,
            directory=directory,
            webhooks=WebhookService.from_config(
                reactor, config, bus, directory, stores, categories, node, account_gone
            ),
            calls=calls,
            websockets=WebsocketService.from_config(
                reactor, config, bus, directory, categories, node, calls=calls
            ),
        )

    async def start(self) -> None:
        """Bring everything up, events last; raises `StartupFailed`, after which `stop` cleans up."""
        try:
            await self.load()
        except StorageUnavailable as error:
            raise StartupFailed(f"storage.uri: the storage cannot be used: {error}") from None
        self.feed.subscribe(self.directory.on_change)
        self.feed.subscribe(self._hooks_changed)
        self.feed.startService()
        self.retention.startService()
        await self._listen()
        IService(self.bus).startService()
        self.webhooks.start()
        self.calls.start()
        self.websockets.start()
        self._started = True

    async def load(self) -> None:
        """Make the storage ready and read what must be in memory; raises `StorageUnavailable`."""
        await self.database.migrate()
        await self.feed.mark()
        await self.directory.load()
        await self.webhooks.load()

    async def _listen(self) -> None:
        site = make_site(self.reactor, build_resources(self.rest_services()), self.node, self.config.http)
        endpoint = self.config.http.endpoint
        self._port = await _open_port(
            "http.endpoint", endpoint, serverFromString(self.reactor, endpoint).listen(site)
        )
        await _open_port(
            "websockets.endpoint",
            self.config.websockets.endpoint,
            Deferred.fromCoroutine(self.websockets.listen()),
        )

    def rest_services(self) -> RestServices:
        """What REST needs of this node."""
        settings = self.config.websockets
        location = WebsocketLocation(
            uri=self.config.console.websocket_uri,
            secure=settings.endpoint.startswith(("ssl:", "tls:")),
            port=lambda: self.websockets.port,
        )
        return RestServices(
            clock=self.reactor,
            directory=cast(IDirectory, self.directory),
            webhooks=cast(IWebhooks, self.webhooks.api),
            websockets=cast(IWebsockets, self.websockets.api),
            calls=cast(ICalls, self.calls),
            websocket_location=location,
            read_metrics=self.metrics,
            readiness_problems=self.readiness_problems,
        )

    @property
    def http_host(self) -> str:
        """Host and port on which REST is served, as a URL has them."""
        address = self._port.getHost() if self._port is not None else None
        return f"{getattr(address, 'host', 'localhost')}:{getattr(address, 'port', 0)}"

    def _hooks_changed(self, kind: str, subjects: frozenset[str]) -> Deferred[None] | None:
        hooks = self.webhooks.hooks
        if kind == ALL:
            return Deferred.fromCoroutine(hooks.load())
        return Deferred.fromCoroutine(hooks.reload(subjects)) if kind == "hook" else None

    async def metrics(self) -> list[Figure | Durations]:
        """What is going on on this node. Where the storage does not answer, all but the webhooks' figures."""
        storage = await self.database.check()
        found = [
            Figure("info", "The version that runs here", "gauge", {__version__: 1}, "version"),
            gauge(
                "bus_up",
                "1 while events come in",
                float(self._started and self.bus.unavailable_reason() is None),
            ),
            gauge("storage_up", "1 while the storage answers", float(storage is None)),
            gauge("watched_accounts", "Accounts whose live calls somebody watches", self.calls.watched),
            *self.websockets.metrics(),
        ]
        with suppress(StorageUnavailable):
            found += await self.webhooks.metrics()
        return found

    async def readiness_problems(self) -> list[str]:
        """Why this node is not ready, in words; empty when it is."""
        bus = "the service is still starting" if not self._started else self.bus.unavailable_reason()
        storage = await self.database.check()
        return [f"{part}: {trouble}" for part, trouble in (("bus", bus), ("storage", storage)) if trouble]

    async def stop(self, hurry: Deferred[None]) -> None:
        """Drain: take no more events, let what is in flight end (until `hurry` fires), then close everything.

        Nothing that does not answer (the broker, the database, a receiver) holds this up for longer than `ShutdownSequence` allows, and the requests
        under way may take twice the request time-out.
        """
        ending = ShutdownSequence(self.reactor, hurry)
        await ending.run_step("listening to the bus for websockets", self.websockets.stop())
        await ending.run_step("following live calls", self.calls.stop())
        await ending.run_step("taking events for webhooks", self.webhooks.stop_consuming())
        await ending.run_step("sending webhooks", self.webhooks.drain(hurry), bounded=True)
        await ending.run_step(
            "listening for REST", _maybe_await(self._port.stopListening() if self._port is not None else None)
        )
        await ending.run_step("the connection to the broker", _stop_service(self.bus))
        await ending.run_step("following changes in the storage", _stop_service(self.feed))
        await ending.run_step("cleaning the storage", _stop_service(self.retention))
        await ending.run_step("the closing of websockets", self.websockets.when_closed(hurry), bounded=True)
        await ending.run_step("writing what became of webhooks", self.webhooks.stop())
        await ending.run_step("the storage", _maybe_await(self.database.close()))

    async def close(self) -> None:
        """Close what is open when no service runs (any more)."""
        await self.webhooks.stop()
        await self.database.close()


async def _open_port(key: str, endpoint: str, opening: Deferred[T]) -> T:
    """What `opening` fires with; raises `StartupFailed`, which names the key, when nobody can listen there."""
    try:
        return await opening
    except CannotListenError as error:
        reason = error.socketError
    except Exception as error:
        # Endpoints are plugins, and each has errors of its own.
        reason = error
    raise StartupFailed(f"{key}: cannot listen on {endpoint}: {reason}")


async def _stop_service(service: Any) -> None:
    if IService(service).running:
        await _maybe_await(IService(service).stopService())


async def _maybe_await(result: Any) -> None:
    if isinstance(result, Deferred):
        await result
