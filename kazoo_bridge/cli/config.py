"""``kazoo-bridge config``."""

from __future__ import annotations

import json
import re
import sysconfig
from pathlib import Path
from typing import Any

import click
from attrs import fields

from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.cli.output import json_option, print_json, print_warning
from kazoo_bridge.cli.plugin_problems import collect_problems
from kazoo_bridge.config import Config

#: Stands for a secret.
MASK = "***"

#: Names of parameters of a URI whose values may be secret, such as ``password`` and ``sslpassword``.
_SECRET_PARAMETER = re.compile(r"(?i)([?&][^=&#]*(?:pass|secret|token|key)[^=&#]*=)[^&#]*")


@click.group()
def config() -> None:
    """Check and show the configuration."""


@config.command()
@click.pass_obj
def check(context: CliContext) -> None:
    """Check the configuration and the plugins; print one line per error, if there are any.

    Checking imports the files in plugins.path, as a node does.
    """
    checked = context.config(on_warning=print_warning)
    # Here, because the other commands of the group need no categories.
    from kazoo_bridge.plugins.discovery import find_categories

    with collect_problems() as problems:
        find_categories(checked.plugins.path)
    for text in problems.warnings:
        print_warning(text)
    if problems.errors:
        raise click.ClickException("\n".join(f"plugins.path: {text}" for text in problems.errors))
    click.echo("configuration is fine")


@config.command()
@json_option
@click.pass_obj
def show(context: CliContext, as_json: bool) -> None:
    """Show each key with the value that the node uses: of the environment, the file, or the default.

    The output is TOML. Secrets and the credentials of URIs are masked.
    """
    sections = shown_sections(context.config())
    if as_json:
        print_json(sections)
        return
    for number, (section, values) in enumerate(sections.items()):
        click.echo(f"{'' if number == 0 else chr(10)}[{section}]")
        for name, value in values.items():
            # JSON's texts, numbers, booleans and lists are TOML, too.
            click.echo(f"{name} = {json.dumps(value, ensure_ascii=False)}")


@config.command()
def examples() -> None:
    """Print the folder with examples: the configuration, units of systemd, HAProxy, containers, alerts."""
    folder = examples_folder()
    if folder is None:
        raise click.ClickException("this installation has no examples")
    click.echo(folder)


def examples_folder() -> Path | None:
    """Return the folder ``etc`` of a checkout, or what an installed wheel has of it; None without either."""
    candidates = (
        Path(__file__).resolve().parents[2] / "etc",
        Path(sysconfig.get_path("data")) / "share" / "kazoo-bridge",
    )
    return next((folder for folder in candidates if (folder / "kazoo-bridge.toml").is_file()), None)


def shown_sections(config: Config) -> dict[str, dict[str, Any]]:
    """Return the keys of each section with their values, without secrets."""
    return {
        section.name: {
            key.name: _shown(getattr(values, key.name), secret=not key.repr) for key in fields(type(values))
        }
        for section in fields(Config)
        for values in (getattr(config, section.name),)
    }


def _shown(value: Any, *, secret: bool) -> Any:
    if isinstance(value, tuple):
        return [_shown(item, secret=secret) for item in value]
    return mask_secret(value) if secret and isinstance(value, str) else value


def mask_secret(value: str) -> str:
    """Return a value that may be secret for display.

    Of a URI everything between scheme and host is masked, as are parameters that may be secret; several URIs
    are separated by commas. Anything else is masked as a whole, but for an empty text and a scheme alone.
    """
    if not value or re.fullmatch(r"\s*[a-z]+:\s*", value):
        return value
    if "://" not in value:
        return MASK
    # A password may have a comma: a part that is no URI by itself belongs to the one before.
    parts = re.split(r",(?=\s*[A-Za-z][A-Za-z0-9+.-]*://)", value)
    return ",".join(_mask_uri(part) for part in parts)


def _mask_uri(uri: str) -> str:
    scheme, separator, rest = uri.partition("://")
    # A path, such as that of an SQLite file, has no credentials.
    _, at, after = ("", "", "") if rest.startswith("/") else rest.rpartition("@")
    shown = f"{MASK}@{after}" if at else rest
    return scheme + separator + _SECRET_PARAMETER.sub(lambda found: found[1] + MASK, shown)
