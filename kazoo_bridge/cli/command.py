"""The ``kazoo-bridge`` command with its global options."""

from __future__ import annotations

import click

from kazoo_bridge import __version__
from kazoo_bridge.cli.account import account
from kazoo_bridge.cli.config import config
from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.cli.demo import demo
from kazoo_bridge.cli.hook import hook
from kazoo_bridge.cli.hooks import hooks
from kazoo_bridge.cli.new_plugin import plugins
from kazoo_bridge.cli.number import number
from kazoo_bridge.cli.token import api_key, token
from kazoo_bridge.cli.transfer import export_command, import_command


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_path",
    metavar="FILE",
    help="The node's TOML file. Without it, the node's defaults.",
)
@click.version_option(__version__, prog_name="kazoo-bridge")
@click.pass_context
def main(context: click.Context, config_path: str | None) -> None:
    """Manage kazoo_bridge. The id or secret of a created object is printed alone on the last line.

    A running node on the same storage follows within a second.
    """
    context.obj = CliContext(config_path)


for _command in (
    account,
    token,
    api_key,
    hook,
    hooks,
    number,
    plugins,
    export_command,
    import_command,
    config,
    demo,
):
    main.add_command(_command)
