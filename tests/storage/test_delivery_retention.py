from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import DeliveryResults
from kazoo_bridge.storage import delivery_retention
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.delivery_retention import expire_excess, expire_old, purge_dead
from kazoo_bridge.storage.missed_events import MissedEventStore
from kazoo_bridge.storage.retention import RetentionService
from tests.storage.record_factories import ONE, TWO, A, delivery_ids, enqueue, run_purge


async def mark_dead(store: DeliveryStore, *names: str, at: float) -> None:
    await store.record_results(DeliveryResults(dead=[(name, 9, "r") for name in names]), at)


class DeliveryRetentionSuite:
    @pytest_twisted.ensureDeferred
    async def test_deliveries_that_wait_too_long_become_dead(
        self, delivery_store: DeliveryStore, database: Database
    ) -> None:
        await enqueue(delivery_store, "old", created=50.0)
        await enqueue(delivery_store, "held", created=50.0, hook_id=TWO)
        await enqueue(delivery_store, "young", created=51.0)
        await delivery_store.pause(TWO)
        assert await run_purge(database, expire_old(60), 110) == 0
        assert await run_purge(database, expire_old(60), 111) == 2
        assert await delivery_ids(delivery_store) == ["young"]
        held, old = await delivery_store.page(A, None, "dead", None, 10)
        assert (old.delivery.id, old.changed_at, old.reason) == ("old", 111, "it waited too long")
        assert held.delivery.id == "held"
        assert await run_purge(database, expire_old(60), 111) == 0

    @pytest_twisted.ensureDeferred
    async def test_replayed_deliveries_wait_anew(
        self, delivery_store: DeliveryStore, database: Database
    ) -> None:
        await enqueue(delivery_store, "x", "y")
        await mark_dead(delivery_store, "x", "y", at=110)
        assert await delivery_store.retry(A, ONE, "x", 500)
        assert await delivery_store.replay(A, ONE, 0, 500) == 1
        assert await run_purge(database, expire_old(60), 560) == 0
        assert await run_purge(database, expire_old(60), 561) == 2

    @pytest_twisted.ensureDeferred
    async def test_the_oldest_deliveries_of_a_hook_with_too_many_become_dead(
        self, delivery_store: DeliveryStore, database: Database
    ) -> None:
        await enqueue(delivery_store, "a", "b", "c")
        await enqueue(delivery_store, "d", "e", hook_id=TWO)
        await enqueue(delivery_store, "dead", "dead too", hook_id=TWO)
        await mark_dead(delivery_store, "dead", "dead too", at=100)
        await delivery_store.pause(ONE)
        assert await run_purge(database, expire_excess(2), 110) == 1
        dead = await delivery_store.page(A, ONE, "dead", None, 10)
        assert [(one.delivery.id, one.changed_at) for one in dead] == [("a", 110)]
        assert await delivery_ids(delivery_store) == ["e", "d", "c", "b"]
        assert await run_purge(database, expire_excess(2), 110) == 0
        assert await run_purge(database, expire_excess(1), 110) == 2
        assert await delivery_ids(delivery_store) == ["e", "c"]

    @pytest_twisted.ensureDeferred
    async def test_leased_deliveries_do_not_become_dead(
        self, delivery_store: DeliveryStore, database: Database
    ) -> None:
        await enqueue(delivery_store, "a")
        await delivery_store.claim("me", 100, 200, {ONE: 1})
        assert await run_purge(database, expire_old(1), 199) == 0
        assert await run_purge(database, expire_excess(0), 199) == 0
        assert await run_purge(database, expire_old(1), 200) == 1

    @pytest_twisted.ensureDeferred
    async def test_an_expired_lease_does_not_protect_excess_deliveries(
        self, delivery_store: DeliveryStore, database: Database
    ) -> None:
        await enqueue(delivery_store, "a", "b")
        await delivery_store.claim("me", 100, 200, {ONE: 1})
        assert await run_purge(database, expire_excess(1), 200) == 1
        assert await delivery_ids(delivery_store, "dead") == ["a"]

    @pytest_twisted.ensureDeferred
    async def test_dead_deliveries_are_deleted_after_a_time(
        self, delivery_store: DeliveryStore, database: Database
    ) -> None:
        await enqueue(delivery_store, "a", "b", "waits")
        await mark_dead(delivery_store, "a", at=110)
        await mark_dead(delivery_store, "b", at=111)
        assert await run_purge(database, purge_dead(1000, 9), 1110) == 0
        assert await run_purge(database, purge_dead(1000, 9), 1111) == 1
        assert await delivery_ids(delivery_store, "dead") == ["b"]
        assert await delivery_ids(delivery_store) == ["waits"]

    @pytest_twisted.ensureDeferred
    async def test_the_oldest_dead_deliveries_of_a_hook_with_too_many_are_deleted(
        self, delivery_store: DeliveryStore, database: Database
    ) -> None:
        await enqueue(delivery_store, "waits", "a", "b", "c")
        await enqueue(delivery_store, "d", "e", hook_id=TWO)
        await mark_dead(delivery_store, *"abcde", at=110)
        assert await run_purge(database, purge_dead(1000, 2), 112) == 1
        assert await delivery_ids(delivery_store, "dead") == ["e", "d", "c", "b"]
        assert await run_purge(database, purge_dead(1000, 1), 112) == 2
        assert await delivery_ids(delivery_store, "dead") == ["e", "c"]
        assert await delivery_ids(delivery_store) == ["waits"]

    @pytest_twisted.ensureDeferred
    async def test_purges_work_in_batches(
        self, delivery_store: DeliveryStore, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(delivery_retention, "BATCH_SIZE", 2)
        await enqueue(delivery_store, *[f"d{number}" for number in range(9)])
        assert await run_purge(database, expire_excess(1), 110) == 2
        assert await run_purge(database, expire_old(1), 110) == 2
        await run_purge(database, expire_old(1), 110)
        assert await run_purge(database, purge_dead(1e9, 1), 110) == 2
        assert await run_purge(database, purge_dead(1, 9), 1000) == 2

    @pytest_twisted.ensureDeferred
    async def test_deleted_dead_deliveries_are_counted_as_missed(
        self, delivery_store: DeliveryStore, missed_event_store: MissedEventStore, database: Database
    ) -> None:
        await enqueue(delivery_store, "a", "b", "c")
        await enqueue(delivery_store, "of an event", inline_hook={"uri": "http://x/"})
        await mark_dead(delivery_store, "of an event", "a", "b", "c", at=100)
        await run_purge(database, purge_dead(1e9, 2), 110)
        assert await missed_event_store.counts([ONE]) == {ONE: {"too_many_dead_deliveries": 2}}
        await run_purge(database, purge_dead(1, 9), 1000)
        assert await missed_event_store.counts([ONE]) == {
            ONE: {"too_many_dead_deliveries": 2, "dead_delivery_expired": 1}
        }

    @pytest_twisted.ensureDeferred
    async def test_the_service_enforces_the_limits_in_several_batches(
        self, delivery_store: DeliveryStore, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(delivery_retention, "BATCH_SIZE", 2)
        await enqueue(delivery_store, *[f"d{number}" for number in range(9)])
        purges = {"excess": expire_excess(1), "dead": purge_dead(1e9, 3)}
        service = RetentionService(Clock(), database, purges)
        service.startService()
        while True:
            counts = await delivery_store.counts()
            if (counts["pending"], counts["dead"]) == (1, 3):
                break
        await service.stopService()
        assert service.purged == {"excess": 8, "dead": 5}


class TestDeliveryRetention(DeliveryRetentionSuite):
    """On SQLite."""
