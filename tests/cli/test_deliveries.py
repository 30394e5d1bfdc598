from __future__ import annotations

import json
from typing import Any

import pytest

from kazoo_bridge.storage import engine
from kazoo_bridge.storage.deliveries import enqueue
from tests.cli.harness import STORAGE_URI, A, B, CliHarness
from tests.storage.record_factories import ONE, TWO, make_delivery


@pytest.fixture
def filled(cli: CliHarness) -> CliHarness:
    """The command over a delivery that waits, and two dead ones of other accounts."""
    cli.run("account", "create", "--id", A)
    opened = engine.open_engine(STORAGE_URI)
    with opened.begin() as connection:
        enqueue(
            connection,
            [
                (make_delivery("msg_1"), 100.0, "slow\x1b"),
                (make_delivery("msg_2", TWO), None, "answered 500"),
                (make_delivery("msg_3", TWO, B), None, "answered 500"),
            ],
        )
    opened.dispose()
    return cli


def statuses(cli: CliHarness) -> dict[str, str]:
    listed: list[dict[str, Any]] = json.loads(cli.run("deliveries", "list", "--json").stdout)
    return {one["id"]: one["status"] for one in listed}


def test_deliveries_of_all_accounts_are_listed(filled: CliHarness) -> None:
    assert statuses(filled) == {"msg_3": "dead", "msg_2": "dead", "msg_1": "pending"}
    header, row = filled.lines("deliveries", "list", "--status", "pending")
    assert header.startswith("ID ")
    assert row.split()[:4] == ["msg_1", "pending", "0", "1970-01-01T00:01:40+00:00"]
    assert row.endswith("slow\\u001b")
    assert "call_id" not in filled.run("deliveries", "list", "--json").stdout
    assert len(filled.lines("deliveries", "list", "--account", B)) == 2
    assert len(filled.lines("deliveries", "list", "--hook", ONE)) == 2
    assert len(filled.lines("deliveries", "list", "--count", "1")) == 2


def test_deliveries_are_tried_again(filled: CliHarness) -> None:
    assert filled.lines("deliveries", "retry", "msg_2", "msg_2") == ["1 deliveries are tried again"]
    assert statuses(filled)["msg_2"] == "pending"
    error = filled.error("deliveries", "retry", "msg_3", "unknown", "other\x1b")
    assert "not stored: other\\u001b, unknown; 1 deliveries are tried again" in error


def test_dead_deliveries_are_recovered(filled: CliHarness) -> None:
    assert "Aborted" in filled.error("deliveries", "recover", stdin="n\n")
    assert filled.lines("deliveries", "recover", "--hours", "1", "--yes") == ["0 deliveries are tried again"]
    assert filled.lines("deliveries", "recover", "--account", B) == ["1 deliveries are tried again"]
    assert statuses(filled) == {"msg_3": "pending", "msg_2": "dead", "msg_1": "pending"}
    assert filled.lines("deliveries", "recover", "--yes") == ["1 deliveries are tried again"]
