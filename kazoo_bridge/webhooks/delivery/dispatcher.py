"""Makes the first attempt at every delivery, straight from memory; what does not succeed at once is kept for later."""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from kazoo_bridge.interfaces import Delivery, Requeue, StorageUnavailable
from kazoo_bridge.webhooks.attempts.attempt import AttemptRunner
from kazoo_bridge.webhooks.delivery.delivery_writer import DeliveryWriter
from kazoo_bridge.webhooks.delivery.fair_scheduler import FairScheduler, Slot
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.registry import HookRegistry

_log = Logger()

#: Seconds for which a delivery waits for its first attempt while the broker holds the event.
SLOT_TIMEOUT = 2.0

#: Deliveries of one hook that wait so; more are kept in the storage at once.
_MAX_WAITING_PER_HOOK = 32

#: Deliveries of all hooks together that wait so. With those under way they must be fewer than the broker hands out at once
#: (`amqp.prefetch`), or receivers that hang would keep everybody's events away.
_MAX_WAITING_TOTAL = 128

_MAX_REMEMBERED_DELIVERIES = 10_000


@define(eq=False)
class Dispatcher:
    """Brings deliveries to their hooks, or to the storage."""

    _clock: IReactorTime
    _registry: HookRegistry
    _scheduler: FairScheduler
    _attempt_runner: AttemptRunner
    _writer: DeliveryWriter
    _delivered: OrderedDict[str, None] = field(init=False, factory=OrderedDict)
    _in_flight: int = field(init=False, default=0)
    _slot_waits: set[Deferred[None]] = field(init=False, factory=set)
    _waiting_for_idle: list[Deferred[None]] = field(init=False, factory=list)
    _draining: bool = field(init=False, default=False)

    @property
    def in_flight(self) -> int:
        """How many deliveries have begun and not ended."""
        return self._in_flight

    def drain(self) -> Deferred[None]:
        """Begin no attempt from now on: what waits goes to the storage. Fires when no delivery is under way."""
        self._draining = True
        for patience in list(self._slot_waits):
            patience.cancel()
        waiting: Deferred[None] = Deferred(self._waiting_for_idle.remove)
        self._waiting_for_idle.append(waiting)
        self._notify_if_idle()
        return waiting

    def _on_finished(self) -> None:
        self._in_flight -= 1
        if not self._in_flight and self._waiting_for_idle:
            # Not at once: the caller of the last delivery shall hear of its end first, and tell the broker.
            self._clock.callLater(0, self._notify_if_idle)

    def _notify_if_idle(self) -> None:
        if not self._in_flight:
            waiting, self._waiting_for_idle = self._waiting_for_idle, []
            for one in waiting:
                one.callback(None)

    async def deliver(self, hook: Hook, delivery: Delivery, *, redelivered: bool = False) -> None:
        """Returns once the receiver has taken it, or it is safe in the storage.

        `redelivered`: the broker has handed the event out before; then a hook that has had it from this process does not get it again.
        Raises `Requeue` when it is neither delivered nor safe.
        """
        if redelivered and delivery.id in self._delivered:
            return
        self._in_flight += 1
        try:
            await self._deliver(hook, delivery)
        except StorageUnavailable as error:
            raise Requeue(f"delivery {delivery.id} could not be made nor kept: {error}") from None
        except (TypeError, ValueError) as error:
            _log.error(
                "hook {hook_id} cannot be told of {event}, nor can that be kept: {reason}",
                hook_id=hook.id,
                event=delivery.event,
                reason=error,
            )
        finally:
            self._on_finished()

    async def _deliver(self, hook: Hook, delivery: Delivery) -> None:
        reason = self._storage_reason(hook)
        if reason and await self._enqueue(hook, delivery, reason):
            return
        turn = await self._acquire_slot(hook)
        if turn is None:
            await self._writer.enqueue(
                delivery, self._clock.seconds(), self._storage_reason(hook) or "its receiver is slow"
            )
            return
        verdict = await self._attempt_runner.attempt(hook, delivery, turn)
        if verdict.delivered:
            self._remember(delivery.id)
        else:
            await self._writer.enqueue(
                evolve(delivery, attempts=verdict.attempts), verdict.next_attempt, verdict.reason
            )

    def _storage_reason(self, hook: Hook) -> str:
        """Why no attempt is made from memory; empty: one is."""
        if self._draining:
            return "the service was stopping"
        if hook.ordered:
            return "its turn has to come"
        if self._scheduler.circuit_open(hook.queue_key):
            return "its receiver keeps failing"
        if self._scheduler.load(hook.queue_key) >= self._scheduler.per_hook + _MAX_WAITING_PER_HOOK:
            return "many others wait for its receiver"
        return ""

    async def _enqueue(self, hook: Hook, delivery: Delivery, reason: str) -> bool:
        """Keep it for later; False when the storage refuses and it shall be tried from memory after all."""
        try:
            await self._writer.enqueue(delivery, self._clock.seconds(), reason)
        except StorageUnavailable:
            if not self._may_probe(hook):
                raise
            return False
        return True

    def _may_probe(self, hook: Hook) -> bool:
        # A receiver that keeps failing is tried with what is stored. Without a storage nobody would learn that it is well again.
        if self._draining or hook.ordered or not self._scheduler.circuit_open(hook.queue_key):
            return False
        return self._scheduler.load(hook.queue_key) < _MAX_WAITING_PER_HOOK

    async def _acquire_slot(self, hook: Hook) -> Slot | None:
        """A granted turn; None when it did not come in time, or the hook has gone or been disabled meanwhile."""
        turn = self._scheduler.acquire(hook)
        if not turn.granted.called and len(self._slot_waits) < _MAX_WAITING_TOTAL:
            await self._wait_for_slot(turn)
        if not turn.granted.called:
            self._scheduler.cancel(turn)
            return None
        if hook.revision and self._registry.get(hook.id) is None:
            self._scheduler.release(turn, None)
            return None
        return turn

    async def _wait_for_slot(self, turn: Slot) -> None:
        patience: Deferred[None] = deferLater(self._clock, SLOT_TIMEOUT)
        self._slot_waits.add(patience)
        turn.granted.addCallback(lambda _: None if patience.called else patience.cancel())
        try:
            await patience
        except CancelledError:
            pass
        finally:
            self._slot_waits.discard(patience)

    def _remember(self, delivery_id: str) -> None:
        self._delivered[delivery_id] = None
        if len(self._delivered) > _MAX_REMEMBERED_DELIVERIES:
            self._delivered.popitem(last=False)
