"""A delivery store in memory, for timing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    Delivery,
    DeliveryResults,
    IDeliveryStore,
    StorageUnavailable,
    StoredDelivery,
)


@define
class Row:
    delivery: Delivery
    status: str
    next_attempt: float
    reason: str
    lease_until: float = 0.0


@implementer(IDeliveryStore)
@define
class KeptDeliveries:
    """Refuses while `down` is set."""

    rows: dict[str, Row] = field(factory=dict)
    writes: int = 0
    down: bool = False

    def _answer(self, value: object = None) -> Deferred:  # type: ignore[type-arg]
        return fail(StorageUnavailable("the disk is full")) if self.down else succeed(value)

    def enqueue(self, waiting: Sequence[tuple[Delivery, float | None, str]]) -> Deferred[None]:
        if not self.down:
            self.writes += 1
            for delivery, next_attempt, reason in waiting:
                row = Row(
                    delivery, "dead" if next_attempt is None else "pending", next_attempt or 0.0, reason
                )
                self.rows.setdefault(delivery.id, row)
        return self._answer()

    def _due(self, row: Row, now: float) -> bool:
        return row.status == "pending" and row.next_attempt <= now and row.lease_until <= now

    def due_hooks(self, now: float) -> Deferred[list[str]]:
        return self._answer(
            sorted({row.delivery.hook_id for row in self.rows.values() if self._due(row, now)})
        )

    def claim(
        self, owner: str, now: float, until: float, room: Mapping[str, int]
    ) -> Deferred[list[Delivery]]:
        if self.down:
            return self._answer()
        claimed: list[Delivery] = []
        seen: set[tuple[str, str]] = set()
        for row in self.rows.values():
            hook_id, ordering = row.delivery.hook_id, row.delivery.ordering_key
            blocked = bool(ordering) and (hook_id, ordering) in seen
            if row.status != "dead":
                seen.add((hook_id, ordering))
            taken = sum(one.hook_id == hook_id for one in claimed)
            if self._due(row, now) and not blocked and taken < room.get(hook_id, 0):
                row.lease_until = until
                claimed.append(row.delivery)
        return self._answer(claimed)

    def record_results(self, settlement: DeliveryResults, now: float) -> Deferred[None]:
        if self.down:
            return self._answer()
        self.writes += 1
        for name in settlement.delivered:
            del self.rows[name]
        for name, tries, next_attempt, reason in settlement.retry:
            row = self.rows[name]
            row.delivery, row.next_attempt, row.reason, row.lease_until = (
                evolve(row.delivery, attempts=tries),
                next_attempt,
                reason,
                0.0,
            )
        for name, tries, reason in settlement.dead:
            row = self.rows[name]
            row.delivery, row.status, row.reason, row.lease_until = (
                evolve(row.delivery, attempts=tries),
                "dead",
                reason,
                0.0,
            )
        for name in settlement.released:
            self.rows[name].lease_until = 0.0
        return self._answer()

    def _move(self, hook_id: str, source: str, status: str) -> Deferred[None]:
        for row in self.rows.values():
            if row.delivery.hook_id == hook_id and row.status == source:
                row.status = status
        return self._answer()

    def pause(self, hook_id: str) -> Deferred[None]:
        return self._move(hook_id, "pending", "held")

    def resume(self, hook_id: str, now: float) -> Deferred[None]:
        return self._move(hook_id, "held", "pending")

    def paused_hooks(self) -> Deferred[list[str]]:
        return self._answer(
            sorted({row.delivery.hook_id for row in self.rows.values() if row.status == "held"})
        )

    def delete(self, hook_id: str) -> Deferred[None]:
        self.rows = {name: row for name, row in self.rows.items() if row.delivery.hook_id != hook_id}
        return self._answer()

    def waiting_counts(self, hook_ids: Collection[str]) -> Deferred[Mapping[str, int]]:
        waiting = (row.delivery.hook_id for row in self.rows.values() if row.status != "dead")
        return self._answer(Counter(hook_id for hook_id in waiting if hook_id in hook_ids))

    def counts(self) -> Deferred[Mapping[str, int]]:
        raise NotImplementedError

    def page(
        self, account_id: str, hook_id: str | None, status: str, before: int | None, count: int
    ) -> Deferred[list[StoredDelivery]]:
        raise NotImplementedError

    def retry(self, account_id: str, hook_id: str, delivery_id: str, now: float) -> Deferred[bool]:
        raise NotImplementedError

    def replay(self, account_id: str, hook_id: str | None, since: float, now: float) -> Deferred[int]:
        raise NotImplementedError
