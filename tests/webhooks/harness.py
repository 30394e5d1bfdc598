"""Everything between an occurrence and the wire, wired as in the service, on a `Clock`."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import Delivery, Occurrence
from kazoo_bridge.webhooks.attempts.attempt import AttemptRunner, ClusterId, FailureCount, RequestBuilder
from kazoo_bridge.webhooks.attempts.attempt_document import AttemptFormat
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.attempts.turn_stages import TurnStages
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter
from kazoo_bridge.webhooks.delivery.destination_circuits import DestinationCircuits
from kazoo_bridge.webhooks.delivery.dispatcher import Dispatcher, make_delivery
from kazoo_bridge.webhooks.delivery.dropped_deliveries import DroppedDeliveries
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler
from kazoo_bridge.webhooks.delivery.hook_queues import Slot
from kazoo_bridge.webhooks.delivery.missed_events import MissedEvents
from kazoo_bridge.webhooks.delivery.paused_deliveries import PausedDeliveries
from kazoo_bridge.webhooks.delivery.poll_timer import PollTimer
from kazoo_bridge.webhooks.delivery.probe_schedule import ProbeSchedule
from kazoo_bridge.webhooks.delivery.receiver_prober import ReceiverProber
from kazoo_bridge.webhooks.delivery.retry_policy import RetryPolicy
from kazoo_bridge.webhooks.delivery.retry_worker import RetryWorker
from kazoo_bridge.webhooks.event_handler import when_ended
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.hook_service import HookService
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.http.sender import Sender
from kazoo_bridge.webhooks.notification_sender import NotificationSender
from tests.webhooks.fakes import (
    FakeAgent,
    FakeAttemptStore,
    FakeBus,
    FakeDeliveryStore,
    FakeDirectory,
    FakeHookStore,
    FakeMissedEventStore,
)
from tests.webhooks.hook_factory import ACCOUNT, CATALOGUE, RULES, stored_hook

REQUEST_TIMEOUT = 10.0

_harnesses: list[Harness] = []


class LongestDelays(random.Random):
    """Chooses always the longest delay."""

    def uniform(self, a: float, b: float) -> float:
        return b


class StagesAtOnce(TurnStages):
    """Does the work as soon as it is added, so that tests need not advance the clock for each step."""

    def schedule(self) -> None:
        self.scheduled = True
        self.run()


class Harness:
    """The parts. `agent` may be a real one; `limits` are the scheduler's.

    `at_once`: requests are made and outcomes concluded at once, and not, like in the service, at the end of
    the turn. `make_runner` makes the runner of attempts.
    """

    def __init__(
        self,
        clock: Clock,
        agent: Any,
        url: str = "http://receiver.example",
        *,
        retry_bad_status: bool = True,
        total: int = 8,
        per_account: int = 8,
        per_hook: int = 2,
        give_up_after: float = 3 * 86_400.0,
        at_once: bool = True,
        make_runner: Callable[..., AttemptRunner] = AttemptRunner,
    ) -> None:
        _harnesses.append(self)
        self.clock, self.agent, self.url = clock, agent, url
        self.registry = HookRegistry()
        self.attempts, self.deliveries, self.hooks = FakeAttemptStore(), FakeDeliveryStore(), FakeHookStore()
        self.missed_events, self.bus = FakeMissedEventStore(), FakeBus()
        self.disabled: list[tuple[str, str, str, str]] = []
        self.recorder = AttemptRecorder(clock, self.attempts, False, AttemptFormat(1000, 1000))
        self.scheduler = FairScheduler(clock, total, per_account, per_hook)
        self.poll_timer = PollTimer(clock)
        self.writer = DeliveryWriter(clock, self.deliveries, on_due=self.poll_timer.wake)
        self.paused = PausedDeliveries(
            clock, self.deliveries, self.hooks, self.registry, self.scheduler, self.poll_timer
        )
        self.missed = MissedEvents(clock, self.missed_events)
        self.directory = FakeDirectory({})
        self.dropped = DroppedDeliveries(clock, self.missed, self.directory)
        self.destinations = DestinationCircuits(
            clock, on_closed=lambda: self.poll_timer.wake(clock.seconds())
        )
        self.cluster_id = ClusterId("", lambda: Deferred())
        self.attempt_runner = make_runner(
            clock,
            RequestBuilder(clock, self.cluster_id),
            Sender(clock, agent, REQUEST_TIMEOUT),
            self.scheduler,
            self.recorder,
            RetryPolicy([10, 100], retry_bad_status, random=LongestDelays()),
            FailureCount(),
            on_gone=self._on_gone,
            dropped=self.dropped,
            destinations=self.destinations,
            stages=StagesAtOnce(clock) if at_once else TurnStages(clock),
        )
        self.hook_service = HookService(
            clock,
            self.hooks,
            self.registry,
            RULES,
            check_uri=self._permit,
            on_changed=lambda action, hook: None,
            on_hook_loaded=self.paused.on_hook_loaded,
        )
        self.probe_schedule = ProbeSchedule(30.0, give_up_after, LongestDelays())
        self.prober = ReceiverProber(
            clock,
            self.hooks,
            self.deliveries,
            self.hook_service,
            self.registry,
            self.scheduler,
            self.attempt_runner,
            self.writer,
            self.probe_schedule,
            NotificationSender(clock, self.bus),
            REQUEST_TIMEOUT,
        )
        self.retry_worker = RetryWorker(
            clock,
            self.deliveries,
            self.registry,
            self.scheduler,
            self.attempt_runner,
            self.writer,
            self.paused,
            self.poll_timer,
            self.prober,
            REQUEST_TIMEOUT,
        )
        self.dispatcher = Dispatcher(
            clock, self.registry, self.scheduler, self.attempt_runner, self.writer, self.missed, self.paused
        )

    def start(self) -> None:
        self.recorder.startService()
        self.writer.startService()
        self.missed.startService()
        self.retry_worker.startService()

    def stop(self) -> None:
        for service in (self.retry_worker, self.writer, self.missed, self.recorder):
            service.stopService()
        self.scheduler.stop()

    async def _on_gone(self, account_id: str, hook_id: str, revision: str, reason: str) -> None:
        self.disabled.append((account_id, hook_id, revision, reason))
        self.registry.remove(hook_id)

    async def _permit(self, uri: str) -> str | None:
        return None

    def hook(self, hook_id: str = "h1", account_id: str = ACCOUNT, **document: Any) -> Hook:
        """An enabled hook, stored and in the registry."""
        document.setdefault("uri", f"{self.url}/{hook_id}")
        stored = stored_hook(hook_id, account_id, **document)
        hook = Hook.from_document(stored, CATALOGUE)
        self.hooks.hooks[hook_id] = stored
        self.registry.put(hook)
        return hook

    def delivery(self, hook: Hook, event_id: str = "e1", **payload: Any) -> Delivery:
        occurrence = Occurrence("channel_create", ACCOUNT, {"call_id": "1", **payload})
        return make_delivery(hook, occurrence, event_id, self.clock.seconds())

    def deliver(
        self, hook: Hook, event_id: str = "e1", *, redelivered: bool = False, **payload: Any
    ) -> Deferred[None]:
        delivery = self.delivery(hook, event_id, **payload)
        return when_ended(self.dispatcher.deliver(hook, delivery, redelivered=redelivered))

    def store(self, hook: Hook, *event_ids: str, next_attempt: float | None = 0.0) -> None:
        """Put deliveries into the store."""
        self.deliveries.enqueue([(self.delivery(hook, name), next_attempt, "") for name in event_ids])

    def acquire(self, hook: Hook) -> Slot:
        """A slot that must be free."""
        (slot,) = results_of(self.scheduler.acquire(hook, 0.0))
        assert isinstance(slot, Slot)
        return slot

    def open_circuit(self, hook: Hook) -> None:
        """Let the hook's receiver fail until its circuit is open."""
        while not self.scheduler.circuit_open(hook.queue_key):
            self.scheduler.release(self.acquire(hook), False)

    def pump(self, seconds: float, step: float = 0.05) -> None:
        """Let time pass in small steps."""
        for _ in range(round(seconds / step)):
            self.clock.advance(step)


def make_harness(
    *, reachable: bool = False, started: bool = True, **options: Any
) -> tuple[FakeAgent, Harness]:
    """A harness whose receivers refuse connections or, if `reachable`, answer when the test says so."""
    clock = Clock()
    agent = FakeAgent(clock, reachable)
    harness = Harness(clock, agent, **options)
    if started:
        harness.start()
    return agent, harness


def results_of(deferred: Deferred[Any]) -> list[Any]:
    """The list of what a Deferred has fired with; it is filled when that happens later."""
    results: list[Any] = []
    deferred.addBoth(results.append)
    return results


def discard_harnesses() -> None:
    """End all waits for slots: a request that the garbage collector ends would grant its slot to another."""
    while _harnesses:
        _harnesses.pop().scheduler.stop_waiting()
