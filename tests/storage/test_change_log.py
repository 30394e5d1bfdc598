from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet.task import Clock

from kazoo_bridge.storage import change_log
from kazoo_bridge.storage.change_log import RETENTION, ChangeBatch
from kazoo_bridge.storage.database import Database
from tests.storage.record_factories import NOW, record_change, run_purge


async def since(database: Database, seen: int) -> ChangeBatch:
    return await database.read(lambda connection: change_log.since(connection, seen))


async def record(database: Database, *subjects: str, now: float = NOW) -> None:
    await database.write(lambda connection: change_log.record(connection, "hook", subjects, now))


class ChangeLogSuite:
    @pytest_twisted.ensureDeferred
    async def test_changes_are_read_in_their_order(self, database: Database) -> None:
        assert await since(database, 0) == ChangeBatch(0)
        await record(database, "b", "a")
        await record(database, "c")
        assert await since(database, 0) == ChangeBatch(3, (("hook", "b"), ("hook", "a"), ("hook", "c")))
        assert await since(database, 2) == ChangeBatch(3, (("hook", "c"),))
        assert await since(database, 3) == ChangeBatch(3)
        assert await database.read(change_log.position) == 3

    @pytest_twisted.ensureDeferred
    async def test_no_subjects_are_no_change(self, database: Database) -> None:
        await record(database)
        assert await database.read(change_log.position) == 0

    @pytest_twisted.ensureDeferred
    async def test_changes_are_read_in_batches(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(change_log, "BATCH_SIZE", 2)
        await record(database, "a", "b", "c")
        assert await since(database, 0) == ChangeBatch(2, (("hook", "a"), ("hook", "b")))
        assert await since(database, 2) == ChangeBatch(3, (("hook", "c"),))

    @pytest_twisted.ensureDeferred
    async def test_old_changes_are_purged_but_the_latest(self, database: Database) -> None:
        await record(database, "a", now=NOW)
        await record(database, "b", "c", now=NOW + 1)
        assert await run_purge(database, change_log.purge, NOW + RETENTION) == 0
        assert await run_purge(database, change_log.purge, NOW + RETENTION + 1) == 1
        assert await run_purge(database, change_log.purge, NOW + RETENTION + 2) == 1
        assert await since(database, 2) == ChangeBatch(3, (("hook", "c"),))

    @pytest_twisted.ensureDeferred
    async def test_a_reader_that_has_seen_the_purged_changes_is_not_behind(
        self, database: Database, clock: Clock
    ) -> None:
        await record(database, "a")
        assert await since(database, 1) == ChangeBatch(1)
        await record(database, "b", now=NOW + RETENTION + 1)
        assert await run_purge(database, change_log.purge, NOW + RETENTION + 1) == 1
        assert await since(database, 1) == ChangeBatch(2, (("hook", "b"),))

    @pytest_twisted.ensureDeferred
    async def test_a_reader_is_behind_after_a_purge_of_unread_changes(self, database: Database) -> None:
        await record(database, "a", "b", "c")
        await record(database, "d", now=NOW + RETENTION + 1)
        assert await run_purge(database, change_log.purge, NOW + RETENTION + 1) == 3
        assert await since(database, 1) == ChangeBatch(4, behind=True)
        assert await since(database, 3) == ChangeBatch(4, (("hook", "d"),))

    @pytest_twisted.ensureDeferred
    async def test_a_reader_is_behind_when_the_database_is_restored_from_a_backup(
        self, database: Database
    ) -> None:
        await record(database, "a")
        assert await since(database, 6) == ChangeBatch(1, behind=True)

    @pytest_twisted.ensureDeferred
    async def test_a_number_that_was_rolled_back_is_no_gap(self, database: Database) -> None:
        await database.write(record_change("a"))
        with pytest.raises(ZeroDivisionError):
            await database.write(lambda connection: [record_change("b")(connection), 1 / 0])
        await database.write(record_change("c"))
        batch = await since(database, 1)
        assert (batch.changes, batch.behind) == ((("hook", "c"),), False)


class TestChangeLog(ChangeLogSuite):
    """On SQLite."""
