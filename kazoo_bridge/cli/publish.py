"""``kazoo-bridge publish``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

import click

from kazoo_bridge.cli.context import CliContext, check_account_id
from kazoo_bridge.cli.nodes import connected_bus
from kazoo_bridge.cli.output import print_json
from kazoo_bridge.cli.sample_events import NoMessage, SampleMessage, find_hook_type, make_message
from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import BusUnavailable, HookType, IBus
from kazoo_bridge.node.parts import is_embedded
from kazoo_bridge.storage import accounts


def _check_values(
    _context: click.Context, _option: click.Parameter, values: Sequence[str]
) -> Mapping[str, str]:
    wanted = {}
    for value in values:
        name, equals, text = value.partition("=")
        if not equals:
            raise click.BadParameter(f"expected KEY=VALUE, got {value!r}")
        wanted[name] = text
    return wanted


@click.command()
@click.argument("sample", metavar="SAMPLE")
@click.option(
    "--account",
    metavar="ID",
    callback=check_account_id,
    help="The account of the event; not needed if the storage has only one.",
)
@click.option(
    "--where",
    metavar="KEY=VALUE",
    multiple=True,
    callback=_check_values,
    help="Of several samples, the one with this value, such as event=add-member.",
)
@click.option("--dry-run", is_flag=True, help="Print the message, and publish nothing.")
@click.pass_obj
def publish(
    context: CliContext, sample: str, account: str | None, where: Mapping[str, str], dry_run: bool
) -> None:
    """Publish one sample event on the broker, as KAZOO would, and print its Msg-ID.

    SAMPLE is the id of a hook type, or of a sample in GET /v2/webhooks/samples, such as channel_create. The
    hooks of the account fire, and its websockets receive the event.
    """
    from kazoo_bridge.plugins.discovery import find_categories

    config = context.config()
    if is_embedded(config) and not dry_run:
        raise click.ClickException(
            "amqp.uri is embedded: no other process reaches the bus of the node; use a broker,"
            " kazoo-bridge demo, or kazoo-bridge hook test"
        )
    try:
        category, hook_type = find_hook_type(find_categories(config.plugins.path), sample)
        chosen = _choose(hook_type, where)
        message = make_message(category, hook_type, chosen, account or _only_account(context), time.time())
    except NoMessage as error:
        raise click.ClickException(str(error)) from None
    if dry_run:
        print_json(
            {"exchange": message.exchange, "routing_key": message.routing_key, "body": dict(message.body)}
        )
        return
    from kazoo_bridge.cli.reactor import run

    run(lambda reactor: _publish(reactor, config, message))
    click.echo(message.routing_key)
    click.echo(message.body["Msg-ID"])


def _choose(hook_type: HookType, where: Mapping[str, str]) -> Mapping[str, Any]:
    for sample in hook_type.samples:
        if all(str(sample.get(name)) == value for name, value in where.items()):
            return sample
    wanted = " and ".join(f"{name}={value}" for name, value in where.items())
    raise NoMessage(f"no sample of {hook_type.id} has {wanted}" if where else f"{hook_type.id} has no sample")


def _only_account(context: CliContext) -> str:
    found = context.read(accounts.select_all)
    if len(found) != 1:
        raise click.UsageError(f"expected --account: the storage has {len(found)} accounts")
    return found[0].id


async def _publish(reactor: Any, config: Config, message: SampleMessage) -> None:
    async with connected_bus(reactor, config) as bus:
        try:
            await cast(IBus, bus).publish(message.exchange, message.routing_key, message.body)
        except BusUnavailable as error:
            raise click.ClickException(f"amqp.uri: {error}") from None
