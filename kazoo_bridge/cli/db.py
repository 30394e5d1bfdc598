"""``kazoo-bridge db``: the database of ``storage.uri``."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import click
from sqlalchemy import Engine

from kazoo_bridge.cli.context import CliContext, may_exist
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage import migrate
from kazoo_bridge.storage.upgrade_copy import copy_database


@click.group()
def db() -> None:
    """Look at the database, upgrade it, and copy it."""


def _open(context: CliContext) -> Engine:
    """Open the database without changing it."""
    engine = context.open_engine()
    if not may_exist(engine):
        raise click.ClickException(f"storage.uri: there is no database {engine.url.database or ''}")
    return engine


@db.command()
@click.pass_obj
def version(context: CliContext) -> None:
    """Print the version of the tables, and that of this release."""
    engine = _open(context)
    try:
        present, newest = migrate.versions(engine)
    except StorageUnavailable as error:
        raise click.ClickException(f"storage.uri: {error}") from None
    finally:
        engine.dispose()
    click.echo(f"database: {present or 'no tables'}")
    click.echo(f"this release: {newest}")


@db.command()
@click.pass_obj
def upgrade(context: CliContext) -> None:
    """Upgrade the tables to this release, as a node does when it starts."""
    engine = _open(context)
    try:
        before, _ = migrate.versions(engine)
        migrate.upgrade(engine, copy=context.config().storage.backup_before_upgrade)
        after, _ = migrate.versions(engine)
    except StorageUnavailable as error:
        raise click.ClickException(f"storage.uri: {error}") from None
    finally:
        engine.dispose()
    click.echo(
        f"{after}: nothing to do" if before == after else f"upgraded from {before or 'no tables'} to {after}"
    )


@db.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def backup(context: CliContext, file: Path) -> None:
    """Copy an SQLite database to a new FILE, also while nodes run. Only the user can read it."""
    engine = _open(context)
    if engine.dialect.name != "sqlite":
        raise click.ClickException("storage.uri: the database is PostgreSQL: use pg_dump --format=custom")
    engine.dispose()
    if "uri" in engine.url.query:
        raise click.ClickException("storage.uri: it is a file: URI of SQLite: use .backup of sqlite3")
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise click.ClickException(f"{file}: cannot be created: {error.strerror}") from None
    try:
        copy_database(Path(str(engine.url.database)), file)
    except BaseException as error:
        file.unlink(missing_ok=True)
        if isinstance(error, sqlite3.Error):
            raise click.ClickException(f"storage.uri: {error}") from None
        raise
    click.echo(f"copied {file.stat().st_size} bytes to {file}")
