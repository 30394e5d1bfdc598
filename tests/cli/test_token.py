from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.harness import A, B, CliHarness, lookup_token


def test_a_created_token_is_printed_alone_and_valid(cli: CliHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    cli.run("account", "create", "--id", A)
    monkeypatch.setattr("time.time", lambda: 1000.0)
    (lasting,) = cli.lines("token", "create", "--account", A)
    (short,) = cli.lines("token", "create", "--account", A, "--ttl", "60")
    assert re.fullmatch("[0-9a-f]{64}", lasting)
    assert lasting != short
    assert lookup_token(short, 1059.9) is not None
    assert lookup_token(short, 1060.0) is None
    assert lookup_token(lasting, 1e12) is not None


def test_tokens_are_revoked(cli: CliHarness) -> None:
    cli.run("account", "create", "--id", A)
    given, piped = (cli.create("token", "create", "--account", A) for _ in range(2))
    assert cli.lines("token", "revoke", given) == ["revoked"]
    assert lookup_token(given, 0) is None
    assert lookup_token(piped, 0) is not None
    assert cli.lines("token", "revoke", "-", stdin=f"{piped}\n") == ["revoked"]
    assert lookup_token(piped, 0) is None
    assert "no such token" in cli.error("token", "revoke", piped)


def test_api_keys_are_created_and_revoked(cli: CliHarness) -> None:
    cli.run("account", "create", "--id", A)
    (api_key,) = cli.lines("api-key", "create", "--account", A)
    assert "no such token" in cli.error("token", "revoke", api_key)
    assert cli.lines("api-key", "revoke", "-", stdin=api_key) == ["revoked"]
    assert "no such API key" in cli.error("api-key", "revoke", api_key)


@pytest.mark.parametrize("kind", ["token", "api-key"])
def test_an_unknown_account_gets_nothing(cli: CliHarness, kind: str) -> None:
    assert "no account" in cli.error(kind, "create", "--account", B)


@pytest.mark.parametrize(
    "arguments",
    [
        ["token", "create"],
        ["token", "create", "--account", "x"],
        ["token", "create", "--account", A, "--ttl", "0"],
        ["token", "create", "--account", A, "--ttl", "soon"],
        ["token", "revoke"],
        ["token", "revoke", "-"],
        ["token", "revoke", ""],
        ["api-key", "create"],
        ["api-key", "revoke", "-"],
    ],
)
def test_wrong_usage_changes_nothing(cli: CliHarness, arguments: list[str], tmp_path: Path) -> None:
    cli.run(*arguments, exit_code=2)
    assert list(tmp_path.iterdir()) == []


def test_a_token_with_restrictions(cli: CliHarness, tmp_path: Path) -> None:
    cli.run("account", "create", "--id", A)
    path = tmp_path / "restrictions.json"
    path.write_text('{"get": ["#"]}\n')
    for given in ('{"get": ["#"]}', f"@{path}"):
        stored = lookup_token(cli.create("token", "create", "--account", A, "--restrictions", given), 0)
        assert stored is not None
        assert stored.restrictions == '{"get":["#"]}'
    plain = lookup_token(cli.create("token", "create", "--account", A), 0)
    assert plain is not None
    assert plain.restrictions is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("get", "expected JSON such as"),
        ("[]", "but expected an object"),
        ('{"get": "#"}', "but expected lists by method or endpoint"),
        ("@/no/such/file", "/no/such/file cannot be read: No such file or directory"),
    ],
)
def test_restrictions_that_cannot_be_understood(cli: CliHarness, given: str, words: str) -> None:
    cli.run("account", "create", "--id", A)
    assert words in cli.error("token", "create", "--account", A, "--restrictions", given, exit_code=2)
