"""``kazoo-bridge hook test`` without a node; ``tests/integration/test_nodes.py`` sends real samples."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.harness import A, B, CliHarness


@pytest.mark.parametrize("arguments", [[], ["--account", A], ["--id", B], ["--account", A, "--id", "x"]])
def test_wrong_usage_changes_nothing(cli: CliHarness, arguments: list[str], tmp_path: Path) -> None:
    cli.run("hook", "test", *arguments, exit_code=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("account", "hook", "text"),
    [(A, "x", "a hook id is 32 characters"), ("x", B, "an account id is 32 characters")],
)
def test_the_kind_of_a_wrong_id_is_named(cli: CliHarness, account: str, hook: str, text: str) -> None:
    assert text in cli.error("hook", "test", "--account", account, "--id", hook, exit_code=2)


def test_an_unknown_hook(tmp_path: Path) -> None:
    # A process of its own, because the command runs a reactor.
    command = [sys.executable, "-m", "kazoo_bridge.cli", "hook", "test", "--account", A, "--id", B]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"Error: account {A} has no hook {B}\n"


def test_a_storage_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "kazoo-bridge.sqlite3").write_bytes(b"hardly a database " * 100)
    command = [sys.executable, "-m", "kazoo_bridge.cli", "hook", "test", "--account", A, "--id", B]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "Error: storage.uri: the database file" in result.stderr
