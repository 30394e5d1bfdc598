"""The webhooks of one node, put together: how they start, take events, and end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.web.client import HTTPConnectionPool

from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import IAttemptStore, IBus, IConsumer, IDirectory, IEventCategory, IHookStore, ILimitStore, Queue
from kazoo_bridge.webhooks.announcements import Announcer, Listener
from kazoo_bridge.webhooks.attempts import AttemptRecorder
from kazoo_bridge.webhooks.catalogue import HookCatalogue
from kazoo_bridge.webhooks.disabler import Disabler
from kazoo_bridge.webhooks.dispatcher import Dispatcher, DispatchLimits
from kazoo_bridge.webhooks.document import DocumentRules
from kazoo_bridge.webhooks.egress import EgressPolicy, Proxy, TlsClient, forbidden_reason, guarded_agent
from kazoo_bridge.webhooks.health import HealthReport
from kazoo_bridge.webhooks.hooks import Hooks
from kazoo_bridge.webhooks.intake import Intake, webhook_topics
from kazoo_bridge.webhooks.registry import HookRegistry
from kazoo_bridge.webhooks.sending import Sender
from kazoo_bridge.webhooks.trial import Trial

_log = Logger()

_URI_JUDGEMENT_TIMEOUT = 2.0


@frozen
class WebhookStores:
    """Where webhooks keep what must survive."""

    hooks: IHookStore
    attempts: IAttemptStore
    limits: ILimitStore


@define(eq=False)
class WebhookRoom:
    """Everything that makes webhooks of events."""

    catalogue: HookCatalogue
    registry: HookRegistry
    hooks: Hooks
    recorder: AttemptRecorder
    dispatcher: Dispatcher
    intake: Intake
    disabler: Disabler
    trial: Trial
    health: HealthReport
    stores: WebhookStores
    _reactor: Any
    _config: Config
    _bus: IBus
    _categories: Sequence[IEventCategory]
    _listener: Listener
    _pool: HTTPConnectionPool
    _consumer: IConsumer | None = field(init=False, default=None)

    @classmethod
    def of(
        cls,
        reactor: Any,
        config: Config,
        bus: IBus,
        directory: IDirectory,
        stores: WebhookStores,
        categories: Sequence[IEventCategory],
        node: str,
        account_gone: Callable[[str], Awaitable[None]],
    ) -> WebhookRoom:
        """Put the parts together; nothing runs yet. `account_gone` hears of accounts that KAZOO says are no more."""
        settings = config.webhooks
        catalogue, registry = HookCatalogue.of(hook for category in categories for hook in category.hooks), HookRegistry()
        policy = EgressPolicy.of(config.egress.denied_networks, config.egress.allowed_networks)
        judge = partial(forbidden_reason, reactor, policy, timeout=_URI_JUDGEMENT_TIMEOUT)
        hooks = Hooks(stores.hooks, registry, DocumentRules.of(catalogue), judge, Announcer(bus, node).announce)
        recorder = AttemptRecorder(reactor, stores.attempts, settings.log_successful_attempts, settings.attempt_body_limit)
        egress = config.egress
        tls = TlsClient.of(egress.ca_bundle, egress.client_certificate, egress.client_key)
        agent, pool = guarded_agent(reactor, policy, settings.connect_timeout_ms / 1000, tls=tls, proxy=Proxy.of(egress.proxy))
        request_timeout = settings.request_timeout_ms / 1000
        sender = Sender(reactor, agent, request_timeout, settings.log_successful_attempts, egress.max_redirects)
        limits = DispatchLimits(settings.max_requests, settings.max_requests_per_hook)
        dispatcher = Dispatcher(reactor, sender, registry, limits, recorder, settings.cluster_id)
        intake = Intake(reactor, directory, registry, dispatcher)
        intake.serve(categories)
        window = settings.attempt_failure_expiry_ms / 1000
        return cls(
            catalogue=catalogue,
            registry=registry,
            hooks=hooks,
            recorder=recorder,
            dispatcher=dispatcher,
            intake=intake,
            disabler=Disabler(reactor, stores.attempts, recorder, hooks, bus, settings.attempt_failure_count, window),
            trial=Trial(reactor, catalogue, dispatcher, recorder),
            health=HealthReport(reactor, stores.attempts, stores.limits, recorder, dispatcher, window),
            stores=stores,
            reactor=reactor,
            config=config,
            bus=bus,
            categories=categories,
            listener=Listener(bus, hooks, directory, account_gone),
            pool=pool,
        )

    def start(self) -> None:
        """Take events. The hooks must have been loaded, and the bus be started."""
        self.recorder.startService()
        if not self._config.webhooks.disable_disabler:
            self.disabler.startService()
        self._listener.start()
        amqp = self._config.amqp
        queue = Queue(amqp.queue, webhook_topics(self._categories), durable=True, prefetch=amqp.prefetch)
        self._consumer = self._bus.consume(queue, self.intake.handle)

    async def drain(self, hurry: Deferred[None]) -> None:
        """Take no more events, and let what is in flight end, but for no longer than two requests take or until `hurry` fires."""
        if self._consumer is None:
            return
        await self._listener.stop()
        await self._consumer.cancel()
        drained = self.dispatcher.drain()
        hurry.addCallback(lambda _: drained.cancel())
        bound = 2 * self._config.webhooks.request_timeout_ms / 1000
        try:
            # The broker keeps the rest.
            await drained.addTimeout(bound, self._reactor)
        except Exception:
            _log.warn("{count} deliveries are not finished and stay with the broker", count=self.dispatcher.under_way)

    async def stop(self) -> None:
        """Close what is open; after `drain`."""
        if self.disabler.running:
            await self.disabler.stopService()
        if self.recorder.running:
            await self.recorder.stopService()
        await self._pool.closeCachedConnections()
