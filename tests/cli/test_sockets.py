from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from kazoo_bridge.cli import sockets as sockets_module
from tests.cli.harness import A, CliHarness
from tests.deferreds import result_of

SOCKET = {
    "websocket_session_id": "192.0.2.1:5",
    "account_id": A,
    "timestamp": 62_167_219_260,
    "bindings": ["a", "b", "c", "d"],
    "node": "one",
}


class FakeNodes:
    """Nodes with one client."""

    def __init__(self) -> None:
        self.closed: list[tuple[str, str]] = []

    async def sockets(self, account: str | None) -> list[dict[str, Any]]:
        return [SOCKET, {"websocket_session_id": "192.0.2.1:6", "account_id": None}]

    async def close_socket(self, account: str, socket_id: str) -> bool:
        self.closed.append((account, socket_id))
        return socket_id == "192.0.2.1:5"


@pytest.fixture
def nodes(monkeypatch: pytest.MonkeyPatch) -> FakeNodes:
    nodes = FakeNodes()

    def use(_context: Any, _url: Any, work: Callable[[Any], Coroutine[Any, Any, Any]]) -> Any:
        return result_of(work(nodes))

    monkeypatch.setattr(sockets_module, "use_nodes", use)
    return nodes


def test_clients_are_listed(cli: CliHarness, nodes: FakeNodes) -> None:
    _, row, unauthenticated = cli.lines("sockets", "list")
    cells = [cell.strip() for cell in row.split("  ") if cell.strip()]
    assert cells[:4] == ["192.0.2.1:5", A, "1970-01-01T00:01:00+00:00", "a, b, c and 1 more"]
    assert unauthenticated.split()[:3] == ["192.0.2.1:6", "-", "-"]
    assert json.loads(cli.run("sockets", "list", "--json").stdout)[0] == SOCKET


def test_a_client_is_closed(cli: CliHarness, nodes: FakeNodes) -> None:
    assert cli.create("sockets", "close", "192.0.2.1:5") == "192.0.2.1:5"
    assert "no client 192.0.2.1:6" in cli.error("sockets", "close", "192.0.2.1:6")
    assert "no client 192.0.2.1:7" in cli.error("sockets", "close", "192.0.2.1:7", "--account", A)
    assert nodes.closed == [(A, "192.0.2.1:5"), (A, "192.0.2.1:7")]
