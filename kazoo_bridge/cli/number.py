"""``kazoo-bridge number``."""

from __future__ import annotations

import time

import click

from kazoo_bridge.cli.context import CliContext, account_option
from kazoo_bridge.storage import phone_numbers


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
