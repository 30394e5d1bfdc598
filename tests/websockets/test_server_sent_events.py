from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.web.http_headers import Headers

from kazoo_bridge.config import Websockets
from kazoo_bridge.token_bucket import TokenBucket
from kazoo_bridge.websockets.server.connection import Connection, ConnectionLimits
from kazoo_bridge.websockets.server.flusher import Flusher
from kazoo_bridge.websockets.server.frames import CloseCode
from kazoo_bridge.websockets.server.send_buffer import SendBuffer
from kazoo_bridge.websockets.server_sent_events import KEEP_ALIVE_FRAME, MAX_STALLED_COMMENTS, EventStream
from kazoo_bridge.websockets.sessions.session import Session
from tests.websockets.fakes import FakeTransport
from tests.websockets.harness import CHILD, RESELLER, STRANGER, Harness
from tests.websockets.stream_client import StreamClient

pytestmark = pytest.mark.timeout(30)


@pytest_twisted.ensureDeferred
async def test_a_stream_starts_with_a_notice_and_sends_events_with_ids(harness: Harness) -> None:
    stream = await StreamClient().open(harness, "?binding=call.*.*&binding=object.doc_edited.user")
    assert stream.response.headers.getRawHeaders("content-type") == ["text/event-stream"]
    _, notice = await stream.event()
    assert notice == {
        "action": "notice",
        "name": "open",
        "data": {"subscribed": ["call.*.*", "object.doc_edited.user"], "gap": False, "missed": 0},
    }
    await harness.publish_call(CHILD)
    await harness.publish_call(RESELLER)
    event_id, event = await stream.event()
    assert (event["subscribed_key"], event["data"]["call_id"]) == ("call.*.*", "call-1")
    assert event_id.endswith(f"-{event['sequence']}")
    (session,) = harness.sessions
    harness.websockets.sessions.end(session, CloseCode.CLOSED_BY_OPERATOR, "closed")
    await stream.ended.addTimeout(5, reactor)


@pytest_twisted.ensureDeferred
async def test_a_stream_resumes_after_the_last_event_id(harness: Harness) -> None:
    first = await StreamClient().open(harness)
    await first.event()
    await harness.publish_call(RESELLER, call_id="c0")
    event_id, _ = await first.event()
    (session,) = harness.sessions
    for number in (1, 2):
        await harness.publish_call(RESELLER, call_id=f"c{number}")
    again = await StreamClient().open(harness, Last_Event_ID=event_id)
    assert (await again.event())[1]["data"] == {"subscribed": ["call.*.*"], "gap": False, "missed": 2}
    await harness.publish_call(RESELLER, call_id="c3")
    assert await again.call_ids(3) == ["c1", "c2", "c3"]
    assert harness.sessions == [session]


@pytest.mark.parametrize("event_id", ["nothing-5", "no id", f"{'0' * 48}-5"])
@pytest_twisted.ensureDeferred
async def test_an_unknown_last_event_id_is_a_gap(harness: Harness, event_id: str) -> None:
    stream = await StreamClient().open(harness, Last_Event_ID=event_id)
    assert (await stream.event())[1]["data"] == {"subscribed": ["call.*.*"], "gap": True, "missed": 0}
    assert harness.node.websockets.resumer.results == {"complete": 0, "gap": 0, "unknown": 1}


@pytest_twisted.ensureDeferred
async def test_a_stream_without_events_resumes_after_its_notice(harness: Harness) -> None:
    first = await StreamClient().open(harness)
    event_id, _ = await first.event()
    await harness.publish_call(RESELLER, call_id="missed")
    again = await StreamClient().open(harness, Last_Event_ID=event_id)
    same_id, notice = await again.event()
    assert (same_id, notice["data"]) == (event_id, {"subscribed": ["call.*.*"], "gap": False, "missed": 1})
    assert await again.call_ids(1) == ["missed"]


@pytest_twisted.ensureDeferred
async def test_a_lost_client_is_no_error_and_misses_nothing(harness: Harness) -> None:
    with capturedLogs() as logs:
        stream = await StreamClient().open(harness)
        event_id, _ = await stream.event()
        stream.lose()
        await harness.wait_until(lambda: not harness.websockets.server.admission.connections.total)
        await harness.publish_call(RESELLER, call_id="missed")
        again = await StreamClient().open(harness, Last_Event_ID=event_id)
        assert (await again.event())[1]["data"]["missed"] == 1
    assert not [event for event in logs if event["log_level"] >= LogLevel.error]


