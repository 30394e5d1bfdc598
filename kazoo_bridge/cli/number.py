"""``kazoo-bridge number``."""

from __future__ import annotations

import time

import click

from kazoo_bridge.cli.context import CliContext, account_id
from kazoo_bridge.storage import phone_numbers


@click.group()
def number() -> None:
    """Telephone numbers: calls to them belong to their owners, where the switch does not say whose a call is."""


@number.command()
@click.option(
    "--account", "owner", metavar="ID", callback=account_id, required=True, help="Whose number it is."
)
@click.argument("digits", metavar="NUMBER")
@click.pass_obj
def add(settings: CliContext, owner: str, digits: str) -> None:
    """Say whose NUMBER is, and print it as it is kept: nothing but its digits, with the country's first."""
    click.echo(
        settings.write(lambda connection: phone_numbers.insert(connection, owner, digits, time.time()))
    )


@number.command()
@click.argument("digits", metavar="NUMBER")
@click.pass_obj
def remove(settings: CliContext, digits: str) -> None:
    """NUMBER is nobody's any more."""
    click.echo(settings.write(lambda connection: phone_numbers.delete(connection, digits, time.time())))


@number.command(name="list")
@click.pass_obj
def list_numbers(settings: CliContext) -> None:
    """List all numbers with their owners."""
    for digits, owner in settings.read(phone_numbers.select_all).items():
        click.echo(f"{digits}  {owner}")
