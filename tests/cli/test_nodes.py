from __future__ import annotations

import json
from typing import Any

import pytest

from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.cli.nodes import superadmin_token
from tests.cli.harness import A, CliHarness, lookup_token


def test_a_token_of_a_super_admin_ends_with_the_command(cli: CliHarness) -> None:
    cli.create("account", "create", "--id", A, "--superadmin")
    with superadmin_token(CliContext(None, may_create=True)) as token:
        stored: Any = lookup_token(token, 0)
        assert stored.account_id == A
    assert lookup_token(token, 0) is None


def test_a_token_of_a_super_admin_may_be_restricted(cli: CliHarness) -> None:
    cli.create("account", "create", "--id", A, "--superadmin")
    with superadmin_token(CliContext(None, may_create=True), 9.0, {"get": ["nodes"]}) as token:
        stored: Any = lookup_token(token, 0)
        assert json.loads(stored.restrictions) == {"get": ["nodes"]}


def test_a_storage_without_super_admins(cli: CliHarness) -> None:
    cli.create("account", "create", "--id", A)
    assert "account create --superadmin" in cli.error("status")


def test_no_node_answers(cli: CliHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of all commands that use the reactor, only the arguments are checked in this process.
    assert "6 to 255 characters" in cli.error("trace", "short", exit_code=2)
    assert "--binding" in cli.error("tail", exit_code=2)
    assert "expected --account" in cli.error("tail", "--binding", "x", exit_code=2)
