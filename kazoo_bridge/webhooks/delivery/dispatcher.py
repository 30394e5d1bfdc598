"""Makes deliveries, and the first attempt at each; stores for a retry what does not succeed at once."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import (
    UNTIL_ENABLED,
    Completion,
    Delivery,
    Occurrence,
    Requeue,
    StorageUnavailable,
)
from kazoo_bridge.webhooks.attempts.attempt import AttemptRunner
from kazoo_bridge.webhooks.attempts.attempt_in_flight import AttemptResult
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler
from kazoo_bridge.webhooks.delivery.hook_queues import Slot
from kazoo_bridge.webhooks.delivery.missed_events import DISABLED, UNDELIVERABLE, MissedEvents
from kazoo_bridge.webhooks.delivery.paused_deliveries import PausedDeliveries
from kazoo_bridge.webhooks.delivery.recent_ids import RecentIds
from kazoo_bridge.webhooks.delivery.transit import Transit
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.http.error_messages import describe_error

_log = Logger()

#: Seconds for which a delivery waits for a slot while the broker holds the event.
SLOT_TIMEOUT = 2.0

#: Deliveries of one hook that wait for a slot although its receiver has stopped answering. More wait only as
#: long as it answers.
_MAX_WAITING_PER_HOOK = 32

#: The same for all hooks together. With the requests in flight they must be fewer than the events that the
#: broker delivers at once (`amqp.prefetch`), or receivers that hang would block other events.
_MAX_WAITING_TOTAL = 128

#: Deliveries that are recognised when the broker redelivers their event.
_MAX_REMEMBERED_DELIVERIES = 10_000

#: Payload keys that name an event's subject (a call, a conference, a fax, an object), in order of precedence.
_ORDERING_KEYS = ("call_id", "conference_id", "job_id", "id")


def delivery_id(event_id: str, hook_id: str) -> str:
    """Return the id of the delivery of an event to a hook: equal for all attempts, on all nodes."""
    digest = hashlib.sha256("\0".join((event_id, hook_id)).encode())
    return f"msg_{digest.hexdigest()[:32]}"


def make_delivery(hook: Hook, occurrence: Occurrence, event_id: str, now: float) -> Delivery:
    """Return the delivery of an occurrence to a hook, created at `now` (Unix seconds)."""
    # Not by name, which takes four times as long for a class.
    return Delivery(
        delivery_id(event_id, hook.id),
        hook.id,
        hook.account_id,
        occurrence.hook,
        event_id,
        occurrence.payload,
        now,
        _ordering_key(occurrence) if hook.ordered else "",
        occurrence.inline_hook,
        0,
        None,
        occurrence.account_id,
    )


@define(eq=False)
class Dispatcher:
    """Delivers an occurrence to a hook: to its receiver, or to the store for the `RetryWorker`."""

    _clock: IReactorTime
    _registry: HookRegistry
    _scheduler: FairScheduler
    _attempt_runner: AttemptRunner
    _writer: DeliveryWriter
    _missed: MissedEvents
    _paused: PausedDeliveries
    _delivered: RecentIds = field(init=False, factory=lambda: RecentIds(_MAX_REMEMBERED_DELIVERIES))
    #: Deliveries that failed and could not be stored: when they come again, the failure has been counted.
    _failed: OrderedDict[str, None] = field(init=False, factory=OrderedDict)
    _in_flight: int = field(init=False, default=0)
    _waiting_for_idle: list[Deferred[None]] = field(init=False, factory=list)
    _draining: bool = field(init=False, default=False)

    @property
    def in_flight(self) -> int:
        """How many deliveries have begun and not ended."""
        return self._in_flight

    def deliver(self, hook: Hook, delivery: Delivery, *, redelivered: bool = False) -> Completion | None:
        """Begin a delivery; it ends once the receiver has accepted the request or the delivery is stored.

        Returns None if nothing is to be done. Fails with `Requeue` when the delivery is neither accepted nor
        stored.

        `redelivered`: the broker delivers the event again; a hook that has received it from this process does
        not receive it again.
        """
        if redelivered:
            if delivery.id in self._delivered:
                return None
            if delivery.id in self._failed:
                delivery = evolve(delivery, attempts=1)
        if hook.failed:
            self._missed.count(hook, DISABLED)
            return None
        self._in_flight += 1
        transit = Transit(self._attempt_runner, hook, delivery, owner=self)
        try:
            self._start(transit)
        except Exception as error:
            self._on_defect(transit, error)
        return transit

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Let `drain` wait: deliveries of an event are still to be started."""
        self._in_flight += 1
        try:
            yield
        finally:
            self._on_finished()

    def drain(self) -> Deferred[None]:
        """Begin no attempt from now on and store what waits; fires when no delivery is in flight."""
        self._draining = True
        self._scheduler.stop_waiting()
        idle: Deferred[None] = Deferred(self._waiting_for_idle.remove)
        self._waiting_for_idle.append(idle)
        self._notify_if_idle()
        return idle

    def _on_finished(self) -> None:
        self._in_flight -= 1
        if not self._in_flight and self._waiting_for_idle:
            # Later, so that the caller of the last delivery can acknowledge the event first.
            self._clock.callLater(0, self._notify_if_idle)

    def _notify_if_idle(self) -> None:
        if not self._in_flight:
            waiting, self._waiting_for_idle = self._waiting_for_idle, []
            for idle in waiting:
                idle.callback(None)

    # -- the way of a delivery

    def _start(self, transit: Transit) -> None:
        hook, runner = transit.hook, self._attempt_runner
        unreachable = runner.destinations.circuits and runner.destinations.is_open(hook)
        if not (hook.suspended or hook.ordered or self._draining or unreachable):
            slot = self._scheduler.take(hook)
            if slot is not None:
                transit.slot = slot
                runner.start(transit)
                return
        if hook.options.max_age is not None and runner.dropped.drop_if_too_old(hook, transit.delivery):
            self._finish(transit)
            return
        reason = self._storage_reason(hook)
        if reason:
            self._finish_with(transit, self._store_or_probe(transit, reason))
        else:
            self._request_slot(transit)

    def _request_slot(self, transit: Transit) -> None:
        scheduler, hook = self._scheduler, transit.hook
        hurried = (
            scheduler.queued >= _MAX_WAITING_TOTAL
            or scheduler.load(hook.queue_key) >= scheduler.per_hook + _MAX_WAITING_PER_HOOK
        )
        scheduler.wait(hook, partial(self._on_slot, transit), SLOT_TIMEOUT, hurried=hurried)

    def _on_slot(self, transit: Transit, slot: Slot | None) -> None:
        """Make the attempt; or store the delivery, if there was no slot in time."""
        try:
            hook, destinations = transit.hook, self._attempt_runner.destinations
            if slot is None:
                self._finish_with(transit, self._store(transit))
            elif (hook.revision and self._registry.get(hook.id) is None) or (
                destinations.circuits and not transit.probing and destinations.is_open(hook)
            ):
                # It was disabled or deleted while this waited, or its destination has failed others.
                self._scheduler.release(slot, None)
                self._finish_with(transit, self._store(transit))
            else:
                transit.slot = slot
                self._attempt_runner.start(transit)
        except Exception as error:
            self._on_defect(transit, error)

    def on_attempted(self, transit: Transit, result: AttemptResult) -> None:
        """Finish the delivery, or store it for what follows from the attempt."""
        if result.delivered or result.dropped:
            self._delivered.add(transit.delivery.id)
            self._finish(transit)
        else:
            self._finish_with(transit, self._keep(transit, result))

    def _on_defect(self, transit: Transit, error: Exception) -> None:
        """Bury a delivery that has raised what nothing expects."""
        self._finish_with(transit, self._bury_defect(transit, error))

    def _finish(self, transit: Transit) -> None:
        self._on_finished()
        transit.finish(None)

    def _finish_with(self, transit: Transit, work: Coroutine[Any, Any, bool]) -> None:
        """Finish the delivery when `work` has ended with True, or fail it like `work`."""
        Deferred.fromCoroutine(self._guard(transit, work)).addCallbacks(
            lambda ended: self._finish(transit) if ended else None,
            lambda failure: self._fail(transit, failure),
        ).addErrback(lambda failure: _log.failure("finishing a delivery failed", failure))

    def _fail(self, transit: Transit, failure: Failure) -> None:
        self._on_finished()
        transit.finish(failure)

    async def _guard(self, transit: Transit, work: Coroutine[Any, Any, bool]) -> bool:
        try:
            return await work
        except StorageUnavailable as error:
            raise Requeue(
                f"delivery {transit.delivery.id} could be neither delivered nor stored: {error}"
            ) from None
        except (CancelledError, Requeue):
            raise
        except Exception as error:
            return await self._bury_defect(transit, error)

    # -- what is stored

    async def _store_or_probe(self, transit: Transit, reason: str) -> bool:
        """Store the delivery, or make an attempt if it cannot be stored; return whether it was stored."""
        if await self._enqueue(transit.hook, transit.delivery, reason):
            return True
        transit.probing = True
        self._request_slot(transit)
        return False

    async def _store(self, transit: Transit) -> bool:
        reason = self._storage_reason(transit.hook) or "its receiver is slow"
        await self._writer.enqueue(transit.delivery, self._clock.seconds(), reason)
        return True

    async def _keep(self, transit: Transit, result: AttemptResult) -> bool:
        """Store a delivery that has failed."""
        hook, delivery = transit.hook, transit.delivery
        await self._attempt_runner.disable_if_gone(hook, result)
        if result.attempts:
            _remember(self._failed, delivery.id)
        attempted = evolve(delivery, attempts=result.attempts)
        if result.next_attempt is None:
            await self._bury(hook, attempted, result.reason)
        else:
            await self._writer.enqueue(attempted, result.next_attempt, result.reason)
        self._failed.pop(delivery.id, None)
        return True

    async def _bury_defect(self, transit: Transit, error: Exception) -> bool:
        """Store the delivery as dead: repeating it would fail again and hold up the queue."""
        hook, delivery = transit.hook, transit.delivery
        _log.failure(
            "delivery failed unexpectedly hook_id={hook_id} event={event} delivery_id={delivery_id} "
            "event_id={event_id}",
            Failure(error),
            hook_id=hook.id,
            event=delivery.event,
            delivery_id=delivery.id,
            event_id=delivery.event_id,
        )
        await self._bury(hook, evolve(delivery, attempts=delivery.attempts + 1), describe_error(error))
        return True

    async def _bury(self, hook: Hook, delivery: Delivery, reason: str) -> None:
        """Store the delivery as dead. What the storage cannot hold of its payload is stored as text."""
        try:
            payload = json.loads(json.dumps(delivery.payload, default=repr, skipkeys=True))
            await self._writer.enqueue(evolve(delivery, payload=payload), None, reason)
        except StorageUnavailable as error:
            raise Requeue(f"dead delivery {delivery.id} could not be stored: {error}") from None
        except (TypeError, ValueError, RecursionError) as error:
            self._missed.count(hook, UNDELIVERABLE)
            _log.error(
                "delivery dropped hook_id={hook_id} event={event} delivery_id={delivery_id} "
                "event_id={event_id} reason={reason}",
                hook_id=delivery.hook_id,
                event=delivery.event,
                delivery_id=delivery.id,
                event_id=delivery.event_id,
                reason=error,
            )

    def _storage_reason(self, hook: Hook) -> str:
        """Why the delivery is stored without an attempt from memory; empty when an attempt is made."""
        if hook.suspended:
            return "its hook is suspended until its receiver recovers"
        if self._draining:
            return "the service was stopping"
        if hook.ordered:
            return "an ordered delivery waits for earlier ones"
        queue = self._scheduler.find(hook.queue_key)
        if queue is not None and queue.circuit_open:
            return "its receiver keeps failing"
        if self._attempt_runner.destinations.is_open(hook):
            return "the host of its receiver cannot be connected to"
        if queue is not None and queue.is_congested(
            self._clock.seconds(), SLOT_TIMEOUT, _MAX_WAITING_PER_HOOK, self._scheduler.per_hook
        ):
            return "many others wait for its receiver"
        return ""

    async def _enqueue(self, hook: Hook, delivery: Delivery, reason: str) -> bool:
        """Store the delivery; False when the store is unavailable and an attempt from memory follows."""
        try:
            next_attempt = UNTIL_ENABLED if hook.suspended else self._clock.seconds()
            await self._writer.enqueue(delivery, next_attempt, reason)
        except StorageUnavailable:
            if not self._may_probe(hook):
                raise
            return False
        if hook.suspended and self._registry.get(hook.id) is not None:
            # The hook was enabled while this was written, so its resumption may have missed it.
            self._paused.resume_soon(hook.id)
        return True

    def _may_probe(self, hook: Hook) -> bool:
        # A failing receiver is probed with stored deliveries. Without a storage, only attempts from memory
        # find out that it has recovered.
        if self._draining or hook.suspended or hook.ordered:
            return False
        if not (
            self._scheduler.circuit_open(hook.queue_key) or self._attempt_runner.destinations.is_open(hook)
        ):
            return False
        return self._scheduler.load(hook.queue_key) < _MAX_WAITING_PER_HOOK


def _remember(deliveries: OrderedDict[str, None], delivery_id: str) -> None:
    deliveries[delivery_id] = None
    if len(deliveries) > _MAX_REMEMBERED_DELIVERIES:
        deliveries.popitem(last=False)


def _ordering_key(occurrence: Occurrence) -> str:
    payload = occurrence.payload
    subject = next((payload[key] for key in _ORDERING_KEYS if payload.get(key)), occurrence.hook)
    return hashlib.sha256(str(subject).encode("utf-8", "replace")).hexdigest()[:32]
