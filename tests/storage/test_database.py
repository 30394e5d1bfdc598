"""Threads, bounds and refusals."""

from __future__ import annotations

import itertools
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import pytest_twisted
from prometheus_client import CollectorRegistry
from sqlalchemy import Connection
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage import change_log, engine
from kazoo_bridge.storage import database as database_module
from kazoo_bridge.storage.database import Database
from tests.storage.record_factories import record_change, recorded_changes

_WRITE_100_CHANGES = """
import sys
from kazoo_bridge.storage import change_log, engine
from kazoo_bridge.storage import database as database_module
opened = engine.open_engine(sys.argv[1])
for number in range(100):
    engine.in_transaction(
        opened, lambda c: change_log.record(c, 'hook', [f'theirs {number}'], 1.0), writing=True
    )
"""


class DatabaseSuite:
    @pytest_twisted.ensureDeferred
    async def test_a_failed_write_leaves_nothing(self, database: Database) -> None:
        def fail(connection: Connection) -> None:
            record_change("x")(connection)
            raise RuntimeError("on purpose")

        with pytest.raises(RuntimeError, match="on purpose"):
            await database.write(fail)
        assert await recorded_changes(database) == []

    @pytest_twisted.ensureDeferred
    async def test_writes_run_in_the_order_of_the_calls(self, database: Database) -> None:
        subjects = [f"{number:03d}" for number in range(100)]
        await gatherResults([database.write(record_change(subject)) for subject in subjects])
        assert [subject for _, subject in await recorded_changes(database)] == subjects

    @pytest_twisted.ensureDeferred
    async def test_reads_and_writes_are_measured_and_refused_ones_are_not(self, storage_uri: str) -> None:
        # Each transaction begins and ends 2 s later.
        times = itertools.count(0, 2)
        database = Database(reactor, storage_uri, monotonic=lambda: next(times))
        registry = CollectorRegistry()
        database.register_metrics(registry)
        await database.migrate()
        await database.write(record_change("x"))
        assert len(await recorded_changes(database)) == 1
        await database.close()
        with pytest.raises(StorageUnavailable):
            await database.write(record_change("y"))
        for operation in ("read", "write"):
            name, labels = "kazoo_bridge_storage_seconds", {"operation": operation}
            assert registry.get_sample_value(f"{name}_count", labels) == 1
            assert registry.get_sample_value(f"{name}_sum", labels) == 2

    @pytest_twisted.ensureDeferred
    async def test_a_writable_database_passes_the_check(self, database: Database) -> None:
        assert await database.check(10) is None

    @pytest_twisted.ensureDeferred
    async def test_another_process_writes_at_the_same_time(
        self, database: Database, storage_uri: str
    ) -> None:
        command = [sys.executable, "-c", _WRITE_100_CHANGES, storage_uri]
        with subprocess.Popen(command) as process:
            for number in range(100):
                await database.write(record_change(f"ours {number}"))
            assert await database.read(lambda _: process.wait(60)) == 0
        subjects = [subject for _, subject in await recorded_changes(database)]
        for whose in ("ours", "theirs"):
            assert [one for one in subjects if one.startswith(whose)] == [
                f"{whose} {number}" for number in range(100)
            ]


class TestDatabase(DatabaseSuite):
    """On SQLite."""


@pytest.fixture
def short_lock_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOCK_TIMEOUT", 0.05)


@pytest_twisted.ensureDeferred
async def test_work_runs_in_its_own_threads(database: Database) -> None:
    names = await gatherResults([database.write(lambda _: threading.current_thread().name) for _ in range(5)])
    assert len(set(names)) == 1
    assert "writer" in names[0]
    assert "reader" in await database.read(lambda _: threading.current_thread().name)


@pytest_twisted.ensureDeferred
async def test_reads_do_not_wait_for_a_write(database: Database) -> None:
    go_on = threading.Event()

    def slow(connection: Connection) -> None:
        record_change("slow")(connection)
        assert go_on.wait(10)

    writing = database.write(slow)
    assert await database.read(change_log.position) == 0
    assert database.pending_writes == 1
    go_on.set()
    await writing
    assert database.pending_writes == 0
    assert await database.read(change_log.position) == 1


@pytest_twisted.ensureDeferred
async def test_too_many_pending_writes_are_refused(storage_uri: str) -> None:
    database = Database(reactor, storage_uri, max_pending=60)
    await database.migrate()
    go_on = threading.Event()
    waiting = [database.write(lambda _: go_on.wait(10)) for _ in range(60)]
    with pytest.raises(StorageUnavailable, match="cannot keep up: 60 transactions"):
        await database.write(record_change("x"))
    assert await database.read(change_log.position) == 0
    go_on.set()
    for write in waiting:
        assert await write
    await database.write(record_change("x"))
    await database.close()


