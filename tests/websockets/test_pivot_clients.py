from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest_twisted

from kazoo_bridge.websockets.pivot_clients import PivotClients
from tests.websockets.harness import RESELLER, STRANGER, Harness


@pytest_twisted.async_yield_fixture
async def limited(tmp_path: Path) -> AsyncIterator[Harness]:
    """A node whose clients may send a few messages."""
    harness = await Harness.start(tmp_path, rate_burst=3, rate_per_second=1)
    yield harness
    await harness.stop()


@pytest_twisted.ensureDeferred
async def test_connected_subscribers_are_asked(harness: Harness) -> None:
    clients: Any = harness.websockets.pivot_clients
    assert isinstance(clients, PivotClients)
    assert list(clients.candidates(RESELLER, "front-desk")) == []
    sockets = [await harness.connect() for _ in range(3)]
    for socket, bindings in zip(
        sockets, (["pivot.front-desk"], ["pivot.front-desk", "pivot.*"], ["pivot.other"]), strict=True
    ):
        await socket.request("subscribe", {"account_id": RESELLER, "bindings": bindings})
    stranger = await harness.connect(STRANGER)
    await stranger.request("subscribe", {"account_id": STRANGER, "binding": "pivot.*"})
    first, second = clients.candidates(RESELLER, "front-desk")
    event = {"Event-Name": "pivot_request", "Event-Category": "pivot", "Call-ID": "c1", "Server-ID": "q"}
    assert list(clients.ask(RESELLER, "front-desk", event, None)) == [first, second]
    received = await sockets[0].event()
    assert received["data"] == {"event_name": "pivot_request", "event_category": "pivot", "call_id": "c1"}
    assert [(await sockets[1].event())["subscribed_key"] for _ in range(2)] == ["pivot.front-desk", "pivot.*"]
    assert list(clients.ask(RESELLER, "front-desk", event, [second])) == [second]
    await sockets[1].event()
    assert sockets[0].events.pending == sockets[2].events.pending == stranger.events.pending == []


@pytest_twisted.ensureDeferred
async def test_an_answer_to_each_question_is_within_the_rate_of_a_client(limited: Harness) -> None:
    client = await limited.connect()
    await client.request("subscribe", {"account_id": RESELLER, "binding": "pivot.*"})
    event = {"Event-Name": "pivot_request", "Event-Category": "pivot"}
    for _ in range(10):
        limited.websockets.pivot_clients.ask(RESELLER, "front-desk", event, None)
        reply = await client.request("pivot", {"account_id": RESELLER, "pivot_id": "x"})
        assert reply["data"]["errors"] == ["no request x waits for an answer: it has ended"]
