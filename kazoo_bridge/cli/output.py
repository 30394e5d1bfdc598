"""How commands print lists: a table for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import click

from kazoo_bridge.log_escaping import escape_for_log

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows below the names of their columns. Control characters are escaped."""
    cells = [list(columns), *([escape_for_log(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def print_json(value: Any) -> None:
    """Print a JSON value."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def print_list(records: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool) -> None:
    """Print objects: whole as a JSON list, or the values of `columns` as a table."""
    if as_json:
        print_json([dict(record) for record in records])
    else:
        names = [column.upper().replace("_", " ") for column in columns]
        print_table(names, [[to_cell(record[column]) for column in columns] for record in records])


def to_cell(value: object) -> str:
    """Return a value for people; ``-`` for None and empty text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None or value == "" else str(value)


def shorten_list(texts: Sequence[str]) -> str:
    """Return the first three texts for people, and how many more there are."""
    return ", ".join(texts[:3]) + (f" and {len(texts) - 3} more" if texts[3:] else "")


def print_warning(text: str) -> None:
    """Print to stderr what is unwise, but no error."""
    click.echo(f"warning: {text}", err=True)


def utc_time(seconds: float | None) -> str | None:
    """Return Unix seconds as ISO 8601 in UTC; None for None, for what is no number or no calendar has."""
    try:
        return None if seconds is None else datetime.fromtimestamp(int(seconds), UTC).isoformat()
    except (OverflowError, TypeError, ValueError, OSError):
        return None
