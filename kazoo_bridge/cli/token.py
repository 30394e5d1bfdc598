"""``kazoo-bridge token``."""

from __future__ import annotations

import time

import click

from kazoo_bridge.cli.context import CliContext, account_id, read_secret
from kazoo_bridge.storage import tokens

_CENTURY = 100 * 365 * 86400


@click.group()
def token() -> None:
    """Tokens: what REST requests and websockets show."""


@token.command()
@click.option(
    "--account", "owner", metavar="ID", callback=account_id, required=True, help="Whom the token speaks for."
)
@click.option(
    "--ttl",
    type=click.IntRange(1, _CENTURY),
    metavar="SECONDS",
    help="How long it is valid; for ever if not given.",
)
@click.pass_obj
def create(settings: CliContext, owner: str, ttl: int | None) -> None:
    """Create a token and print it. It is not kept, and so cannot be shown again."""
    issued = settings.write(lambda connection: tokens.create(connection, owner, ttl, time.time()))
    click.echo(issued.token)


@token.command()
@click.argument("secret", metavar="TOKEN")
@click.pass_obj
def revoke(settings: CliContext, secret: str) -> None:
    """Make TOKEN invalid; - reads it from standard input, which keeps it out of the process list."""
    given = read_secret(secret)
    if not settings.write(lambda connection: tokens.revoke(connection, given, time.time())):
        raise click.ClickException("there is no such token; it may have expired")
    click.echo("revoked")
