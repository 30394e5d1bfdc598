"""The webhooks of one node, put together: how they start, take events, and end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from attrs import define, field, frozen
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger
from twisted.web.client import HTTPConnectionPool

from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import (
    IAttemptStore,
    IBus,
    IConsumer,
    IDeliveryStore,
    IDirectory,
    IEventCategory,
    IHookStore,
    ILimitStore,
    Queue,
)
from kazoo_bridge.metrics import register_counter, register_gauge, register_labelled_counter
from kazoo_bridge.webhooks.api import WebhookApi
from kazoo_bridge.webhooks.attempts.attempt import AttemptRunner
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.attempts.auto_disabler import AutoDisabler
from kazoo_bridge.webhooks.attempts.health import HealthReport
from kazoo_bridge.webhooks.attempts.sample_sender import SampleSender
from kazoo_bridge.webhooks.delivery.dead_letters import DeadLetters
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter
from kazoo_bridge.webhooks.delivery.dispatcher import Dispatcher
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler
from kazoo_bridge.webhooks.delivery.retry_policy import RetryPolicy
from kazoo_bridge.webhooks.delivery.retry_worker import RetryWorker
from kazoo_bridge.webhooks.egress import (
    CoalescingResolver,
    EgressPolicy,
    Proxy,
    ThreadedResolver,
    TlsClient,
    denial_reason,
    guarded_agent,
)
from kazoo_bridge.webhooks.event_handler import WebhookEventHandler, webhook_topics
from kazoo_bridge.webhooks.hook_sync import HookChangeConsumer, HookChangePublisher
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue
from kazoo_bridge.webhooks.hooks.hook_document import DocumentRules
from kazoo_bridge.webhooks.hooks.hook_service import HookService
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.http.sender import Sender
from kazoo_bridge.webhooks.metrics import StoredDeliveryMetrics

_log = Logger()

_URI_CHECK_TIMEOUT = 2.0

#: Names of new hooks that are looked up at once.
_URI_CHECK_THREADS = 10

#: One account may have at most this part of all requests under way (one in so many).
_ACCOUNT_SHARE = 4


@frozen
class WebhookStores:
    """Where webhooks keep what must survive."""

    hooks: IHookStore
    attempts: IAttemptStore
    deliveries: IDeliveryStore
    limits: ILimitStore


@define(eq=False)
class WebhookService:
    """Everything that makes webhooks of events."""

    catalogue: HookCatalogue
    registry: HookRegistry
    hooks: HookService
    recorder: AttemptRecorder
    scheduler: FairScheduler
    attempt_runner: AttemptRunner
    delivery_writer: DeliveryWriter
    retry_worker: RetryWorker
    dispatcher: Dispatcher
    event_handler: WebhookEventHandler
    auto_disabler: AutoDisabler
    dead_letters: DeadLetters
    sample_sender: SampleSender
    health: HealthReport
    stores: WebhookStores
    _reactor: Any
    _config: Config
    _bus: IBus
    _categories: Sequence[IEventCategory]
    _hook_changes: HookChangeConsumer
    _pool: HTTPConnectionPool
    _resolvers: Sequence[ThreadedResolver]
    _consumer: IConsumer | None = field(init=False, default=None)

    @classmethod
    def from_config(
        cls,
        reactor: Any,
        config: Config,
        bus: IBus,
        directory: IDirectory,
        stores: WebhookStores,
        categories: Sequence[IEventCategory],
        node: str,
        account_gone: Callable[[str], Awaitable[None]],
    ) -> WebhookService:
        """Put the parts together; nothing runs yet. `account_gone` hears of accounts that KAZOO says are no more."""
        settings = config.webhooks
        catalogue, registry = (
            HookCatalogue.from_types(hook for category in categories for hook in category.hooks),
            HookRegistry(),
        )
        policy = EgressPolicy.from_config(config.egress.denied_networks, config.egress.allowed_networks)
        # Whoever makes hooks with names that take long to look up holds up neither deliveries nor the way to the broker.
        names = [
            ThreadedResolver(reactor, threads) for threads in (_URI_CHECK_THREADS, settings.max_requests)
        ]
        judge = partial(
            denial_reason, reactor, CoalescingResolver(names[0]), policy, timeout=_URI_CHECK_TIMEOUT
        )
        hooks = HookService(
            reactor,
            stores.hooks,
            registry,
            DocumentRules.from_catalogue(catalogue),
            judge,
            HookChangePublisher(bus, node).publish,
        )
        recorder = AttemptRecorder(
            reactor, stores.attempts, settings.log_successful_attempts, settings.attempt_body_limit
        )
        egress = config.egress
        tls = TlsClient.from_config(egress.ca_bundle, egress.client_certificate, egress.client_key)
        connect_timeout, proxy = settings.connect_timeout_ms / 1000, Proxy.from_config(egress.proxy)
        agent, pool = guarded_agent(reactor, policy, connect_timeout, tls=tls, proxy=proxy, resolver=names[1])
        request_timeout = settings.request_timeout_ms / 1000
        sender = Sender(
            reactor, agent, request_timeout, settings.log_successful_attempts, egress.max_redirects
        )
        turns = FairScheduler(
            reactor,
            settings.max_requests,
            max(1, settings.max_requests // _ACCOUNT_SHARE),
            settings.max_requests_per_hook,
        )

        window = settings.attempt_failure_expiry_ms / 1000
        disabler = AutoDisabler(
            reactor,
            stores.attempts,
            stores.limits,
            recorder,
            hooks,
            bus,
            settings.attempt_failure_count,
            window,
        )

        async def disable(hook: Hook, reason: str) -> None:
            await disabler.disable(hook.account_id, hook.id, hook.revision, reason)

        async def exists(hook_id: str) -> bool:
            return bool(await stores.hooks.by_ids([hook_id]))

        schedule = RetryPolicy(settings.retry_schedule_s, settings.retry_bad_status)
        attempter = AttemptRunner(reactor, sender, turns, recorder, schedule, disable, settings.cluster_id)
        pending = DeliveryWriter(reactor, stores.deliveries)
        redelivery = RetryWorker(
            reactor, stores.deliveries, registry, turns, attempter, pending, exists, sender.request_timeout
        )
        dispatcher = Dispatcher(reactor, registry, turns, attempter, pending)
        intake = WebhookEventHandler(reactor, directory, registry, dispatcher)
        intake.serve(categories)
        return cls(
            catalogue=catalogue,
            registry=registry,
            hooks=hooks,
            recorder=recorder,
            scheduler=turns,
            attempt_runner=attempter,
            delivery_writer=pending,
            retry_worker=redelivery,
            dispatcher=dispatcher,
            event_handler=intake,
            auto_disabler=disabler,
            dead_letters=DeadLetters(reactor, stores.deliveries, pending, redelivery),
            sample_sender=SampleSender(reactor, catalogue, attempter, recorder),
            health=HealthReport(
                reactor, stores.attempts, stores.limits, recorder, turns, stores.deliveries, window
            ),
            stores=stores,
            reactor=reactor,
            config=config,
            bus=bus,
            categories=categories,
            hook_changes=HookChangeConsumer(bus, hooks, directory, account_gone),
            pool=pool,
            resolvers=names,
        )

    @property
    def api(self) -> WebhookApi:
        """The operations that REST offers (`IWebhooks`)."""
        return WebhookApi(
            self.catalogue,
            self.hooks,
            self.health,
            self.recorder,
            self.dead_letters,
            self.sample_sender,
            self.stores.limits,
        )

    def start(self) -> None:
        """Take events. The hooks must have been loaded, and the bus be started."""
        self.hooks.on_hook_loaded = self._on_hook_loaded
        self.recorder.startService()
        self.delivery_writer.startService()
        self.retry_worker.startService()
        if not self._config.webhooks.disable_disabler:
            self.auto_disabler.startService()
        self._hook_changes.start()
        amqp = self._config.amqp
        queue = Queue(amqp.queue, webhook_topics(self._categories), durable=True, prefetch=amqp.prefetch)
        self._consumer = self._bus.consume(queue, self.event_handler.handle)

    def _on_hook_loaded(self, hook_id: str, enabled: bool) -> None:
        self.scheduler.reset(hook_id)
        if enabled and self.retry_worker.running:
            released = Deferred.fromCoroutine(self.retry_worker.hook_enabled(hook_id))
            released.addErrback(
                lambda failure: _log.warn(
                    "deliveries of hook {hook_id} are held a little longer: {reason}",
                    hook_id=hook_id,
                    reason=failure.value,
                )
            )

    async def stop_consuming(self) -> None:
        """Take no more events. Fires when the broker sends no more."""
        if self._consumer is not None:
            await gatherResults([self._consumer.cancel(), Deferred.fromCoroutine(self._hook_changes.stop())])

    async def drain(self, hurry: Deferred[None]) -> None:
        """End what is being sent, keep what waits; after `take_no_more`. Lasts no longer than two requests, or until `hurry` fires."""
        if self._consumer is None:
            return
        drained = gatherResults(
            [self.dispatcher.drain(), self.retry_worker.stopService()], consumeErrors=True
        )
        hurry.addCallback(lambda _: drained.cancel())
        bound = 2 * self._config.webhooks.request_timeout_ms / 1000
        try:
            await drained.addTimeout(bound, self._reactor)
        except Exception:
            # The broker keeps the ones, the storage the others.
            count = self.dispatcher.in_flight + self.retry_worker.in_flight
            _log.warn("{count} deliveries are not finished and will be made again", count=count)

    def register_metrics(self, registry: CollectorRegistry) -> StoredDeliveryMetrics:
        """Export the metrics in `registry`; the returned ones are to be updated before each scrape."""
        handler, scheduler = self.event_handler, self.scheduler
        register_labelled_counter(
            registry, "webhook_events", "Events taken from the bus", "exchange", lambda: handler.events
        )
        register_counter(
            registry,
            "webhook_events_without_account",
            "Events without an account id",
            lambda: handler.without_account,
        )
        register_counter(
            registry,
            "webhook_events_of_unknown_accounts",
            "Events of accounts that the directory does not know",
            lambda: handler.unknown_account,
        )
        register_gauge(registry, "webhooks_enabled", "Enabled hooks", lambda: len(self.registry))
        self.attempt_runner.metrics.register(registry)
        register_gauge(
            registry, "requests_under_way", "Requests to receivers in flight", lambda: scheduler.in_flight
        )
        register_gauge(
            registry, "requests_queued", "Requests waiting in memory for a slot", lambda: scheduler.queued
        )
        return StoredDeliveryMetrics(registry, self.stores.deliveries)

    async def stop(self) -> None:
        """Close what is open; after `drain`."""
        for service in (self.auto_disabler, self.delivery_writer, self.recorder):
            if service.running:
                await service.stopService()
        self.event_handler.stop()
        self.scheduler.stop()
        for names in self._resolvers:
            names.stop()
        await self._pool.closeCachedConnections()
