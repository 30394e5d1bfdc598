"""The ``kazoo-bridge`` command."""

import re
import sqlite3
import subprocess
import sys
import types
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from kazoo_bridge.cli import main
from kazoo_bridge.demo import DemoOptions
from kazoo_bridge.storage import engine, migrate, tokens

A, B = "a" * 32, "b" * 32


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str, stdin: str = "", exit_code: int = 0) -> Result:
        result = CliRunner().invoke(main, arguments, input=stdin)
        assert result.exit_code == exit_code, result.output
        assert bool(result.stderr) == (exit_code != 0)
        assert exit_code == 0 or not result.stdout
        return result

    return run


def last_line(result: Result) -> str:
    return result.stdout.splitlines()[-1]


def test_accounts(run) -> None:
    assert (
        last_line(
            run("account", "create", "--id", A, "--name", "Tøp", "--realm", "Top.Example.com", "--superadmin")
        )
        == A
    )
    random_id = last_line(run("account", "create", "--parent", A))
    assert re.fullmatch("[0-9a-f]{32}", random_id)
    lines = [line.split() for line in run("account", "list").stdout.splitlines()]
    assert lines[0] == ["ID", "PARENT", "NAME", "REALM", "SUPERADMIN"]
    assert sorted(lines[1:]) == sorted(
        [[A, "-", "Tøp", "top.example.com", "yes"], [random_id, A, "-", "-", "no"]]
    )


def test_refusals(run) -> None:
    run("account", "create", "--id", A)
    assert "already" in run("account", "create", "--id", A, exit_code=1).stderr
    assert "to be the parent" in run("account", "create", "--parent", B, exit_code=1).stderr
    assert "no account" in run("token", "create", "--account", B, exit_code=1).stderr
    assert "no account" in run("api-key", "create", "--account", B, exit_code=1).stderr
    assert "no such token" in run("token", "revoke", "unknown", exit_code=1).stderr
    assert "no such API key" in run("api-key", "revoke", "unknown", exit_code=1).stderr
    assert len(run("account", "list").stdout.splitlines()) == 2


def test_accounts_are_deleted(run) -> None:
    run("account", "create", "--id", A)
    run("account", "create", "--id", B, "--parent", A)
    assert "sub-accounts" in run("account", "delete", "--id", A, exit_code=1).stderr
    assert last_line(run("account", "delete", "--id", B)) == B
    assert "no account" in run("account", "delete", "--id", B, exit_code=1).stderr
    run("account", "delete", "--id", A)
    assert len(run("account", "list").stdout.splitlines()) == 1


def test_numbers(run) -> None:
    assert "no account" in run("number", "add", "--account", A, "+4722555019", exit_code=1).stderr
    run("account", "create", "--id", A)
    assert last_line(run("number", "add", "--account", A, "+47 22 55 50 19")) == "4722555019"
    assert A in run("number", "add", "--account", A, "4722555019", exit_code=1).stderr
    assert "digits" in run("number", "add", "--account", A, "reception", exit_code=1).stderr
    assert run("number", "list").stdout.split() == ["4722555019", A]
    run("number", "remove", "+4722555019")
    assert "nobody" in run("number", "remove", "+4722555019", exit_code=1).stderr
    assert run("number", "list").stdout == ""


def test_limits_of_an_account(run) -> None:
    assert "no account" in run("account", "limits", "--id", A, exit_code=1).stderr
    run("account", "create", "--id", A)
    unset = ["attempt_failure_count: as configured", "attempt_failure_expiry_ms: as configured"]
    assert run("account", "limits", "--id", A).stdout.splitlines() == unset
    run("account", "limits", "--id", A, "--attempt-failure-count", "3")
    run("account", "limits", "--id", A, "--attempt-failure-expiry-ms", "500")
    assert run("account", "limits", "--id", A).stdout.splitlines() == [
        "attempt_failure_count: 3",
        "attempt_failure_expiry_ms: 500",
    ]
    run("account", "limits", "--id", A, "--attempt-failure-count", "0", "--attempt-failure-expiry-ms", "0")
    assert run("account", "limits", "--id", A).stdout.splitlines() == unset


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["account", "create", "--id", "A" * 32],
        ["account", "create", "--id", "a" * 31],
        ["account", "create", "--parent", "x"],
        ["token", "create"],
        ["token", "create", "--account", A, "--ttl", "0"],
        ["token", "create", "--account", A, "--ttl", "soon"],
        ["token", "revoke"],
        ["token", "revoke", "-"],
        ["token", "revoke", ""],
    ],
)
def test_usage_errors(run, arguments: list[str], tmp_path: Path) -> None:
    run(*arguments, exit_code=2)
    assert list(tmp_path.iterdir()) == []


def lookup(token: str, now: float) -> object:
    opened = engine.open_engine("sqlite:///kazoo-bridge.sqlite3")
    found = engine.in_transaction(
        opened, lambda connection: tokens.lookup(connection, tokens.secret_digest(token), now), writing=False
    )
    opened.dispose()
    return found


