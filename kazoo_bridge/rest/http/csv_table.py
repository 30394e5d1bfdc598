"""Lists as tables: comma-separated values, for clients that prefer ``text/csv``."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

CSV_TYPE = "text/csv"

#: Columns with a flattened key of more levels are one column with JSON.
_MAX_LEVELS = 4

#: Cells of a table whose nested objects have columns of their own. Customers choose the keys of some, and
#: each makes the line of every row longer.
MAX_CELLS = 500_000

_JSON_TYPE = "application/json"

#: Where a spreadsheet may see the beginning of a formula: at the beginning of a cell, and within it behind
#: what separates cells and lines in other countries.
_FORMULA = re.compile("(?:^|(?<=[;\t\r\n]))(?=[=@\t\r+-])")

_NUMBER = re.compile(r"[+-][0-9]*\.?[0-9]+")


def prefers_csv(accept: str) -> bool:
    """Return whether the value of an ``Accept`` header asks for CSV, and not rather for JSON.

    CSV must be named: ``*/*`` means JSON. Of equal qualities the first type is preferred.
    """
    csv_quality, json_quality = 0.0, 0.0
    for item in accept.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        quality = _quality(parameters)
        if name == CSV_TYPE and quality > json_quality:
            csv_quality = max(csv_quality, quality)
        elif name == _JSON_TYPE and quality > csv_quality:
            json_quality, csv_quality = quality, 0.0
    return csv_quality > 0


def _quality(parameters: Sequence[str]) -> float:
    for parameter in parameters:
        if parameter.startswith("q="):
            try:
                return min(max(float(parameter[2:]), 0.0), 1.0)
            except ValueError:
                return 0.0
    return 1.0


def csv_table(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a table in UTF-8, with a line of column names.

    The columns are all keys of the rows, sorted; those of nested objects are joined by a dot, like in KAZOO
    (``kz_csv``), unless the table has more than `MAX_CELLS` cells then: nested objects are JSON instead, like
    lists. Without rows the result is empty.
    """
    if not rows:
        return b""
    flat: list[Mapping[str, Any]] = [dict(_flatten(row)) for row in rows]
    names = {name for row in flat for name in row}
    if len(names) * len(rows) > MAX_CELLS:
        flat, names = list(rows), {name for row in rows for name in row}
    columns = sorted(names)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(map(_cell, columns))
    writer.writerows([_cell(row.get(name)) for name in columns] for row in flat)
    return text.getvalue().encode("utf-8", "replace")


def _flatten(value: Mapping[str, Any], prefix: str = "", level: int = 1) -> Iterator[tuple[str, Any]]:
    for name, item in value.items():
        if isinstance(item, dict) and level < _MAX_LEVELS:
            yield from _flatten(item, f"{prefix}{name}.", level + 1)
        else:
            yield f"{prefix}{name}", item


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list | tuple):
        value = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    text = str(value)
    if text.isalnum():
        return text  # most are
    # Callers choose their names: a spreadsheet must not take one for a formula. A telephone number is none.
    return text if _NUMBER.fullmatch(text) else _FORMULA.sub("'", text)
