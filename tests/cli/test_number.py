from pathlib import Path

from click.testing import CliRunner

from kazoo_bridge.cli import main
from tests.cli.harness import A, B, CliHarness


def test_the_digits_of_an_added_number_are_printed_alone(cli: CliHarness) -> None:
    cli.run("account", "create", "--id", A)
    assert cli.lines("number", "add", "--account", A, "+47 22 55 50 19") == ["4722555019"]
    assert cli.lines("number", "list") == [f"4722555019  {A}"]


def test_rejected_numbers(cli: CliHarness) -> None:
    assert "no account" in cli.error("number", "add", "--account", A, "+4722555019")
    cli.run("account", "create", "--id", A)
    cli.run("number", "add", "--account", A, "+4722555019")
    assert A in cli.error("number", "add", "--account", A, "4722555019")
    assert "digits" in cli.error("number", "add", "--account", A, "reception")


def test_numbers_are_removed(cli: CliHarness) -> None:
    cli.run("account", "create", "--id", A)
    cli.run("number", "add", "--account", A, "+4722555019")
    assert cli.lines("number", "remove", "+47 22555019") == ["removed number 4722555019"]
    assert "no account owns number 4722555019" in cli.error("number", "remove", "+4722555019")
    assert cli.lines("number", "list") == []


def _write(tmp_path: Path, *lines: str) -> str:
    file = tmp_path / "numbers.csv"
    file.write_text("\n".join(lines))
    return str(file)


def test_numbers_are_imported_from_a_file(cli: CliHarness, tmp_path: Path) -> None:
    cli.run("account", "create", "--id", A)
    cli.run("number", "add", "--account", A, "+4722555019")
    file = _write(tmp_path, "account_id,number", f"{A},+47 22 55 50 19", "", f'{A},"+1 (415) 886-7900"')
    expected = "1 numbers, 1 unchanged, 0 refused"
    assert cli.lines("number", "import", file, "--dry-run") == [f"would import {expected}"]
    assert len(cli.lines("number", "list")) == 1
    assert cli.lines("number", "import", file) == [f"imported {expected}"]
    assert cli.lines("number", "list") == [f"14158867900  {A}", f"4722555019  {A}"]
    assert cli.lines("number", "import", file) == ["imported 0 numbers, 2 unchanged, 0 refused"]


def test_national_numbers_are_imported_with_their_region(cli: CliHarness, tmp_path: Path) -> None:
    cli.run("account", "create", "--id", A)
    file = _write(tmp_path, f"22 55 50 19,{A}", f"+14158867900,{A}")
    cli.run("number", "import", file, "--region", "NO")
    assert cli.lines("number", "list") == [f"14158867900  {A}", f"4722555019  {A}"]
    assert "ISO 3166" in cli.error("number", "import", file, "--region", "Norway", exit_code=2)


def test_lines_that_cannot_be_imported_are_listed(cli: CliHarness, tmp_path: Path) -> None:
    cli.run("account", "create", "--id", A)
    cli.run("account", "create", "--id", B)
    cli.run("number", "add", "--account", B, "+4722555020")
    file = _write(
        tmp_path,
        f"+4722555019,{A}",
        f"reception,{A}",
        "+4722555021",
        f"+4722555022,{'c' * 32}",
        f"+4722555020,{A}",
        f"4722555019,{A}",
        "+4722555023,Solberg",
    )
    lines = cli.error("number", "import", file).splitlines()
    assert [line.partition(":")[0] for line in lines] == [f"line {n}" for n in range(2, 8)] + ["Error"]
    assert "6 lines cannot be imported, so none was" in lines[-1]
    assert cli.lines("number", "list") == [f"4722555020  {B}"]
    result = CliRunner().invoke(main, ["number", "import", file, "--skip-invalid", "--move"])
    assert result.exit_code == 1
    assert result.stdout == "imported 2 numbers, 0 unchanged, 5 refused\n"
    assert cli.lines("number", "list") == [f"4722555019  {A}", f"4722555020  {A}"]
