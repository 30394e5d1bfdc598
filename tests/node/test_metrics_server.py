from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from kazoo_bridge.config import Metrics
from kazoo_bridge.node.assembly import build_node
from kazoo_bridge.node.node import Node
from kazoo_bridge.node.startup import StartupFailed
from tests.node.harness import make_config

pytestmark = pytest.mark.timeout(30)


async def _get(host: str, path: str) -> Any:
    response = await treq.get(f"http://{host}{path}", persistent=False)
    return response.code, await response.text()


def _make_node(folder: Path, endpoint: str) -> Node:
    return build_node(reactor, evolve(make_config(folder), metrics=Metrics(endpoint)))


@pytest_twisted.ensureDeferred
async def test_metrics_have_their_own_endpoint_and_are_not_beside_rest(tmp_path: Path) -> None:
    node = _make_node(tmp_path, "tcp:0:interface=127.0.0.1")
    await node.start()
    try:
        host = node.rest_server.metrics_server.host
        code, text = await _get(host, "/metrics")
        assert code == 200
        assert "\nkazoo_bridge_bus_up 1.0\n" in text
        assert [(await _get(host, path))[0] for path in ("/v2/webhooks", "/readyz", "/console/")] == [404] * 3
        assert (await _get(node.http_host, "/metrics"))[0] == 404
        assert (await _get(node.http_host, "/healthz"))[0] == 200
    finally:
        await node.stop(Deferred())
    assert node.rest_server.metrics_server.host == ""


@pytest_twisted.ensureDeferred
async def test_without_an_endpoint_metrics_are_beside_rest(node: Node) -> None:
    assert node.rest_server.metrics_server.host == ""
    assert (await _get(node.http_host, "/metrics"))[0] == 200


@pytest_twisted.ensureDeferred
async def test_an_endpoint_that_is_taken_ends_the_start(node: Node, tmp_path: Path) -> None:
    port = node.http_host.rpartition(":")[2]
    (tmp_path / "other").mkdir()
    other = _make_node(tmp_path / "other", f"tcp:{port}:interface=127.0.0.1")
    try:
        with pytest.raises(StartupFailed, match=r"^metrics\.endpoint: cannot listen on tcp:"):
            await other.start()
    finally:
        await other.stop(Deferred())
