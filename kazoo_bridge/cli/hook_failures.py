"""``kazoo-bridge hooks failures`` and ``flush``: what disables hooks, of all accounts."""

from __future__ import annotations

import time

import click
from sqlalchemy import Connection

from kazoo_bridge.cli.context import CliContext, check_hook_id, hook_owner_filter
from kazoo_bridge.cli.output import json_option, print_list, utc_time
from kazoo_bridge.config import Webhooks
from kazoo_bridge.interfaces import AccountLimits
from kazoo_bridge.storage.hooks import find
from kazoo_bridge.storage.operations import count_failures, flush_failures
from kazoo_bridge.storage.transfer import select_limits


@click.command()
@hook_owner_filter
@json_option
@click.pass_obj
def failures(context: CliContext, account: str | None, as_json: bool) -> None:
    """List hooks with failures that count, and after how many each is disabled."""
    config = context.config().webhooks
    found = context.read(lambda connection: _failures(connection, config, time.time()))
    records = [one for one in found if account in (None, one["account_id"])]
    columns = ("hook_id", "account_id", "failures", "limit", "window_s", "last")
    print_list(records, columns, as_json=as_json)


def _failures(connection: Connection, config: Webhooks, now: float) -> list[dict[str, object]]:
    limits = select_limits(connection)
    windows = {one.attempt_failure_expiry_ms or config.attempt_failure_expiry_ms for one in limits.values()}
    records: list[dict[str, object]] = []
    for window in sorted(windows | {config.attempt_failure_expiry_ms}):
        for account_id, hook_id, revision, number, last in count_failures(connection, now - window / 1000):
            own = limits.get(account_id, AccountLimits())
            if window != (own.attempt_failure_expiry_ms or config.attempt_failure_expiry_ms):
                continue
            hook = find(connection, hook_id)
            # Failures of a former revision do not count. Hooks of CouchDB are not in the storage.
            if config.source == "storage" and (hook is None or hook.revision != revision):
                continue
            records.append(
                {
                    "hook_id": hook_id,
                    "account_id": account_id,
                    "failures": number,
                    "limit": own.attempt_failure_count or config.attempt_failure_count,
                    "window_s": window / 1000,
                    "last": utc_time(last),
                }
            )
    return records


@click.command()
@hook_owner_filter
@click.option("--hook", metavar="ID", callback=check_hook_id, help="Only those of this hook.")
@click.pass_obj
def flush(context: CliContext, account: str | None, hook: str | None) -> None:
    """Let the failures so far not count: no hook is disabled because of them. Attempts stay recorded."""
    count = context.write(lambda connection: flush_failures(connection, account, hook, 0.0))
    click.echo(f"{count} failures do not count any more")
