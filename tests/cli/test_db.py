from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from kazoo_bridge.storage import engine, migrate
from tests.cli.harness import STORAGE_URI, A, CliHarness


def test_versions(cli: CliHarness, tmp_path: Path) -> None:
    assert "there is no database" in cli.error("db", "version")
    assert not list(tmp_path.iterdir())
    sqlite3.connect(tmp_path / "kazoo-bridge.sqlite3").close()
    (tmp_path / "kazoo-bridge.sqlite3").touch()
    newest = migrate.versions(engine.open_engine(STORAGE_URI))[1]
    assert cli.lines("db", "version") == ["database: no tables", f"this release: {newest}"]
    assert cli.lines("db", "upgrade") == [f"upgraded from no tables to {newest}"]
    assert cli.lines("db", "upgrade") == [f"{newest}: nothing to do"]
    assert cli.lines("db", "version")[0] == f"database: {newest}"


def test_a_copy_of_a_database_in_use(cli: CliHarness, tmp_path: Path) -> None:
    cli.run("account", "create", "--id", A)
    opened = engine.open_engine(STORAGE_URI)
    with opened.connect() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM accounts").all()
        (line,) = cli.lines("db", "backup", "copy.sqlite3")
    opened.dispose()
    copy = tmp_path / "copy.sqlite3"
    assert line == f"copied {copy.stat().st_size} bytes to copy.sqlite3"
    assert copy.stat().st_mode & 0o777 == 0o600
    copied = sqlite3.connect(copy)
    assert copied.execute("SELECT id FROM accounts").fetchall() == [(A,)]
    copied.close()
    assert [one.name for one in tmp_path.glob("copy*")] == ["copy.sqlite3"]
    assert "File exists" in cli.error("db", "backup", "copy.sqlite3")


def test_a_copy_ends_while_another_process_writes(cli: CliHarness, tmp_path: Path) -> None:
    database = tmp_path / "kazoo-bridge.sqlite3"
    cli.run("account", "create", "--id", A)
    with closing(sqlite3.connect(database)) as connection:
        # Several steps of a copy that is made in steps.
        connection.execute("CREATE TABLE ballast (filling BLOB)")
        connection.execute("INSERT INTO ballast VALUES (zeroblob(32000000))")
        connection.commit()
    written, stopped = threading.Event(), threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            connection.execute("PRAGMA synchronous = OFF")
            connection.execute("CREATE TABLE counter (number INTEGER)")
            deadline = time.monotonic() + 20
            while not stopped.is_set() and time.monotonic() < deadline:
                connection.execute("INSERT INTO counter VALUES (1)")
                written.set()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert written.wait(10)
        cli.run("db", "backup", "copy.sqlite3")
        assert writer.is_alive()
    finally:
        stopped.set()
        writer.join()
    with closing(sqlite3.connect(tmp_path / "copy.sqlite3")) as copy:
        assert copy.execute("SELECT count(*) > 0 FROM counter").fetchone() == (1,)


def test_a_failed_copy_leaves_nothing(cli: CliHarness, tmp_path: Path) -> None:
    (tmp_path / "kazoo-bridge.sqlite3").write_bytes(b"no database" * 100)
    assert "storage.uri" in cli.error("db", "backup", "copy.sqlite3")
    assert not (tmp_path / "copy.sqlite3").exists()


def test_postgresql_has_its_own_tools(cli: CliHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAZOO_BRIDGE__STORAGE__URI", "postgresql+psycopg://localhost:1/x")
    assert "pg_dump" in cli.error("db", "backup", "copy")


def test_a_database_that_is_a_uri_is_not_copied(
    cli: CliHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KAZOO_BRIDGE__STORAGE__URI", "sqlite:///file:there.sqlite3?uri=true")
    cli.run("account", "list")
    assert "it is a file: URI of SQLite" in cli.error("db", "backup", "copy.sqlite3")
    assert [file.name for file in tmp_path.glob("*.sqlite3")] == ["there.sqlite3"]
