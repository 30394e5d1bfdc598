"""``kazoo-bridge account``."""

from __future__ import annotations

import secrets
import time

import click
from attrs import asdict
from sqlalchemy import Connection

from kazoo_bridge.cli.context import CliContext, check_account_id
from kazoo_bridge.cli.output import print_table
from kazoo_bridge.interfaces import MAX_ACCOUNT_LIMIT, AccountLimits
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.storage import accounts, settings


@click.group()
def account() -> None:
    """Manage accounts, which own hooks, numbers and subscriptions."""


@account.command()
@click.option(
    "--id",
    "new_id",
    metavar="ID",
    callback=check_account_id,
    help="32 characters, 0-9 and a-f; random if not given.",
)
@click.option(
    "--parent",
    "parent_id",
    metavar="ID",
    callback=check_account_id,
    help="The parent account, which may act for this account.",
)
@click.option("--name", default="", help="The display name.")
@click.option("--realm", default="", help="The SIP realm, which presence subscriptions need.")
@click.option("--superadmin", is_flag=True, help="The account may act for every account.")
@click.pass_obj
def create(
    context: CliContext, new_id: str | None, parent_id: str | None, name: str, realm: str, superadmin: bool
) -> None:
    """Create an account and print its id."""
    now = time.time()
    new = accounts.StoredAccount(
        new_id or secrets.token_hex(16), parent_id, name, realm.lower(), superadmin, to_gregorian(now)
    )
    context.write(lambda connection: accounts.insert(connection, new, now))
    click.echo(new.id)


@account.command(name="list")
@click.pass_obj
def list_accounts(context: CliContext) -> None:
    """List all accounts."""
    rows = [
        (row.id, row.parent_id or "-", row.name or "-", row.realm or "-", "yes" if row.superadmin else "no")
        for row in context.read(accounts.select_all)
    ]
    print_table(("ID", "PARENT", "NAME", "REALM", "SUPERADMIN"), rows)


@account.command()
@click.option(
    "--id",
    "account_id",
    metavar="ID",
    callback=check_account_id,
    required=True,
    help="The account; it must have no sub-accounts.",
)
@click.pass_obj
def delete(context: CliContext, account_id: str) -> None:
    """Delete an account with its hooks, numbers, tokens and API keys."""
    context.write(lambda connection: accounts.delete(connection, account_id, time.time()))
    click.echo(account_id)


@account.command()
@click.option(
    "--id", "account_id", metavar="ID", callback=check_account_id, required=True, help="The account."
)
@click.pass_obj
def disable(context: CliContext, account_id: str) -> None:
    """Refuse the account's tokens and API keys, until it is enabled."""
    _set_enabled(context, account_id, enabled=False)


@account.command()
@click.option(
    "--id", "account_id", metavar="ID", callback=check_account_id, required=True, help="The account."
)
@click.pass_obj
def enable(context: CliContext, account_id: str) -> None:
    """Accept the tokens and API keys of a disabled account again."""
    _set_enabled(context, account_id, enabled=True)


def _set_enabled(context: CliContext, account_id: str, *, enabled: bool) -> None:
    context.write(lambda connection: accounts.update(connection, account_id, time.time(), enabled=enabled))
    click.echo(account_id)


@account.command(name="limits")
@click.option(
    "--id", "account_id", metavar="ID", callback=check_account_id, required=True, help="The account."
)
@click.option(
    "--attempt-failure-count",
    type=click.IntRange(0, MAX_ACCOUNT_LIMIT),
    help="The number of failures that disables a hook; 0: as configured.",
)
@click.option(
    "--attempt-failure-expiry-ms",
    type=click.IntRange(0, MAX_ACCOUNT_LIMIT),
    help="The time for which a failure counts, in milliseconds; 0: as configured.",
)
@click.pass_obj
def set_limits(
    context: CliContext,
    account_id: str,
    attempt_failure_count: int | None,
    attempt_failure_expiry_ms: int | None,
) -> None:
    """Set the account's own limits for its hooks; show them."""

    def update(connection: Connection) -> AccountLimits:
        if not accounts.exists(connection, account_id):
            raise accounts.UnknownAccount(account_id)
        stored = settings.get_limits(connection, account_id)
        updated = AccountLimits(
            _updated(stored.attempt_failure_count, attempt_failure_count),
            _updated(stored.attempt_failure_expiry_ms, attempt_failure_expiry_ms),
        )
        if updated != stored:
            settings.put_limits(connection, account_id, updated)
        return updated

    for name, value in asdict(context.write(update)).items():
        click.echo(f"{name}: {'as configured' if value is None else value}")


def _updated(stored: int | None, given: int | None) -> int | None:
    """The limit after the command: without an option, as stored; 0 removes it."""
    return stored if given is None else given or None
