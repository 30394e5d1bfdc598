"""A group whose commands are imported when they are run: the help of the whole needs none of them."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import click
from attrs import frozen


@frozen
class LazyCommand:
    """Where a command is, as ``module:attribute``, and the first sentence of its help."""

    place: str
    help: str

    def load(self) -> click.Command:
        """Import the command."""
        module, _, attribute = self.place.partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command


class LazyGroup(click.Group):
    """A group of `LazyCommand` by name."""

    def __init__(self, *arguments: Any, lazy: Mapping[str, LazyCommand], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._lazy = lazy

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of all commands, sorted."""
        return sorted({*super().list_commands(context), *self._lazy})

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import and return the command; None if there is none of that name."""
        lazy = self._lazy.get(name)
        return super().get_command(context, name) if lazy is None else lazy.load()

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write names and help, without importing."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._lazy[name].help) for name in sorted(self._lazy)])
