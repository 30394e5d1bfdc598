"""What the commands share: the configuration, transactions on the configured storage, and common options."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from attrs import define
from sqlalchemy import Connection, Engine

from kazoo_bridge.config import ENVIRONMENT_PREFIX, Config, ConfigError, load
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.kazoo import is_account_id
from kazoo_bridge.storage import migrate
from kazoo_bridge.storage.accounts import StoreRejected
from kazoo_bridge.storage.engine import in_transaction, open_engine

#: Names the storage in the environment.
STORAGE_VARIABLE = f"{ENVIRONMENT_PREFIX}STORAGE__URI"

#: Where packages and the how-to put the configuration.
USUAL_PLACES = ("/etc/kazoo-bridge/kazoo-bridge.toml", "/etc/kazoo-bridge.toml")

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


@define
class CliContext:
    """The global options, and what every command does with them.

    `config_path` names the configuration file; None: the defaults and the environment. `may_create`: a new
    database may be created without a word, although no configuration names it.
    """

    config_path: str | None
    may_create: bool = False

    def config(self, on_warning: Callable[[str], None] = lambda _text: None) -> Config:
        """Load the configuration; with errors in it, print one line per error and exit with code 1.

        `on_warning` is called with what is unwise, but no error.
        """
        try:
            return load(self.config_path, os.environ, on_warning)
        except ConfigError as error:
            for line in error.errors:
                click.echo(line, err=True)
            sys.exit(1)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction that may write, and return its result.

        Creates or upgrades the tables first. Raises `click.ClickException` (exit code 1) if the storage
        cannot be used or rejects the change.
        """
        return self._run(work, writing=True)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction that only reads, and return its result; otherwise like `write`."""
        return self._run(work, writing=False)

    def read_unchanged(self, work: Callable[[Connection], T]) -> T | None:
        """Like `read`, but never create or upgrade anything; return None without a database or its tables.

        Raises `click.ClickException` also for a database that an upgrade is due for.
        """
        engine = self.open_engine()
        try:
            if not may_exist(engine):
                return None
            if not migrate.is_current(engine):
                if not migrate.versions(engine)[0]:
                    return None
                raise click.ClickException(
                    "storage.uri: the database is of an older version; upgrade it first with db upgrade"
                )
            return in_transaction(engine, work, writing=False)
        except StorageUnavailable as error:
            raise click.ClickException(str(error)) from None
        finally:
            engine.dispose()

    def _run(self, work: Callable[[Connection], T], *, writing: bool) -> T:
        with self.opened() as engine:
            try:
                return in_transaction(engine, work, writing=writing)
            except (StoreRejected, StorageUnavailable) as error:
                raise click.ClickException(str(error)) from None

    @contextmanager
    def opened(self) -> Iterator[Engine]:
        """Open the storage for several transactions; create or upgrade the tables.

        Raises `click.ClickException` if it cannot be used.
        """
        engine = self.open_engine()
        self._announce_new(engine)
        try:
            try:
                migrate.upgrade(engine, copy=self.config().storage.backup_before_upgrade)
            except StorageUnavailable as error:
                raise click.ClickException(str(error)) from None
            yield engine
        finally:
            engine.dispose()

    def open_engine(self) -> Engine:
        """Open the storage without reading or changing it; raises `click.ClickException` for a wrong URI."""
        try:
            return open_engine(self.config().storage.uri)
        except ValueError as error:
            raise click.ClickException(f"storage.uri: {error}") from None

    def _announce_new(self, engine: Engine) -> None:
        """Say that a database will be created which no configuration names; on a terminal, ask.

        Elsewhere, raise `click.ClickException` if there is a configuration in a usual place: a script that
        forgets to name it would change a database that no node uses, and succeed.
        """
        if self.may_create or self.config_path is not None or STORAGE_VARIABLE in os.environ:
            return
        if may_exist(engine):
            return
        path = engine.url.database
        found = next((place for place in USUAL_PLACES if Path(place).exists()), None)
        meant = f"--config {found}" if found else "--config FILE"
        note = f"without {meant} this is a new database, {path}, and not that of a node elsewhere"
        if sys.stdin.isatty():
            click.confirm(f"{note}. Create it?", abort=True, err=True)
            self.may_create = True
        elif found is not None:
            raise click.ClickException(f"{note}; with --yes it is created")
        else:
            click.echo(f"warning: {note}", err=True)


def may_exist(engine: Engine) -> bool:
    """Return False if the database is an SQLite file that does not exist."""
    is_file = engine.dialect.name == "sqlite" and "uri" not in engine.url.query
    return not is_file or Path(engine.url.database or "").exists()


def check_account_id(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return `value` if it is None or has the form of an account's id; a callback for options.

    Raises `click.BadParameter` (exit code 2) for anything else.
    """
    return _check_id("an account id", context, option, value)


def check_hook_id(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return `value` if it is None or has the form of a hook's id; otherwise like `check_account_id`."""
    return _check_id("a hook id", context, option, value)


def _check_id(kind: str, context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    # The ids of accounts and hooks have one form.
    if value is not None and not is_account_id(value):
        raise click.BadParameter(f"{kind} is 32 characters, 0-9 and a-f", context, option)
    return value


def account_option(description: str) -> Callable[[F], F]:
    """Return a decorator that adds the required option ``--account ID`` with this help text."""
    return click.option("--account", metavar="ID", callback=check_account_id, required=True, help=description)


def _account_filter(whose: str) -> Callable[[F], F]:
    description = f"Only those of {whose}."
    return click.option("--account", metavar="ID", callback=check_account_id, help=description)


#: Options of lists: what an account owns, and what belongs to its hooks.
account_filter = _account_filter("this account")
hook_owner_filter = _account_filter("this account's hooks")


def read_secret(argument: str, wanted: str) -> str:
    """Return the secret given as an argument, or for ``-`` the first line of standard input.

    `wanted` says in the error what the secret is, such as ``the token to revoke``. Raises
    `click.UsageError` (exit code 2) if it is empty.
    """
    secret = sys.stdin.readline().strip() if argument == "-" else argument
    if not secret:
        raise click.UsageError(f"expected {wanted}, got nothing")
    return secret
