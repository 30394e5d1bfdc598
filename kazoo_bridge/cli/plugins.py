"""``kazoo-bridge plugins``: the event categories."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

import kazoo_bridge.plugins
from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.cli.new_plugin import new
from kazoo_bridge.cli.output import json_option, print_list
from kazoo_bridge.interfaces import IEventCategory
from kazoo_bridge.log_escaping import escape_for_log
from kazoo_bridge.plugins.discovery import built_in_categories, find_categories

#: Levels of log messages that are problems of plugins.
_PROBLEMS = (LogLevel.warn, LogLevel.error, LogLevel.critical)


@click.group()
def plugins() -> None:
    """List event categories, and write and check new ones."""


plugins.add_command(new)


@plugins.command(name="list")
@json_option
@click.pass_obj
def list_plugins(context: CliContext, as_json: bool) -> None:
    """List all event categories, built in, installed, and of plugins.path.

    What is left out is printed with the reason to stderr, and the exit code is then 1.
    """
    path = context.config().plugins.path
    built_in = {category.name for category in built_in_categories()}
    with _problems() as problems:
        categories = find_categories(path)
    records = [_record(category, built_in=category.name in built_in) for category in categories]
    print_list(records, ("name", "built_in", "hooks", "bindings"), as_json=as_json)
    _exit_with(problems)


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
    with _problems():
        before = {category.name for category in find_categories()}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / file.name).write_bytes(file.read_bytes())
        with _problems() as problems:
            found = [one for one in find_categories(folder) if one.name not in before]
        kazoo_bridge.plugins.__path__.remove(folder)
    for category in found:
        record = _record(category, built_in=False)
        click.echo(escape_for_log(f"category {record['name']}: hooks {record['hooks'] or '-'}"))
        click.echo(escape_for_log(f"  bindings {record['bindings'] or '-'}"))
    _exit_with([problem.replace(folder, str(file.parent)) for problem in problems])


def _record(category: IEventCategory, *, built_in: bool) -> dict[str, Any]:
    bindings: Any = getattr(category, "bindings", ())
    return {
        "name": category.name,
        "built_in": built_in,
        "hooks": ", ".join(hook.id for hook in category.hooks),
        "bindings": ", ".join(bindings[:3]) + (f" and {len(bindings) - 3} more" if bindings[3:] else ""),
    }


@contextmanager
def _problems() -> Iterator[list[str]]:
    """Collect what is logged about plugins meanwhile."""
    problems: list[str] = []

    @implementer(ILogObserver)
    def observe(event: LogEvent) -> None:
        if event.get("log_level") in _PROBLEMS:
            failure = event.get("log_failure")
            reason = "" if failure is None else f": {failure.type.__name__}: {failure.getErrorMessage()}"
            problems.append((formatEvent(event) or "").strip() + reason)

    globalLogPublisher.addObserver(observe)
    try:
        yield problems
    finally:
        globalLogPublisher.removeObserver(observe)


def _exit_with(problems: list[str]) -> None:
    for problem in problems:
        click.echo(escape_for_log(problem), err=True)
    if problems:
        sys.exit(1)
