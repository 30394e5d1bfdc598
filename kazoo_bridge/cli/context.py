"""What the commands share: the configuration and the storage it names, with every failure in words."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TypeVar

import click
from attrs import define
from sqlalchemy import Connection

from kazoo_bridge.config import Config, ConfigError, load
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.kazoo import is_account_id
from kazoo_bridge.storage import migrate
from kazoo_bridge.storage.accounts import StoreRejected
from kazoo_bridge.storage.engine import in_transaction, open_engine

T = TypeVar("T")


@define
class CliContext:
    """The options given before the command's name."""

    config_path: str | None

    def config(self) -> Config:
        """The configuration; ends the command with one line per mistake and exit code 1 when it has any."""
        try:
            return load(self.config_path, os.environ)
        except ConfigError as error:
            for mistake in error.errors:
                click.echo(mistake, err=True)
            sys.exit(1)

    def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction on the configured storage; refusals end the command with exit code 1."""
        return self._run(work, writing=True)

    def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work`, which only reads."""
        return self._run(work, writing=False)

    def _run(self, work: Callable[[Connection], T], *, writing: bool) -> T:
        uri = self.config().storage.uri
        try:
            engine = open_engine(uri)
        except ValueError as error:
            raise click.ClickException(f"storage.uri: {error}") from None
        try:
            migrate.upgrade(engine)
            return in_transaction(engine, work, writing=writing)
        except (StoreRejected, StorageUnavailable) as error:
            raise click.ClickException(str(error)) from None
        finally:
            engine.dispose()


def account_id(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """A click callback: lets account ids (and nothing given) pass; anything else is a usage error."""
    if value is not None and not is_account_id(value):
        raise click.BadParameter("an account id is 32 characters, 0-9 and a-f", context, option)
    return value


def read_secret(argument: str) -> str:
    """The secret given as an argument, or for ``-`` the first line of standard input, which no process list shows."""
    secret = sys.stdin.readline().strip() if argument == "-" else argument
    if not secret:
        raise click.UsageError("nothing was given to revoke")
    return secret
