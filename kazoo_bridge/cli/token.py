"""``kazoo-bridge token`` and ``kazoo-bridge api-key``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import click
import orjson
from sqlalchemy import Connection

from kazoo_bridge.cli.context import CliContext, account_option, read_secret
from kazoo_bridge.interfaces import TokenRestrictions
from kazoo_bridge.storage import tokens

_MAX_TTL = 100 * 365 * 86400  # seconds


@click.group()
def token() -> None:
    """Manage tokens, which authenticate REST requests and websockets."""


@token.command(name="create")
@account_option("The account that the token authenticates.")
@click.option(
    "--ttl",
    type=click.IntRange(1, _MAX_TTL),
    metavar="SECONDS",
    help="The validity of the token; without it, for ever.",
)
@click.option(
    "--restrictions",
    metavar="JSON|@FILE",
    callback=lambda context, option, value: _check_restrictions(context, option, value),
    help='The requests for which the token may be used, such as {"get": ["accounts/ID/webhooks/#"]}.',
)
@click.pass_obj
def create_token(context: CliContext, account: str, ttl: int | None, restrictions: str | None) -> None:
    """Create a token and print it. It is not stored and cannot be shown again."""
    issued = context.write(
        lambda connection: tokens.create(connection, account, ttl, time.time(), restrictions=restrictions)
    )
    click.echo(issued.token)


def _check_restrictions(context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return the JSON of restrictions, read from a file for ``@FILE``. Raises `click.BadParameter`."""
    if value is None:
        return None
    try:
        text = Path(value[1:]).read_text("utf-8") if value.startswith("@") else value
        restrictions = orjson.loads(text)
        TokenRestrictions.parse_strictly(restrictions)
    except OSError as error:
        raise click.BadParameter(f"{value[1:]} cannot be read: {error.strerror}", context, option) from None
    except ValueError as error:
        raise click.BadParameter(
            f'expected JSON such as {{"get": ["accounts/ID/webhooks/#"]}}, but {error}', context, option
        ) from None
    return orjson.dumps(restrictions).decode()


@token.command(name="revoke")
@click.argument("secret", metavar="TOKEN")
@click.pass_obj
def revoke_token(context: CliContext, secret: str) -> None:
    """Revoke TOKEN. With -, read it from standard input, so that no process list shows it."""
    _revoke(context, "token", secret, tokens.revoke)


@click.group(name="api-key")
def api_key() -> None:
    """Manage API keys, with which programs get a token that is valid for one hour."""


@api_key.command(name="create")
@account_option("The account that the API key authenticates.")
@click.pass_obj
def create_api_key(context: CliContext, account: str) -> None:
    """Create an API key and print it. It is not stored and cannot be shown again."""
    click.echo(context.write(lambda connection: tokens.create_api_key(connection, account, time.time())))


@api_key.command(name="revoke")
@click.argument("secret", metavar="KEY")
@click.pass_obj
def revoke_api_key(context: CliContext, secret: str) -> None:
    """Revoke KEY.

    With -, read it from standard input. Tokens created with it end too.
    """
    _revoke(context, "API key", secret, tokens.revoke_api_key)


def _revoke(
    context: CliContext, what: str, argument: str, revoke: Callable[[Connection, str, float], bool]
) -> None:
    secret = read_secret(argument)
    if not context.write(lambda connection: revoke(connection, secret, time.time())):
        raise click.ClickException(f"there is no such {what}; it may have expired or been revoked")
    click.echo("revoked")
