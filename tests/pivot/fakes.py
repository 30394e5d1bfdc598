"""Stand-ins for what pivot points reach: the storage, the bus and the clients of one node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from kazoo_bridge.interfaces import IPivotClients, IPivotStore, PivotRecord, StorageUnavailable, StoredPivot


@implementer(IPivotClients)
@define
class FakeClients:
    """Connected clients by name; `asked` has (client, event)."""

    connected: list[str] = field(factory=list)
    asked: list[tuple[str, Mapping[str, Any]]] = field(factory=list)

    def candidates(self, account_id: str, name: str) -> Sequence[str]:
        return list(self.connected)

    def ask(
        self, account_id: str, name: str, event: Mapping[str, Any], only: Sequence[str] | None
    ) -> Sequence[str]:
        asked = [client for client in self.connected if only is None or client in only]
        self.asked += [(client, event) for client in asked]
        return asked

    @property
    def names(self) -> list[str]:
        return [client for client, _ in self.asked]


@implementer(IPivotStore)
@define
class FakePivotStore:
    """Pivot points by id; `reads` counts how often one was read."""

    points: dict[str, StoredPivot] = field(factory=dict)
    written: list[PivotRecord] = field(factory=list)
    reads: int = 0
    available: bool = True
    #: What reading waits for.
    reading: Deferred[StoredPivot | None] | None = None

    def by_id(self, pivot_point_id: str) -> Deferred[StoredPivot | None]:
        self.reads += 1
        if self.reading is not None:
            return self.reading
        return self._answer(self.points.get(pivot_point_id))

    def add_records(self, records: Sequence[PivotRecord]) -> Deferred[None]:
        answer: Deferred[None] = self._answer(None)
        if self.available:
            self.written += records
        return answer

    def _answer(self, value: Any) -> Deferred[Any]:
        return succeed(value) if self.available else fail(StorageUnavailable("away"))

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)
