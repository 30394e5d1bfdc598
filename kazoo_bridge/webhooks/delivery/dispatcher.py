"""Makes deliveries, and the first attempt at each; stores for a retry what does not succeed at once."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from kazoo_bridge.interfaces import UNTIL_ENABLED, Delivery, Occurrence, Requeue, StorageUnavailable
from kazoo_bridge.webhooks.attempts.attempt import AttemptRunner
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler
from kazoo_bridge.webhooks.delivery.hook_queues import Slot
from kazoo_bridge.webhooks.delivery.missed_events import DISABLED, UNDELIVERABLE, MissedEvents
from kazoo_bridge.webhooks.delivery.paused_deliveries import PausedDeliveries
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.http.error_messages import describe_error

_log = Logger()

#: Seconds for which a delivery waits for a slot while the broker holds the event.
SLOT_TIMEOUT = 2.0

#: Deliveries of one hook that wait for a slot; more are stored at once.
_MAX_WAITING_PER_HOOK = 32

#: Deliveries of all hooks that wait for a slot. With the requests in flight they must be fewer than the
#: events that the broker delivers at once (`amqp.prefetch`), or receivers that hang would block other events.
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
    return Delivery(
        id=delivery_id(event_id, hook.id),
        hook_id=hook.id,
        account_id=hook.account_id,
        event=occurrence.hook,
        event_id=event_id,
        payload=occurrence.payload,
        created=now,
        ordering_key=_ordering_key(occurrence) if hook.ordered else "",
        inline_hook=occurrence.inline_hook,
        event_account_id=occurrence.account_id,
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
    _delivered: OrderedDict[str, None] = field(init=False, factory=OrderedDict)
    #: Deliveries that failed and could not be stored: when they come again, the failure has been counted.
    _failed: OrderedDict[str, None] = field(init=False, factory=OrderedDict)
    _in_flight: int = field(init=False, default=0)
    _waiting_for_slot: int = field(init=False, default=0)
    _waiting_for_idle: list[Deferred[None]] = field(init=False, factory=list)
    _draining: bool = field(init=False, default=False)

    @property
    def in_flight(self) -> int:
        """How many deliveries have begun and not ended."""
        return self._in_flight

    async def deliver(self, hook: Hook, delivery: Delivery, *, redelivered: bool = False) -> None:
        """Deliver, and return once the receiver has accepted the request or the delivery is stored.

        `redelivered`: the broker delivers the event again; a hook that has received it from this process does
        not receive it again. Raises `Requeue` when the delivery is neither accepted nor stored.
        """
        if redelivered and delivery.id in self._delivered:
            return
        if redelivered and delivery.id in self._failed:
            delivery = evolve(delivery, attempts=1)
        if hook.failed:
            self._missed.count(hook, DISABLED)
            return
        self._in_flight += 1
        try:
            await self._deliver(hook, delivery)
        except StorageUnavailable as error:
            raise Requeue(f"delivery {delivery.id} could be neither delivered nor stored: {error}") from None
        except CancelledError:
            raise
        except Exception as error:
            # Repeating it would fail again and hold up the queue.
            _log.failure(
                "delivery failed unexpectedly hook_id={hook_id} event={event} delivery_id={delivery_id}",
                hook_id=hook.id,
                event=delivery.event,
                delivery_id=delivery.id,
            )
            await self._bury(hook, evolve(delivery, attempts=delivery.attempts + 1), describe_error(error))
        finally:
            self._on_finished()

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

    async def _deliver(self, hook: Hook, delivery: Delivery) -> None:
        if self._attempt_runner.dropped.drop_if_too_old(hook, delivery):
            return
        reason = self._storage_reason(hook)
        if reason and await self._enqueue(hook, delivery, reason):
            return
        slot = await self._acquire_slot(hook)
        if slot is not None and not reason and self._attempt_runner.destinations.is_open(hook):
            # It has waited while others have found out.
            self._scheduler.release(slot, None)
            slot = None
        if slot is None:
            reason = self._storage_reason(hook) or "its receiver is slow"
            await self._writer.enqueue(delivery, self._clock.seconds(), reason)
            return
        result = await self._attempt_runner.attempt(hook, delivery, slot)
        if result.done:
            _remember(self._delivered, delivery.id)
        else:
            if result.attempts:
                _remember(self._failed, delivery.id)
            attempted = evolve(delivery, attempts=result.attempts)
            if result.next_attempt is None:
                await self._bury(hook, attempted, result.reason)
            else:
                await self._writer.enqueue(attempted, result.next_attempt, result.reason)
            self._failed.pop(delivery.id, None)

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
                "delivery dropped hook_id={hook_id} event={event} delivery_id={delivery_id} reason={reason}",
                hook_id=delivery.hook_id,
                event=delivery.event,
                delivery_id=delivery.id,
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
        if self._scheduler.circuit_open(hook.queue_key):
            return "its receiver keeps failing"
        if self._attempt_runner.destinations.is_open(hook):
            return "the host of its receiver cannot be connected to"
        if self._scheduler.load(hook.queue_key) >= self._scheduler.per_hook + _MAX_WAITING_PER_HOOK:
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

    async def _acquire_slot(self, hook: Hook) -> Slot | None:
        """Return a slot; None when there was none in time, or the hook is no longer enabled."""
        timeout = SLOT_TIMEOUT if self._waiting_for_slot < _MAX_WAITING_TOTAL else 0.0
        self._waiting_for_slot += 1
        try:
            slot = await self._scheduler.acquire(hook, timeout)
        finally:
            self._waiting_for_slot -= 1
        if slot is not None and hook.revision and self._registry.get(hook.id) is None:
            self._scheduler.release(slot, None)
            return None
        return slot


def _remember(deliveries: OrderedDict[str, None], delivery_id: str) -> None:
    deliveries[delivery_id] = None
    if len(deliveries) > _MAX_REMEMBERED_DELIVERIES:
        deliveries.popitem(last=False)


def _ordering_key(occurrence: Occurrence) -> str:
    payload = occurrence.payload
    subject = next((payload[key] for key in _ORDERING_KEYS if payload.get(key)), occurrence.hook)
    return hashlib.sha256(str(subject).encode("utf-8", "replace")).hexdigest()[:32]
