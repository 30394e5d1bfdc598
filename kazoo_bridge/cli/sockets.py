"""``kazoo-bridge sockets``: the connected websockets and event streams of all nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from kazoo_bridge.cli.context import CliContext, check_account_id
from kazoo_bridge.cli.nodes import Nodes, url_option, use_nodes
from kazoo_bridge.cli.output import json_option, print_list, shorten_list, utc_time
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.kazoo import from_gregorian

#: The columns for people.
_COLUMNS = ("websocket_session_id", "account_id", "connected", "bindings", "name", "node")


@click.group()
def sockets() -> None:
    """List connected clients, and close them."""


@sockets.command(name="list")
@click.option(
    "--account",
    metavar="ID",
    callback=check_account_id,
    help="Only those of this account; an embedded bus needs it.",
)
@url_option
@json_option
@click.pass_obj
def list_sockets(context: CliContext, account: str | None, url: str | None, as_json: bool) -> None:
    """List the clients that are connected to any node."""
    found = [dict(one) for one in use_nodes(context, url, lambda nodes: nodes.sockets(account))]
    rows = [dict.fromkeys(_COLUMNS) | one | _for_people(one) for one in found]
    print_list(found if as_json else rows, _COLUMNS, as_json=as_json)


@sockets.command()
@click.argument("socket_id", metavar="ID")
@click.option("--account", metavar="ID", callback=check_account_id, help="The account of the client.")
@url_option
@click.pass_obj
def close(context: CliContext, socket_id: str, account: str | None, url: str | None) -> None:
    """Close the connection of the client ID, its address and port. The client may connect again."""

    async def work(nodes: Nodes) -> bool:
        owner = account
        if owner is None:
            found = [one for one in await nodes.sockets(None) if one.get("websocket_session_id") == socket_id]
            owner = found[0].get("account_id") if found else None
        return owner is not None and await nodes.close_socket(str(owner), socket_id)

    if not use_nodes(context, url, work):
        raise click.ClickException(f"there is no client {socket_id} of an account")
    click.echo(socket_id)


def _for_people(socket: Mapping[str, Any]) -> dict[str, Any]:
    timestamp = to_integer(socket.get("timestamp"))
    bindings = socket.get("bindings") or []
    return {
        "connected": None if timestamp is None else utc_time(from_gregorian(timestamp)),
        "bindings": shorten_list([str(binding) for binding in bindings]),
    }
