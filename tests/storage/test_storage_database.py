"""Threads, bounds, refusals and SQLite's own troubles."""

import os
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage import change_log, engine, migrate
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.database_errors import describe
from kazoo_bridge.storage.hooks import _copy


@pytest_twisted.async_yield_fixture
async def database(storage_uri: str) -> AsyncIterator[Database]:
    database = Database(reactor, storage_uri, max_pending=60)
    await database.migrate()
    yield database
    await database.close()


def note(subject: str):
    return lambda connection: change_log.record(connection, "hook", [subject], 1.0)


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOCK_TIMEOUT", 0.05)


@pytest_twisted.ensureDeferred
async def test_the_pragmas(database: Database) -> None:
    def pragmas(connection: Connection) -> list[object]:
        return [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]

    assert await database.read(pragmas) == ["wal", 2, 1, 5000]
    assert await database.write(pragmas) == ["wal", 2, 1, 5000]


@pytest_twisted.ensureDeferred
async def test_the_file_is_private(database: Database, tmp_path: Path) -> None:
    await database.write(note("x"))
    for path in tmp_path.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o007 == 0, path


@pytest_twisted.ensureDeferred
async def test_work_runs_in_threads_of_its_own(database: Database) -> None:
    names = await gatherResults([database.write(lambda _: threading.current_thread().name) for _ in range(5)])
    assert len(set(names)) == 1
    assert "writer" in names[0]
    assert "reader" in await database.read(lambda _: threading.current_thread().name)


@pytest_twisted.ensureDeferred
async def test_reads_do_not_wait_for_a_write(database: Database) -> None:
    go_on = threading.Event()

    def slow(connection: Connection) -> None:
        change_log.record(connection, "hook", ["slow"], 1.0)
        assert go_on.wait(10)

    writing = database.write(slow)
    assert await database.read(change_log.position) == 0
    assert database.pending_writes == 1
    go_on.set()
    await writing
    assert await database.read(change_log.position) == 1


@pytest_twisted.ensureDeferred
async def test_too_many_waiting_writes_are_refused(database: Database) -> None:
    go_on = threading.Event()
    waiting: list[Deferred[bool]] = [database.write(lambda _: go_on.wait(10)) for _ in range(60)]
    with pytest.raises(StorageUnavailable, match="cannot keep up: 60 transactions"):
        await database.write(note("x"))
    assert await database.read(change_log.position) == 0
    go_on.set()
    assert all(await gatherResults(waiting))
    await database.write(note("x"))


@pytest_twisted.ensureDeferred
async def test_closing_finishes_what_is_queued(storage_uri: str) -> None:
    database = Database(reactor, storage_uri)
    await database.migrate()
    written = [database.write(note(str(number))) for number in range(50)]
    closing = [database.close(), database.close()]
    with pytest.raises(StorageUnavailable, match="stopping"):
        await database.write(note("late"))
    await gatherResults(closing)
    assert all(one.called for one in written)
    await database.close()
    with sqlite3.connect(storage_uri.removeprefix("sqlite:///")) as connection:
        assert connection.execute("SELECT count(*) FROM changes").fetchone() == (50,)
    connection.close()


@pytest_twisted.ensureDeferred
async def test_closing_an_unused_database(storage_uri: str) -> None:
    await Database(reactor, storage_uri).close()
    assert not Path(storage_uri.removeprefix("sqlite:///")).exists()


@pytest_twisted.ensureDeferred
async def test_a_silent_database_fails_the_check_in_time(database: Database) -> None:
    go_on = threading.Event()
    writing = database.write(lambda _: go_on.wait(10))
    for _ in range(3):
        assert (
            await database.check(0.01)
            == "the storage has not answered for 0.01 seconds; 2 writes are waiting"
        )
    go_on.set()
    await writing
    assert await database.check(10) is None


@pytest_twisted.ensureDeferred
async def test_the_check_tells_what_is_wrong(patience: None, tmp_path: Path) -> None:
    path = tmp_path / "locked.sqlite3"
    database = Database(reactor, f"sqlite:///{path}")
    await database.migrate()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert await database.check(10) == f"the database file {path} is locked by another process"
    other.execute("ROLLBACK")
    other.close()
    assert await database.check(10) is None
    await database.close()
    assert await database.check(10) == "the storage is closed: the service is stopping"


