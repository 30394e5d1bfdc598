"""``kazoo-bridge hooks`` over the storage."""

from __future__ import annotations

import json
from typing import Any
from unittest.mock import patch

import pytest

from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.interfaces import Secret, StoredHook, Suspension
from kazoo_bridge.storage import engine, transfer
from kazoo_bridge.storage.hooks import find, update
from tests.cli.harness import STORAGE_URI, A, B, CliHarness

FAILED = {"enabled": False, "disable_reason": "too many failed attempts"}
HOOK_IDS = [digit * 32 for digit in "123"]


def read(hook_id: str) -> StoredHook:
    opened = engine.open_engine(STORAGE_URI)
    hook = engine.in_transaction(opened, lambda connection: find(connection, hook_id), writing=False)
    opened.dispose()
    assert hook is not None
    return hook


@pytest.fixture
def filled(cli: CliHarness) -> CliHarness:
    """The command over three hooks: one that is enabled, one suspended, and one disabled by its owner."""
    for account in (A, B):
        cli.run("account", "create", "--id", account)
    documents: list[tuple[str, dict[str, Any]]] = [(A, {}), (A, FAILED), (B, {"enabled": False})]
    opened = engine.open_engine(STORAGE_URI)
    with opened.begin() as connection:
        for hook_id, (account, more) in zip(HOOK_IDS, documents, strict=True):
            document = {"name": "n\x1b", "uri": "https://me:hunter2@hook.example/x", "hook": "all", **more}
            stored = StoredHook(
                hook_id, account, document, "1-x", 1, 2, (Secret("hunter2"),), {"x": "hunter2"}
            )
            transfer.put_hook(connection, stored, 0.0)
        suspended = find(connection, HOOK_IDS[1])
        assert suspended is not None
        changed = StoredHook(HOOK_IDS[1], A, suspended.document, "2-x", 1, 2, (), {}, Suspension(1.0, 2.0))
        update(connection, suspended, changed, 0.0)
    opened.dispose()
    return cli


def test_hooks_are_listed_without_secrets(filled: CliHarness) -> None:
    text = filled.run("hooks", "list", "--json").stdout
    assert "hunter2" not in text
    listed = json.loads(text)
    assert [(one["id"], one["state"], one["signed"]) for one in listed] == [
        (HOOK_IDS[0], "enabled", True),
        (HOOK_IDS[1], "suspended", False),
        (HOOK_IDS[2], "disabled", True),
    ]
    assert listed[0]["document"]["uri"] == "https://***@hook.example/x"
    header, row = filled.lines("hooks", "list", "--account", B)
    assert header.split() == ["ID", "ACCOUNT", "ID", "STATE", "HOOK", "NAME", "URI"]
    assert row.split() == [HOOK_IDS[2], B, "disabled", "all", "n\\u001b", "https://***@hook.example/x"]


def test_a_hook_is_shown(filled: CliHarness) -> None:
    lines = filled.lines("hooks", "show", HOOK_IDS[1])
    assert {f"id: {HOOK_IDS[1]}", "state: suspended", "enabled: false", "name: n\\u001b"} <= set(lines)
    assert "disable_reason: too many failed attempts" in lines
    shown = json.loads(filled.run("hooks", "show", HOOK_IDS[1], "--json").stdout)
    assert (shown["state"], shown["document"]["enabled"]) == ("suspended", False)
    for unknown in ("9" * 32, "x\x00"):
        assert "there is no hook" in filled.error("hooks", "show", unknown)


def test_hooks_are_enabled_and_disabled(filled: CliHarness) -> None:
    assert filled.lines("hooks", "enable", HOOK_IDS[1]) == [HOOK_IDS[1]]
    enabled = read(HOOK_IDS[1])
    assert (enabled.document["enabled"], "disable_reason" in enabled.document) == (True, False)
    assert (enabled.suspension, enabled.revision[:2]) == (None, "3-")
    filled.run("hooks", "enable", HOOK_IDS[1])
    assert read(HOOK_IDS[1]) == enabled
    filled.run("hooks", "disable", HOOK_IDS[0])
    disabled = read(HOOK_IDS[0])
    assert disabled.document["enabled"] is False
    assert (disabled.secrets, disabled.headers) == ((Secret("hunter2"),), {"x": "hunter2"})
    assert "there is no hook" in filled.error("hooks", "disable", "9" * 32)


def test_hooks_of_couchdb_are_elsewhere(cli: CliHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAZOO_BRIDGE__WEBHOOKS__SOURCE", "couchdb")
    monkeypatch.setenv("KAZOO_BRIDGE__COUCHDB__URI", "http://couch.example:15984")
    for arguments in (["list"], ["show", A], ["enable", A], ["disable", A]):
        assert "webhooks.source is 'couchdb'" in cli.error("hooks", *arguments)


def test_hooks_of_an_account_that_failures_have_disabled_are_enabled(filled: CliHarness) -> None:
    filled.run("account", "create", "--id", "c" * 32, "--parent", B)
    assert filled.lines("hooks", "enable", "--account", B, "--descendants") == []
    assert filled.lines("hooks", "enable", "--account", A) == [HOOK_IDS[1]]
    assert read(HOOK_IDS[1]).document["enabled"] is True
    for arguments in ((), (HOOK_IDS[1], "--account", A), (HOOK_IDS[1], "--descendants")):
        assert "expected either an ID or --account" in filled.error(
            "hooks", "enable", *arguments, exit_code=2
        )


def test_hooks_of_descendants_are_enabled(filled: CliHarness) -> None:
    parent = "d" * 32
    filled.run("account", "create", "--id", parent)
    child = filled.create("account", "create", "--parent", parent)
    grandchild = filled.create("account", "create", "--parent", child)
    opened = engine.open_engine(STORAGE_URI)
    with opened.begin() as connection:
        document = {"name": "n", "uri": "https://hook.example/", "hook": "all", **FAILED}
        for hook_id in ("4" * 32, "5" * 32):
            hook = StoredHook(hook_id, grandchild, document, "1-x", 1, 2)
            transfer.put_hook(connection, hook, 0.0)
    opened.dispose()
    assert filled.lines("hooks", "enable", "--account", parent) == []
    with patch.object(CliContext, "opened", autospec=True, side_effect=CliContext.opened) as opening:
        assert filled.lines("hooks", "enable", "--account", parent, "--descendants") == ["4" * 32, "5" * 32]
    assert opening.call_count == 1
