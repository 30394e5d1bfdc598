"""Sockets over REST, and events without websockets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue
from twisted.internet.task import deferLater
from twisted.logger import LogLevel
from twisted.web.client import ResponseFailed

from kazoo_bridge.interfaces import Queue, Topic
from kazoo_bridge.kazoo import Event
from tests.integration.amqp_harness import CapturedLog
from tests.websockets.stage import CHILD, RESELLER, STRANGER, Stage

pytestmark = pytest.mark.timeout(30)


async def rest(
    stage: Stage, verb: str, path: str, account: str | None = RESELLER, **headers: str
) -> tuple[int, Any]:
    sent = {"X-Auth-Token": stage.tokens[account]} if account else {}
    response = await treq.request(
        verb, f"http://{stage.bridge.http_host}{path}", headers={**sent, **headers}, persistent=False
    )
    return response.code, (await response.json())


@pytest_twisted.ensureDeferred
async def test_the_catalogue_is_for_anybody(stage: Stage) -> None:
    code, answer = await rest(stage, "GET", "/v2/websockets", None)
    assert code == 200
    assert "call.CHANNEL_CREATE.{CALL_ID}" in answer["data"]["call"]
    assert "version" not in answer


@pytest_twisted.ensureDeferred
async def test_sockets_are_listed_read_and_closed(stage: Stage) -> None:
    own, child = await stage.client(), await stage.client(CHILD)
    await own.ask("subscribe", {"account_id": RESELLER, "binding": "call.*.*"}, name="desk")
    code, answer = await rest(stage, "GET", f"/v2/accounts/{RESELLER}/websockets")
    (listed,) = answer["data"]
    assert (code, listed["name"], listed["bindings"], listed["source"]) == (
        200,
        "desk",
        ["call.*.*"],
        "127.0.0.1",
    )
    assert set(listed) == {"websocket_session_id", "bindings", "timestamp", "name", "destination", "source"}
    path = f"/v2/accounts/{RESELLER}/websockets/{quote(listed['websocket_session_id'])}"
    assert (await rest(stage, "GET", path))[1]["data"] == listed
    assert (await rest(stage, "GET", path, STRANGER))[0] == 403
    assert (await rest(stage, "GET", path.replace(RESELLER, STRANGER), STRANGER))[0] == 404
    _, children = await rest(stage, "GET", f"/v2/accounts/{CHILD}/websockets")
    below = f"/v2/accounts/{RESELLER}/websockets/{quote(children['data'][0]['websocket_session_id'])}"
    assert (await rest(stage, "DELETE", below.replace(RESELLER, STRANGER), STRANGER))[0] == 404
    code, answer = await rest(stage, "DELETE", below)
    assert (code, answer["data"]) == (200, children["data"][0])
    assert (await child.notice())["data"] == {"errors": ["the socket is closed by an operator"]}
    assert await child.close_code() == 4403
    assert (await rest(stage, "GET", below))[0] == 404
    assert (await own.ask("ping"))["status"] == "success"


@pytest_twisted.ensureDeferred
async def test_a_socket_that_has_not_authenticated_is_nobodys(stage: Stage) -> None:
    client = await stage.client(None)
    (session,) = list(stage.bridge.websockets.sessions)
    for account in (STRANGER, RESELLER):
        path = f"/v2/accounts/{account}/websockets/{quote(session.id)}"
        assert (await rest(stage, "GET", path, account))[0] == 404
        assert (await rest(stage, "DELETE", path, account))[0] == 404
    assert (await client.ask("ping", auth_token=stage.tokens[CHILD]))["status"] == "success"
    assert (await rest(stage, "GET", path))[0] == 200


@pytest_twisted.ensureDeferred
async def test_kazoos_own_rest_is_answered(stage: Stage) -> None:
    client = await stage.client()
    await client.ask("subscribe", {"account_id": RESELLER, "binding": "call.*.*"})
    answers: DeferredQueue[Event] = DeferredQueue()
    stage.bridge.bus.consume(
        Queue("crossbar-1", frozenset({Topic("targeted", "crossbar-1")}), acknowledge=False), answers.put
    )

    async def asked(**body: Any) -> Any:
        envelope = {
            "Event-Category": "websockets",
            "Event-Name": "get_req",
            "Msg-ID": "m1",
            "Server-ID": "crossbar-1",
        }
        await stage.publish("sysconf", "websockets.get", **envelope, **body)
        event = await answers.get().addTimeout(5, reactor)
        assert (event.body["Event-Category"], event.body["Event-Name"], event.body["Msg-ID"]) == (
            "websockets",
            "get_resp",
            "m1",
        )
        return event.body["Data"]

    (listed,) = await asked(**{"Account-ID": STRANGER, "Auth-Account-ID": RESELLER})
    assert listed["bindings"] == ["call.*.*"]
    assert await asked(**{"Account-ID": STRANGER}) == []
    assert await asked(**{"Account-ID": RESELLER, "Socket-ID": listed["websocket_session_id"]}) == listed
    assert await asked(**{"Account-ID": STRANGER, "Socket-ID": listed["websocket_session_id"]}) == []
    assert await asked(**{"Account-ID": RESELLER, "Socket-ID": "10.0.0.1:1"}) == []


class Stream:
    """A client of server-sent events."""

    def __init__(self) -> None:
        self.events: DeferredQueue[tuple[str, Any]] = DeferredQueue()
        self.response: Any = None
        self._data = b""

    async def open(self, stage: Stage, query: str, account: str = RESELLER, **headers: str) -> Stream:
        url = f"http://{stage.bridge.http_host}/v2/accounts/{RESELLER}/events{query}"
        sent = {"X-Auth-Token": stage.tokens[account], **headers}
        self.response = await treq.get(url, headers=sent, persistent=False, unbuffered=True)
        self.ended = treq.collect(self.response, self._got) if self.response.code == 200 else None
        return self

    def _got(self, data: bytes) -> None:
        *blocks, self._data = (self._data + data).split(b"\n\n")
        for block in blocks:
            fields = dict(
                line.split(": ", 1) for line in block.decode().split("\n") if not line.startswith(":")
            )
            if "data" in fields:
                self.events.put((fields.get("id", ""), json.loads(fields["data"])))

    async def event(self) -> tuple[str, Any]:
        return await self.events.get().addTimeout(5, reactor)

    def lose(self) -> None:
        """The network between the client and the bridge is gone."""
        self.ended.addErrback(lambda failure: failure.trap(ResponseFailed))
        self.response.original._transport.loseConnection()


@pytest_twisted.ensureDeferred
async def test_server_sent_events(stage: Stage) -> None:
    stream = await Stream().open(stage, "?binding=call.*.*&binding=object.doc_edited.user")
    assert stream.response.headers.getRawHeaders("content-type") == ["text/event-stream"]
    _, notice = await stream.event()
    assert notice == {
        "action": "notice",
        "name": "open",
        "data": {"subscribed": ["call.*.*", "object.doc_edited.user"], "gap": False, "missed": 0},
    }
    await stage.call(CHILD)
    await stage.call(RESELLER)
    event_id, event = await stream.event()
    assert (event["subscribed_key"], event["data"]["call_id"]) == ("call.*.*", "call-1")
    assert event_id.endswith(f"-{event['sequence']}")
    (session,) = list(stage.bridge.websockets.sessions)
    stage.bridge.websockets.sessions.end(session, 4403, "closed")
    await stream.ended.addTimeout(5, reactor)


@pytest_twisted.ensureDeferred
async def test_a_stream_resumes_after_the_last_event_id(stage: Stage) -> None:
    first = await Stream().open(stage, "?binding=call.*.*")
    await first.event()
    await stage.call(RESELLER, call_id="c0")
    event_id, _ = await first.event()
    (session,) = list(stage.bridge.websockets.sessions)
    for number in (1, 2):
        await stage.call(RESELLER, call_id=f"c{number}")
    again = await Stream().open(stage, "?binding=call.*.*", **{"Last-Event-ID": event_id})
    assert (await again.event())[1]["data"] == {"subscribed": ["call.*.*"], "gap": False, "missed": 2}
    await stage.call(RESELLER, call_id="c3")
    assert [(await again.event())[1]["data"]["call_id"] for _ in range(3)] == ["c1", "c2", "c3"]
    assert list(stage.bridge.websockets.sessions) == [session]
    lost = await Stream().open(stage, "?binding=call.*.*", **{"Last-Event-ID": "nothing-5"})
    assert (await lost.event())[1]["data"]["gap"] is True


@pytest_twisted.ensureDeferred
async def test_a_client_that_goes_is_no_failure(stage: Stage) -> None:
    with CapturedLog() as log:
        stream = await Stream().open(stage, "?binding=call.*.*")
        event_id, _ = await stream.event()
        stream.lose()
        while stage.bridge.websockets.server.admission.connected:
            await deferLater(reactor, 0.01)
        await stage.call(RESELLER, call_id="missed")
        again = await Stream().open(stage, "?binding=call.*.*", **{"Last-Event-ID": event_id})
        assert (await again.event())[1]["data"]["missed"] == 1
    assert not log.at_least(LogLevel.error)


@pytest_twisted.ensureDeferred
async def test_a_look_at_the_head_opens_no_stream(stage: Stage) -> None:
    url = f"http://{stage.bridge.http_host}/v2/accounts/{RESELLER}/events?binding=call.*.*"
    response = await treq.head(url, headers={"X-Auth-Token": stage.tokens[RESELLER]}, persistent=False)
    assert (response.code, response.headers.getRawHeaders("content-type")) == (200, ["text/event-stream"])
    assert not list(stage.bridge.websockets.sessions)


@pytest_twisted.ensureDeferred
async def test_a_stream_on_which_nothing_came_can_be_resumed(stage: Stage) -> None:
    first = await Stream().open(stage, "?binding=call.*.*")
    event_id, _ = await first.event()
    await stage.call(RESELLER, call_id="missed")
    again = await Stream().open(stage, "?binding=call.*.*", **{"Last-Event-ID": event_id})
    same_id, notice = await again.event()
    assert (same_id, notice["data"]) == (event_id, {"subscribed": ["call.*.*"], "gap": False, "missed": 1})
    assert (await again.event())[1]["data"]["call_id"] == "missed"


@pytest_twisted.ensureDeferred
async def test_what_comes_while_a_stream_opens_keeps_its_order(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await Stream().open(stage, "?binding=call.*.*")
    event_id, _ = await first.event()
    await stage.call(RESELLER, call_id="c1")
    listener = stage.bridge.websockets.fanout
    bind = listener.bind
    (session,) = list(stage.bridge.websockets.sessions)

    async def slow(topics: Any) -> Any:
        problems = await bind(topics)
        await stage.call(RESELLER, call_id="c2")
        while session.replay_buffer is None or len(session.replay_buffer.after(0)) < 2:
            await deferLater(reactor, 0)
        return problems

    monkeypatch.setattr(type(listener), "bind", lambda _, topics: slow(topics))
    again = await Stream().open(stage, "?binding=call.*.*&binding=parking.*", **{"Last-Event-ID": event_id})
    assert (await again.event())[1]["data"]["missed"] == 2
    await stage.call(RESELLER, call_id="c3")
    assert [(await again.event())[1]["data"]["call_id"] for _ in range(3)] == ["c1", "c2", "c3"]


@pytest_twisted.ensureDeferred
async def test_streams_that_are_refused(stage: Stage) -> None:
    for query, account, code in (
        ("", RESELLER, 400),
        ("?binding=call.NO.*", RESELLER, 400),
        ("?binding=call.*.*", STRANGER, 403),
    ):
        stream = await Stream().open(stage, query, account)
        assert stream.response.code == code
        assert stream.response.headers.getRawHeaders("content-type") == ["application/json"]
        await stream.response.json()
    assert not list(stage.bridge.websockets.sessions)
    assert stage.bridge.websockets.server.admission.connected == 0


@pytest_twisted.ensureDeferred
async def test_streams_count_as_connections(tmp_path: Path) -> None:
    stage = await Stage.of(tmp_path, max_connections_per_ip=1)
    await Stream().open(stage, "?binding=call.*.*")
    assert (await Stream().open(stage, "?binding=call.*.*")).response.code == 429
    await stage.stop()
