"""``kazoo-bridge number``."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import click
from sqlalchemy import Connection

from kazoo_bridge.cli.context import CliContext, account_option
from kazoo_bridge.cli.number_file import NumberLine, read_number_file
from kazoo_bridge.config.validators import check_region
from kazoo_bridge.storage import accounts, phone_numbers
from kazoo_bridge.storage.accounts import UnknownAccount

#: Numbers of one transaction: a node that writes at the same time waits for it.
BATCH_SIZE = 500


@click.group()
def number() -> None:
    """Manage phone numbers.

    A call to a number belongs to its owner if the switch names no account for the call.
    """


@number.command()
@account_option("The account that owns the number.")
@click.argument("digits", metavar="NUMBER")
@click.pass_obj
def add(context: CliContext, account: str, digits: str) -> None:
    """Add NUMBER, with its country code, to an account and print it as it is stored: digits only."""
    click.echo(
        context.write(lambda connection: phone_numbers.insert(connection, account, digits, time.time()))
    )


@number.command()
@click.argument("digits", metavar="NUMBER")
@click.pass_obj
def remove(context: CliContext, digits: str) -> None:
    """Remove NUMBER from its account."""
    removed = context.write(lambda connection: phone_numbers.delete(connection, digits, time.time()))
    click.echo(f"removed number {removed}")


@number.command(name="list")
@click.pass_obj
def list_numbers(context: CliContext) -> None:
    """List all numbers with the ids of their accounts."""
    for digits, owner in context.read(phone_numbers.select_all).items():
        click.echo(f"{digits}  {owner}")


def _check_region(context: click.Context, option: click.Parameter, value: str) -> str:
    try:
        check_region(value)
    except ValueError as error:
        raise click.BadParameter(str(error), context, option) from None
    return value


@number.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option(
    "--region",
    default="",
    callback=_check_region,
    help="The country (such as NO) of numbers without +; without it, they have their country code.",
)
@click.option("--move", is_flag=True, help="Numbers of other accounts, too, get the account of the file.")
@click.option("--skip-invalid", is_flag=True, help="Import the other lines if some cannot be.")
@click.option("--dry-run", is_flag=True, help="Change nothing; say what would be done.")
@click.pass_obj
def import_numbers(
    context: CliContext, file: Path, region: str, move: bool, skip_invalid: bool, dry_run: bool
) -> None:
    """Import numbers from a CSV FILE (- for standard input) with lines NUMBER,ACCOUNT.

    A first line with the names of the columns may change their order. If lines cannot be imported, none is,
    and each is printed with its reason.
    """
    lines, errors = read_number_file(file, region)
    owners, known = context.read(
        lambda connection: (
            phone_numbers.select_all(connection),
            {account.id for account in accounts.select_all(connection)},
        )
    )
    wanted: list[NumberLine] = []
    for line in lines:
        owner = owners.get(line.digits)
        if line.account_id not in known:
            errors.append((line.number, str(UnknownAccount(line.account_id))))
        elif owner not in (None, line.account_id) and not move:
            errors.append((line.number, f"account {owner} owns number {line.digits} already (see --move)"))
        else:
            wanted.append(line)
    for line_number, error in sorted(errors):
        click.echo(f"line {line_number}: {error}", err=True)
    new = [line for line in wanted if owners.get(line.digits) != line.account_id]
    if errors and not skip_invalid and not dry_run:
        raise click.ClickException(f"{len(errors)} lines cannot be imported, so none was")
    for start in range(0, 0 if dry_run else len(new), BATCH_SIZE):
        context.write(partial(_assign, lines=new[start : start + BATCH_SIZE], move=move))
    counts = f"{len(new)} numbers, {len(wanted) - len(new)} unchanged, {len(errors)} refused"
    click.echo(f"{'would import' if dry_run else 'imported'} {counts}")
    if errors:
        sys.exit(1)


def _assign(connection: Connection, *, lines: Sequence[NumberLine], move: bool) -> None:
    for line in lines:
        phone_numbers.assign(connection, line.account_id, line.digits, time.time(), move=move)
