"""Clients that lose their connection and come back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted

from tests.websockets.client import Client
from tests.websockets.stage import CHILD, RESELLER, Stage

pytestmark = pytest.mark.timeout(30)


async def lose(stage: Stage, client: Client) -> None:
    """The network between the client and the bridge is gone."""
    client.protocol.dropConnection(abort=True)
    await client.closed
    sessions = stage.bridge.websockets.sessions
    while any(session.output is not None and session.output.outbox.closed for session in sessions):  # type: ignore[attr-defined]
        await client.event()


async def subscribed(stage: Stage) -> tuple[Client, dict[str, Any]]:
    client = await stage.client()
    begun = (await client.ask("resume", {}))["data"]
    await client.ask("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    return client, begun


@pytest_twisted.ensureDeferred
async def test_what_was_missed_comes_in_order_and_then_what_is_new(stage: Stage) -> None:
    client, begun = await subscribed(stage)
    assert (begun["resumed"], begun["gap"], begun["missed"], begun["window_seconds"]) == (
        False,
        False,
        0,
        120,
    )
    for number in range(3):
        await stage.call(RESELLER, call_id=f"c{number}")
    first = await client.event()
    assert first["sequence"] > begun["sequence"]
    await client.event()
    await lose(stage, client)
    for number in range(3, 6):
        await stage.call(RESELLER, call_id=f"c{number}")
    again = await stage.client()
    answer = (await again.ask("resume", {"session": begun["session"], "sequence": first["sequence"]}))["data"]
    assert (answer["resumed"], answer["gap"], answer["missed"], answer["subscribed"]) == (
        True,
        False,
        5,
        ["call.*.*"],
    )
    await stage.call(RESELLER, call_id="c6")
    events = [await again.event() for _ in range(6)]
    assert [event["data"]["call_id"] for event in events] == [f"c{number}" for number in range(1, 7)]
    assert [event["sequence"] for event in events] == sorted({event["sequence"] for event in events})
    assert answer["sequence"] == events[4]["sequence"]
    assert len(stage.bridge.websockets.sessions) == 1


@pytest_twisted.ensureDeferred
async def test_a_connection_that_is_still_open_is_taken_over(stage: Stage) -> None:
    client, begun = await subscribed(stage)
    again = await stage.client()
    assert (await again.ask("resume", {"session": begun["session"], "sequence": begun["sequence"]}))["data"][
        "resumed"
    ]
    assert await client.close_code() == 4409
    await stage.call(RESELLER)
    assert (await again.event())["data"]["call_id"] == "call-1"
    assert (await again.ask("unsubscribe"))["data"]["unsubscribed"] == ["call.*.*"]


@pytest_twisted.ensureDeferred
async def test_a_gap_is_told(tmp_path: Path) -> None:
    stage = await Stage.of(tmp_path, resume_events=2)
    client, begun = await subscribed(stage)
    await lose(stage, client)
    for number in range(4):
        await stage.call(RESELLER, call_id=f"c{number}")
    again = await stage.client()
    answer = (await again.ask("resume", {"session": begun["session"], "sequence": begun["sequence"]}))["data"]
    assert (answer["resumed"], answer["gap"], answer["missed"]) == (True, True, 2)
    assert [(await again.event())["data"]["call_id"] for _ in range(2)] == ["c2", "c3"]
    await stage.stop()


@pytest_twisted.ensureDeferred
async def test_an_unknown_session_begins_anew(stage: Stage) -> None:
    client = await stage.client()
    answer = (await client.ask("resume", {"session": "no-such-session", "sequence": 5}))["data"]
    assert (answer["resumed"], answer["gap"], answer["subscribed"]) == (False, True, [])
    assert answer["session"] != "no-such-session"


@pytest_twisted.ensureDeferred
async def test_a_session_is_resumed_only_by_its_own_account(stage: Stage) -> None:
    client, begun = await subscribed(stage)
    thief = await stage.client(CHILD)
    answer = (await thief.ask("resume", {"session": begun["session"], "sequence": 0}))["data"]
    assert (answer["resumed"], answer["gap"]) == (False, True)
    assert (await client.ask("ping"))["status"] == "success"


@pytest_twisted.ensureDeferred
async def test_a_session_is_kept_for_the_window_only(tmp_path: Path) -> None:
    stage = await Stage.of(tmp_path, resume_window_s=0)
    client, begun = await subscribed(stage)
    await lose(stage, client)
    while len(stage.bridge.websockets.sessions):
        probe = await stage.client(None)
        await probe.close()
    assert not stage.bridge.websockets.fanout.index.topics
    again = await stage.client()
    assert not (await again.ask("resume", {"session": begun["session"], "sequence": 0}))["data"]["resumed"]
    await stage.stop()


@pytest_twisted.ensureDeferred
async def test_sockets_that_cannot_be_resumed_see_no_change(stage: Stage) -> None:
    client = await stage.client()
    await client.ask("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    await stage.call(RESELLER)
    assert "sequence" not in await client.event()
    refused = await client.ask("resume", {"session": "x", "sequence": 1})
    assert refused["data"] == {"errors": ["resume a session before anything else on a connection"]}
    for wrong in ({"session": 5}, {"sequence": "x"}, {"sequence": -1}, {"sequence": True}):
        assert (await client.ask("resume", wrong))["status"] == "error"
    await client.close()
    while len(stage.bridge.websockets.sessions):
        await stage.client(None)
        break


@pytest_twisted.ensureDeferred
async def test_a_session_that_waits_for_its_client_is_no_connected_socket(stage: Stage) -> None:
    client, begun = await subscribed(stage)
    questions = stage.bridge.websockets.queries
    assert len(await questions.list(RESELLER)) == 1
    await lose(stage, client)
    assert await questions.list(RESELLER) == []
    again = await stage.client()
    await again.ask("resume", {"session": begun["session"], "sequence": begun["sequence"]})
    assert [one["bindings"] for one in await questions.list(RESELLER)] == [["call.*.*"]]


@pytest_twisted.ensureDeferred
async def test_a_sequence_may_be_written_as_a_float(stage: Stage) -> None:
    client, begun = await subscribed(stage)
    await stage.call(RESELLER, call_id="c0")
    await client.event()
    await lose(stage, client)
    again = await stage.client()
    for wrong in (True, "1", 1.5, -1, -1.0, 1e300, 10**30, None):
        answer = await again.ask("resume", {"session": begun["session"], "sequence": wrong})
        assert answer["data"]["errors"] == ["sequence must be the last one that came with an event, or 0"], (
            wrong
        )
    answer = (await again.ask("resume", {"session": begun["session"], "sequence": float(begun["sequence"])}))[
        "data"
    ]
    assert (answer["resumed"], answer["gap"], answer["missed"]) == (True, False, 1)
