"""``kazoo-bridge deliveries``: what waits for receivers, or was given up, of all accounts."""

from __future__ import annotations

import time

import click
from sqlalchemy import Connection

from kazoo_bridge.cli.context import CliContext, hook_owner_filter
from kazoo_bridge.cli.output import json_option, print_list, utc_time
from kazoo_bridge.log_escaping import escape_for_log
from kazoo_bridge.storage.operations import (
    recover_deliveries,
    retry_deliveries,
    select_deliveries,
    select_ids,
)

#: The columns for people.
_COLUMNS = ("id", "status", "attempts", "next_attempt", "event", "hook_id", "account_id", "reason")

#: Unchecked: hooks that events bring have ids of other forms, such as ``callflow``.
hook_filter = click.option("--hook", metavar="ID", help="Only those of this hook.")


@click.group()
def deliveries() -> None:
    """List stored deliveries, and try them again."""


@deliveries.command(name="list")
@click.option(
    "--status",
    type=click.Choice(["pending", "held", "dead"]),
    help="Only these: pending (tried again), held (until the hook is enabled), dead (given up).",
)
@hook_owner_filter
@hook_filter
@click.option(
    "--count", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many."
)
@json_option
@click.pass_obj
def list_deliveries(
    context: CliContext, status: str | None, account: str | None, hook: str | None, count: int, as_json: bool
) -> None:
    """List deliveries, newest first. Payloads are not shown."""
    found = context.read(lambda connection: select_deliveries(connection, status, account, hook, count))
    records = [
        {
            "id": one.delivery.id,
            "status": one.status,
            "attempts": one.delivery.attempts,
            "created": utc_time(one.delivery.created),
            "changed": utc_time(one.changed_at),
            "next_attempt": utc_time(one.next_attempt) if one.status == "pending" else None,
            "event": one.delivery.event,
            "event_id": one.delivery.event_id,
            "hook_id": one.delivery.hook_id,
            "account_id": one.delivery.account_id,
            "reason": one.reason,
        }
        for one in found
    ]
    print_list(records, _COLUMNS, as_json=as_json)


@deliveries.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@click.pass_obj
def retry(context: CliContext, ids: tuple[str, ...]) -> None:
    """Try these deliveries again now, waiting or dead, with every retry before them."""
    wanted = set(ids)

    def work(connection: Connection) -> tuple[set[str], int]:
        unknown = wanted - select_ids(connection, wanted)
        return unknown, retry_deliveries(connection, wanted, time.time())

    unknown, count = context.write(work)
    if unknown:
        names = escape_for_log(", ".join(sorted(unknown)))
        raise click.ClickException(f"not stored: {names}; {count} deliveries are tried again")
    click.echo(f"{count} deliveries are tried again")


@deliveries.command()
@click.option(
    "--hours",
    metavar="HOURS",
    type=click.FloatRange(0, min_open=True),
    help="Only deliveries given up in the last HOURS hours.",
)
@hook_owner_filter
@hook_filter
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_obj
def recover(
    context: CliContext, hours: float | None, account: str | None, hook: str | None, yes: bool
) -> None:
    """Try dead deliveries again now.

    Those of hooks that are disabled stay dead, unless --hook names the hook: they are then held until it is
    enabled.
    """
    if not yes and account is None and hook is None:
        click.confirm("try the dead deliveries of all accounts again?", abort=True, err=True)
    now = time.time()
    since = 0.0 if hours is None else now - hours * 3600
    stored = context.config().webhooks.source == "storage"
    count = context.write(
        lambda connection: recover_deliveries(connection, account, hook, since, now, hooks_are_stored=stored)
    )
    click.echo(f"{count} deliveries are tried again")
