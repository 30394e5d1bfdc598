from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection
from twisted.logger import LogLevel, capturedLogs, formatEvent

from kazoo_bridge import __version__
from kazoo_bridge.storage import change_log, engine, migrate
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.upgrade_copy import CopyFailed
from tests.bus.harness import CapturedLog

_MIGRATE = """
import sys
from kazoo_bridge.storage import engine, migrate
print('ready', flush=True)
sys.stdin.readline()
migrate.upgrade(engine.open_engine(sys.argv[1]))
"""


class MigrateSuite:
    def test_processes_that_migrate_at_once(self, storage_uri: str) -> None:
        pipes: dict[str, Any] = {
            "stdin": subprocess.PIPE,
            "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE,
            "text": True,
        }
        processes: list[Any] = [
            subprocess.Popen([sys.executable, "-c", _MIGRATE, storage_uri], **pipes) for _ in range(4)
        ]
        assert [process.stdout.readline() for process in processes] == ["ready\n"] * 4
        for process in processes:
            process.stdin.write("go\n")
            process.stdin.flush()
        errors = [process.communicate(timeout=60)[1] for process in processes]
        assert ([process.returncode for process in processes], errors) == ([0] * 4, [""] * 4)
        opened = engine.open_engine(storage_uri)
        assert engine.in_transaction(opened, change_log.position, writing=False) == 0
        opened.dispose()

    @pytest_twisted.ensureDeferred
    async def test_a_newer_database_is_refused(self, database: Database) -> None:
        def set_version(connection: Connection) -> None:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
            connection.execute(sa.text("UPDATE settings SET value = '7.5' WHERE name = 'schema_written_by'"))

        await database.write(set_version)
        reason = (
            r"version 9999, written by kazoo_bridge 7\.5, "
            rf"which this version of kazoo_bridge \({re.escape(__version__)}\) does not know: install"
        )
        with pytest.raises(migrate.DatabaseTooNew, match=reason):
            await database.migrate()

        def forget_writer(connection: Connection) -> None:
            connection.execute(sa.text("DROP TABLE settings"))

        await database.write(forget_writer)
        with pytest.raises(migrate.DatabaseTooNew, match="written by another kazoo_bridge, which"):
            await database.migrate()

    def test_an_old_database_is_upgraded(self, storage_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
        opened = engine.open_engine(storage_uri)
        upgrade = command.upgrade
        with monkeypatch.context() as patch:
            patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0002"))
            migrate.upgrade(opened)
        assert "deliveries" not in _table_names(opened)
        with CapturedLog() as log:
            migrate.upgrade(opened)
        assert "deliveries" in _table_names(opened)
        newest = migrate.scripts().get_current_head()
        first, *_, last = log.at_least(LogLevel.info)
        assert first == f"upgrading the database from=0002 to={newest}"
        assert any(line.startswith("migrated to=0004: ") for line in log.at_least(LogLevel.info))
        assert last == f"the database is at version {newest}"
        with CapturedLog() as log:
            migrate.upgrade(opened)
        assert log.at_least(LogLevel.info) == []
        opened.dispose()

    def test_a_failed_migration_leaves_the_database_as_it_was(
        self, storage_uri: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        opened = engine.open_engine(storage_uri)

        def upgrade_and_fail(config: Config, revision: str) -> None:
            config.attributes["connection"].exec_driver_sql("CREATE TABLE half (x INTEGER)")
            raise RuntimeError("on purpose")

        with monkeypatch.context() as patch:
            patch.setattr(command, "upgrade", upgrade_and_fail)
            with pytest.raises(RuntimeError, match="on purpose"):
                migrate.upgrade(opened)
        assert _table_names(opened) == []
        opened.dispose()


def _table_names(opened: sa.Engine) -> list[str]:
    return engine.in_transaction(
        opened, lambda connection: sa.inspect(connection).get_table_names(), writing=False
    )


class TestMigrate(MigrateSuite):
    """On SQLite."""


def test_a_current_database_is_not_locked(storage_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "LOCK_TIMEOUT", 0.05)
    node, starting = engine.open_engine(storage_uri), engine.open_engine(storage_uri)
    migrate.upgrade(node)
    engine.in_transaction(node, lambda _: migrate.upgrade(starting), writing=True)
    for opened in (node, starting):
        opened.dispose()


@pytest.mark.parametrize("copy", [True, False])
def test_an_old_file_is_copied_before_it_is_upgraded(
    storage_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy: bool
) -> None:
    opened = engine.open_engine(storage_uri)
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0002"))
        migrate.upgrade(opened)
    assert list(tmp_path.glob("*before*")) == []
    migrate.upgrade(opened, copy=copy)
    opened.dispose()
    copies = list(tmp_path.glob("*before*"))
    assert [file.name for file in copies] == [
        f"bridge.sqlite3.before-{migrate.scripts().get_current_head()}"
    ] * copy
    for file in copies:
        kept = engine.open_engine(f"sqlite:///{file}")
        assert "deliveries" not in _table_names(kept)
        migrate.upgrade(kept)
        assert "deliveries" in _table_names(kept)
        kept.dispose()


def test_a_database_that_is_not_copied_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = engine.open_engine(f"sqlite:///file:{tmp_path}/bridge.sqlite3?uri=true")
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0002"))
        migrate.upgrade(opened)
    with capturedLogs() as logs:
        migrate.upgrade(opened)
    opened.dispose()
    assert list(tmp_path.glob("*before*")) == []
    warnings = [log for log in logs if log["log_level"] is LogLevel.warn]
    assert ["is not copied before the upgrade" in formatEvent(log) for log in warnings] == [True]


def test_a_file_that_cannot_be_copied_stays_as_it_was(
    storage_uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = engine.open_engine(storage_uri)
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0002"))
        migrate.upgrade(opened)
    (tmp_path / f"bridge.sqlite3.before-{migrate.scripts().get_current_head()}").mkdir()
    with pytest.raises(CopyFailed, match="the tables are not upgraded"):
        migrate.upgrade(opened)
    assert "deliveries" not in _table_names(opened)
    opened.dispose()
