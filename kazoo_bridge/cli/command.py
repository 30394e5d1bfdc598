"""The command itself and its global options."""

from __future__ import annotations

import click

from kazoo_bridge import __version__
from kazoo_bridge.cli.account import account
from kazoo_bridge.cli.api_key import api_key
from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.cli.demo import demo
from kazoo_bridge.cli.hook import hook
from kazoo_bridge.cli.number import number
from kazoo_bridge.cli.token import token


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_path",
    metavar="FILE",
    help="The service's TOML file. Without it, the service's defaults.",
)
@click.version_option(__version__, prog_name="kazoo-bridge")
@click.pass_context
def main(context: click.Context, config_path: str | None) -> None:
    """Manage kazoo_bridge. What is created is printed alone on the last line.

    A running service on the same storage follows within a second.
    """
    context.obj = CliContext(config_path)


@main.group()
def config() -> None:
    """The configuration."""


@config.command()
@click.pass_obj
def check(settings: CliContext) -> None:
    """Say whether the configuration is fine; else one line per mistake."""
    settings.config()
    click.echo("configuration is fine")


main.add_command(account)
main.add_command(token)
main.add_command(api_key)
main.add_command(hook)
main.add_command(number)
main.add_command(demo)
