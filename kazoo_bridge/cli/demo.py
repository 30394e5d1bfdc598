"""``kazoo-bridge demo``."""

from __future__ import annotations

import math

import click

from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.demo import MAX_ACCOUNTS, MAX_CALLS_PER_MINUTE, DemoOptions

_USUAL = DemoOptions()


def _finite(_context: click.Context, _option: click.Parameter, value: float) -> float:
    # Not-a-number is in every range of click's.
    if math.isnan(value):
        raise click.BadParameter("expected a number")
    return value


@click.command()
@click.option(
    "--calls-per-minute",
    type=click.FloatRange(0, MAX_CALLS_PER_MINUTE, min_open=True),
    callback=_finite,
    default=_USUAL.calls_per_minute,
    show_default=True,
    help="How many calls begin in a minute, on average.",
)
@click.option(
    "--accounts",
    type=click.IntRange(2, MAX_ACCOUNTS),
    default=_USUAL.accounts,
    show_default=True,
    help="How many accounts there are: a reseller and its sub-accounts.",
)
@click.option(
    "--max-calls",
    type=click.IntRange(1),
    default=_USUAL.max_calls,
    show_default=True,
    help="The most calls at a time.",
)
@click.option(
    "--seed",
    type=int,
    help="The same number gives the same people and the same lots. Without it, others each time.",
)
@click.pass_obj
def demo(
    settings: CliContext, calls_per_minute: float, accounts: int, max_calls: int, seed: int | None
) -> None:
    """Run the service together with a simulated switchboard.

    The switchboard makes calls, answers who asks for them, and obeys commands: hang-up, transfer, hold, parking and the rest. Faxes, text
    messages and changed users come along. A web server prints the hooks that it receives.
    """
    # Only the demo needs all of the service and a reactor.
    from kazoo_bridge.demo import run

    run(settings.config_path, DemoOptions(calls_per_minute, accounts, max_calls, seed))
