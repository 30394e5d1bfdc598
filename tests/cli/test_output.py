from __future__ import annotations

import json
from typing import Any

import pytest

from kazoo_bridge.cli.output import print_list, print_table, shorten_list, to_cell, utc_time


def test_tables_have_no_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["ID", "NAME"], [["1", "a\x1b[31m"], ["long", ""]])
    assert capsys.readouterr().out == "ID    NAME\n1     a\\u001b[31m\nlong\n"


def test_lists(capsys: pytest.CaptureFixture[str]) -> None:
    records = [{"id": "x", "last_seen": None, "on": True, "more": [1]}]
    print_list(records, ["id", "last_seen", "on"], as_json=False)
    assert capsys.readouterr().out.splitlines() == ["ID  LAST SEEN  ON", "x   -          yes"]
    print_list(records, ["id"], as_json=True)
    assert json.loads(capsys.readouterr().out) == records


def test_values_for_people() -> None:
    assert [to_cell(value) for value in (None, "", False, 0, "x")] == ["-", "-", "no", "0", "x"]
    assert utc_time(1_000_000_000.9) == "2001-09-09T01:46:40+00:00"
    wrong: Any = ["a list"]
    assert (utc_time(None), utc_time(2.0**53), utc_time(wrong)) == (None, None, None)


def test_long_lists_are_shortened() -> None:
    assert shorten_list([]) == ""
    assert shorten_list(["a", "b", "c"]) == "a, b, c"
    assert shorten_list(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