@pytest_twisted.ensureDeferred
async def test_closing_finishes_what_is_queued(storage_uri: str) -> None:
    database = Database(reactor, storage_uri)
    await database.migrate()
    written = [database.write(record_change(str(number))) for number in range(50)]
    closing = [database.close(), database.close()]
    with pytest.raises(StorageUnavailable, match="stopping"):
        await database.write(record_change("late"))
    await gatherResults(closing)
    assert all(one.called for one in written)
    await database.close()
    with sqlite3.connect(storage_uri.removeprefix("sqlite:///")) as connection:
        assert connection.execute("SELECT count(*) FROM changes").fetchone() == (50,)
    connection.close()


@pytest_twisted.ensureDeferred
async def test_closing_waits_for_reads(database: Database) -> None:
    go_on = threading.Event()
    reading = database.read(lambda _: go_on.wait(10))
    closing = database.close()
    assert not closing.called
    go_on.set()
    assert await reading
    await closing


@pytest_twisted.ensureDeferred
async def test_closing_an_unused_database_creates_no_file(storage_uri: str) -> None:
    await Database(reactor, storage_uri).close()
    assert not Path(storage_uri.removeprefix("sqlite:///")).exists()


@pytest_twisted.ensureDeferred
async def test_the_check_of_a_database_that_does_not_answer_times_out(database: Database) -> None:
    go_on = threading.Event()
    writing: Deferred[bool] = database.write(lambda _: go_on.wait(10))
    for _ in range(3):
        # One check writes, however many are made: 2 writes, never more.
        expected = "the storage has not answered for 0.01 seconds; 2 writes are waiting"
        assert await database.check(0.01) == expected
    go_on.set()
    await writing
    assert await database.check(10) is None


@pytest_twisted.ensureDeferred
async def test_concurrent_checks_share_their_result(database: Database) -> None:
    go_on = threading.Event()
    writing = database.write(lambda _: go_on.wait(10))
    checks = [database.check(10) for _ in range(3)]
    go_on.set()
    await writing
    assert await gatherResults(checks) == [None] * 3


@pytest_twisted.ensureDeferred
async def test_the_check_reports_the_reason(short_lock_timeout: None, tmp_path: Path) -> None:
    path = tmp_path / "locked.sqlite3"
    database = Database(reactor, f"sqlite:///{path}")
    await database.migrate()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with capturedLogs() as logged:
        assert await database.check(10) == f"the database file {path} is locked by another process"
    assert logged == []
    other.execute("ROLLBACK")
    other.close()
    assert await database.check(10) is None
    await database.close()
    assert await database.check(10) == "the storage is closed: the service is stopping"


@pytest_twisted.ensureDeferred
async def test_an_unexpected_error_of_the_check_is_logged(storage_uri: str) -> None:
    database = Database(reactor, storage_uri)
    with capturedLogs() as logged:
        # The tables have never been created.
        assert "no such table" in (await database.check(10) or "")
    assert [event["log_format"] for event in logged] == ["storage readiness check failed"]
    await database.close()


@pytest_twisted.ensureDeferred
async def test_a_locked_file_is_unavailable_until_it_is_released(
    short_lock_timeout: None, tmp_path: Path
) -> None:
    path = tmp_path / "locked.sqlite3"
    database = Database(reactor, f"sqlite:///{path}")
    await database.migrate()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable, match=r"locked\.sqlite3 is locked by another process$"):
        await database.write(record_change("x"))
    other.execute("ROLLBACK")
    other.close()
    await database.write(record_change("x"))
    await database.close()


@pytest_twisted.ensureDeferred
async def test_the_check_writes_every_few_seconds_and_at_once_after_a_failure(
    storage_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that can be read, and not written, as on a full disk."""
    database = Database(reactor, storage_uri)
    await database.migrate()
    monkeypatch.setattr(database_module, "WRITE_CHECK_INTERVAL", 1e9)
    assert await database.check(10) is None
    for verb in ("INSERT", "UPDATE"):
        await run(
            database,
            f"CREATE TRIGGER no_{verb} BEFORE {verb} ON settings BEGIN SELECT RAISE(ABORT, 'full'); END",
        )
    assert await database.check(10) is None
    with capturedLogs():
        monkeypatch.setattr(database_module, "WRITE_CHECK_INTERVAL", 0.0)
        assert "full" in (await database.check(10) or "")
        monkeypatch.setattr(database_module, "WRITE_CHECK_INTERVAL", 1e9)
        assert "full" in (await database.check(10) or "")
    for verb in ("INSERT", "UPDATE"):
        await run(database, f"DROP TRIGGER no_{verb}")
    assert await database.check(10) is None
    await database.close()


async def run(database: Database, statement: str) -> None:
    def execute(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    await database.write(execute)
