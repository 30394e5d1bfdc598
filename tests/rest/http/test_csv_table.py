from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from kazoo_bridge.rest.http.csv_table import MAX_CELLS, csv_table, prefers_csv


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("text/csv", True),
        ("TEXT/CSV; charset=utf-8", True),
        ("text/csv, */*;q=0.1", True),
        ("text/csv, application/json", True),
        ("application/json, text/csv", False),
        ("application/json;q=0.5, text/csv", True),
        ("text/csv;q=0.5, application/json", False),
        ("text/csv;q=0", False),
        ("text/csv;q=x", False),
        ("", False),
        ("*/*", False),
        ("text/*", False),
        ("application/json", False),
    ],
)
def test_which_clients_prefer_csv(accept: str, expected: bool) -> None:
    assert prefers_csv(accept) is expected


def cells(rows: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(csv_table(rows).decode())))


def test_a_table_has_all_keys_of_all_rows() -> None:
    rows = [{"b": 1, "a": "x,y"}, {"c": {"d": True, "e": {"f": None}}, "a": 'say "Žofie"\nnow'}]
    assert cells(rows) == [
        ["a", "b", "c.d", "c.e.f"],
        ["x,y", "1", "", ""],
        ['say "Žofie"\nnow', "", "true", ""],
    ]


def test_without_rows_there_is_nothing() -> None:
    assert csv_table([]) == b""


def test_lists_and_what_is_nested_deeper_are_json() -> None:
    assert cells([{"a": [1, "x"], "b": {"c": {"d": {"e": {"f": 1}}}}}]) == [
        ["a", "b.c.d.e"],
        ['[1,"x"]', '{"f":1}'],
    ]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1-1", "'+1-1"),
        ("-x", "'-x"),
        ("+4722555019", "+4722555019"),
        (-1.5, "-1.5"),
        ("plain", "plain"),
        # In other countries a semicolon separates cells, whatever stands in quotation marks.
        ("a;=1+1;+x;b", "a;'=1+1;'+x;b"),
        ("a\n@b", "a\n'@b"),
        ("a=b; c-d;", "a=b; c-d;"),
        ("\ud800", "?"),
    ],
)
def test_no_cell_is_a_formula(value: Any, shown: str) -> None:
    assert cells([{"a": value}]) == [["a"], [shown]]


def test_keys_of_one_row_each_do_not_multiply() -> None:
    rows = [{"id": row, "vars": {f"{row}_{key}": "x" for key in range(50)}} for row in range(200)]
    table = csv_table(rows)
    assert len(rows) * len(rows) * 50 > MAX_CELLS
    assert len(table) < 250_000
    assert cells(rows)[0] == ["id", "vars"]
    assert json.loads(cells(rows)[7][1]) == rows[6]["vars"]
