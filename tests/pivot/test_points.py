from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred

from kazoo_bridge.interfaces import StorageUnavailable, StoredPivot
from kazoo_bridge.pivot import points
from kazoo_bridge.pivot.point import validate_document
from kazoo_bridge.pivot.points import PivotPoints
from tests.pivot.fakes import FakePivotStore


def stored(pivot_point_id: str) -> StoredPivot:
    document = validate_document({"name": "front-desk"})
    return StoredPivot(pivot_point_id, "a" * 32, document, "s", "1-x", 0, 0)


@pytest_twisted.ensureDeferred
async def test_each_is_read_once_until_it_changes() -> None:
    store = FakePivotStore({"1": stored("1")})
    found = PivotPoints(store)
    for _ in range(3):
        point = await found.get("1")
        assert point is not None
        assert point.id == "1"
        assert await found.get("2") is None
    assert store.reads == 2
    found.forget(["1", "3"])
    await found.get("1")
    assert store.reads == 3
    found.forget(None)
    await found.get("2")
    assert store.reads == 4


@pytest_twisted.ensureDeferred
async def test_failures_and_what_changes_meanwhile_are_not_kept() -> None:
    store = FakePivotStore(available=False)
    found = PivotPoints(store)
    with pytest.raises(StorageUnavailable):
        await found.get("1")
    reading: Deferred[StoredPivot | None] = Deferred()
    store.reading = reading
    slow = Deferred.fromCoroutine(found.get("1"))
    found.forget(["1"])
    reading.callback(None)
    assert await slow is None
    assert not found._points


@pytest_twisted.ensureDeferred
async def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(points, "MAX_POINTS", 2)
    store = FakePivotStore()
    found = PivotPoints(store)
    for one in ("1", "2", "1", "3", "1"):
        await found.get(one)
    assert list(found._points) == ["3", "1"]
