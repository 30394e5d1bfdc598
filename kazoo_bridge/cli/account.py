"""``kazoo-bridge account``."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence

import click
from attrs import asdict
from sqlalchemy import Connection

from kazoo_bridge.cli.context import CliContext, account_id
from kazoo_bridge.interfaces import MAX_ACCOUNT_LIMIT, AccountLimits
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.storage import accounts, limits


@click.group()
def account() -> None:
    """Accounts: who may have hooks and subscriptions."""


@account.command()
@click.option(
    "--id",
    "new_id",
    metavar="ID",
    callback=account_id,
    help="32 characters, 0-9 and a-f; random if not given.",
)
@click.option(
    "--parent",
    "parent_id",
    metavar="ID",
    callback=account_id,
    help="The account above, which may act for this one.",
)
@click.option("--name", default="", help="For people.")
@click.option("--realm", default="", help="The SIP realm, which presence subscriptions need.")
@click.option("--superadmin", is_flag=True, help="May act for every account.")
@click.pass_obj
def create(
    settings: CliContext, new_id: str | None, parent_id: str | None, name: str, realm: str, superadmin: bool
) -> None:
    """Create an account and print its id."""
    now = time.time()
    new = accounts.StoredAccount(
        new_id or secrets.token_hex(16), parent_id, name, realm.lower(), superadmin, to_gregorian(now)
    )
    settings.write(lambda connection: accounts.insert(connection, new, now))
    click.echo(new.id)


@account.command(name="list")
@click.pass_obj
def list_accounts(settings: CliContext) -> None:
    """List all accounts."""
    found = settings.read(accounts.select_all)
    rows = [
        (one.id, one.parent_id or "-", one.name or "-", one.realm or "-", "yes" if one.superadmin else "no")
        for one in found
    ]
    for line in _table([("ID", "PARENT", "NAME", "REALM", "SUPERADMIN"), *rows]):
        click.echo(line)


@account.command()
@click.option(
    "--id",
    "old_id",
    metavar="ID",
    callback=account_id,
    required=True,
    help="The account; it must have no sub-accounts.",
)
@click.pass_obj
def delete(settings: CliContext, old_id: str) -> None:
    """Delete an account with its hooks, tokens and API keys."""
    settings.write(lambda connection: accounts.delete(connection, old_id, time.time()))
    click.echo(old_id)


@account.command(name="limits")
@click.option("--id", "of_id", metavar="ID", callback=account_id, required=True, help="The account.")
@click.option(
    "--attempt-failure-count",
    type=click.IntRange(0, MAX_ACCOUNT_LIMIT),
    help="Failures that disable a hook; 0: as configured.",
)
@click.option(
    "--attempt-failure-expiry-ms",
    type=click.IntRange(0, MAX_ACCOUNT_LIMIT),
    help="How long a failure counts; 0: as configured.",
)
@click.pass_obj
def set_limits(
    settings: CliContext, of_id: str, attempt_failure_count: int | None, attempt_failure_expiry_ms: int | None
) -> None:
    """Show or set an account's own limits for its hooks."""

    def work(connection: Connection) -> AccountLimits:
        if not accounts.exists(connection, of_id):
            raise accounts.UnknownAccount(of_id)
        known = limits.get(connection, of_id)
        wanted = AccountLimits(
            _chosen(attempt_failure_count, known.attempt_failure_count),
            _chosen(attempt_failure_expiry_ms, known.attempt_failure_expiry_ms),
        )
        if wanted != known:
            limits.put(connection, of_id, wanted)
        return wanted

    for name, value in asdict(settings.write(work)).items():
        click.echo(f"{name}: {'as configured' if value is None else value}")


def _chosen(given: int | None, known: int | None) -> int | None:
    return known if given is None else given or None


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
