"""The webhooks of one node, put together: how they start, take events, and end."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger
from twisted.web.client import HTTPConnectionPool

from kazoo_bridge.config import Config
from kazoo_bridge.figures import Durations, Figure, counter, gauge
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
from kazoo_bridge.webhooks.announcements import Announcer, Listener
from kazoo_bridge.webhooks.attempting import Attempter
from kazoo_bridge.webhooks.attempts import AttemptRecorder
from kazoo_bridge.webhooks.catalogue import HookCatalogue
from kazoo_bridge.webhooks.disabler import Disabler
from kazoo_bridge.webhooks.dispatcher import Dispatcher
from kazoo_bridge.webhooks.document import DocumentRules
from kazoo_bridge.webhooks.egress import EgressPolicy, Lookups, Proxy, ThreadedLookUp, TlsClient, forbidden_reason, guarded_agent
from kazoo_bridge.webhooks.health import HealthReport
from kazoo_bridge.webhooks.hook import Hook
from kazoo_bridge.webhooks.hooks import Hooks
from kazoo_bridge.webhooks.intake import Intake, webhook_topics
from kazoo_bridge.webhooks.pending import Pending
from kazoo_bridge.webhooks.redelivery import Redelivery
from kazoo_bridge.webhooks.registry import HookRegistry
from kazoo_bridge.webhooks.replay import Replay
from kazoo_bridge.webhooks.schedule import RetrySchedule
from kazoo_bridge.webhooks.sending import Sender
from kazoo_bridge.webhooks.trial import Trial
from kazoo_bridge.webhooks.turns import Turns

_log = Logger()

_URI_JUDGEMENT_TIMEOUT = 2.0

#: Names of new hooks that are looked up at once.
_JUDGING_THREADS = 10

#: One account may have at most this part of all requests under way (one in so many).
_ACCOUNTS_SHARE = 4


@frozen
class WebhookStores:
    """Where webhooks keep what must survive."""

    hooks: IHookStore
    attempts: IAttemptStore
    deliveries: IDeliveryStore
    limits: ILimitStore


@define(eq=False)
class WebhookRoom:
    """Everything that makes webhooks of events."""

    catalogue: HookCatalogue
    registry: HookRegistry
    hooks: Hooks
    recorder: AttemptRecorder
    turns: Turns
    attempter: Attempter
    pending: Pending
    redelivery: Redelivery
    dispatcher: Dispatcher
    intake: Intake
    disabler: Disabler
    replay: Replay
    trial: Trial
    health: HealthReport
    stores: WebhookStores
    _reactor: Any
    _config: Config
    _bus: IBus
    _categories: Sequence[IEventCategory]
    _listener: Listener
    _pool: HTTPConnectionPool
    _names: Sequence[ThreadedLookUp]
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
        # Whoever makes hooks with names that take long to look up holds up neither deliveries nor the way to the broker.
        names = [ThreadedLookUp(reactor, threads) for threads in (_JUDGING_THREADS, settings.max_requests)]
        judge = partial(forbidden_reason, reactor, Lookups(names[0]), policy, timeout=_URI_JUDGEMENT_TIMEOUT)
        hooks = Hooks(reactor, stores.hooks, registry, DocumentRules.of(catalogue), judge, Announcer(bus, node).announce)
        recorder = AttemptRecorder(reactor, stores.attempts, settings.log_successful_attempts, settings.attempt_body_limit)
        egress = config.egress
        tls = TlsClient.of(egress.ca_bundle, egress.client_certificate, egress.client_key)
        connect_timeout, proxy = settings.connect_timeout_ms / 1000, Proxy.of(egress.proxy)
        agent, pool = guarded_agent(reactor, policy, connect_timeout, tls=tls, proxy=proxy, look_up=names[1])
        request_timeout = settings.request_timeout_ms / 1000
        sender = Sender(reactor, agent, request_timeout, settings.log_successful_attempts, egress.max_redirects)
        turns = Turns(reactor, settings.max_requests, max(1, settings.max_requests // _ACCOUNTS_SHARE), settings.max_requests_per_hook)

        window = settings.attempt_failure_expiry_ms / 1000
        disabler = Disabler(reactor, stores.attempts, stores.limits, recorder, hooks, bus, settings.attempt_failure_count, window)

        async def disable(hook: Hook, reason: str) -> None:
            await disabler.disable(hook.account_id, hook.id, hook.revision, reason)

        async def exists(hook_id: str) -> bool:
            return bool(await stores.hooks.by_ids([hook_id]))

        schedule = RetrySchedule(settings.retry_schedule_s, settings.retry_bad_status)
        attempter = Attempter(reactor, sender, turns, recorder, schedule, disable, settings.cluster_id)
        pending = Pending(reactor, stores.deliveries)
        redelivery = Redelivery(reactor, stores.deliveries, registry, turns, attempter, pending, exists, sender.request_timeout)
        dispatcher = Dispatcher(reactor, registry, turns, attempter, pending)
        intake = Intake(reactor, directory, registry, dispatcher)
        intake.serve(categories)
        return cls(
            catalogue=catalogue,
            registry=registry,
            hooks=hooks,
            recorder=recorder,
            turns=turns,
            attempter=attempter,
            pending=pending,
            redelivery=redelivery,
            dispatcher=dispatcher,
            intake=intake,
            disabler=disabler,
            replay=Replay(reactor, stores.deliveries, pending, redelivery),
            trial=Trial(reactor, catalogue, attempter, recorder),
            health=HealthReport(reactor, stores.attempts, stores.limits, recorder, turns, stores.deliveries, window),
            stores=stores,
            reactor=reactor,
            config=config,
            bus=bus,
            categories=categories,
            listener=Listener(bus, hooks, directory, account_gone),
            pool=pool,
            names=names,
        )

    def start(self) -> None:
        """Take events. The hooks must have been loaded, and the bus be started."""
        self.hooks.taken = self._hook_taken
        self.recorder.startService()
        self.pending.startService()
        self.redelivery.startService()
        if not self._config.webhooks.disable_disabler:
            self.disabler.startService()
        self._listener.start()
        amqp = self._config.amqp
        queue = Queue(amqp.queue, webhook_topics(self._categories), durable=True, prefetch=amqp.prefetch)
        self._consumer = self._bus.consume(queue, self.intake.handle)

    def _hook_taken(self, hook_id: str, enabled: bool) -> None:
        self.turns.forget(hook_id)
        if enabled and self.redelivery.running:
            released = Deferred.fromCoroutine(self.redelivery.enabled(hook_id))
            released.addErrback(
                lambda failure: _log.warn(
                    "deliveries of hook {hook_id} are held a little longer: {reason}", hook_id=hook_id, reason=failure.value
                )
            )

    async def take_no_more(self) -> None:
        """Take no more events. Fires when the broker sends no more."""
        if self._consumer is not None:
            await gatherResults([self._consumer.cancel(), Deferred.fromCoroutine(self._listener.stop())])

    async def drain(self, hurry: Deferred[None]) -> None:
        """End what is being sent, keep what waits; after `take_no_more`. Lasts no longer than two requests, or until `hurry` fires."""
        if self._consumer is None:
            return
        drained = gatherResults([self.dispatcher.drain(), self.redelivery.stopService()], consumeErrors=True)
        hurry.addCallback(lambda _: drained.cancel())
        bound = 2 * self._config.webhooks.request_timeout_ms / 1000
        try:
            await drained.addTimeout(bound, self._reactor)
        except Exception:
            # The broker keeps the ones, the storage the others.
            count = self.dispatcher.under_way + self.redelivery.under_way
            _log.warn("{count} deliveries are not finished and will be made again", count=count)

    async def figures(self) -> list[Figure | Durations]:
        """What is going on; fails with `StorageUnavailable`."""
        kept = await self.stores.deliveries.counts()
        return [
            Figure("webhook_events", "Events that webhooks have taken from the bus", "counter", self.intake.taken, "exchange"),
            counter("webhook_events_without_account", "Events that reached no hook, for they name no account", self.intake.homeless),
            counter("webhook_events_of_unknown_accounts", "Events whose account the directory does not know", self.intake.unknown),
            gauge("webhooks_enabled", "Hooks that are enabled", len(self.registry)),
            Figure("attempts", "Attempts at deliveries", "counter", self.attempter.made, "result"),
            self.attempter.durations,
            gauge("requests_under_way", "Requests to receivers that are under way", self.turns.under_way),
            gauge("requests_queued", "Requests to receivers that wait in memory for their turn", self.turns.queued),
            Figure("deliveries_stored", "Deliveries in the storage, of all nodes on it", "gauge", kept, "status"),
        ]

    async def stop(self) -> None:
        """Close what is open; after `drain`."""
        for service in (self.disabler, self.pending, self.recorder):
            if service.running:
                await service.stopService()
        self.intake.stop()
        self.turns.stop()
        for names in self._names:
            names.stop()
        await self._pool.closeCachedConnections()
