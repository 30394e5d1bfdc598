"""``kazoo-bridge api-key``."""

from __future__ import annotations

import time

import click

from kazoo_bridge.cli.context import CliContext, account_id, read_secret
from kazoo_bridge.storage import tokens


@click.group(name="api-key")
def api_key() -> None:
    """API keys: what programs exchange for a token of one hour."""


@api_key.command()
@click.option(
    "--account", "owner", metavar="ID", callback=account_id, required=True, help="Whom the key speaks for."
)
@click.pass_obj
def create(settings: CliContext, owner: str) -> None:
    """Create an API key and print it. It is not kept, and so cannot be shown again."""
    click.echo(settings.write(lambda connection: tokens.create_api_key(connection, owner, time.time())))


@api_key.command()
@click.argument("secret", metavar="KEY")
@click.pass_obj
def revoke(settings: CliContext, secret: str) -> None:
    """Make KEY invalid; - reads it from standard input. Tokens that it has given stay valid until they expire."""
    given = read_secret(secret)
    if not settings.write(lambda connection: tokens.revoke_api_key(connection, given, time.time())):
        raise click.ClickException("there is no such API key")
    click.echo("revoked")
