"""``kazoo-node hook``."""

from __future__ import annotations

import sys
from typing import Any

import click

from kazoo_bridge.cli.context import CliContext, account_id
from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import StorageUnavailable


@click.group()
def hook() -> None:
    """Hooks: what accounts want sent where."""


@hook.command()
@click.option(
    "--account", "owner", metavar="ID", callback=account_id, required=True, help="Whose hook it is."
)
@click.option(
    "--id", "hook_id", metavar="ID", callback=account_id, required=True, help="The hook, enabled or not."
)
@click.pass_obj
def test(settings: CliContext, owner: str, hook_id: str) -> None:
    """Send a sample to a hook and tell what came back. The service need not run."""
    config = settings.config()
    outcomes: list[dict[str, Any] | str] = []

    # Only this needs a reactor.
    from twisted.internet.task import react

    def main(reactor: Any) -> Any:
        from twisted.internet.defer import Deferred

        return Deferred.fromCoroutine(_send(reactor, config, owner, hook_id)).addCallback(outcomes.append)

    try:
        react(main)
    except SystemExit as ended:
        if ended.code:
            raise
    (outcome,) = outcomes
    if isinstance(outcome, str):
        raise click.ClickException(outcome)
    click.echo(f"{outcome['method'].upper()} {outcome['uri']}")
    click.echo(outcome.get("client_error") or f"answered {outcome['resp_status_code']}")
    click.echo(outcome["result"])
    if outcome["result"] != "success":
        sys.exit(1)


async def _send(reactor: Any, config: Config, owner: str, hook_id: str) -> dict[str, Any] | str:
    """The attempt, or why there was none."""
    from kazoo_bridge.node.node import Node

    node = Node.from_config(reactor, config)
    try:
        await node.load()
        stored = await node.webhooks.hooks.get(owner, hook_id)
        if stored is None:
            return f"account {owner} has no hook {hook_id}"
        sent = await node.webhooks.sample_sender.send(stored)
        await node.webhooks.recorder.flush()
    except StorageUnavailable as error:
        return f"storage.uri: {error}"
    else:
        return sent
    finally:
        await node.close()
