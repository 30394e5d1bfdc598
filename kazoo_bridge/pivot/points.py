"""The pivot points that KAZOO has requested lately, in memory: a call does not wait for the storage."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection

from attrs import define, field

from kazoo_bridge.interfaces import IPivotStore
from kazoo_bridge.pivot.point import PivotPoint

#: Pivot points that are kept. Ids that do not exist are kept, too, so that guesses cost little.
MAX_POINTS = 20_000


@define(eq=False)
class PivotPoints:
    """Finds pivot points by id."""

    _store: IPivotStore
    _points: OrderedDict[str, PivotPoint | None] = field(init=False, factory=OrderedDict)
    #: Increases with every change, so that what was read before it is not kept.
    _changes: int = field(init=False, default=0)

    async def get(self, pivot_point_id: str) -> PivotPoint | None:
        """Return a pivot point; None if there is none of that id. Raises `StorageUnavailable`."""
        if pivot_point_id in self._points:
            self._points.move_to_end(pivot_point_id)
            return self._points[pivot_point_id]
        before = self._changes
        stored = await self._store.by_id(pivot_point_id)
        point = None if stored is None else PivotPoint.from_stored(stored)
        if before == self._changes:
            self._points[pivot_point_id] = point
            if len(self._points) > MAX_POINTS:
                self._points.popitem(last=False)
        return point

    def forget(self, pivot_point_ids: Collection[str] | None) -> None:
        """Read these pivot points again when they are requested; None: all."""
        self._changes += 1
        if pivot_point_ids is None:
            self._points.clear()
        else:
            for pivot_point_id in pivot_point_ids:
                self._points.pop(pivot_point_id, None)
