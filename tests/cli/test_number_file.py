from pathlib import Path

import click
import pytest

from kazoo_bridge.cli import number_file
from kazoo_bridge.cli.number_file import NumberLine, parse_number_lines, read_number_file

A = "a" * 32


def test_a_first_line_may_name_the_columns() -> None:
    assert parse_number_lines(["Name,Account,E164", f"Solberg,{A},+4722555019"]) == (
        [NumberLine(2, "4722555019", A)],
        [],
    )


def test_a_number_may_be_there_once() -> None:
    _, errors = parse_number_lines([f"+4722555019,{A}", f"47 2255 5019,{A}"])
    assert errors == [(2, "the number is in line 1 already")]


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "numbers.csv"
    with pytest.raises(click.ClickException, match="cannot be read"):
        read_number_file(file)
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(click.ClickException, match="not UTF-8 at byte 0"):
        read_number_file(file)
    monkeypatch.setattr(number_file, "MAX_FILE_BYTES", 1)
    with pytest.raises(click.ClickException, match="split the file"):
        read_number_file(file)
