"""Writes what becomes of deliveries, many at a time."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import Delivery, IDeliveryStore, Settlement, StorageUnavailable
from kazoo_bridge.webhooks.attempting import Verdict
from kazoo_bridge.webhooks.orderings import Orderings
from kazoo_bridge.webhooks.rounds import Rounds

_log = Logger()

#: Seconds for which writes are collected.
_COLLECT_FOR = 0.01

#: Seconds after which a write that the storage has refused is tried again.
_AGAIN_AFTER = 1.0

_BATCH = 500

_Keep = tuple[Delivery, float | None, str, Deferred[None]]


@define
class _Settled:
    """Settlements that are not written yet."""

    done: list[str] = field(factory=list)
    again: list[tuple[str, int, float, str]] = field(factory=list)
    dead: list[tuple[str, int, str]] = field(factory=list)
    back: list[str] = field(factory=list)

    def __bool__(self) -> bool:
        return bool(self.done or self.again or self.dead or self.back)


@define(eq=False)
class Pending(Service):
    """`wake` is told when something will be due, as soon as that is written."""

    _clock: IReactorTime
    _store: IDeliveryStore
    wake: Callable[[float], None] = field(init=False, default=lambda _: None)
    _keeping: list[_Keep] = field(init=False, factory=list)
    _settled: _Settled = field(init=False, factory=_Settled)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _rounds: Rounds = field(init=False)
    _down: bool = field(init=False, default=False)
    _orderings: Orderings = field(init=False, factory=Orderings)

    def __attrs_post_init__(self) -> None:
        self._rounds = Rounds(self._write)

    def keep(self, delivery: Delivery, next_attempt: float | None, reason: str) -> Deferred[None]:
        """Keep a delivery until its next attempt, or as dead (None).

        Fires once it is safe; fails with `StorageUnavailable` when it is not. Where order matters, those that come after one that failed
        fail as well until that has come again: whoever gives them back in the order in which they fail keeps their order.
        """
        if self._orderings.blocked(delivery, self._clock.seconds()):
            self._orderings.refused(delivery, self._clock.seconds())
            return fail(_out_of_order(delivery))
        kept: Deferred[None] = Deferred()
        self._keeping.append((delivery, next_attempt, reason, kept))
        self._write_after(_COLLECT_FOR)
        return kept

    def settle(self, delivery: Delivery, verdict: Verdict) -> None:
        """Take note of a claimed delivery's attempt. Written soon; while the storage refuses, as soon as it does not."""
        if verdict.delivered:
            self._settled.done.append(delivery.id)
        elif verdict.next_attempt is None:
            self._settled.dead.append((delivery.id, verdict.tries, verdict.reason))
        else:
            self._settled.again.append((delivery.id, verdict.tries, verdict.next_attempt, verdict.reason))
        self._write_after(_COLLECT_FOR)

    def give_back(self, delivery: Delivery) -> None:
        """The delivery was claimed and not tried."""
        self._settled.back.append(delivery.id)
        self._write_after(_COLLECT_FOR)

    def _write_after(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._write_now)

    def _write_now(self) -> None:
        self._timer = None
        self.flush().addErrback(lambda failure: _log.failure("deliveries cannot be written", failure))

    def flush(self) -> Deferred[None]:
        """Write all that has been told so far; fires when that is done."""
        return self._rounds.run()

    async def _write(self) -> None:
        while self._keeping:
            await self._keep_batch()
        if self._settled:
            await self._settle_all()

    async def _keep_batch(self) -> None:
        batch, self._keeping = self._keeping[:_BATCH], self._keeping[_BATCH:]
        try:
            await self._keep(batch)
        except (TypeError, ValueError):
            # One of them cannot be written; the others shall not suffer for it.
            for one in batch:
                await self._keep_one(one)
        except Exception:
            self._tell(batch, Failure())

    async def _keep_one(self, one: _Keep) -> None:
        try:
            await self._keep([one])
        except Exception:
            self._tell([one], Failure())

    async def _keep(self, batch: list[_Keep]) -> None:
        await self._store.keep([(delivery, next_attempt, reason) for delivery, next_attempt, reason, _ in batch])
        self._tell(batch, None)
        due = [next_attempt for _, next_attempt, *_ in batch if next_attempt is not None]
        if due:
            self.wake(min(due))

    def _tell(self, batch: list[_Keep], result: Failure | None) -> None:
        now = self._clock.seconds()
        for delivery, *_ in batch:
            if result is None:
                self._orderings.kept(delivery)
            else:
                self._orderings.refused(delivery, now)
        if result is not None:
            batch = batch + self._blocked(now)
        for *_, kept in batch:
            if result is None:
                kept.callback(None)
            else:
                kept.errback(result)

    def _blocked(self, now: float) -> list[_Keep]:
        """Takes out those that were to be written next, but not before one that was refused."""
        blocked = [one for one in self._keeping if self._orderings.blocked(one[0], now)]
        if blocked:
            self._keeping = [one for one in self._keeping if not self._orderings.blocked(one[0], now)]
            for delivery, *_ in blocked:
                self._orderings.refused(delivery, now)
        return blocked

    async def _settle_all(self) -> None:
        settled, self._settled = self._settled, _Settled()
        settlement = Settlement(settled.done, settled.again, settled.dead, settled.back)
        try:
            await self._store.settle(settlement, self._clock.seconds())
        except StorageUnavailable as error:
            self._settle_later(settled, error)
            return
        self._down = False
        # Room has become free, and the next one of an ordering may follow.
        self.wake(self._clock.seconds())
        if settled.again:
            self.wake(min(one[2] for one in settled.again))

    def _settle_later(self, settled: _Settled, error: StorageUnavailable) -> None:
        fresh, self._settled = self._settled, settled
        settled.done += fresh.done
        settled.again += fresh.again
        settled.dead += fresh.dead
        settled.back += fresh.back
        if not self._down:
            self._down = True
            _log.warn("what became of deliveries cannot be written for now: {reason}", reason=error)
        if self.running:
            self._write_after(_AGAIN_AFTER)

    def stopService(self) -> Deferred[None]:
        """Write what there is, once; fires when that is done."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return self.flush()


def _out_of_order(delivery: Delivery) -> StorageUnavailable:
    return StorageUnavailable(f"what came before delivery {delivery.id} is not kept yet")
