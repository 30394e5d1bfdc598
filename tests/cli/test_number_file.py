from io import BytesIO, TextIOWrapper
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


def test_a_line_that_is_no_csv_harms_no_other() -> None:
    lines = ["x" * 200_000, f"+4722555019,{A}", f"+4722555020\r,{A}"]
    parsed, errors = parse_number_lines(lines)
    assert parsed == [NumberLine(2, "4722555019", A)]
    assert [line for line, _ in errors] == [1, 3]
    assert errors[0][1].startswith("not a line of CSV: field larger than field limit")
    assert errors[1][1].startswith("not a line of CSV: ")


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


def test_standard_input_is_bounded_and_read_like_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(content: bytes) -> list[NumberLine]:
        monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(content), "ascii"))
        return read_number_file(Path("-"))[0]

    line = f"+4722555019,{A}\n".encode()
    assert read(b"\xef\xbb\xbf" + line) == [NumberLine(1, "4722555019", A)]
    with pytest.raises(click.ClickException, match="standard input: not UTF-8 at byte 0"):
        read(b"\xff" + line)
    monkeypatch.setattr(number_file, "MAX_FILE_BYTES", len(line) - 1)
    with pytest.raises(click.ClickException, match="standard input: more than"):
        read(line)
