"""Creates the tables of a database, and upgrades them to this version of the code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine
from twisted.logger import Logger

from kazoo_bridge import __version__
from kazoo_bridge.interfaces import StorageUnusable
from kazoo_bridge.storage.engine import in_transaction
from kazoo_bridge.storage.renumbered_schemas import complete
from kazoo_bridge.storage.tables import settings
from kazoo_bridge.storage.upgrade_copy import copy_before_upgrade

#: PostgreSQL's advisory lock that one migrating process holds while others wait ("kazoomig" in ASCII).
MIGRATION_LOCK = 0x6B617A6F6F6D6967


#: The row of the table ``settings`` with the version of kazoo_bridge that has migrated the tables last.
WRITER = "schema_written_by"

_log = Logger()


class DatabaseTooNew(StorageUnusable):
    """A newer version of kazoo_bridge has migrated this database."""


def upgrade(engine: Engine, *, copy: bool = True) -> None:
    """Create or upgrade the tables; blocks. Of two processes that call it at once, one waits for the other.

    `copy`: an SQLite database with tables is copied before they are upgraded, see `copy_before_upgrade`.

    Raises `DatabaseTooNew` for a database of a newer version, `StorageUnavailable` if the database refuses
    or cannot be copied. A failed upgrade leaves the database as it was.
    """
    config = make_config()
    known = ScriptDirectory.from_config(config)
    if in_transaction(engine, lambda connection: _is_current(connection, known), writing=False):
        return
    in_transaction(engine, lambda connection: _upgrade(connection, config, known, copy), writing=True)


def is_current(engine: Engine) -> bool:
    """Return whether the tables are those of this code; changes nothing.

    Raises `DatabaseTooNew` for a database of a newer version, `StorageUnavailable` if the database refuses.
    """
    known = scripts()
    return in_transaction(engine, lambda connection: _is_current(connection, known), writing=False)


def versions(engine: Engine) -> tuple[str, str]:
    """Return the version of the tables (empty: there are none), and that of this code; changes nothing.

    Raises `StorageUnavailable` if the database refuses.
    """
    present = in_transaction(
        engine, lambda connection: MigrationContext.configure(connection).get_current_heads(), writing=False
    )
    return ", ".join(sorted(present)), ", ".join(scripts().get_heads())


def scripts() -> ScriptDirectory:
    """Return the migrations of this version of the code."""
    return ScriptDirectory.from_config(make_config())


def make_config() -> Config:
    """Return what Alembic's commands need, without a connection."""
    config = Config()
    folder = Path(__file__).with_name("migrations")
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _is_current(connection: Connection, known: ScriptDirectory) -> bool:
    present = set(MigrationContext.configure(connection).get_current_heads())
    unknown = present - {script.revision for script in known.walk_revisions()}
    if unknown:
        raise DatabaseTooNew(
            f"the database is at version {', '.join(sorted(unknown))}, written by {_writer(connection)}, "
            f"which this version of kazoo_bridge ({__version__}) does not know: "
            "install the version that wrote it, or name another database in storage.uri"
        )
    return present == set(known.get_heads())


def _writer(connection: Connection) -> str:
    """Return the version that has migrated the tables last, for a message."""
    stored = None
    if sa.inspect(connection).has_table(settings.name):
        stored = connection.scalar(sa.select(settings.c.value).where(settings.c.name == WRITER))
    return f"kazoo_bridge {stored}" if stored else "another kazoo_bridge"


def _store_writer(connection: Connection) -> None:
    connection.execute(sa.delete(settings).where(settings.c.name == WRITER))
    connection.execute(sa.insert(settings).values(name=WRITER, value=__version__))


def _upgrade(connection: Connection, config: Config, known: ScriptDirectory, copy: bool) -> None:
    if connection.dialect.name == "postgresql":
        # Migrating large tables takes long, and the other processes wait for it.
        connection.execute(sa.text("SET LOCAL lock_timeout = '10min'"))
        connection.execute(sa.text("SET LOCAL statement_timeout = 0"))
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(MIGRATION_LOCK)))
    # Another process may have upgraded between the first check and the lock.
    if _is_current(connection, known):
        return
    present = ", ".join(sorted(MigrationContext.configure(connection).get_current_heads()))
    newest = known.get_current_head()
    if present:
        _log.info("upgrading the database from={present} to={newest}", present=present, newest=newest)
        _keep_way_back(connection, str(newest), copy)
    complete(connection, known)
    config.attributes["connection"] = connection
    config.attributes["on_step"] = _log_step if present else None
    command.upgrade(config, "head")
    _store_writer(connection)
    _log.info("the database is at version {newest}", newest=newest)


def _keep_way_back(connection: Connection, newest: str, copy: bool) -> None:
    url = connection.engine.url
    if connection.dialect.name != "sqlite":
        _log.warn("the only way back from version {newest} is a dump made before (pg_dump)", newest=newest)
    elif copy and "uri" in url.query:
        _log.warn(
            "the database is not copied before the upgrade to version {newest}, because storage.uri is a "
            "file: URI: the only way back is a copy made before",
            newest=newest,
        )
    elif copy:
        made = copy_before_upgrade(Path(str(url.database)), newest)
        _log.info("copied the database to {file}", file=str(made))


def _log_step(*, step: Any, **_: Any) -> None:
    _log.info("migrated to={revision}: {change}", revision=step.up_revision_id, change=step.up_revision.doc)
