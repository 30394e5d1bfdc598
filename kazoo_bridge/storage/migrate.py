"""Creates the tables of a database, and upgrades them to this version of the code."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from kazoo_bridge.interfaces import StorageUnusable
from kazoo_bridge.storage.engine import in_transaction

#: PostgreSQL's advisory lock that one migrating process holds while others wait ("kazoomig" in ASCII).
MIGRATION_LOCK = 0x6B617A6F6F6D6967


class DatabaseTooNew(StorageUnusable):
    """A newer version of kazoo_bridge has migrated this database."""


def upgrade(engine: Engine) -> None:
    """Create or upgrade the tables; blocks. Of two processes that call it at once, one waits for the other.

    Raises `DatabaseTooNew` for a database of a newer version, `StorageUnavailable` if the database refuses.
    A failed upgrade leaves the database as it was.
    """
    config = _config()
    scripts = ScriptDirectory.from_config(config)
    if in_transaction(engine, lambda connection: _is_current(connection, scripts), writing=False):
        return
    in_transaction(engine, lambda connection: _upgrade(connection, config, scripts), writing=True)


def versions(engine: Engine) -> tuple[str, str]:
    """Return the version of the tables (empty: there are none), and that of this code; changes nothing.

    Raises `StorageUnavailable` if the database refuses.
    """
    scripts = ScriptDirectory.from_config(_config())
    present = in_transaction(
        engine, lambda connection: MigrationContext.configure(connection).get_current_heads(), writing=False
    )
    return ", ".join(sorted(present)), ", ".join(scripts.get_heads())


def _config() -> Config:
    config = Config()
    folder = Path(__file__).with_name("migrations")
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _is_current(connection: Connection, scripts: ScriptDirectory) -> bool:
    present = set(MigrationContext.configure(connection).get_current_heads())
    unknown = present - {script.revision for script in scripts.walk_revisions()}
    if unknown:
        raise DatabaseTooNew(
            f"the database is at version {', '.join(sorted(unknown))}, "
            "which this version of kazoo_bridge does not know: "
            "install the version that wrote it, or name another database in storage.uri"
        )
    return present == set(scripts.get_heads())


def _upgrade(connection: Connection, config: Config, scripts: ScriptDirectory) -> None:
    if connection.dialect.name == "postgresql":
        # Migrating large tables takes long, and the other processes wait for it.
        connection.execute(sa.text("SET LOCAL lock_timeout = '10min'"))
        connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
    # Another process may have upgraded between the first check and the lock.
    if not _is_current(connection, scripts):
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
