from __future__ import annotations

import os
import shutil
import sqlite3
from collections import namedtuple
from contextlib import closing
from pathlib import Path

import pytest

from kazoo_bridge.storage import upgrade_copy
from kazoo_bridge.storage.upgrade_copy import CopyFailed, copy_before_upgrade

Usage = namedtuple("Usage", "total used free")


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A database whose newest row is in the write-ahead log only, and which is being written."""
    return tmp_path / "bridge.sqlite3"


def rows(file: Path) -> list[int]:
    with closing(sqlite3.connect(file)) as connection:
        return [row[0] for row in connection.execute("SELECT x FROM t ORDER BY x")]


def make(file: Path, *values: int) -> sqlite3.Connection:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS t (x INTEGER)")
    connection.executemany("INSERT INTO t VALUES (?)", [(value,) for value in values])
    return connection


def test_the_copy_has_what_was_committed_while_the_writer_holds_its_lock(database: Path) -> None:
    with closing(make(database, 1, 2)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("INSERT INTO t VALUES (3)")
        made = copy_before_upgrade(database, "0015")
        writer.execute("COMMIT")
    assert made == database.with_name("bridge.sqlite3.before-0015")
    assert made.stat().st_mode & 0o777 == 0o600
    assert (rows(made), rows(database)) == ([1, 2], [1, 2, 3])
    assert sorted(file.name for file in database.parent.glob("*before*")) == [made.name]


def test_a_copy_of_an_earlier_upgrade_is_replaced(database: Path) -> None:
    with closing(make(database, 1)) as writer:
        copy_before_upgrade(database, "0015")
        writer.execute("INSERT INTO t VALUES (2)")
        assert rows(copy_before_upgrade(database, "0015")) == [1, 2]


def test_without_room_nothing_is_written(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(database, 1).close()
    size = database.stat().st_size
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(0, 0, size - 1))
    with pytest.raises(CopyFailed, match=f"needs {size} bytes, and {size - 1} are free; make room"):
        copy_before_upgrade(database, "0015")
    assert list(database.parent.glob("*before*")) == []
    monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(0, 0, size))
    assert rows(copy_before_upgrade(database, "0015")) == [1]


def test_the_log_counts_for_the_room(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(make(database, 1)):
        needed = database.stat().st_size + database.with_name("bridge.sqlite3-wal").stat().st_size
        assert needed > database.stat().st_size
        monkeypatch.setattr(shutil, "disk_usage", lambda _folder: Usage(0, 0, needed - 1))
        with pytest.raises(CopyFailed, match=f"needs {needed} bytes"):
            copy_before_upgrade(database, "0015")


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), sqlite3.OperationalError("full")])
def test_a_copy_that_fails_leaves_the_earlier_one(
    database: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    make(database, 1).close()
    made = copy_before_upgrade(database, "0015")

    def fail(_database: Path, target: Path) -> None:
        os.truncate(target, 10)
        raise error

    monkeypatch.setattr(upgrade_copy, "copy_database", fail)
    with pytest.raises(CopyFailed, match=r"storage\.backup_before_upgrade = false"):
        copy_before_upgrade(database, "0015")
    assert rows(made) == [1]
    assert [file.name for file in database.parent.glob("*before*")] == [made.name]
