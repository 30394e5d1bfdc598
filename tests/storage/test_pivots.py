from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import PivotNameInUse, PivotRecord, RevisionConflict, TooManyPivots
from kazoo_bridge.storage import accounts, pivots
from kazoo_bridge.storage.accounts import AccountStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.pivots import MAX_RECORDS, RECORD_RETENTION, PivotStore, purge_records
from kazoo_bridge.storage.retention import BATCH_SIZE
from tests.storage.record_factories import NOW, A, B, recorded_changes

DOCUMENT: dict[str, Any] = {"name": "front-desk", "timeout_ms": 3000}


class PivotStoreSuite:
    @pytest_twisted.ensureDeferred
    async def test_create_read_replace_delete(self, pivot_store: PivotStore, database: Database) -> None:
        pivot = await pivot_store.create(A, DOCUMENT, "secret")
        assert await pivot_store.by_id(pivot.id) == pivot
        assert await pivot_store.for_account(A) == [pivot]
        assert await pivot_store.for_account(B) == []
        renamed = await pivot_store.replace(pivot, {**DOCUMENT, "name": "desk"})
        assert (renamed.name, renamed.secret, renamed.revision[:2]) == ("desk", "secret", "2-")
        renewed = await pivot_store.replace(renamed, renamed.document, "other")
        assert await pivot_store.by_id(pivot.id) == renewed
        for stale in (pivot, renamed):
            with pytest.raises(RevisionConflict):
                await pivot_store.replace(stale, DOCUMENT)
            with pytest.raises(RevisionConflict):
                await pivot_store.delete(stale)
        await pivot_store.delete(renewed)
        assert await pivot_store.by_id(pivot.id) is None
        assert await pivot_store.by_id("no id") is None
        assert await recorded_changes(database) == [("pivot", pivot.id)] * 4

    @pytest_twisted.ensureDeferred
    async def test_names_are_unique_in_an_account(self, pivot_store: PivotStore) -> None:
        await pivot_store.create(A, DOCUMENT, "s")
        await pivot_store.create(B, DOCUMENT, "s")
        other = await pivot_store.create(A, {"name": "other"}, "s")
        with pytest.raises(PivotNameInUse, match="front-desk"):
            await pivot_store.create(A, DOCUMENT, "s")
        with pytest.raises(PivotNameInUse):
            await pivot_store.replace(other, DOCUMENT)
        await pivot_store.replace(other, {"name": "other", "timeout_ms": 100})

    @pytest_twisted.ensureDeferred
    async def test_an_account_has_a_bounded_number(
        self, pivot_store: PivotStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pivots, "MAX_PIVOTS_PER_ACCOUNT", 2)
        for number in range(2):
            await pivot_store.create(A, {"name": f"n{number}"}, "s")
        with pytest.raises(TooManyPivots) as refused:
            await pivot_store.create(A, {"name": "n2"}, "s")
        assert refused.value.limit == 2
        await pivot_store.create(B, {"name": "n2"}, "s")

    @pytest_twisted.ensureDeferred
    async def test_records_go_with_their_pivot_point_and_account(
        self, pivot_store: PivotStore, account_store: AccountStore, database: Database
    ) -> None:
        await account_store.create(A)
        gone, kept = [await pivot_store.create(A, {"name": name}, "s") for name in ("gone", "kept")]
        records = [PivotRecord(A, one, NOW, {"pivot_id": "x"}) for one in (gone.id, kept.id, "unknown")]
        await pivot_store.add_records(records)
        await pivot_store.add_records([])
        assert await pivot_store.records(A, kept.id) == [records[1]]
        assert await pivot_store.records(B, kept.id) == []
        await pivot_store.delete(gone)
        assert await pivot_store.records(A, gone.id) == []
        await database.write(lambda connection: accounts.delete(connection, A, NOW))
        assert await pivot_store.records(A, kept.id) == []
        assert await pivot_store.for_account(A) == []
        assert ("pivot", kept.id) in (await recorded_changes(database))[-2:]

    @pytest_twisted.ensureDeferred
    async def test_the_account_of_another_directory_is_deleted(self, pivot_store: PivotStore) -> None:
        pivot = await pivot_store.create(A, DOCUMENT, "s")
        other = await pivot_store.create(B, DOCUMENT, "s")
        await pivot_store.add_records([PivotRecord(A, pivot.id, NOW, {})])
        await pivot_store.delete_of_account(A)
        assert await pivot_store.by_id(pivot.id) is None
        assert await pivot_store.records(A, pivot.id) == []
        assert await pivot_store.by_id(other.id) == other

    @pytest_twisted.ensureDeferred
    async def test_records_are_kept_within_bounds(
        self, pivot_store: PivotStore, database: Database, clock: Clock
    ) -> None:
        busy, quiet = [await pivot_store.create(A, {"name": name}, "s") for name in ("busy", "quiet")]
        await pivot_store.add_records(
            [PivotRecord(A, busy.id, NOW, {"number": number}) for number in range(MAX_RECORDS + 5)]
        )
        await pivot_store.add_records([PivotRecord(A, quiet.id, NOW - RECORD_RETENTION - 1, {})])
        await pivot_store.add_records([PivotRecord(A, quiet.id, NOW, {})])

        async def purge() -> int:
            return await database.write(lambda connection: purge_records(connection, NOW))

        assert await purge() == 6
        assert await purge() == 0
        kept = await pivot_store.records(A, busy.id)
        assert [record.document["number"] for record in kept[:2]] == [104, 103]
        assert len(kept) == MAX_RECORDS
        assert len(await pivot_store.records(A, quiet.id)) == 1

    @pytest_twisted.ensureDeferred
    async def test_a_purge_leaves_what_is_beyond_its_batch_to_the_next_call(
        self, pivot_store: PivotStore, database: Database, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert pivots.PURGE_BATCH_SIZE == BATCH_SIZE
        monkeypatch.setattr(pivots, "PURGE_BATCH_SIZE", 2)
        busy, quiet = [await pivot_store.create(A, {"name": name}, "s") for name in ("busy", "quiet")]
        await pivot_store.add_records([PivotRecord(A, busy.id, NOW, {}) for _ in range(MAX_RECORDS + 3)])
        await pivot_store.add_records([PivotRecord(A, quiet.id, NOW - RECORD_RETENTION - 1, {})] * 3)
        purged = [await database.write(lambda connection: purge_records(connection, NOW)) for _ in range(3)]
        assert purged == [4, 2, 0]


class TestPivotStore(PivotStoreSuite):
    pass
