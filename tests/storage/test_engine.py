"""Opening databases, and SQLite's own problems."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from kazoo_bridge.interfaces import StorageUnavailable, StorageUnusable
from kazoo_bridge.storage import change_log, engine, migrate
from tests.storage.record_factories import record_change


@pytest.fixture
def opened(storage_uri: str) -> sa.Engine:
    opened = engine.open_engine(storage_uri)
    migrate.upgrade(opened)
    return opened


@pytest.mark.parametrize("writing", [False, True])
def test_the_pragmas(opened: sa.Engine, writing: bool) -> None:
    def pragmas(connection: Connection) -> list[object]:
        return [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]

    assert engine.in_transaction(opened, pragmas, writing=writing) == ["wal", 2, 1, 5000]


def test_the_file_is_not_accessible_to_other_users(opened: sa.Engine, tmp_path: Path) -> None:
    engine.in_transaction(opened, record_change("x"), writing=True)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) & 0o007 for path in tmp_path.iterdir()}
    assert modes
    assert set(modes.values()) == {0}


def test_a_failed_transaction_leaves_nothing(opened: sa.Engine) -> None:
    def fail(connection: Connection) -> None:
        record_change("x")(connection)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        engine.in_transaction(opened, fail, writing=True)
    assert engine.in_transaction(opened, change_log.position, writing=False) == 0


def test_a_writing_transaction_has_the_lock_from_its_beginning(
    opened: sa.Engine, storage_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOCK_TIMEOUT", 0.05)
    other = engine.open_engine(storage_uri)

    def while_writing(_: Connection) -> None:
        assert engine.in_transaction(other, change_log.position, writing=False) == 0
        with pytest.raises(StorageUnavailable, match="is locked by another process"):
            engine.in_transaction(other, lambda _: None, writing=True)

    engine.in_transaction(opened, while_writing, writing=True)
    other.dispose()


def test_readers_do_not_take_the_lock(opened: sa.Engine) -> None:
    def while_reading(connection: Connection) -> None:
        change_log.position(connection)
        engine.in_transaction(opened, record_change("x"), writing=True)

    engine.in_transaction(opened, while_reading, writing=False)
    assert engine.in_transaction(opened, change_log.position, writing=False) == 1


def test_switching_a_file_to_wal_waits_for_another_process(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite3"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("CREATE TABLE x (y)")
    other.execute("BEGIN IMMEDIATE")
    opened = engine.open_engine(f"sqlite:///{path}")
    threading.Timer(0.1, lambda: other.execute("COMMIT")).start()
    with opened.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
    opened.dispose()
    other.close()


def test_a_file_that_stays_locked_is_not_waited_for_endlessly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOCK_TIMEOUT", 0.05)
    path = tmp_path / "new.sqlite3"
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("CREATE TABLE x (y)")
    other.execute("BEGIN IMMEDIATE")
    opened = engine.open_engine(f"sqlite:///{path}")
    with pytest.raises(StorageUnavailable, match="is locked by another process"):
        engine.in_transaction(opened, lambda _: None, writing=False)
    other.close()


def test_a_full_disk(opened: sa.Engine) -> None:
    def fill(connection: Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
        change_log.record(connection, "hook", ["x" * 64] * 10_000, 1.0)

    with pytest.raises(StorageUnavailable, match="the disk is full"):
        engine.in_transaction(opened, fill, writing=True)
    opened.dispose()


@pytest.mark.parametrize(
    ("prepare", "reason"),
    [
        (lambda path: path.write_bytes(b"hardly a database, is it? " * 100), "is not an SQLite database"),
        (lambda path: path.mkdir(), "cannot be opened; is it a file"),
        (
            lambda path: path.symlink_to("missing/file"),
            "cannot be opened; is it a file in an existing folder",
        ),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, prepare: Callable[[Path], object], reason: str) -> None:
    path = tmp_path / "x.sqlite3"
    prepare(path)
    with pytest.raises(StorageUnavailable, match=reason):
        migrate.upgrade(engine.open_engine(f"sqlite:///{path}"))


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(StorageUnusable, match="missing/x cannot be opened: No such file or directory"):
        migrate.upgrade(engine.open_engine(f"sqlite:///{tmp_path}/missing/x"))


def test_an_sqlite_uri_with_parameters(tmp_path: Path) -> None:
    opened = engine.open_engine(f"sqlite:///file:{tmp_path}/x.sqlite3?mode=rwc&uri=true")
    migrate.upgrade(opened)
    assert (tmp_path / "x.sqlite3").exists()
    opened.dispose()


def test_an_error_in_a_statement_is_raised_as_it_is(opened: sa.Engine) -> None:
    with pytest.raises(sa.exc.OperationalError, match="syntax error"):
        engine.in_transaction(
            opened, lambda connection: connection.execute(sa.text("SELEKT 1")), writing=False
        )


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


def test_a_server_that_does_not_answer_is_named_without_its_password() -> None:
    opened = engine.open_engine("postgresql+psycopg://bridge:hunter2@127.0.0.1:1/kazoo")
    reason = r"database kazoo at 127\.0\.0\.1 refused: .*connection"
    with pytest.raises(StorageUnavailable, match=reason) as caught:
        engine.in_transaction(opened, lambda _: None, writing=False)
    assert "hunter2" not in str(caught.value)


def test_an_exhausted_pool_is_reported(storage_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOCK_TIMEOUT", 0.05)
    opened = engine.open_engine(storage_uri)
    connections = [opened.connect() for _ in range(engine.readers(opened) + 1)]
    with pytest.raises(StorageUnavailable, match="no free connection to the database file"):
        engine.in_transaction(opened, lambda _: None, writing=False)
    for connection in connections:
        connection.close()
    opened.dispose()


def test_values_come_in_batches() -> None:
    values = tuple(map(str, range(1001)))
    assert [len(batch) for batch in engine.in_batches(values)] == [500, 500, 1]
    assert sum(engine.in_batches(values), ()) == values
    assert list(engine.in_batches(())) == []


_COUNT_ACCOUNTS = """
import sys, sqlite3
connection = sqlite3.connect(sys.argv[1])
print(connection.execute("SELECT count(*) FROM accounts").fetchone()[0])
connection.close()
"""


def _insert_account(number: int) -> Callable[[Connection], object]:
    statement = sa.text(
        "INSERT INTO accounts (id, parent_id, name, realm, superadmin, created)"
        f" VALUES ('{number:032x}', NULL, '', '', false, 0)"
    )
    return lambda connection: connection.execute(statement)


def test_another_process_that_ends_does_not_remove_the_write_ahead_log(tmp_path: Path) -> None:
    """SQLite removes the log with its last user, and recognises other users by their locks."""
    path = tmp_path / "shared.sqlite3"
    opened = engine.open_engine(f"sqlite:///{path}")
    migrate.upgrade(opened)

    def count_elsewhere() -> int:
        command = [sys.executable, "-c", _COUNT_ACCOUNTS, str(path)]
        return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    with opened.connect() as first, opened.connect() as second, opened.connect() as third:
        # Three connections are opened one after another, like those of a node's pool.
        for connection in (first, second, third):
            connection.exec_driver_sql("SELECT 1")
            connection.rollback()
        assert count_elsewhere() == 0
    for number in range(3):
        engine.in_transaction(opened, _insert_account(number), writing=True)
        assert count_elsewhere() == number + 1
    opened.dispose()
    assert count_elsewhere() == 3


def test_large_rows_are_not_all_read(opened: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "MAX_READ_CHARACTERS", 25)

    def read(connection: Connection) -> list[int]:
        numbers = sa.text(
            "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000)"
            " SELECT x FROM n"
        )
        rows = engine.read_bounded(
            connection, sa.select(numbers.columns(sa.column("x", sa.Integer)).subquery()), lambda _: 10
        )
        return [row.x for row in rows]

    assert engine.in_transaction(opened, read, writing=False) == [1, 2, 3]