@pytest_twisted.ensureDeferred
async def test_events_that_arrive_while_a_stream_opens_keep_their_order(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await StreamClient().open(harness)
    event_id, _ = await first.event()
    await harness.publish_call(RESELLER, call_id="c1")
    fanout = harness.websockets.fanout
    bind = fanout.bind
    (session,) = harness.sessions

    def has_both_events() -> bool:
        return session.replay_buffer is not None and len(session.replay_buffer.after(0)) == 2

    async def slow(*arguments: Any) -> Any:
        problems = await bind(*arguments)
        await harness.publish_call(RESELLER, call_id="c2")
        await harness.wait_until(has_both_events)
        return problems

    monkeypatch.setattr(type(fanout), "bind", lambda _, *arguments: slow(*arguments))
    again = await StreamClient().open(harness, "?binding=call.*.*&binding=parking.*", Last_Event_ID=event_id)
    assert (await again.event())[1]["data"]["missed"] == 2
    await harness.publish_call(RESELLER, call_id="c3")
    assert await again.call_ids(3) == ["c1", "c2", "c3"]


@pytest_twisted.ensureDeferred
async def test_head_opens_no_stream(harness: Harness) -> None:
    url = f"http://{harness.node.http_host}/v2/accounts/{RESELLER}/events?binding=call.*.*"
    headers = Headers({"X-Auth-Token": [harness.tokens[RESELLER]]})
    response = await treq.head(url, headers=headers, persistent=False)
    assert (response.code, response.headers.getRawHeaders("content-type")) == (200, ["text/event-stream"])
    assert not harness.sessions


@pytest.mark.parametrize(
    ("query", "account", "code"),
    [("", RESELLER, 400), ("?binding=call.NO.*", RESELLER, 400), ("?binding=call.*.*", STRANGER, 403)],
)
@pytest_twisted.ensureDeferred
async def test_a_refused_stream_leaves_nothing(harness: Harness, query: str, account: str, code: int) -> None:
    stream = await StreamClient().open(harness, query, account)
    assert stream.response.code == code
    assert stream.response.headers.getRawHeaders("content-type") == ["application/json"]
    await stream.response.json()
    assert not harness.sessions
    assert harness.websockets.server.admission.connections.total == 0


@pytest_twisted.ensureDeferred
async def test_streams_count_as_connections(tmp_path: Path) -> None:
    harness = await Harness.start(tmp_path, max_connections_per_ip=1)
    await StreamClient().open(harness)
    assert (await StreamClient().open(harness)).response.code == 429
    await harness.stop()


@pytest_twisted.ensureDeferred
async def test_streams_count_as_sockets_of_the_account(tmp_path: Path) -> None:
    harness = await Harness.start(tmp_path, max_connections_per_account=1)
    await StreamClient().open(harness)
    assert (await StreamClient().open(harness)).response.code == 429
    assert len(harness.sessions) == 1
    await harness.stop()


@pytest_twisted.ensureDeferred
async def test_a_session_that_ends_while_its_stream_opens_is_refused(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def end(*_: Any) -> dict[Any, str]:
        (session,) = harness.sessions
        harness.websockets.sessions.end(session)
        return {}

    monkeypatch.setattr(type(harness.websockets.fanout), "bind", end)
    assert (await StreamClient().open(harness)).response.code == 403
    assert harness.websockets.server.admission.connections.total == 0


def test_the_keep_alive_is_a_comment() -> None:
    assert KEEP_ALIVE_FRAME.startswith(b":")
    assert KEEP_ALIVE_FRAME.endswith(b"\n\n")


class TestAClientThatDoesNotRead:
    def make_stream(self) -> tuple[EventStream, SendBuffer, list[None]]:
        """A stream, its send buffer, and a list that gets an item when the stream ends the response."""
        ended: list[None] = []
        session = Session("s", "192.0.2.1", "host", 0.0, TokenBucket(1, 1.0), 0.0)
        encoder: Any = None
        limits = ConnectionLimits.from_config(Websockets())
        connection = Connection(
            session, FakeTransport(), Flusher(Clock()), limits, encoder, lambda *_: None, lambda _: None
        )
        stream = EventStream(connection, lambda _: None, lambda: ended.append(None))
        return stream, connection.send_buffer, ended

    def test_its_stream_ends_after_some_comments(self) -> None:
        stream, buffer, ended = self.make_stream()
        buffer.pauseProducing()
        for _ in range(MAX_STALLED_COMMENTS - 1):
            stream.keep_alive()
        assert not ended
        stream.keep_alive()
        assert (len(ended), buffer.closed) == (1, True)

    def test_one_that_reads_slowly_keeps_its_stream(self) -> None:
        stream, buffer, ended = self.make_stream()
        for _ in range(2 * MAX_STALLED_COMMENTS):
            buffer.pauseProducing()
            stream.keep_alive()
            buffer.resumeProducing()
            buffer.pauseProducing()
            stream.keep_alive()
        assert not ended