@pytest_twisted.ensureDeferred
async def test_a_locked_file(patience: None, tmp_path: Path) -> None:
    path = tmp_path / "locked.sqlite3"
    database = Database(reactor, f"sqlite:///{path}")
    await database.migrate()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StorageUnavailable, match=r"locked\.sqlite3 is locked by another process$"):
        await database.write(note("x"))
    other.execute("ROLLBACK")
    other.close()
    await database.write(note("x"))
    await database.close()


def test_a_full_disk(storage_uri: str) -> None:
    opened = engine.open_engine(storage_uri)
    migrate.upgrade(opened)

    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        change_log.record(connection, "hook", ["x" * 64] * 10_000, 1.0)

    with pytest.raises(StorageUnavailable, match="the disk is full"):
        engine.in_transaction(opened, fill, writing=True)
    opened.dispose()


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda path: path.write_bytes(b"hardly a database, is it? " * 100), "is not an SQLite database"),
        (lambda path: path.mkdir(), "cannot be opened; is it a file"),
        (
            lambda path: path.symlink_to("missing/file"),
            "cannot be opened; is it a file in an existing folder",
        ),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, prepare, words: str) -> None:
    path = tmp_path / "x.sqlite3"
    prepare(path)
    with pytest.raises(StorageUnavailable, match=words):
        migrate.upgrade(engine.open_engine(f"sqlite:///{path}"))


def test_a_wrong_statement_is_no_trouble_of_the_database(storage_uri: str) -> None:
    opened = engine.open_engine(storage_uri)
    with pytest.raises(sa.exc.OperationalError, match="syntax error"):
        engine.in_transaction(
            opened, lambda connection: connection.execute(sa.text("SELEKT 1")), writing=False
        )
    opened.dispose()


def test_the_file_stays_the_same_when_the_working_directory_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    opened = engine.open_engine("sqlite:///here.sqlite3")
    (tmp_path / "elsewhere").mkdir()
    os.chdir(tmp_path / "elsewhere")
    migrate.upgrade(opened)
    opened.dispose()
    assert (tmp_path / "here.sqlite3").exists()


@pytest.mark.parametrize(
    "uri",
    [
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "mysql://u:hunter2@h/d",
        "nonsense hunter2",
        "postgresql://u:hunter2@h:port/d",
    ],
)
def test_uris_that_cannot_be_used(uri: str) -> None:
    with pytest.raises(ValueError, match=r"expected sqlite:///FILE|name a file, as in sqlite:///") as caught:
        engine.open_engine(uri)
    assert "hunter2" not in str(caught.value)


def test_a_database_that_does_not_answer_is_named_without_its_password() -> None:
    opened = engine.open_engine("postgresql+psycopg://bridge:hunter2@127.0.0.1:1/kazoo")
    with pytest.raises(
        StorageUnavailable, match=r"database kazoo at 127\.0\.0\.1 refused: .*connection"
    ) as caught:
        engine.in_transaction(opened, lambda _: None, writing=False)
    assert "hunter2" not in str(caught.value)


def test_a_password_in_a_server_s_words_is_struck_out() -> None:
    url = sa.make_url("postgresql+psycopg://bridge:hunter2@db/kazoo")
    words = describe(url, sa.exc.OperationalError("SELECT 1", None, Exception("bad word: hunter2")))
    assert words == "the database kazoo at db refused: bad word: ***"


def test_a_migration_that_fails_leaves_the_database_as_it_was(
    storage_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = engine.open_engine(storage_uri)

    def upgrade_and_fail(config, revision: str) -> None:
        config.attributes["connection"].exec_driver_sql("CREATE TABLE half (x INTEGER)")
        raise RuntimeError("on purpose")

    with monkeypatch.context() as patch:
        patch.setattr(migrate.command, "upgrade", upgrade_and_fail)
        with pytest.raises(RuntimeError, match="on purpose"):
            migrate.upgrade(opened)
    assert (
        engine.in_transaction(
            opened, lambda connection: sa.inspect(connection).get_table_names(), writing=False
        )
        == []
    )
    opened.dispose()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON))
def test_any_json_object_is_kept_as_it_is(document) -> None:
    assert _copy(document) == document


@pytest.mark.parametrize("document", [{"x": float("nan")}, {"x": object()}, {"x": b"bytes"}])
def test_what_json_cannot_say_is_refused(document) -> None:
    with pytest.raises((ValueError, TypeError)):
        _copy(document)
