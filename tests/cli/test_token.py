from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from kazoo_bridge.storage.tokens import secret_digest
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
        ["token", "revoke", "x", "--account", A],
        ["token", "revoke", "--account", "x"],
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


def test_lists_show_no_secret(cli: CliHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    for account in (A, B):
        cli.run("account", "create", "--id", account)
    monkeypatch.setattr("time.time", lambda: 1000.0)
    secrets = [
        cli.create("token", "create", "--account", A, "--ttl", "60"),
        cli.create("token", "create", "--account", B, "--restrictions", '{"get": ["#"]}'),
        cli.create("api-key", "create", "--account", B),
    ]
    listed = json.loads(cli.run("token", "list", "--json").stdout)
    assert [(one["account_id"], one["expires"], one["restrictions"]) for one in listed] == [
        (A, "1970-01-01T00:17:40+00:00", None),
        (B, None, '{"get":["#"]}'),
    ]
    assert listed[0]["sha256"] == secret_digest(secrets[0])[:16]
    keys = json.loads(cli.run("api-key", "list", "--json").stdout)
    created = "1970-01-01T00:16:40+00:00"
    assert keys == [{"sha256": secret_digest(secrets[2])[:16], "account_id": B, "created": created}]
    header, row = cli.lines("token", "list", "--account", B)
    assert header.split() == [
        "SHA256",
        "ACCOUNT",
        "ID",
        "CREATED",
        "EXPIRES",
        "RESTRICTED",
        "OF",
        "API",
        "KEY",
    ]
    assert row.split() == [secret_digest(secrets[1])[:16], B, created, "-", "yes", "-"]
    assert len(cli.lines("api-key", "list", "--account", A)) == 1
    monkeypatch.setattr("time.time", lambda: 1060.0)
    assert len(cli.lines("token", "list", "--account", A)) == 1


def test_all_tokens_of_an_account_are_revoked(cli: CliHarness) -> None:
    for account in (A, B):
        cli.run("account", "create", "--id", account)
    first, second, other = (cli.create("token", "create", "--account", account) for account in (A, A, B))
    assert "revoke all tokens of account" in cli.error("token", "revoke", "--account", A, stdin="n\n")
    assert lookup_token(first, 0) is not None
    assert cli.lines("token", "revoke", "--account", A, "--yes") == ["revoked 2 tokens"]
    assert (lookup_token(first, 0), lookup_token(second, 0)) == (None, None)
    assert lookup_token(other, 0) is not None
    assert "no account" in cli.error("token", "revoke", "--account", "c" * 32, "--yes")
