"""``kazoo-bridge token`` and ``kazoo-bridge api-key``."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import orjson
from sqlalchemy import Connection

from kazoo_bridge.cli.context import CliContext, account_filter, account_option, check_account_id, read_secret
from kazoo_bridge.cli.output import json_option, print_list, utc_time
from kazoo_bridge.interfaces import TokenRestrictions
from kazoo_bridge.storage import tokens
from kazoo_bridge.storage.transfer import StoredCredential, select_credentials

#: Digits of a SHA-256 that a list shows: enough to tell credentials apart.
_SHOWN_DIGITS = 16

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


@token.command(name="list")
@account_filter
@json_option
@click.pass_obj
def list_tokens(context: CliContext, account: str | None, as_json: bool) -> None:
    """List the tokens that are valid, by the beginning of the SHA-256 of each."""
    columns = ("sha256", "account_id", "created", "expires", "restricted", "of_api_key")
    print_list(_listed(context, "token", account), columns, as_json=as_json)


@token.command(name="revoke")
@click.argument("secret", metavar="TOKEN", required=False)
@click.option("--account", metavar="ID", callback=check_account_id, help="Instead: all tokens of an account.")
@click.option("--yes", is_flag=True, help="With --account: do not ask.")
@click.pass_obj
def revoke_token(context: CliContext, secret: str | None, account: str | None, yes: bool) -> None:
    """Revoke TOKEN. With -, read it from standard input, so that no process list shows it."""
    if (secret is None) == (account is None):
        raise click.UsageError("expected either a TOKEN or --account")
    if secret is not None:
        _revoke(context, "token", secret, tokens.revoke)
        return
    owner = str(account)
    if not yes:
        click.confirm(f"revoke all tokens of account {owner}?", abort=True, err=True)
    count = context.write(lambda connection: tokens.revoke_of_account(connection, owner, time.time()))
    click.echo(f"revoked {count} tokens")


@click.group(name="api-key")
def api_key() -> None:
    """Manage API keys, with which programs get a token that is valid for one hour."""


@api_key.command(name="create")
@account_option("The account that the API key authenticates.")
@click.pass_obj
def create_api_key(context: CliContext, account: str) -> None:
    """Create an API key and print it. It is not stored and cannot be shown again."""
    click.echo(context.write(lambda connection: tokens.create_api_key(connection, account, time.time())))


@api_key.command(name="list")
@account_filter
@json_option
@click.pass_obj
def list_api_keys(context: CliContext, account: str | None, as_json: bool) -> None:
    """List API keys, by the beginning of the SHA-256 of each."""
    print_list(_listed(context, "api_key", account), ("sha256", "account_id", "created"), as_json=as_json)


@api_key.command(name="revoke")
@click.argument("secret", metavar="KEY")
@click.pass_obj
def revoke_api_key(context: CliContext, secret: str) -> None:
    """Revoke KEY.

    With -, read it from standard input. Tokens created with it end too.
    """
    _revoke(context, "API key", secret, tokens.revoke_api_key)


def _listed(context: CliContext, kind: str, account_id: str | None) -> list[dict[str, Any]]:
    now = time.time()
    stored = context.read(lambda connection: list(select_credentials(connection)))
    return [
        _for_people(one)
        for one in sorted(stored, key=lambda one: (one.account_id, one.created))
        if one.kind == kind
        and account_id in (None, one.account_id)
        and (one.expires is None or one.expires > now)
    ]


def _for_people(credential: StoredCredential) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "sha256": credential.digest[:_SHOWN_DIGITS],
        "account_id": credential.account_id,
        "created": utc_time(credential.created),
    }
    if credential.kind == "api_key":
        return shown
    return shown | {
        "expires": utc_time(credential.expires),
        "restricted": credential.restrictions is not None,
        "restrictions": credential.restrictions,
        "of_api_key": None if credential.api_key is None else credential.api_key[:_SHOWN_DIGITS],
    }


def _revoke(
    context: CliContext, what: str, argument: str, revoke: Callable[[Connection, str, float], bool]
) -> None:
    secret = read_secret(argument, f"the {what} to revoke")
    if not context.write(lambda connection: revoke(connection, secret, time.time())):
        raise click.ClickException(f"there is no such {what}; it may have expired or been revoked")
    click.echo("revoked")
