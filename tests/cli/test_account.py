from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.harness import A, B, CliHarness


def test_the_id_of_a_created_account_is_printed_alone(cli: CliHarness) -> None:
    assert cli.lines("account", "create", "--id", A) == [A]
    assert re.fullmatch("[0-9a-f]{32}", cli.create("account", "create"))


def test_accounts_are_listed(cli: CliHarness) -> None:
    cli.run("account", "create", "--id", A, "--name", "Tøp", "--realm", "Top.Example.com", "--superadmin")
    child = cli.create("account", "create", "--parent", A)
    lines = [line.split() for line in cli.lines("account", "list")]
    assert lines[0] == ["ID", "PARENT", "NAME", "REALM", "SUPERADMIN"]
    assert sorted(lines[1:]) == sorted(
        [[A, "-", "Tøp", "top.example.com", "yes"], [child, A, "-", "-", "no"]]
    )


def test_rejected_accounts(cli: CliHarness) -> None:
    cli.run("account", "create", "--id", A)
    assert "already" in cli.error("account", "create", "--id", A)
    assert "to be the parent" in cli.error("account", "create", "--parent", B)
    assert len(cli.lines("account", "list")) == 2


def test_accounts_are_deleted(cli: CliHarness) -> None:
    cli.run("account", "create", "--id", A)
    cli.run("account", "create", "--id", B, "--parent", A)
    assert "sub-accounts" in cli.error("account", "delete", "--id", A)
    assert cli.lines("account", "delete", "--id", B) == [B]
    assert "no account" in cli.error("account", "delete", "--id", B)
    cli.run("account", "delete", "--id", A)
    assert len(cli.lines("account", "list")) == 1


def test_an_account_is_disabled_and_enabled(cli: CliHarness) -> None:
    cli.run("account", "create", "--id", A)
    states = []
    for command in ("disable", "disable", "enable"):
        assert cli.lines("account", command, "--id", A) == [A]
        states.append('"enabled":true' in cli.lines("export")[1])
    assert states == [False, False, True]
    assert "no account" in cli.error("account", "disable", "--id", B)


def test_limits_are_set_one_by_one_and_removed(cli: CliHarness) -> None:
    cli.run("account", "create", "--id", A)
    unset = ["attempt_failure_count: as configured", "attempt_failure_expiry_ms: as configured"]
    limits = ("account", "limits", "--id", A)
    assert cli.lines(*limits) == unset
    cli.run(*limits, "--attempt-failure-count", "3")
    cli.run(*limits, "--attempt-failure-expiry-ms", "500")
    assert cli.lines(*limits) == ["attempt_failure_count: 3", "attempt_failure_expiry_ms: 500"]
    cli.run(*limits, "--attempt-failure-count", "0", "--attempt-failure-expiry-ms", "0")
    assert cli.lines(*limits) == unset


def test_limits_of_an_unknown_account(cli: CliHarness) -> None:
    assert "no account" in cli.error("account", "limits", "--id", A)


@pytest.mark.parametrize("text", ["2.0", "true", "nan", "-1", "604800001", "9" * 30])
@pytest.mark.parametrize("option", ["--attempt-failure-count", "--attempt-failure-expiry-ms"])
def test_invalid_limits(cli: CliHarness, option: str, text: str) -> None:
    cli.run("account", "create", "--id", A)
    error = cli.error("account", "limits", "--id", A, option, text, exit_code=2)
    assert f"Invalid value for '{option}'" in error


@pytest.mark.parametrize(
    "arguments",
    [
        ["account", "create", "--id", "A" * 32],
        ["account", "create", "--id", "a" * 31],
        ["account", "create", "--parent", "x"],
        ["account", "delete"],
        ["account", "limits", "--id", "x"],
    ],
)
def test_wrong_usage_changes_nothing(cli: CliHarness, arguments: list[str], tmp_path: Path) -> None:
    cli.run(*arguments, exit_code=2)
    assert list(tmp_path.iterdir()) == []
