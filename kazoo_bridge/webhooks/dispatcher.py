"""Makes the first attempt at every delivery, straight from memory; what does not succeed at once is kept for later."""

from __future__ import annotations

from collections import OrderedDict

from attrs import define, evolve, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from kazoo_bridge.interfaces import Delivery, StorageUnavailable, Unfinished
from kazoo_bridge.webhooks.attempting import Attempter
from kazoo_bridge.webhooks.hook import Hook
from kazoo_bridge.webhooks.pending import Pending
from kazoo_bridge.webhooks.registry import HookRegistry
from kazoo_bridge.webhooks.turns import Turn, Turns

_log = Logger()

#: Seconds for which a delivery waits for its first attempt while the broker holds the event.
PATIENCE = 2.0

#: Deliveries of one hook that wait so; more are kept in the storage at once.
_MAX_WAITING = 32

#: Deliveries of all hooks together that wait so. With those under way they must be fewer than the broker hands out at once
#: (`amqp.prefetch`), or receivers that hang would keep everybody's events away.
_MAX_WAITING_IN_ALL = 128

_REMEMBERED_DELIVERIES = 10_000


@define(eq=False)
class Dispatcher:
    """Brings deliveries to their hooks, or to the storage."""

    _clock: IReactorTime
    _registry: HookRegistry
    _turns: Turns
    _attempter: Attempter
    _pending: Pending
    _delivered: OrderedDict[str, None] = field(init=False, factory=OrderedDict)
    _deliveries: int = field(init=False, default=0)
    _impatient: set[Deferred[None]] = field(init=False, factory=set)
    _waiting_for_idle: list[Deferred[None]] = field(init=False, factory=list)
    _draining: bool = field(init=False, default=False)

    @property
    def under_way(self) -> int:
        """How many deliveries have begun and not ended."""
        return self._deliveries

    def drain(self) -> Deferred[None]:
        """Begin no attempt from now on: what waits goes to the storage. Fires when no delivery is under way."""
        self._draining = True
        for patience in list(self._impatient):
            patience.cancel()
        waiting: Deferred[None] = Deferred(self._waiting_for_idle.remove)
        self._waiting_for_idle.append(waiting)
        self._tell_if_idle()
        return waiting

    def _ended(self) -> None:
        self._deliveries -= 1
        if not self._deliveries and self._waiting_for_idle:
            # Not at once: the caller of the last delivery shall hear of its end first, and tell the broker.
            self._clock.callLater(0, self._tell_if_idle)

    def _tell_if_idle(self) -> None:
        if not self._deliveries:
            waiting, self._waiting_for_idle = self._waiting_for_idle, []
            for one in waiting:
                one.callback(None)

    async def deliver(self, hook: Hook, delivery: Delivery, *, redelivered: bool = False) -> None:
        """Returns once the receiver has taken it, or it is safe in the storage.

        `redelivered`: the broker has handed the event out before; then a hook that has had it from this process does not get it again.
        Raises `Unfinished` when it is neither delivered nor safe.
        """
        if redelivered and delivery.id in self._delivered:
            return
        self._deliveries += 1
        try:
            await self._deliver(hook, delivery)
        except StorageUnavailable as error:
            raise Unfinished(f"delivery {delivery.id} could not be made nor kept: {error}") from None
        except (TypeError, ValueError) as error:
            _log.error(
                "hook {hook_id} cannot be told of {event}, nor can that be kept: {reason}",
                hook_id=hook.id,
                event=delivery.event,
                reason=error,
            )
        finally:
            self._ended()

    async def _deliver(self, hook: Hook, delivery: Delivery) -> None:
        reason = self._why_later(hook)
        if reason and await self._kept(hook, delivery, reason):
            return
        turn = await self._turn(hook)
        if turn is None:
            await self._pending.keep(delivery, self._clock.seconds(), self._why_later(hook) or "its receiver is slow")
            return
        verdict = await self._attempter.attempt(hook, delivery, turn)
        if verdict.delivered:
            self._remember(delivery.id)
        else:
            await self._pending.keep(evolve(delivery, tries=verdict.tries), verdict.next_attempt, verdict.reason)

    def _why_later(self, hook: Hook) -> str:
        """Why no attempt is made from memory; empty: one is."""
        if self._draining:
            return "the service was stopping"
        if hook.ordered:
            return "its turn has to come"
        if self._turns.narrow(hook.lane):
            return "its receiver keeps failing"
        if self._turns.waiting(hook.lane) >= self._turns.per_hook + _MAX_WAITING:
            return "many others wait for its receiver"
        return ""

    async def _kept(self, hook: Hook, delivery: Delivery, reason: str) -> bool:
        """Keep it for later; False when the storage refuses and it shall be tried from memory after all."""
        try:
            await self._pending.keep(delivery, self._clock.seconds(), reason)
        except StorageUnavailable:
            if not self._may_probe(hook):
                raise
            return False
        return True

    def _may_probe(self, hook: Hook) -> bool:
        # A receiver that keeps failing is tried with what is stored. Without a storage nobody would learn that it is well again.
        if self._draining or hook.ordered or not self._turns.narrow(hook.lane):
            return False
        return self._turns.waiting(hook.lane) < _MAX_WAITING

    async def _turn(self, hook: Hook) -> Turn | None:
        """A granted turn; None when it did not come in time, or the hook has gone or been disabled meanwhile."""
        turn = self._turns.ask(hook)
        if not turn.granted.called and len(self._impatient) < _MAX_WAITING_IN_ALL:
            await self._wait_for(turn)
        if not turn.granted.called:
            self._turns.leave(turn)
            return None
        if hook.revision and self._registry.get(hook.id) is None:
            self._turns.done(turn, None)
            return None
        return turn

    async def _wait_for(self, turn: Turn) -> None:
        patience: Deferred[None] = deferLater(self._clock, PATIENCE)
        self._impatient.add(patience)
        turn.granted.addCallback(lambda _: None if patience.called else patience.cancel())
        try:
            await patience
        except CancelledError:
            pass
        finally:
            self._impatient.discard(patience)

    def _remember(self, delivery_id: str) -> None:
        self._delivered[delivery_id] = None
        if len(self._delivered) > _REMEMBERED_DELIVERIES:
            self._delivered.popitem(last=False)
