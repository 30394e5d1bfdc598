"""Writes the manual page of the command `kazoo-bridge` from its help.

python -m tools.man_page > kazoo-bridge.1
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from kazoo_bridge import __version__
from kazoo_bridge.cli import main as kazoo_bridge

FILES = (
    ("/etc/kazoo-bridge/kazoo-bridge.toml", "The configuration of the service."),
    ("/var/lib/kazoo-bridge", "The service's data, such as an SQLite database."),
)


def render(command: click.Command, name: str, version: str) -> str:
    """Return the page of a command and all its subcommands, in roff's man macros."""
    context = click.Context(command, info_name=name)
    return "\n".join(
        [
            f'.TH {_quoted(name.upper())} 1 "" {_quoted(f"{name} {version}")} "User Commands"',
            ".SH NAME",
            rf"{_escaped(name)} \- {_escaped(_first_sentence(command))}",
            ".SH SYNOPSIS",
            *_synopsis(context),
            ".SH DESCRIPTION",
            *_text(command),
            ".SH OPTIONS",
            *_options(context),
            ".SH COMMANDS",
            *(line for subcommand in _subcommands(context) for line in _section(subcommand)),
            ".SH ENVIRONMENT",
            ".TP",
            r"\fBKAZOO_BRIDGE__SECTION__KEY\fR",
            "Overrides a key of the configuration.",
            ".SH FILES",
            *(line for path, text in FILES for line in (".TP", rf"\fI{_escaped(path)}\fR", _escaped(text))),
            ".SH EXIT STATUS",
            "0 when the command is done, 1 when it was refused, 2 for wrong usage.",
            "",
        ]
    )


def _subcommands(context: click.Context) -> Iterator[click.Context]:
    """Yield the context of each command below `context` that does something itself, in order of names."""
    group = context.command
    if not isinstance(group, click.Group):
        yield context
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is not None and not command.hidden:
            yield from _subcommands(click.Context(command, info_name=name, parent=context))


def _section(context: click.Context) -> Iterator[str]:
    yield f".SS {_quoted(context.command_path.partition(' ')[2])}"
    yield from _synopsis(context)
    yield ".PP"
    yield from _text(context.command)
    yield from _options(context)


def _synopsis(context: click.Context) -> Iterator[str]:
    usage = " ".join(context.command.collect_usage_pieces(context))
    yield rf"\fB{_escaped(context.command_path)}\fR {_escaped(usage)}"


def _text(command: click.Command) -> Iterator[str]:
    for number, paragraph in enumerate((command.help or "").replace("\b", "").strip().split("\n\n")):
        if number:
            yield ".PP"
        yield _escaped(" ".join(paragraph.split()))


def _options(context: click.Context) -> Iterator[str]:
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if isinstance(parameter, click.Option) and record is not None:
            names, text = record
            yield ".TP"
            yield rf"\fB{_escaped(names)}\fR"
            yield _escaped(" ".join(text.split()))


def _first_sentence(command: click.Command) -> str:
    return (command.help or "").strip().partition(".")[0]


def _quoted(text: str) -> str:
    return '"' + _escaped(text).replace('"', r"\(dq") + '"'


def _escaped(text: str) -> str:
    """Return text without characters that roff would interpret, or not know."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    escaped = "".join(one if one.isascii() else rf"\[u{ord(one):04X}]" for one in escaped)
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped


if __name__ == "__main__":
    sys.stdout.write(render(kazoo_bridge, "kazoo-bridge", __version__))
