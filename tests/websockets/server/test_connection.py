from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.config import Websockets
from kazoo_bridge.token_bucket import TokenBucket
from kazoo_bridge.websockets.server.connection import (
    MAX_QUEUED_MESSAGES,
    Connection,
    ConnectionLimits,
    WebsocketEncoder,
)
from kazoo_bridge.websockets.server.flusher import Flusher
from kazoo_bridge.websockets.server.frames import EventFrame, event_content, event_prefix, text_frame
from kazoo_bridge.websockets.sessions.session import Session
from tests.websockets.fakes import FakeTransport


def make_session(name: str = "s") -> Session:
    return Session(name, "192.0.2.1", "host", 0.0, TokenBucket(1, 1.0), 0.0)


def make_event(data: str = "") -> EventFrame:
    return EventFrame("call.*.*", event_prefix("call.*.*", "k"), event_content("n", "r", data), 1)


class ConnectionHarness:
    """A connection over a fake transport, and a handler that waits for `finish`."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.transport = FakeTransport()
        self.closed: list[tuple[int, str]] = []
        self.overflowed: list[Connection] = []
        self.handled: list[bytes] = []
        self.running: list[Deferred[None]] = []
        self.connection = Connection(
            make_session(),
            self.transport,
            Flusher(self.clock),
            ConnectionLimits.from_config(evolve(Websockets(), **settings)),
            WebsocketEncoder(deflate=False),
            lambda code, reason: self.closed.append((code, reason)),
            self.overflowed.append,
        )

    async def handle(self, connection: Connection, payload: bytes) -> None:
        assert connection is self.connection
        self.handled.append(payload)
        self.running.append(Deferred())
        await self.running[-1]

    def send(self, payload: bytes) -> bool:
        return self.connection.on_message(payload, self.handle)

    @property
    def written(self) -> bytes:
        self.clock.advance(1)
        return b"".join(self.transport.written)


class TestMessages:
    def test_they_are_handled_one_after_another(self) -> None:
        its = ConnectionHarness()
        assert [its.send(payload) for payload in (b"1", b"2", b"3")] == [True] * 3
        assert its.handled == [b"1"]
        its.running[0].callback(None)
        assert its.handled == [b"1", b"2"]
        its.running[1].callback(None)
        its.running[2].callback(None)
        assert its.send(b"4")
        assert its.handled == [b"1", b"2", b"3", b"4"]

    def test_the_number_that_waits_is_limited(self) -> None:
        its = ConnectionHarness()
        its.send(b"handled")
        assert all(its.send(b"waits") for _ in range(MAX_QUEUED_MESSAGES))
        assert not its.send(b"one too many")
        its.running[0].callback(None)
        assert its.send(b"waits")

    def test_closing_discards_those_that_wait(self) -> None:
        its = ConnectionHarness()
        its.send(b"1")
        its.send(b"2")
        its.connection.close(4403, "closed")
        its.running[0].callback(None)
        assert its.handled == [b"1"]

    def test_an_unexpected_failure_is_logged_and_closes_the_connection(self) -> None:
        its = ConnectionHarness()
        its.send(b"1")
        its.send(b"2")
        with capturedLogs() as logs:
            its.running[0].errback(ZeroDivisionError())
        assert its.closed == [(1011, "an unexpected error")]
        assert [event["log_failure"].type for event in logs] == [ZeroDivisionError]
        assert its.handled == [b"1"]


class TestOutput:
    def test_events_and_replies_are_frames_in_order(self) -> None:
        its = ConnectionHarness()
        event = make_event()
        its.connection.event(event, True)
        its.connection.reply(b"{}")
        its.connection.event(event, False)
        assert its.written == text_frame(event.text(True)) + text_frame(b"{}") + text_frame(event.text(False))

    def test_what_waits_is_sent_before_the_connection_closes(self) -> None:
        its = ConnectionHarness()
        its.connection.reply(b"{}")
        its.connection.close(4403, "closed")
        assert its.transport.written == [text_frame(b"{}")]
        assert its.closed == [(4403, "closed")]
        its.connection.reply(b"{}")
        assert its.written == text_frame(b"{}")

    def test_dropped_events_are_reported_with_the_event_overflow(self) -> None:
        its = ConnectionHarness(send_buffer_bytes=4096)
        its.connection.send_buffer.pauseProducing()
        for _ in range(2):
            its.connection.event(make_event("x" * 5000), False)
        its.connection.send_buffer.resumeProducing()
        header, _, text = its.written.partition(b"{")
        assert json.loads(b"{" + text) == {
            "action": "event",
            "subscribed_key": "overflow",
            "subscription_key": "overflow",
            "name": "overflow",
            "routing_key": "overflow",
            "data": {"dropped": 2, "bindings": {"call.*.*": 2}},
        }
        assert len(header) == 4

    def test_a_client_that_misses_too_much_is_reported_once(self) -> None:
        its = ConnectionHarness(send_buffer_bytes=4096, max_dropped_events=1)
        its.connection.send_buffer.pauseProducing()
        for _ in range(5):
            its.connection.event(make_event("x" * 5000), False)
        assert its.overflowed == [its.connection]

    def test_a_compressed_event(self) -> None:
        event, encoder = make_event("x" * 5000), WebsocketEncoder(deflate=True)
        assert encoder.event(make_session(), event, False) == text_frame(event.text(False), deflate=True)
        assert encoder.text(b"{}") == text_frame(b"{}")


def test_a_connection_continues_with_a_resumed_session() -> None:
    its, resumed = ConnectionHarness(), make_session("resumed")
    its.connection.switch_session(resumed)
    assert its.connection.session is resumed


@pytest.mark.parametrize(
    ("setting", "attribute", "value"),
    [
        ("max_message_bytes", "message_bytes", 4097),
        ("send_buffer_bytes", "send_buffer_bytes", 4097),
        ("max_dropped_events", "max_dropped", 77),
        ("handshake_timeout_s", "handshake_timeout", 77),
        ("ping_interval_s", "ping_interval", 77),
    ],
)
def test_limits_are_those_of_the_configuration(setting: str, attribute: str, value: int) -> None:
    changes: Any = {setting: value}
    limits = ConnectionLimits.from_config(evolve(Websockets(), **changes))
    assert getattr(limits, attribute) == value
