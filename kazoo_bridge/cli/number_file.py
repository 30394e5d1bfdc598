"""Reads files of numbers and accounts, for ``kazoo-bridge number import``."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import BinaryIO

import click
from attrs import frozen

from kazoo_bridge.directory.dialling import region_to_e164
from kazoo_bridge.kazoo import dialled_number, is_account_id

#: Bytes of a file, of which a million numbers need about 50 MB.
MAX_FILE_BYTES = 256 * 1024**2

#: Names of the columns in a first line; without one, the number comes first.
_NUMBER_COLUMNS, _ACCOUNT_COLUMNS = {"number", "e164"}, {"account", "account_id"}


@frozen
class NumberLine:
    """A line that can be imported. `number` is that of the line, from 1; `digits` have the country code."""

    number: int
    digits: str
    account_id: str


def read_number_file(path: Path, region: str = "") -> tuple[list[NumberLine], list[tuple[int, str]]]:
    """Return the lines of a CSV file, and the numbers of those that cannot be used with the reasons.

    ``-`` is standard input. `region`: the country of numbers without ``+``; empty: they have country codes.
    Raises `click.ClickException` for a file that cannot be read.
    """
    name = "standard input" if str(path) == "-" else str(path)
    try:
        opened: AbstractContextManager[BinaryIO] = (
            nullcontext(sys.stdin.buffer) if str(path) == "-" else path.open("rb")
        )
        with opened as file:
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise click.ClickException(f"{name}: more than {MAX_FILE_BYTES} bytes; split the file")
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise click.ClickException(f"{name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise click.ClickException(f"{name}: not UTF-8 at byte {error.start}") from None
    return parse_number_lines(text.splitlines(), region)


def parse_number_lines(
    lines: Iterable[str], region: str = ""
) -> tuple[list[NumberLine], list[tuple[int, str]]]:
    """Return what `read_number_file` returns, of the lines of a text. Empty lines are left out."""
    parsed: list[NumberLine] = []
    errors: list[tuple[int, str]] = []
    seen: dict[str, int] = {}
    number_column, account_column = 0, 1
    for at, line in enumerate(lines, 1):
        try:
            cells = [cell.strip() for cell in next(csv.reader([line]), [])]
        except csv.Error as error:
            errors.append((at, f"not a line of CSV: {error}"))
            continue
        names = [cell.lower() for cell in cells]
        if at == 1 and _NUMBER_COLUMNS.intersection(names) and _ACCOUNT_COLUMNS.intersection(names):
            number_column = next(i for i, name in enumerate(names) if name in _NUMBER_COLUMNS)
            account_column = next(i for i, name in enumerate(names) if name in _ACCOUNT_COLUMNS)
            continue
        if not any(cells):
            continue
        try:
            digits, account_id = _parse_cells(cells, number_column, account_column, region)
            if digits in seen:
                raise ValueError(f"the number is in line {seen[digits]} already")
        except ValueError as error:
            errors.append((at, str(error)))
            continue
        seen[digits] = at
        parsed.append(NumberLine(at, digits, account_id))
    return parsed, errors


def _parse_cells(cells: list[str], number_column: int, account_column: int, region: str) -> tuple[str, str]:
    if len(cells) <= max(number_column, account_column):
        raise ValueError("expected a number and an account id, separated by a comma")
    dialled = dialled_number(cells[number_column])
    e164 = region_to_e164(dialled, region) if dialled is not None and region else dialled
    if e164 is None:
        raise ValueError(f"expected a number such as +4722555019, got {cells[number_column][:40]!r}")
    account_id = cells[account_column]
    if not is_account_id(account_id):
        raise ValueError(f"expected an account id of 32 characters, 0-9 and a-f, got {account_id[:40]!r}")
    return e164.removeprefix("+"), account_id
