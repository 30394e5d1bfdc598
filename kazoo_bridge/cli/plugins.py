"""``kazoo-bridge plugins``: the event categories."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import click

import kazoo_bridge.plugins
from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.cli.new_plugin import new
from kazoo_bridge.cli.output import json_option, print_list, print_warning, shorten_list
from kazoo_bridge.cli.plugin_problems import PluginProblems, collect_problems
from kazoo_bridge.interfaces import IEventCategory
from kazoo_bridge.log_escaping import escape_for_log
from kazoo_bridge.plugins.discovery import built_in_categories, find_categories


@click.group()
def plugins() -> None:
    """List event categories, and write and check new ones."""


plugins.add_command(new)


@plugins.command(name="list")
@json_option
@click.pass_obj
def list_plugins(context: CliContext, as_json: bool) -> None:
    """List all event categories, built in, installed, and of plugins.path.

    What is left out is printed with the reason to stderr, and the exit code is then 1. Mistakes in categories
    that work are printed there as warnings.
    """
    path = context.config().plugins.path
    built_in = {category.name for category in built_in_categories()}
    with collect_problems() as problems:
        categories = find_categories(path)
    records = [_record(category, built_in=category.name in built_in) for category in categories]
    print_list(records, ("name", "built_in", "hooks", "bindings"), as_json=as_json)
    _print_problems(problems)
    if problems.errors:
        sys.exit(1)


@plugins.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def check(file: Path) -> None:
    """Check FILE as a node would check it in plugins.path; exit code 1 if it, or a part of it, is left out.

    Checking runs the FILE.
    """
    if file.suffix != ".py" or not file.stem.isidentifier():
        raise click.ClickException(
            f"{file.name}: expected a name that Python can import: letters, digits and _, and .py at the end"
        )
    with collect_problems():
        before = {category.name for category in find_categories()}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / file.name).write_bytes(file.read_bytes())
        with collect_problems() as problems:
            found = [one for one in find_categories(folder) if one.name not in before]
        kazoo_bridge.plugins.__path__.remove(folder)
    for category in found:
        record = _record(category, built_in=False)
        click.echo(escape_for_log(f"category {record['name']}: hooks {record['hooks'] or '-'}"))
        click.echo(escape_for_log(f"  bindings {record['bindings'] or '-'}"))
    for lines in (problems.warnings, problems.errors):
        lines[:] = [line.replace(folder, str(file.parent)) for line in lines]
    _print_problems(problems)
    if problems.errors or not found:
        sys.exit(1)


def _record(category: IEventCategory, *, built_in: bool) -> dict[str, Any]:
    bindings: Any = getattr(category, "bindings", ())
    return {
        "name": category.name,
        "built_in": built_in,
        "hooks": ", ".join(hook.id for hook in category.hooks),
        "bindings": shorten_list(bindings),
    }


def _print_problems(problems: PluginProblems) -> None:
    for text in problems.warnings:
        print_warning(text)
    for text in problems.errors:
        click.echo(text, err=True)
