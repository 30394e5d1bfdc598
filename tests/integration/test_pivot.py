"""Pivot over two nodes on one broker and storage: KAZOO asks one, clients are connected to the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred

from kazoo_bridge.config import Amqp, Config, Http, Storage, Websockets
from kazoo_bridge.node.assembly import build_node
from tests.integration.amqp_harness import until
from tests.pivot.pivot_harness import FALLBACK, HANGUP, PivotHarness, answer
from tests.websockets.harness import STRANGER, Harness

pytestmark = pytest.mark.timeout(120)


@pytest_twisted.async_yield_fixture
async def nodes(tmp_path: Path, vhost_uri: str) -> AsyncIterator[tuple[PivotHarness, PivotHarness]]:
    """The node that KAZOO asks, and the one that clients are connected to."""
    first = await Harness.start(tmp_path, vhost_uri)
    config = evolve(
        Config(),
        amqp=Amqp(vhost_uri),
        storage=Storage(f"sqlite:///{tmp_path}/b.sqlite3"),
        http=Http("tcp:0:interface=127.0.0.1"),
        websockets=Websockets("tcp:0:interface=127.0.0.1"),
    )
    second = Harness(build_node(reactor, config), first.tokens)
    await second.node.start()
    clusters: list[Any] = [harness.node.pivots._cluster for harness in (first, second)]
    await until(lambda: all(cluster.others for cluster in clusters), "the nodes know each other")
    yield PivotHarness(first), PivotHarness(second)
    for harness in (second, first):
        await harness.stop()


@pytest_twisted.ensureDeferred
async def test_asked_here_and_answered_there(nodes: tuple[PivotHarness, PivotHarness]) -> None:
    here, there = nodes
    point = await here.create(timeout_ms=10_000)
    client, stranger = await there.connect(), await there.connect("pivot.*", account=STRANGER)
    asking = ensureDeferred(here.kazoo(point["url"]))
    event = await client.event()
    refused = await answer(client, event, flow={"module": "nonsense"})
    assert refused["data"]["fields"]["flow.module"]["enum"]["cause"] == "nonsense"
    foreign = {"account_id": STRANGER, "pivot_id": event["data"]["pivot_id"], "flow": HANGUP}
    assert (await stranger.request("pivot", foreign))["status"] == "error"
    assert (await answer(client, event))["status"] == "success"
    assert (await asking).json == HANGUP
    assert (await client.event())["data"]["result"] == "answered"
    assert (await answer(client, event))["status"] == "error"
    # The next request of the call reaches the other node, which asks the same client alone.
    other = await there.connect()
    again = ensureDeferred(there.kazoo(point["url"].replace(here.host, there.host)))
    await answer(client, await client.event())
    assert (await again).json == HANGUP
    assert [found["name"] for found in other.events.pending] in ([], ["pivot_answered"])


@pytest_twisted.ensureDeferred
async def test_turns_over_both_nodes(nodes: tuple[PivotHarness, PivotHarness]) -> None:
    here, there = nodes
    point = await here.create(strategy="rotate", timeout_ms=10_000)
    clients = [await here.connect(), await there.connect()]
    for number, client in enumerate(clients):
        asking = ensureDeferred(here.kazoo(point["url"], **{"Call-ID": f"c{number}"}))
        while (event := await client.event())["name"] != "pivot_request":
            pass
        await answer(client, event)
        assert (await asking).json == HANGUP


@pytest_twisted.ensureDeferred
async def test_without_a_client_on_any_node_the_fallback_comes_at_once(
    nodes: tuple[PivotHarness, PivotHarness],
) -> None:
    here, there = nodes
    point = await here.create(timeout_ms=10_000)
    assert (await here.kazoo(point["url"])).json == FALLBACK
    client = await there.connect()
    client.drop()
    await there.harness.wait_until(lambda: not there.harness.sessions)
    assert (await here.kazoo(point["url"])).json == FALLBACK


@pytest_twisted.ensureDeferred
async def test_a_node_that_is_gone_and_a_client_that_is_killed(
    nodes: tuple[PivotHarness, PivotHarness],
) -> None:
    here, there = nodes
    point = await here.create(timeout_ms=500)
    client = await there.connect()
    asking = ensureDeferred(here.kazoo(point["url"]))
    await client.event()
    client.drop()
    assert (await asking).json == FALLBACK
    # Without a farewell, as after kill -9.
    cluster: Any = there.harness.node.pivots._cluster
    consumer, cluster._consumer = cluster._consumer, None
    await consumer.cancel()
    other: Any = here.harness.node.pivots._cluster
    assert list(other.others) == [cluster.node_id]  # its reply is waited for, in bounds
    assert (await here.kazoo(point["url"])).json == FALLBACK
