from __future__ import annotations

import json
import time

import pytest

from kazoo_bridge.interfaces import Attempt, StoredHook
from kazoo_bridge.storage import attempts, engine, transfer
from tests.cli.harness import STORAGE_URI, A, B, CliHarness

HOOK, OTHER = "1" * 32, "2" * 32


@pytest.fixture
def filled(cli: CliHarness) -> CliHarness:
    """The command over two hooks that have failed, one also a while ago and at a former revision."""
    for account in (A, B):
        cli.run("account", "create", "--id", account)
    opened, now = engine.open_engine(STORAGE_URI), time.time()
    with opened.begin() as connection:
        for hook_id, account in ((HOOK, A), (OTHER, B)):
            document = {"name": "n", "uri": "http://hook.example/", "hook": "all"}
            transfer.put_hook(connection, StoredHook(hook_id, account, document, "2-x", 1, 2), 0.0)
        made = [
            (A, HOOK, "2-x", now),
            (A, HOOK, "2-x", now - 3600),
            (A, HOOK, "1-x", now),
            (B, OTHER, "2-x", now),
        ]
        attempts._add(connection, [Attempt(*one[:3], True, one[3], {}) for one in made], {})
    opened.dispose()
    return cli


def failures(cli: CliHarness) -> dict[str, tuple[int, int, float]]:
    listed = json.loads(cli.run("hooks", "failures", "--json").stdout)
    return {one["hook_id"]: (one["failures"], one["limit"], one["window_s"]) for one in listed}


def test_failures_that_count(filled: CliHarness) -> None:
    assert failures(filled) == {HOOK: (1, 6, 60.0), OTHER: (1, 6, 60.0)}
    filled.run(
        "account",
        "limits",
        "--id",
        A,
        "--attempt-failure-count",
        "9",
        "--attempt-failure-expiry-ms",
        "7200000",
    )
    assert failures(filled) == {HOOK: (2, 9, 7200.0), OTHER: (1, 6, 60.0)}
    header, *rows = filled.lines("hooks", "failures")
    assert header.split()[:2] == ["HOOK", "ID"]
    assert len(rows) == 2
    assert len(filled.lines("hooks", "failures", "--account", B)) == 2


def test_a_wrong_id_is_named(cli: CliHarness) -> None:
    assert "a hook id is 32" in cli.error("hooks", "flush", "--hook", "xyz", exit_code=2)
    assert "an account id is 32" in cli.error("hooks", "flush", "--account", "xyz", exit_code=2)


def test_failures_are_flushed(filled: CliHarness) -> None:
    assert filled.lines("hooks", "flush", "--account", B) == ["1 failures do not count any more"]
    assert set(failures(filled)) == {HOOK}
    assert filled.lines("hooks", "flush", "--hook", OTHER) == ["0 failures do not count any more"]
    assert filled.lines("hooks", "flush") == ["3 failures do not count any more"]
    assert failures(filled) == {}
