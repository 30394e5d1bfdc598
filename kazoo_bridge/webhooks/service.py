"""Assembles the webhooks of one node from the configuration, and starts, drains and stops them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from attrs import define, field, frozen
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import Logger

from kazoo_bridge.config import Config
from kazoo_bridge.event_traces import EventTraces
from kazoo_bridge.interfaces import (
    IAttemptStore,
    IBus,
    IConsumer,
    IDeliveryStore,
    IDirectory,
    IEventCategory,
    IHookStore,
    ILimitStore,
    IMissedEventStore,
    Queue,
)
from kazoo_bridge.spans import SpanRecorder
from kazoo_bridge.webhooks.api import WebhookApi
from kazoo_bridge.webhooks.attempts.attempt import AttemptRunner, ClusterId, FailureCount, RequestBuilder
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.attempts.attempt_replay import AttemptReplayer
from kazoo_bridge.webhooks.attempts.auto_disabler import AutoDisabler
from kazoo_bridge.webhooks.attempts.health import HealthReport
from kazoo_bridge.webhooks.attempts.sample_limits import SampleLimits
from kazoo_bridge.webhooks.attempts.sample_sender import SampleSender
from kazoo_bridge.webhooks.attempts.traced_attempts import TracedAttemptRunner
from kazoo_bridge.webhooks.attempts.turn_stages import TurnStages
from kazoo_bridge.webhooks.delivery.dead_letters import DeadLetters
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter
from kazoo_bridge.webhooks.delivery.destination_circuits import DestinationCircuits
from kazoo_bridge.webhooks.delivery.dispatcher import Dispatcher
from kazoo_bridge.webhooks.delivery.dropped_deliveries import DroppedDeliveries
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler
from kazoo_bridge.webhooks.delivery.missed_events import MissedEvents
from kazoo_bridge.webhooks.delivery.paused_deliveries import PausedDeliveries
from kazoo_bridge.webhooks.delivery.poll_timer import PollTimer
from kazoo_bridge.webhooks.delivery.probe_schedule import ProbeSchedule
from kazoo_bridge.webhooks.delivery.receiver_prober import ReceiverProber
from kazoo_bridge.webhooks.delivery.retry_policy import RetryPolicy
from kazoo_bridge.webhooks.delivery.retry_worker import RetryWorker
from kazoo_bridge.webhooks.event_explainer import EventExplainer
from kazoo_bridge.webhooks.event_handler import WebhookEventHandler, webhook_topics
from kazoo_bridge.webhooks.hook_sync import HookChangeConsumer, HookChangePublisher
from kazoo_bridge.webhooks.hooks.hook_catalogue import HookCatalogue
from kazoo_bridge.webhooks.hooks.hook_document import DocumentRules
from kazoo_bridge.webhooks.hooks.hook_service import HookService
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.http.request_plan import RequestPlans
from kazoo_bridge.webhooks.http_client import HookHttpClient
from kazoo_bridge.webhooks.metrics import StoredDeliveryMetrics
from kazoo_bridge.webhooks.notification_sender import NotificationSender
from kazoo_bridge.webhooks.service_metrics import (
    register_event_metrics,
    register_hook_metrics,
    register_request_metrics,
)
from kazoo_bridge.webhooks.traced_events import TracedEventHandler

_log = Logger()


@frozen
class WebhookStores:
    """The stores of webhooks. `cluster_id` reads the id that all nodes on this storage share."""

    hooks: IHookStore
    attempts: IAttemptStore
    deliveries: IDeliveryStore
    missed_events: IMissedEventStore
    limits: ILimitStore
    cluster_id: Callable[[], Awaitable[str]]


@define(eq=False)
class WebhookService:
    """Everything that makes webhooks of events.

    Call `load` and `hooks.load`, then `start`, `stop_consuming`, `drain`, `stop`.
    """

    catalogue: HookCatalogue
    registry: HookRegistry
    hooks: HookService
    recorder: AttemptRecorder
    auto_disabler: AutoDisabler
    replayer: AttemptReplayer
    dead_letters: DeadLetters
    sample_sender: SampleSender
    health: HealthReport
    event_handler: WebhookEventHandler
    stores: WebhookStores
    _reactor: Any
    _config: Config
    _bus: IBus
    _directory: IDirectory
    _categories: list[IEventCategory]
    _cluster_id: ClusterId
    _http: HookHttpClient
    _scheduler: FairScheduler
    _attempt_runner: AttemptRunner
    _delivery_writer: DeliveryWriter
    _prober: ReceiverProber
    _retry_worker: RetryWorker
    _missed_events: MissedEvents
    _dispatcher: Dispatcher
    _hook_changes: HookChangeConsumer
    _notifications: NotificationSender
    _consumer: IConsumer | None = field(init=False, default=None)
    _stopped: bool = field(init=False, default=False)

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
        on_account_deleted: Callable[[str], Awaitable[None]],
        spans: SpanRecorder | None = None,
    ) -> WebhookService:
        """Build the parts, in the order of their dependencies; nothing runs yet.

        `node` names this node in messages to others. `on_account_deleted` receives the id of an account when
        KAZOO publishes that it is deleted. `spans` receives a span of each event and attempt; None: there are
        none.
        """
        make_runner: Callable[..., AttemptRunner] = AttemptRunner
        make_handler: Callable[..., WebhookEventHandler] = WebhookEventHandler
        if spans is not None:
            make_runner = partial(TracedAttemptRunner, spans=spans)
            make_handler = partial(TracedEventHandler, spans=spans)
        http = HookHttpClient.from_config(reactor, config)
        cluster_id = ClusterId(config.webhooks.cluster_id, stores.cluster_id)
        catalogue = HookCatalogue.from_types(hook for category in categories for hook in category.hooks)
        registry = HookRegistry()
        recorder = AttemptRecorder.from_config(reactor, config.webhooks, stores.attempts, config.trace.events)
        scheduler = FairScheduler.from_config(reactor, config.webhooks)
        poll_timer = PollTimer(reactor)
        writer = DeliveryWriter(reactor, stores.deliveries, on_due=poll_timer.wake)
        paused = PausedDeliveries(reactor, stores.deliveries, stores.hooks, registry, scheduler, poll_timer)
        hooks = HookService(
            reactor,
            stores.hooks,
            registry,
            DocumentRules.from_catalogue(catalogue),
            http.check_uri,
            on_changed=HookChangePublisher(bus, node).publish,
            on_hook_loaded=paused.on_hook_loaded,
            self_healing=config.webhooks.self_healing,
        )
        probe_schedule = ProbeSchedule.from_config(config.webhooks)
        notifications = NotificationSender(reactor, bus)
        auto_disabler = AutoDisabler(
            reactor,
            config.webhooks,
            stores.attempts,
            stores.limits,
            recorder,
            hooks,
            notifications,
            probe_schedule,
            on_suspended=paused.pause,
        )
        missed_events = MissedEvents(reactor, stores.missed_events)
        plans = RequestPlans(persistent=http.sender.persistent)
        requests = RequestBuilder(reactor, cluster_id, config.webhooks.max_body_bytes, plans)
        attempt_runner = make_runner(
            reactor,
            requests,
            http.sender,
            scheduler,
            recorder,
            RetryPolicy.from_config(config.webhooks),
            FailureCount(every_connection=not config.webhooks.self_healing),
            on_gone=auto_disabler.disable,
            dropped=DroppedDeliveries(reactor, missed_events, directory),
            destinations=DestinationCircuits(reactor, on_closed=lambda: poll_timer.wake(reactor.seconds())),
            stages=TurnStages(reactor),
        )
        prober = ReceiverProber(
            reactor,
            stores.hooks,
            stores.deliveries,
            hooks,
            registry,
            scheduler,
            attempt_runner,
            writer,
            probe_schedule,
            notifications,
            http.sender.request_timeout,
        )
        retry_worker = RetryWorker(
            reactor,
            stores.deliveries,
            registry,
            scheduler,
            attempt_runner,
            writer,
            paused,
            poll_timer,
            prober,
            request_timeout=http.sender.request_timeout,
        )
        dispatcher = Dispatcher(reactor, registry, scheduler, attempt_runner, writer, missed_events, paused)
        return cls(
            catalogue=catalogue,
            registry=registry,
            hooks=hooks,
            recorder=recorder,
            auto_disabler=auto_disabler,
            replayer=AttemptReplayer(
                reactor, recorder, stores.deliveries, hooks, directory, on_due=poll_timer.wake
            ),
            dead_letters=DeadLetters(reactor, stores.deliveries, writer, on_due=poll_timer.wake),
            sample_sender=SampleSender(
                reactor,
                catalogue,
                requests,
                http.sender,
                recorder,
                SampleLimits(reactor, config.webhooks.tests_per_minute),
            ),
            health=HealthReport(
                reactor,
                config.webhooks,
                stores.attempts,
                stores.limits,
                stores.deliveries,
                stores.missed_events,
                recorder,
                scheduler,
            ),
            event_handler=make_handler(
                reactor,
                directory,
                registry,
                dispatcher,
                categories,
                EventTraces(reactor.seconds, config.trace.events),
            ),
            stores=stores,
            reactor=reactor,
            config=config,
            bus=bus,
            directory=directory,
            categories=list(categories),
            cluster_id=cluster_id,
            http=http,
            scheduler=scheduler,
            attempt_runner=attempt_runner,
            delivery_writer=writer,
            prober=prober,
            retry_worker=retry_worker,
            missed_events=missed_events,
            dispatcher=dispatcher,
            hook_changes=HookChangeConsumer(bus, hooks, directory, on_account_deleted),
            notifications=notifications,
        )

    def add_categories(self, categories: Sequence[IEventCategory]) -> None:
        """Have the hook types of further categories. Then load the hooks, and call `bind_topics`."""
        self._categories += categories
        self.catalogue.add(hook for category in categories for hook in category.hooks)
        self.hooks.rules.update()
        self.event_handler.add_categories(categories)

    @property
    def is_consuming(self) -> bool:
        """Whether events are consumed: after `start`, before `stop_consuming`."""
        return self._consumer is not None and not self._stopped

    async def bind_topics(self) -> list[str]:
        """Bind the queue to what all categories need; return why that has failed, a line for each topic."""
        if self._consumer is None:
            return []
        topics = sorted(webhook_topics(self._categories), key=lambda topic: (topic.exchange, topic.pattern))
        problems: list[str] = []
        await gatherResults(
            [
                self._consumer.bind(topic).addErrback(lambda failure: problems.append(str(failure.value)))
                for topic in topics
            ]
        )
        return problems

    async def check_command_url(self, url: str) -> str | None:
        """Return why a command may not make the switch request `url`; None if it may."""
        return await self._http.check_command_url(url)

    async def load(self) -> None:
        """Read what must be in memory besides the hooks; raises `StorageUnavailable`."""
        await self._cluster_id.load()

    @property
    def api(self) -> WebhookApi:
        """The operations that REST offers (`IWebhooks`)."""
        return WebhookApi(
            self.catalogue,
            self.hooks,
            self.health,
            self.recorder,
            self.replayer,
            self.dead_letters,
            self.sample_sender,
            self.stores.limits,
        )

    @property
    def explainer(self) -> EventExplainer:
        """What says of an event which hooks it fired, and why others did not."""
        return EventExplainer(
            self._reactor,
            self.catalogue,
            self.stores.hooks,
            self._directory,
            self.recorder,
            self.event_handler.traces,
        )

    def start(self) -> None:
        """Consume events. `load` and `hooks.load` must have been called, and the bus be started.

        Does nothing after `stop_consuming`: hooks that load slowly may be there after the node's stop.
        """
        if self._stopped:
            return
        self.recorder.startService()
        self._delivery_writer.startService()
        self._missed_events.startService()
        self._retry_worker.startService()
        if not self._config.webhooks.disable_disabler:
            self.auto_disabler.startService()
        self._hook_changes.start()
        amqp = self._config.amqp
        queue = Queue(amqp.queue, webhook_topics(self._categories), durable=True, prefetch=amqp.prefetch)
        self._consumer = self._bus.consume(queue, self.event_handler.handle)

    async def stop_consuming(self) -> None:
        """Consume no more events; returns when the broker delivers no more."""
        self._stopped = True
        if self._consumer is not None:
            await gatherResults([self._consumer.cancel(), Deferred.fromCoroutine(self._hook_changes.stop())])

    async def drain(self, forced: Deferred[None]) -> None:
        """Let requests in flight end and store what waits; call it after `stop_consuming`.

        Returns after twice the request time-out at the latest, or when `forced` fires.
        """
        if self._consumer is None:
            return
        drained = gatherResults(
            [self._dispatcher.drain(), self._retry_worker.stopService()], consumeErrors=True
        )
        forced.addCallback(lambda _: drained.cancel())
        timeout = 2 * self._config.webhooks.request_timeout_ms / 1000
        try:
            await drained.addTimeout(timeout, self._reactor)
        except Exception:
            # The broker has those from memory unacknowledged, the storage the others.
            count = self._dispatcher.in_flight + self._retry_worker.in_flight
            _log.warn("deliveries not finished, they will be made again count={count}", count=count)

    async def stop(self) -> None:
        """Write what has been collected and close what is open; call it after `drain`."""
        for service in (self.auto_disabler, self._delivery_writer, self._missed_events, self.recorder):
            if service.running:
                await service.stopService()
        self._notifications.stop()
        self.event_handler.stop()
        self._attempt_runner.stop()
        self._scheduler.stop()
        await self._http.close()

    def register_metrics(self, registry: CollectorRegistry) -> StoredDeliveryMetrics:
        """Export the metrics in `registry`; the returned ones are to be updated before each scrape."""
        self._attempt_runner.metrics.register(registry)
        register_event_metrics(registry, self.event_handler, self._missed_events)
        register_hook_metrics(registry, self.registry, self._prober)
        register_request_metrics(registry, self._scheduler)
        return StoredDeliveryMetrics(registry, self.stores.deliveries, self._reactor)
