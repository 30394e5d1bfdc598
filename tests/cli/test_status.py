from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from kazoo_bridge.cli import main
from kazoo_bridge.cli import status as status_module
from kazoo_bridge.cli.status import duration

READY = {
    "node": "a",
    "version": "1",
    "ready": True,
    "problems": [],
    "degraded": ["zone 1: away"],
    "queue_messages": None,
    "sockets": 3,
    "memory_bytes": 52_428_800,
    "uptime_s": 7200,
}


def run(monkeypatch: pytest.MonkeyPatch, nodes: list[Any], *arguments: str) -> Result:
    monkeypatch.setattr(status_module, "use_nodes", lambda _context, _url, _work: nodes)
    return CliRunner().invoke(main, ["status", *arguments])


def test_all_nodes_are_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, [READY])
    assert result.exit_code == 0
    head, row, degraded = result.stdout.splitlines()
    assert dict(zip(head.split()[:3], row.split()[:3], strict=True)) == {
        "NODE": "a",
        "VERSION": "1",
        "QUEUE": "-",
    }
    assert row.endswith("50 MiB  2 h  yes")
    assert degraded == "a: degraded: zone 1: away"
    assert json.loads(run(monkeypatch, [READY], "--json").stdout) == [READY]


def test_a_node_is_not_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, [READY, {"node": "b", "ready": False, "problems": ["bus: away\x1b"]}])
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1] == "b: problem: bus: away\\u001b"


def test_no_node_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, [])
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no node answers" in result.stderr


def test_durations() -> None:
    assert [duration(one) for one in (9, 60, 7199, 86_400)] == ["9 s", "1 min", "1 h", "1 d"]
