"""Stores deliveries for a later attempt, and the results of stored deliveries, in batches."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from kazoo_bridge.batch_writer import BATCH_SIZE, BatchWriter
from kazoo_bridge.interfaces import (
    UNTIL_ENABLED,
    Delivery,
    DeliveryResults,
    IDeliveryStore,
    StorageUnavailable,
)
from kazoo_bridge.webhooks.attempts.attempt_in_flight import AttemptResult

#: Seconds for which a failed delivery blocks its ordering key; the broker may redeliver it to another node.
_BLOCK_TIMEOUT = 60.0

#: Ordering keys with such deliveries.
_MAX_BLOCKED_KEYS = 1000


@frozen
class _Enqueued:
    """A delivery that is to be stored; `stored` receives the result."""

    delivery: Delivery
    next_attempt: float | None
    reason: str
    stored: Deferred[None]


@define
class _Results:
    """Results that are not stored yet."""

    delivered: list[str] = field(factory=list)
    retry: list[tuple[str, int, float, str]] = field(factory=list)
    dead: list[tuple[str, int, str]] = field(factory=list)
    released: list[str] = field(factory=list)

    def __bool__(self) -> bool:
        return bool(self.delivered or self.retry or self.dead or self.released)

    def __add__(self, later: _Results) -> _Results:
        return _Results(
            self.delivered + later.delivered,
            self.retry + later.retry,
            self.dead + later.dead,
            self.released + later.released,
        )


@define(eq=False)
class DeliveryWriter(BatchWriter):
    """Writes to the store, and calls `on_due` with the time (Unix seconds) when a delivery will be due."""

    _store: IDeliveryStore
    _on_due: Callable[[float], None]
    _enqueued: list[_Enqueued] = field(init=False, factory=list)
    _results: _Results = field(init=False, factory=_Results)
    _barrier: OrderingBarrier = field(init=False)

    content = "results of deliveries"
    collect_interval = 0.01

    def __attrs_post_init__(self) -> None:
        self._barrier = OrderingBarrier(self._clock)

    def enqueue(self, delivery: Delivery, next_attempt: float | None, reason: str) -> Deferred[None]:
        """Store a delivery until its next attempt (Unix seconds), or as dead (None), with the reason.

        `UNTIL_ENABLED` stores it until its hook is enabled. Fires once it is stored; fails with
        `StorageUnavailable` when it cannot be stored. After a failed write, later deliveries with the same
        ordering key fail too until the first has been redelivered, so requeueing preserves their order.
        """
        if self._barrier.blocks(delivery):
            self._barrier.write_failed(delivery)
            return fail(StorageUnavailable(f"a delivery before delivery {delivery.id} is not stored yet"))
        stored: Deferred[None] = Deferred()
        self._enqueued.append(_Enqueued(delivery, next_attempt, reason, stored))
        self.schedule_flush()
        return stored

    def record_result(self, delivery: Delivery, result: AttemptResult) -> None:
        """Store the result of an attempt at a claimed delivery; repeated until the storage accepts it."""
        if result.done:
            self._results.delivered.append(delivery.id)
        elif result.next_attempt is None:
            self._results.dead.append((delivery.id, result.attempts, result.reason))
        else:
            self._results.retry.append((delivery.id, result.attempts, result.next_attempt, result.reason))
        self.schedule_flush()

    def release(self, delivery: Delivery) -> None:
        """Return a claimed delivery to the store without an attempt."""
        self._results.released.append(delivery.id)
        self.schedule_flush()

    async def _write_batches(self) -> None:
        while self._enqueued:
            batch, self._enqueued = self._enqueued[:BATCH_SIZE], self._enqueued[BATCH_SIZE:]
            await self._write_enqueued(batch)
        if self._results:
            await self._write_results()

    async def _write_enqueued(self, batch: list[_Enqueued]) -> None:
        try:
            await self._store.enqueue([(one.delivery, one.next_attempt, one.reason) for one in batch])
        except (TypeError, ValueError):
            if len(batch) == 1:
                self._on_failed(batch, Failure())
            else:
                # One of them cannot be written: the others must not fail with it.
                for one in batch:
                    await self._write_enqueued([one])
        except Exception:
            self._on_failed(batch, Failure())
        else:
            self._on_stored(batch)

    def _on_stored(self, batch: list[_Enqueued]) -> None:
        for one in batch:
            self._barrier.written(one.delivery)
        for one in batch:
            one.stored.callback(None)
        due = min((one.next_attempt for one in batch if one.next_attempt is not None), default=UNTIL_ENABLED)
        if due != UNTIL_ENABLED:
            self._on_due(due)

    def _on_failed(self, batch: list[_Enqueued], failure: Failure) -> None:
        for one in batch:
            self._barrier.write_failed(one.delivery)
        for one in batch + self._take_blocked():
            one.stored.errback(failure)

    def _take_blocked(self) -> list[_Enqueued]:
        """Remove and return the deliveries that a failed delivery blocks."""
        blocked = [one for one in self._enqueued if self._barrier.blocks(one.delivery)]
        if blocked:
            self._enqueued = [one for one in self._enqueued if not self._barrier.blocks(one.delivery)]
            for one in blocked:
                self._barrier.write_failed(one.delivery)
        return blocked

    async def _write_results(self) -> None:
        results, self._results = self._results, _Results()
        try:
            await self._store.record_results(
                DeliveryResults(results.delivered, results.retry, results.dead, results.released),
                self._clock.seconds(),
            )
        except StorageUnavailable:
            self._results = results + self._results
            raise
        # A claim less leaves room for another one, and the next delivery of an ordering key may follow.
        self._on_due(self._clock.seconds())
        if results.retry:
            self._on_due(min(next_attempt for _, _, next_attempt, _ in results.retry))


@define(eq=False)
class OrderingBarrier:
    """Remembers deliveries that could not be stored: they block later ones with the same ordering key."""

    _clock: IReactorTime
    _failed: OrderedDict[tuple[str, str], OrderedDict[str, float]] = field(init=False, factory=OrderedDict)

    def blocks(self, delivery: Delivery) -> bool:
        """Return whether an earlier delivery of the ordering key has not been stored yet."""
        if not delivery.ordering_key:
            return False
        failed = self._failed.get(_barrier_key(delivery), OrderedDict())
        now = self._clock.seconds()
        return next((name for name, until in failed.items() if until > now), delivery.id) != delivery.id

    def write_failed(self, delivery: Delivery) -> None:
        """Block later deliveries of the ordering key until the broker has redelivered this one."""
        if not delivery.ordering_key:
            return
        failed = self._failed.setdefault(_barrier_key(delivery), OrderedDict())
        failed[delivery.id] = self._clock.seconds() + _BLOCK_TIMEOUT
        if len(self._failed) > _MAX_BLOCKED_KEYS:
            self._failed.popitem(last=False)

    def written(self, delivery: Delivery) -> None:
        """Unblock what waits for this delivery."""
        failed = self._failed.get(_barrier_key(delivery))
        if failed is not None:
            failed.pop(delivery.id, None)
            if not failed:
                del self._failed[_barrier_key(delivery)]


def _barrier_key(delivery: Delivery) -> tuple[str, str]:
    return delivery.hook_id, delivery.ordering_key
