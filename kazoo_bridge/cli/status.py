"""``kazoo-bridge status``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import click

from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.cli.nodes import url_option, use_nodes
from kazoo_bridge.cli.output import json_option, print_json, print_table, to_cell
from kazoo_bridge.log_escaping import escape_for_log

#: The columns for people, and the key of each in the status.
_COLUMNS = {
    "NODE": "node",
    "VERSION": "version",
    "QUEUE": "queue_messages",
    "WAITING": "deliveries_pending",
    "HELD": "deliveries_held",
    "DEAD": "deliveries_dead",
    "HOOKS": "hooks_enabled",
    "SUSPENDED": "hooks_suspended",
    "SOCKETS": "sockets",
}

_MIB = 1024 * 1024


@click.command()
@url_option
@json_option
@click.pass_obj
def status(context: CliContext, url: str | None, as_json: bool) -> None:
    """Show the status of all nodes.

    Exit code 1 unless one answers and all that answer are ready.
    """
    nodes = use_nodes(context, url, lambda nodes: nodes.statuses())
    if as_json:
        print_json(list(nodes))
    elif nodes:
        print_table(
            [*_COLUMNS, "MEMORY", "UP", "READY"],
            [[to_cell(node.get(key)) for key in _COLUMNS.values()] + _more(node) for node in nodes],
        )
        for node in nodes:
            for kind in ("problems", "degraded"):
                for reason in node.get(kind) or ():
                    click.echo(escape_for_log(f"{node.get('node')}: {kind.removesuffix('s')}: {reason}"))
    if not nodes:
        raise click.ClickException("no node answers: none runs on this broker, or it is an older version")
    if not all(node.get("ready") for node in nodes):
        sys.exit(1)


def _more(node: Mapping[str, Any]) -> list[str]:
    memory, uptime = node.get("memory_bytes"), node.get("uptime_s")
    return [
        f"{memory // _MIB} MiB" if isinstance(memory, int) else "-",
        duration(uptime) if isinstance(uptime, int) else "-",
        "yes" if node.get("ready") else "no",
    ]


def duration(seconds: int) -> str:
    """Return a time in its largest unit: ``5 d``, ``3 h``, ``7 min``, ``9 s``."""
    for unit, size in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
