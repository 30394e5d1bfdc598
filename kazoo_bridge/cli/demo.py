"""``kazoo-bridge demo``."""

from __future__ import annotations

import math

import click

from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.demo import MAX_ACCOUNTS, MAX_CALLS_PER_MINUTE, DemoOptions

_DEFAULTS = DemoOptions()


def _check_number(_context: click.Context, _option: click.Parameter, value: float) -> float:
    # click's ranges accept not-a-number.
    if math.isnan(value):
        raise click.BadParameter("expected a number")
    return value


@click.command()
@click.option(
    "--calls-per-minute",
    type=click.FloatRange(0, MAX_CALLS_PER_MINUTE, min_open=True),
    callback=_check_number,
    default=_DEFAULTS.calls_per_minute,
    show_default=True,
    help="The average number of calls that begin in a minute.",
)
@click.option(
    "--accounts",
    type=click.IntRange(2, MAX_ACCOUNTS),
    default=_DEFAULTS.accounts,
    show_default=True,
    help="The number of accounts: a reseller and its sub-accounts.",
)
@click.option(
    "--max-calls",
    type=click.IntRange(1),
    default=_DEFAULTS.max_calls,
    show_default=True,
    help="The number of concurrent calls at most.",
)
@click.option(
    "--seed",
    type=int,
    help="The seed of the simulation: the same number gives the same accounts and calls. Default: random.",
)
@click.pass_obj
def demo(
    context: CliContext, calls_per_minute: float, accounts: int, max_calls: int, seed: int | None
) -> None:
    """Run a node together with a simulated switch.

    The switch makes calls, answers queries about them, and obeys commands: hang-up, transfer, hold, parking
    and the rest. It also sends faxes and text messages, and changes users. A web server prints the hooks
    that it receives.
    """
    # Here, because only this command needs the whole node and a reactor.
    from kazoo_bridge.demo.runner import main

    main(context.config_path, DemoOptions(calls_per_minute, accounts, max_calls, seed))
