"""Writes what becomes of deliveries, many at a time."""

from __future__ import annotations

from collections.abc import Callable

from attrs import define, field
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import Delivery, DeliveryResults, IDeliveryStore, StorageUnavailable
from kazoo_bridge.webhooks.attempts.attempt import AttemptResult
from kazoo_bridge.webhooks.delivery.coalescing import CoalescingTask
from kazoo_bridge.webhooks.delivery.ordering_barrier import OrderingBarrier

_log = Logger()

#: Seconds for which writes are collected.
_COLLECT_SECONDS = 0.01

#: Seconds after which a write that the storage has refused is tried again.
_RETRY_INTERVAL = 1.0

_BATCH_SIZE = 500

_Enqueued = tuple[Delivery, float | None, str, Deferred[None]]


@define
class _Results:
    """Settlements that are not written yet."""

    delivered: list[str] = field(factory=list)
    retry: list[tuple[str, int, float, str]] = field(factory=list)
    dead: list[tuple[str, int, str]] = field(factory=list)
    released: list[str] = field(factory=list)

    def __bool__(self) -> bool:
        return bool(self.delivered or self.retry or self.dead or self.released)


@define(eq=False)
class DeliveryWriter(Service):
    """`wake` is told when something will be due, as soon as that is written."""

    _clock: IReactorTime
    _store: IDeliveryStore
    on_due: Callable[[float], None] = field(init=False, default=lambda _: None)
    _enqueued: list[_Enqueued] = field(init=False, factory=list)
    _results: _Results = field(init=False, factory=_Results)
    _timer: IDelayedCall | None = field(init=False, default=None)
    _writes: CoalescingTask = field(init=False)
    _down: bool = field(init=False, default=False)
    _barrier: OrderingBarrier = field(init=False, factory=OrderingBarrier)

    def __attrs_post_init__(self) -> None:
        self._writes = CoalescingTask(self._write)

    def enqueue(self, delivery: Delivery, next_attempt: float | None, reason: str) -> Deferred[None]:
        """Keep a delivery until its next attempt, or as dead (None).

        Fires once it is safe; fails with `StorageUnavailable` when it is not. Where order matters, those that come after one that failed
        fail as well until that has come again: whoever gives them back in the order in which they fail keeps their order.
        """
        if self._barrier.blocked(delivery, self._clock.seconds()):
            self._barrier.write_failed(delivery, self._clock.seconds())
            return fail(_out_of_order(delivery))
        kept: Deferred[None] = Deferred()
        self._enqueued.append((delivery, next_attempt, reason, kept))
        self._write_after(_COLLECT_SECONDS)
        return kept

    def record_result(self, delivery: Delivery, verdict: AttemptResult) -> None:
        """Take note of a claimed delivery's attempt. Written soon; while the storage refuses, as soon as it does not."""
        if verdict.delivered:
            self._results.delivered.append(delivery.id)
        elif verdict.next_attempt is None:
            self._results.dead.append((delivery.id, verdict.attempts, verdict.reason))
        else:
            self._results.retry.append((delivery.id, verdict.attempts, verdict.next_attempt, verdict.reason))
        self._write_after(_COLLECT_SECONDS)

    def release(self, delivery: Delivery) -> None:
        """The delivery was claimed and not tried."""
        self._results.released.append(delivery.id)
        self._write_after(_COLLECT_SECONDS)

    def _write_after(self, seconds: float) -> None:
        if self._timer is None:
            self._timer = self._clock.callLater(seconds, self._write_now)

    def _write_now(self) -> None:
        self._timer = None
        self.flush().addErrback(lambda failure: _log.failure("deliveries cannot be written", failure))

    def flush(self) -> Deferred[None]:
        """Write all that has been told so far; fires when that is done."""
        return self._writes.run()

    async def _write(self) -> None:
        while self._enqueued:
            await self._enqueue_batch()
        if self._results:
            await self._record_results()

    async def _enqueue_batch(self) -> None:
        batch, self._enqueued = self._enqueued[:_BATCH_SIZE], self._enqueued[_BATCH_SIZE:]
        try:
            await self._enqueue(batch)
        except (TypeError, ValueError):
            # One of them cannot be written; the others shall not suffer for it.
            for one in batch:
                await self._enqueue_one(one)
        except Exception:
            self._resolve(batch, Failure())

    async def _enqueue_one(self, one: _Enqueued) -> None:
        try:
            await self._enqueue([one])
        except Exception:
            self._resolve([one], Failure())

    async def _enqueue(self, batch: list[_Enqueued]) -> None:
        await self._store.enqueue(
            [(delivery, next_attempt, reason) for delivery, next_attempt, reason, _ in batch]
        )
        self._resolve(batch, None)
        due = [next_attempt for _, next_attempt, *_ in batch if next_attempt is not None]
        if due:
            self.on_due(min(due))

    def _resolve(self, batch: list[_Enqueued], result: Failure | None) -> None:
        now = self._clock.seconds()
        for delivery, *_ in batch:
            if result is None:
                self._barrier.written(delivery)
            else:
                self._barrier.write_failed(delivery, now)
        if result is not None:
            batch = batch + self._blocked(now)
        for *_, kept in batch:
            if result is None:
                kept.callback(None)
            else:
                kept.errback(result)

    def _blocked(self, now: float) -> list[_Enqueued]:
        """Takes out those that were to be written next, but not before one that was refused."""
        blocked = [one for one in self._enqueued if self._barrier.blocked(one[0], now)]
        if blocked:
            self._enqueued = [one for one in self._enqueued if not self._barrier.blocked(one[0], now)]
            for delivery, *_ in blocked:
                self._barrier.write_failed(delivery, now)
        return blocked

    async def _record_results(self) -> None:
        settled, self._results = self._results, _Results()
        settlement = DeliveryResults(settled.delivered, settled.retry, settled.dead, settled.released)
        try:
            await self._store.record_results(settlement, self._clock.seconds())
        except StorageUnavailable as error:
            self._record_later(settled, error)
            return
        self._down = False
        # Room has become free, and the next one of an ordering may follow.
        self.on_due(self._clock.seconds())
        if settled.retry:
            self.on_due(min(one[2] for one in settled.retry))

    def _record_later(self, settled: _Results, error: StorageUnavailable) -> None:
        fresh, self._results = self._results, settled
        settled.delivered += fresh.delivered
        settled.retry += fresh.retry
        settled.dead += fresh.dead
        settled.released += fresh.released
        if not self._down:
            self._down = True
            _log.warn("what became of deliveries cannot be written for now: {reason}", reason=error)
        if self.running:
            self._write_after(_RETRY_INTERVAL)

    def stopService(self) -> Deferred[None]:
        """Write what there is, once; fires when that is done."""
        super().stopService()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return self.flush()


def _out_of_order(delivery: Delivery) -> StorageUnavailable:
    return StorageUnavailable(f"what came before delivery {delivery.id} is not kept yet")
