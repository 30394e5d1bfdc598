"""``kazoo-bridge hook``."""

from __future__ import annotations

import sys
from typing import Any

import click

from kazoo_bridge.cli.context import CliContext, account_option, check_hook_id
from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import StorageUnavailable


@click.group()
def hook() -> None:
    """Try out hooks."""


@hook.command()
@account_option("The account that owns the hook.")
@click.option(
    "--id",
    "hook_id",
    metavar="ID",
    callback=check_hook_id,
    required=True,
    help="The hook, enabled or not.",
)
@click.pass_obj
def test(context: CliContext, account: str, hook_id: str) -> None:
    """Send a sample to a hook and print the response; exit with code 1 unless it is a success.

    The node need not run.
    """
    config = context.config()
    results: list[dict[str, Any] | str] = []

    # Here, because only this command needs a reactor.
    from twisted.internet.task import react

    def main(reactor: Any) -> Any:
        from twisted.internet.defer import Deferred

        return Deferred.fromCoroutine(_send(reactor, config, account, hook_id)).addCallback(results.append)

    try:
        react(main)
    except SystemExit as exit_:
        if exit_.code:
            raise
    (result,) = results
    if isinstance(result, str):
        raise click.ClickException(result)
    click.echo(f"{result['method'].upper()} {result['uri']}")
    click.echo(result.get("client_error") or f"answered {result['resp_status_code']}")
    if str(result.get("client_error")).startswith("EgressDenied"):
        click.echo("egress.allowed_networks in the configuration permits networks that are not public")
    click.echo(result["result"])
    if result["result"] != "success":
        sys.exit(1)


async def _send(reactor: Any, config: Config, account_id: str, hook_id: str) -> dict[str, Any] | str:
    """Send the sample; return the attempt, or the reason why there is none."""
    from kazoo_bridge.node.assembly import build_node

    node = build_node(reactor, config)
    try:
        await node.load()
        stored = await node.webhooks.hooks.get(account_id, hook_id)
        if stored is None:
            return f"account {account_id} has no hook {hook_id}"
        attempt = await node.webhooks.sample_sender.send(stored)
        await node.webhooks.recorder.flush()
    except StorageUnavailable as error:
        return f"{'couchdb.uri' if str(error).startswith('CouchDB') else 'storage.uri'}: {error}"
    else:
        return attempt
    finally:
        await node.close()