def test_tokens(run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("account", "create", "--id", A)
    monkeypatch.setattr("time.time", lambda: 1000.0)
    lasting, short = (
        last_line(run("token", "create", "--account", A)),
        last_line(run("token", "create", "--account", A, "--ttl", "60")),
    )
    assert re.fullmatch("[0-9a-f]{64}", lasting)
    assert lasting != short
    assert lookup(short, 1059.9) is not None
    assert lookup(short, 1060.0) is None
    assert lookup(lasting, 1e12) is not None
    run("token", "revoke", lasting)
    assert lookup(lasting, 1059.9) is None
    run("token", "revoke", "-", stdin=f"{short}\n")
    assert lookup(short, 1059.9) is None
    run("token", "revoke", short, exit_code=1)


def test_api_keys(run) -> None:
    run("account", "create", "--id", A)
    api_key = last_line(run("api-key", "create", "--account", A))
    run("token", "revoke", api_key, exit_code=1)
    run("api-key", "revoke", "-", stdin=api_key)
    run("api-key", "revoke", api_key, exit_code=1)


def test_config_check(run, tmp_path: Path) -> None:
    assert run("config", "check").stdout == "configuration is fine\n"
    (tmp_path / "bad.toml").write_text("[http]\nendpoint = 5\nport = 1\n[nonsense]\n")
    stderr = run("--config", "bad.toml", "config", "check", exit_code=1).stderr
    assert len(stderr.splitlines()) == 3
    for name in ("http.endpoint", "http.port", "nonsense"):
        assert name in stderr
    assert run("--config", "bad.toml", "account", "list", exit_code=1).stderr == stderr
    assert "missing.toml" in run("--config", "missing.toml", "config", "check", exit_code=1).stderr
    assert list(tmp_path.glob("*.sqlite3")) == []


def test_the_configured_storage_is_used(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.toml").write_text('[storage]\nuri = "sqlite:///other.sqlite3"\n')
    run("--config", "good.toml", "account", "create", "--id", A)
    assert [path.name for path in tmp_path.glob("*.sqlite3")] == ["other.sqlite3"]
    monkeypatch.setenv("KAZOO_BRIDGE__STORAGE__URI", "sqlite:///third.sqlite3")
    assert A not in run("--config", "good.toml", "account", "list").stdout


def test_storage_that_cannot_be_used(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kazoo-bridge.sqlite3").write_bytes(b"hardly a database " * 100)
    assert "is not an SQLite database" in run("account", "list", exit_code=1).stderr
    monkeypatch.setenv("KAZOO_BRIDGE__STORAGE__URI", "sqlite:///")
    assert "storage.uri" in run("account", "list", exit_code=1).stderr


def test_a_newer_database(run) -> None:
    run("account", "list")
    with sqlite3.connect("kazoo-bridge.sqlite3") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    assert "does not know" in run("account", "list", exit_code=1).stderr


def test_demo_is_started_with_the_configuration(run, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[tuple[str | None, DemoOptions]] = []
    demo = types.ModuleType("kazoo_bridge.demo")
    demo.run = lambda *given: started.append(given)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "kazoo_bridge.demo", demo)
    run("--config", "x.toml", "demo")
    run("demo", "--calls-per-minute", "90", "--accounts", "6", "--max-calls", "9", "--seed", "5")
    assert started == [("x.toml", DemoOptions()), (None, DemoOptions(90.0, 6, 9, 5))]


@pytest.mark.parametrize(
    "wrong", [["--calls-per-minute", "0"], ["--accounts", "1"], ["--accounts", "21"], ["--max-calls", "0"]]
)
def test_a_demo_that_cannot_be(run, wrong: list[str]) -> None:
    assert wrong[0] in run("demo", *wrong, exit_code=2).stderr


def test_a_real_process_beside_an_open_database(tmp_path: Path) -> None:
    opened = engine.open_engine(f"sqlite:///{tmp_path}/kazoo-bridge.sqlite3")
    migrate.upgrade(opened)

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kazoo_bridge.cli", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    with opened.connect() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM accounts").all()
        created = command("account", "create", "--id", A)
    assert (created.returncode, created.stdout, created.stderr) == (0, f"{A}\n", "")
    token = command("token", "create", "--account", A).stdout.strip()
    assert (
        engine.in_transaction(
            opened, lambda c: tokens.lookup(c, tokens.secret_digest(token), 0), writing=False
        )
        is not None
    )
    refused = command("account", "create", "--id", A)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "already" in refused.stderr
    opened.dispose()


def test_no_reactor_is_installed() -> None:
    script = "import sys, kazoo_bridge.cli; sys.exit('twisted.internet.reactor' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


@pytest.mark.parametrize("text", ["2.0", "true", "nan", "-1", "604800001", "9" * 30])
@pytest.mark.parametrize("option", ["--attempt-failure-count", "--attempt-failure-expiry-ms"])
def test_limits_that_no_account_may_have(run, option: str, text: str) -> None:
    run("account", "create", "--id", A)
    assert (
        f"Invalid value for '{option}'"
        in run("account", "limits", "--id", A, option, text, exit_code=2).stderr
    )


@pytest.mark.parametrize("text", ["nan", "inf", "0", "true", "1e400"])
def test_a_rate_of_demo_calls_that_cannot_be(run, text: str) -> None:
    assert (
        "Invalid value for '--calls-per-minute'"
        in run("demo", "--calls-per-minute", text, exit_code=2).stderr
    )
