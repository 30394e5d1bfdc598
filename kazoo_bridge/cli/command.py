"""The ``kazoo-bridge`` command with its global options."""

from __future__ import annotations

import click

from kazoo_bridge import __version__
from kazoo_bridge.cli.lazy_group import LazyCommand, LazyGroup

_CLI = "kazoo_bridge.cli"

#: The commands. What they need is imported when they run.
COMMANDS = {
    "account": LazyCommand(
        f"{_CLI}.account:account", "Manage accounts, which own hooks, numbers and subscriptions."
    ),
    "api-key": LazyCommand(
        f"{_CLI}.token:api_key",
        "Manage API keys, with which programs get a token that is valid for one hour.",
    ),
    "config": LazyCommand(f"{_CLI}.config:config", "Check and show the configuration."),
    "demo": LazyCommand(f"{_CLI}.demo:demo", "Run a node together with a simulated switch."),
    "db": LazyCommand(f"{_CLI}.db:db", "Look at the database, upgrade it, and copy it."),
    "deliveries": LazyCommand(f"{_CLI}.deliveries:deliveries", "List stored deliveries, and try them again."),
    "export": LazyCommand(
        f"{_CLI}.transfer:export_command",
        "Write accounts, limits, numbers and hooks to FILE as JSON lines; without FILE or with -, to stdout.",
    ),
    "hook": LazyCommand(f"{_CLI}.hook:hook", "Try out hooks."),
    "hooks": LazyCommand(f"{_CLI}.hooks:hooks", "List hooks, enable and disable them, and see what fails."),
    "import": LazyCommand(
        f"{_CLI}.transfer:import_command",
        "Import from KAZOO's CouchDB (couchdb.uri), or from a FILE that export has written (- for stdin).",
    ),
    "number": LazyCommand(f"{_CLI}.number:number", "Manage phone numbers."),
    "plugins": LazyCommand(f"{_CLI}.plugins:plugins", "List event categories, and write and check new ones."),
    "publish": LazyCommand(
        f"{_CLI}.publish:publish",
        "Publish one sample event on the broker, as KAZOO would, and print its Msg-ID.",
    ),
    "receive": LazyCommand(
        f"{_CLI}.receive:receive",
        "Receive webhooks: print each request, and whether its signature is valid, until Ctrl-C.",
    ),
    "sockets": LazyCommand(f"{_CLI}.sockets:sockets", "List connected clients, and close them."),
    "status": LazyCommand(f"{_CLI}.status:status", "Show the status of all nodes."),
    "tail": LazyCommand(f"{_CLI}.tail:tail", "Print events as they happen, until Ctrl-C."),
    "token": LazyCommand(
        f"{_CLI}.token:token", "Manage tokens, which authenticate REST requests and websockets."
    ),
    "trace": LazyCommand(f"{_CLI}.trace:trace", "Show what happened to an event, a call or a delivery."),
}


@click.group(
    cls=LazyGroup,
    lazy=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--config",
    "config_path",
    metavar="FILE",
    help="The node's TOML file. Without it, the node's defaults.",
)
@click.option(
    "--yes",
    "may_create",
    is_flag=True,
    help="Create a database that no configuration names without asking.",
)
@click.version_option(__version__, prog_name="kazoo-bridge")
@click.pass_context
def main(context: click.Context, config_path: str | None, may_create: bool) -> None:
    """Manage and ask kazoo_bridge. The id or secret of a created object is printed alone on the last line.

    A running node on the same storage follows within a second.
    """
    # Here, because --help needs no storage.
    from kazoo_bridge.cli.context import CliContext

    context.obj = CliContext(config_path, may_create)
