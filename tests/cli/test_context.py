from __future__ import annotations

import io
import sqlite3
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from kazoo_bridge.cli import context, main
from kazoo_bridge.cli.context import STORAGE_VARIABLE
from kazoo_bridge.storage.engine import open_engine
from tests.cli.harness import STORAGE_URI, A, CliHarness, lookup_token


def test_the_configured_storage_is_used(
    cli: CliHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "good.toml").write_text('[storage]\nuri = "sqlite:///other.sqlite3"\n')
    cli.run("--config", "good.toml", "account", "create", "--id", A)
    assert [path.name for path in tmp_path.glob("*.sqlite3")] == ["other.sqlite3"]
    monkeypatch.setenv("KAZOO_BRIDGE__STORAGE__URI", "sqlite:///third.sqlite3")
    assert A not in cli.run("--config", "good.toml", "account", "list").stdout


def test_a_wrong_configuration_prints_one_line_per_error_and_creates_no_storage(
    cli: CliHarness, tmp_path: Path
) -> None:
    (tmp_path / "bad.toml").write_text("[http]\nendpoint = 5\nport = 1\n[nonsense]\n")
    error = cli.error("--config", "bad.toml", "account", "list")
    assert len(error.splitlines()) == 3
    for name in ("http.endpoint", "http.port", "nonsense"):
        assert name in error
    assert list(tmp_path.glob("*.sqlite3")) == []


def test_a_storage_that_cannot_be_used(
    cli: CliHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "kazoo-bridge.sqlite3").write_bytes(b"hardly a database " * 100)
    assert "is not an SQLite database" in cli.error("account", "list")
    monkeypatch.setenv("KAZOO_BRIDGE__STORAGE__URI", "sqlite:///")
    assert "storage.uri" in cli.error("account", "list")


def test_a_database_of_a_newer_version(cli: CliHarness) -> None:
    cli.run("account", "list")
    with sqlite3.connect("kazoo-bridge.sqlite3") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "does not know" in cli.error("account", "list")


def test_a_secret_is_the_first_line_of_standard_input(cli: CliHarness) -> None:
    cli.run("account", "create", "--id", A)
    token = cli.create("token", "create", "--account", A)
    assert cli.lines("token", "revoke", "-", stdin=f"  {token}  \nanother line\n") == ["revoked"]
    assert lookup_token(token, 0.0) is None


def invoke(*arguments: str, stdin: str = "") -> Result:
    return CliRunner().invoke(main, [*arguments, "account", "create", "--id", A], input=stdin)


def test_a_database_that_no_configuration_names_is_announced(
    cli: CliHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "USUAL_PLACES", ())
    created = invoke()
    assert (created.exit_code, created.stdout) == (0, f"{A}\n")
    assert created.stderr.startswith("warning: without --config ")
    assert f"new database, {tmp_path}/kazoo-bridge.sqlite3" in created.stderr
    # It exists now, and is used without a word.
    assert "already" in invoke().stderr
    assert "warning" not in invoke().stderr


def test_beside_a_configuration_no_other_database_is_created_without_a_wish(
    cli: CliHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = tmp_path / "usual.toml"
    monkeypatch.setattr(context, "USUAL_PLACES", (str(usual),))
    usual.touch()
    refused = invoke()
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert f"without --config {usual} this is a new database" in refused.stderr
    assert list(tmp_path.glob("*.sqlite3")) == []
    assert invoke("--yes").stderr == ""


def test_a_database_that_is_named_is_created_without_a_word(
    cli: CliHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bridge.toml").write_text('[storage]\nuri = "sqlite:///named.sqlite3"\n')
    assert invoke("--config", "bridge.toml").stderr == ""
    monkeypatch.setenv(STORAGE_VARIABLE, "sqlite:///other.sqlite3")
    assert invoke().stderr == ""


def test_on_a_terminal_the_command_asks(
    cli: CliHarness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "USUAL_PLACES", (str(tmp_path / "usual.toml"),))
    (tmp_path / "usual.toml").touch()
    engine = open_engine(STORAGE_URI)
    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    with pytest.raises(click.Abort):
        context.CliContext(None)._announce_new(engine)
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    allowed = context.CliContext(None)
    allowed._announce_new(engine)
    assert allowed.may_create


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
