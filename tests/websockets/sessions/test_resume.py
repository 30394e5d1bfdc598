from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve

from kazoo_bridge.interfaces import TokenRestrictions
from kazoo_bridge.websockets.subscriptions.fanout import EventFanout
from tests.websockets.client import WebsocketClient
from tests.websockets.harness import CHILD, RESELLER, Harness

pytestmark = pytest.mark.timeout(30)


async def subscribe_resumably(harness: Harness) -> tuple[WebsocketClient, dict[str, Any]]:
    """A client with a resumable session and a subscription, and the data of the reply to its ``resume``."""
    client = await harness.connect()
    started = (await client.request("resume", {}))["data"]
    await client.request("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    return client, started


async def lose(harness: Harness, client: WebsocketClient) -> None:
    """Lose the connection; returns when the server has noticed."""
    connected = sum(session.is_connected for session in harness.sessions)
    client.drop()
    await harness.wait_until(lambda: sum(session.is_connected for session in harness.sessions) < connected)


async def resume(harness: Harness, session: str, sequence: Any) -> tuple[WebsocketClient, dict[str, Any]]:
    """A new client that has resumed, and the data of the reply."""
    client = await harness.connect()
    answer = await client.request("resume", {"session": session, "sequence": sequence})
    return client, answer["data"]


async def call_ids(client: WebsocketClient, number: int) -> list[str]:
    return [(await client.event())["data"]["call_id"] for _ in range(number)]


@pytest_twisted.ensureDeferred
async def test_missed_events_come_in_order_before_new_ones(harness: Harness) -> None:
    client, started = await subscribe_resumably(harness)
    assert [started["websocket_session_id"]] == [one.id for one in harness.node.websockets.sessions]
    assert {name: started[name] for name in ("resumed", "gap", "missed", "window_seconds")} == {
        "resumed": False,
        "gap": False,
        "missed": 0,
        "window_seconds": 120,
    }
    for number in range(3):
        await harness.publish_call(RESELLER, call_id=f"c{number}")
    first = await client.event()
    assert first["sequence"] > started["sequence"]
    await client.event()
    await lose(harness, client)
    for number in range(3, 6):
        await harness.publish_call(RESELLER, call_id=f"c{number}")
    again, answer = await resume(harness, started["session"], first["sequence"])
    assert (answer["resumed"], answer["gap"], answer["missed"]) == (True, False, 5)
    assert answer["subscribed"] == ["call.*.*"]
    await harness.publish_call(RESELLER, call_id="c6")
    events = [await again.event() for _ in range(6)]
    assert [event["data"]["call_id"] for event in events] == [f"c{number}" for number in range(1, 7)]
    assert [event["sequence"] for event in events] == sorted({event["sequence"] for event in events})
    assert answer["sequence"] == events[4]["sequence"]
    assert len(harness.sessions) == 1


@pytest_twisted.ensureDeferred
async def test_a_connection_that_is_still_open_is_taken_over(harness: Harness) -> None:
    client, started = await subscribe_resumably(harness)
    again, answer = await resume(harness, started["session"], started["sequence"])
    assert answer["resumed"]
    assert await client.close_code() == 4409
    await harness.publish_call(RESELLER)
    assert await call_ids(again, 1) == ["call-1"]
    assert (await again.request("unsubscribe"))["data"]["unsubscribed"] == ["call.*.*"]


@pytest_twisted.ensureDeferred
async def test_events_beyond_the_buffer_are_a_gap(tmp_path: Path) -> None:
    harness = await Harness.start(tmp_path, resume_events=2)
    client, started = await subscribe_resumably(harness)
    await lose(harness, client)
    for number in range(4):
        await harness.publish_call(RESELLER, call_id=f"c{number}")
    again, answer = await resume(harness, started["session"], started["sequence"])
    assert (answer["resumed"], answer["gap"], answer["missed"]) == (True, True, 2)
    assert await call_ids(again, 2) == ["c2", "c3"]
    await harness.stop()


@pytest_twisted.ensureDeferred
async def test_an_unknown_session_starts_a_new_one_with_a_gap(harness: Harness) -> None:
    _, answer = await resume(harness, "no-such-session", 5)
    assert (answer["resumed"], answer["gap"], answer["subscribed"]) == (False, True, [])
    assert answer["session"] != "no-such-session"
    assert harness.node.websockets.resumer.results == {"complete": 0, "gap": 0, "unknown": 1}


@pytest_twisted.ensureDeferred
async def test_resumes_are_counted_by_result(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    client, started = await subscribe_resumably(harness)
    results = harness.node.websockets.resumer.results
    assert results == {"complete": 0, "gap": 0, "unknown": 0}
    await lose(harness, client)
    client, _ = await resume(harness, started["session"], started["sequence"])
    assert results == {"complete": 1, "gap": 0, "unknown": 0}
    await lose(harness, client)
    monkeypatch.setattr(EventFanout, "interruptions", 7)
    await resume(harness, started["session"], started["sequence"])
    assert results == {"complete": 1, "gap": 1, "unknown": 0}


@pytest_twisted.ensureDeferred
async def test_only_its_own_account_resumes_a_session(harness: Harness) -> None:
    client, started = await subscribe_resumably(harness)
    thief = await harness.connect(CHILD)
    answer = (await thief.request("resume", {"session": started["session"], "sequence": 0}))["data"]
    assert (answer["resumed"], answer["gap"]) == (False, True)
    assert (await client.request("ping"))["status"] == "success"


@pytest_twisted.ensureDeferred
async def test_a_token_with_other_restrictions_resumes_no_session(harness: Harness) -> None:
    _, started = await subscribe_resumably(harness)
    (session,) = harness.sessions
    assert session.principal is not None
    session.principal = evolve(session.principal, restrictions=TokenRestrictions())
    _, answer = await resume(harness, started["session"], 0)
    assert (answer["resumed"], answer["gap"]) == (False, True)
    session.principal = evolve(session.principal, restrictions=None)
    _, answer = await resume(harness, started["session"], 0)
    assert answer["resumed"]


@pytest_twisted.ensureDeferred
async def test_a_session_is_kept_within_the_window_only(tmp_path: Path) -> None:
    harness = await Harness.start(tmp_path, resume_window_s=0)
    client, started = await subscribe_resumably(harness)
    await lose(harness, client)
    await harness.wait_until(lambda: not harness.sessions)
    assert not harness.websockets.fanout.index.topics
    _, answer = await resume(harness, started["session"], 0)
    assert not answer["resumed"]
    await harness.stop()


@pytest_twisted.ensureDeferred
async def test_events_of_other_sessions_have_no_sequence(harness: Harness) -> None:
    client = await harness.connect()
    await client.request("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    await harness.publish_call(RESELLER)
    assert "sequence" not in await client.event()


@pytest_twisted.ensureDeferred
async def test_a_session_is_resumed_before_anything_else(harness: Harness) -> None:
    refused = {"errors": ["resume a session before anything else on a connection"]}
    client = await harness.connect()
    await client.request("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    assert (await client.request("resume", {"session": "x", "sequence": 1}))["data"] == refused
    resumable = await harness.connect()
    await resumable.request("resume", {})
    assert (await resumable.request("resume", {"session": "x", "sequence": 1}))["data"] == refused


@pytest_twisted.ensureDeferred
async def test_resume_without_a_session_may_be_repeated(harness: Harness) -> None:
    client, started = await subscribe_resumably(harness)
    answer = (await client.request("resume", {}))["data"]
    assert (answer["session"], answer["resumed"], answer["gap"]) == (started["session"], False, False)
    assert answer["subscribed"] == ["call.*.*"]


@pytest_twisted.ensureDeferred
async def test_a_disconnected_session_is_no_connected_socket(harness: Harness) -> None:
    client, started = await subscribe_resumably(harness)
    queries = harness.websockets.queries
    assert len(await queries.list(RESELLER)) == 1
    await lose(harness, client)
    assert await queries.list(RESELLER) == []
    await resume(harness, started["session"], started["sequence"])
    assert [socket["bindings"] for socket in await queries.list(RESELLER)] == [["call.*.*"]]


@pytest_twisted.ensureDeferred
async def test_session_and_sequence_are_checked(harness: Harness) -> None:
    client, started = await subscribe_resumably(harness)
    await harness.publish_call(RESELLER, call_id="c0")
    await client.event()
    await lose(harness, client)
    again = await harness.connect()
    answer = await again.request("resume", {"session": 5})
    assert answer["data"]["errors"] == ["session must be the text that an earlier resume has answered with"]
    for wrong in (True, "1", 1.5, -1, -1.0, 1e300, 10**30, None):
        answer = await again.request("resume", {"session": started["session"], "sequence": wrong})
        errors = ["sequence must be the last one that came with an event, or 0"]
        assert answer["data"]["errors"] == errors, wrong
    data = {"session": started["session"], "sequence": float(started["sequence"])}
    answer = (await again.request("resume", data))["data"]
    assert (answer["resumed"], answer["gap"], answer["missed"]) == (True, False, 1)


@pytest_twisted.ensureDeferred
async def test_an_interruption_of_the_broker_is_a_gap_that_is_reported_once(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, started = await subscribe_resumably(harness)
    interruptions = harness.websockets.fanout.interruptions + 1
    monkeypatch.setattr(EventFanout, "interruptions", interruptions)
    for gap in (True, False):
        await lose(harness, client)
        client, answer = await resume(harness, started["session"], started["sequence"])
        assert (answer["resumed"], answer["gap"]) == (True, gap)


@pytest_twisted.ensureDeferred
async def test_a_client_that_resumes_is_not_one_too_many(tmp_path: Path) -> None:
    harness = await Harness.start(tmp_path, max_connections_per_account=1)
    first = await harness.connect()
    session = (await first.request("resume", {}))["data"]["session"]
    data, token = {"session": session, "sequence": 0}, harness.tokens[RESELLER]
    # A connection whose loss is not noticed yet gives way to the client's next one, ...
    second = await harness.connect(None)
    assert (await second.request("resume", data, auth_token=token))["data"]["resumed"] is True
    assert await first.close_code() == 4409
    # ... and a session without a connection does not count.
    await lose(harness, second)
    third = await harness.connect(None)
    assert (await third.request("resume", data, auth_token=token))["data"]["resumed"] is True
    another = await harness.connect(None)
    another.send({"action": "resume", "auth_token": token, "data": {}})
    assert await another.close_code() == 4429
    await harness.stop()
