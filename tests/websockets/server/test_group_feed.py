"""Whatever happens, sockets that follow a feed receive what they would receive without it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.websockets.server.connection import Connection, ConnectionLimits, WebsocketEncoder
from kazoo_bridge.websockets.server.flusher import Flusher
from kazoo_bridge.websockets.server.frames import CloseCode, EventFrame, event_content, event_prefix
from kazoo_bridge.websockets.server.group_feed import GroupFeed
from kazoo_bridge.websockets.server.send_buffer import SendBuffer
from kazoo_bridge.websockets.sessions.replay_buffer import ReplayBuffer, ReplayMemory
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions.subscription_index import SubscriptionGroup
from tests.websockets.server.test_connection import make_session

SOCKETS, GROUPS = 4, 2
LIMITS = ConnectionLimits(
    message_bytes=1000, send_buffer_bytes=4096, max_dropped=8, handshake_timeout=1, ping_interval=1
)


def make_event(number: int, size: int = 0) -> EventFrame:
    content = event_content("n", "r", {"number": number, "padding": "x" * size})
    return EventFrame("call.*.*", event_prefix("call.*.*", "k"), content, number)


class FakeTransport:
    """Keeps what is written; beyond `room` bytes it pauses its producer, like a transport of Twisted."""

    producer: Any = None

    def __init__(self) -> None:
        self.written = b""
        self.room = 1_000_000
        self.is_broken = False

    def write(self, data: bytes) -> None:
        if self.is_broken:
            raise RuntimeError("a fault of the transport")
        self.written += data
        self.room -= len(data)
        if self.room < 0:
            self.producer.pauseProducing()


class UnsharedEncoder:
    """Encodes the same, but its connections follow no feed."""

    shares_frames = False

    def __init__(self, deflate: bool) -> None:
        self.deflate = deflate
        self._encoder = WebsocketEncoder(deflate)

    def event(self, session: Session, frame: EventFrame, sequenced: bool) -> bytes:
        return self._encoder.event(session, frame, sequenced)

    def text(self, text: bytes) -> bytes:
        return self._encoder.text(text)


class Sockets:
    """Four sockets, of which two have negotiated permessage-deflate, and two groups."""

    def __init__(self, make_encoder: Callable[[bool], Any]) -> None:
        self.clock = Clock()
        self.flusher = Flusher(self.clock)
        self.transports = [FakeTransport() for _ in range(SOCKETS)]
        self.closed: list[tuple[int, int]] = []
        self.connections: list[Connection] = []
        for number, transport in enumerate(self.transports):
            session = make_session(str(number))
            connection = Connection(
                session,
                transport,
                self.flusher,
                LIMITS,
                make_encoder(number % 2 == 1),
                lambda code, _reason, number=number: self.closed.append((number, code)),  # type: ignore[misc]
                self.on_overflow,
            )
            transport.producer = connection.send_buffer
            session.connect(connection)
            self.connections.append(connection)
        self.groups: list[SubscriptionGroup[Session]] = [
            SubscriptionGroup(f"b{number}", "p", None) for number in range(GROUPS)
        ]
        self.memory = ReplayMemory(0, 0)

    # Each action has the same parameters, of which it uses some.

    def event(self, number: int, socket: int, group: int, size: int) -> None:
        self.groups[group].deliver(make_event(number, size))

    def own_event(self, number: int, socket: int, group: int, size: int) -> None:
        self.connections[socket].session.deliver(make_event(number, size))

    def reply(self, number: int, socket: int, group: int, size: int) -> None:
        self.connections[socket].reply(b"reply %d" % number)

    def subscribe(self, number: int, socket: int, group: int, size: int) -> None:
        connection = self.connections[socket]
        if not connection.session.ended:
            self.groups[group].add(connection.session)
            connection.reply(b"subscribed")

    def unsubscribe(self, number: int, socket: int, group: int, size: int) -> None:
        self.groups[group].discard(self.connections[socket].session)
        self.connections[socket].reply(b"unsubscribed")

    def pause(self, number: int, socket: int, group: int, size: int) -> None:
        self.connections[socket].send_buffer.pauseProducing()

    def resume(self, number: int, socket: int, group: int, size: int) -> None:
        self.transports[socket].room = 4 * size or 1_000_000
        self.connections[socket].send_buffer.resumeProducing()

    def little_room(self, number: int, socket: int, group: int, size: int) -> None:
        self.transports[socket].room = size

    def wait(self, number: int, socket: int, group: int, size: int) -> None:
        self.clock.advance(size / 1000)

    def make_resumable(self, number: int, socket: int, group: int, size: int) -> None:
        session = self.connections[socket].session
        if session.replay_buffer is None and not session.ended:
            session.keep_events(ReplayBuffer(3, 0, "a", self.memory, token="t"))

    def end(self, number: int, socket: int, group: int, size: int) -> None:
        """Like `SessionRegistry.end`; the subscriptions are released later."""
        self.on_overflow(self.connections[socket])

    def lose(self, number: int, socket: int, group: int, size: int) -> None:
        self.connections[socket].send_buffer.stopProducing()
        self.connections[socket].session.disconnect()

    def release(self, number: int, socket: int, group: int, size: int) -> None:
        if self.connections[socket].session.ended:
            for subscribed in self.groups:
                subscribed.discard(self.connections[socket].session)

    def on_overflow(self, connection: Connection) -> None:
        if not connection.session.ended:
            connection.session.end()
            connection.reply(b"notice")
            connection.close(CloseCode.OVERLOADED, "")

    def state(self) -> Any:
        """What must be the same with and without feeds."""
        buffers = [connection.send_buffer for connection in self.connections]
        return (
            [transport.written for transport in self.transports],
            [(one.paused, one.closed, one.dropped, one.resumptions) for one in buffers],
            [[one.sequence for one in self.replayed(number)] for number in range(SOCKETS)],
            self.closed,
            self.flusher.dropped,
        )

    def replayed(self, number: int) -> list[EventFrame]:
        replay_buffer = self.connections[number].session.replay_buffer
        return [] if replay_buffer is None else replay_buffer.after(0)


#: Actions, and how often each occurs.
ACTIONS = {
    Sockets.event: 12,
    Sockets.own_event: 2,
    Sockets.reply: 3,
    Sockets.subscribe: 3,
    Sockets.unsubscribe: 2,
    Sockets.pause: 3,
    Sockets.resume: 4,
    Sockets.little_room: 1,
    Sockets.wait: 4,
    Sockets.make_resumable: 1,
    Sockets.end: 1,
    Sockets.lose: 1,
    Sockets.release: 1,
}
STEPS = st.tuples(
    st.sampled_from([action for action, weight in ACTIONS.items() for _ in range(weight)]),
    st.integers(0, SOCKETS - 1),
    st.sampled_from([0, 0, 0, 1]),
    st.sampled_from([0, 0, 300, 2000]),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(STEPS, min_size=25, max_size=60))
def test_sockets_that_follow_a_feed_receive_what_others_receive(steps: list[Any]) -> None:
    following, others = Sockets(lambda deflate: WebsocketEncoder(deflate)), Sockets(UnsharedEncoder)
    start = [(Sockets.subscribe, socket, 0, 0) for socket in range(SOCKETS)]
    for number, (action, *parameters) in enumerate([*start, *steps, (Sockets.wait, 0, 0, 1000)]):
        action(following, number, *parameters)
        action(others, number, *parameters)
        assert following.state() == others.state()
    for its in (following, others):
        its.flusher.stop()
        assert not its.clock.getDelayedCalls()


class Followers:
    """A feed with send buffers that follow it."""

    def __init__(self, *, count: int = 3, max_bytes: int = 4096) -> None:
        self.clock = Clock()
        self.flusher = Flusher(self.clock)
        self.feed = GroupFeed(self.flusher)
        self.transports = [FakeTransport() for _ in range(count)]
        self.overflows: list[int] = []
        self.reported: list[Counter[str]] = []
        self.buffers: list[SendBuffer] = []
        for number, transport in enumerate(self.transports):
            buffer = SendBuffer(
                transport, self.flusher, max_bytes, 2, self.reported.append, self.on_overflow(number)
            )
            transport.producer = buffer
            buffer.follow(self.feed, deflate=False)
            self.buffers.append(buffer)

    def on_overflow(self, number: int) -> Callable[[], None]:
        return lambda: self.overflows.append(number)

    def send(self, *numbers: int, size: int = 0) -> bytes:
        """Send events, and let time pass; returns their frames."""
        events = [make_event(number, size) for number in numbers]
        for event in events:
            self.feed.append(event)
        self.clock.advance(1)
        return b"".join(event.frame(False, False) for event in events)

    @property
    def written(self) -> list[bytes]:
        return [transport.written for transport in self.transports]


class TestFeed:
    def test_all_followers_get_the_same_bytes_in_one_write(self) -> None:
        its = Followers()
        writes: list[bytes] = []
        for transport in its.transports:
            transport.write = writes.append  # type: ignore[assignment]
        frames = its.send(1, 2)
        assert writes == [frames] * 3
        assert writes[0] is writes[1] is writes[2]

    def test_a_slow_client_does_not_hold_the_others(self) -> None:
        its = Followers()
        its.buffers[1].pauseProducing()
        frames = its.send(1, 2)
        assert its.written == [frames, b"", frames]
        its.buffers[1].resumeProducing()
        assert its.written == [frames] * 3

    def test_a_client_that_reads_again_gets_the_same_bytes_as_the_others(self) -> None:
        its = Followers()
        its.buffers[1].pauseProducing()
        its.send(1)
        its.buffers[1].resumeProducing()
        writes: list[bytes] = []
        for transport in its.transports:
            transport.write = writes.append  # type: ignore[assignment]
        its.send(2, 3)
        assert len(writes) == 3
        assert writes[0] is writes[1] is writes[2]

    def test_a_client_that_becomes_slow_while_it_is_written_to_is_written_to_once(self) -> None:
        its = Followers()
        its.transports[1].room = 1
        first = its.send(1)
        second = its.send(2)
        assert its.written == [first + second, first, first + second]
        its.transports[1].room = 1_000_000
        its.buffers[1].resumeProducing()
        assert its.written == [first + second] * 3

    def test_what_a_slow_client_misses_is_counted_at_once(self) -> None:
        its = Followers(max_bytes=300)
        its.buffers[1].pauseProducing()
        for number in range(4):
            its.feed.append(make_event(number, 100))
        assert (its.buffers[1].dropped, its.flusher.dropped) == (3, 3)
        assert its.overflows == [1]

    def test_a_closed_socket_is_skipped(self) -> None:
        its = Followers()
        its.feed.append(make_event(1))
        its.buffers[0].close()
        frames = make_event(1).frame(False, False) + its.send(2)
        assert its.written == [b"", frames, frames]

    def test_a_socket_that_closes_while_the_others_are_written_to_is_skipped(self) -> None:
        its = Followers()
        write = its.transports[0].write

        def write_and_close(data: bytes) -> None:
            write(data)
            its.buffers[1].close()

        its.transports[0].write = write_and_close  # type: ignore[method-assign]
        frames = its.send(1)
        assert its.written == [frames, b"", frames]

    def test_a_failure_of_a_transport_closes_its_socket_only(self) -> None:
        its = Followers()
        its.transports[1].is_broken = True
        with capturedLogs() as logs:
            frames = its.send(1)
        assert len([entry for entry in logs if "log_failure" in entry]) == 1
        frames += its.send(2)
        assert its.written == [frames, b"", frames]
        assert its.overflows == [1]

    def test_an_event_that_arrives_during_a_flush_follows_with_the_next(self) -> None:
        its = Followers()
        write, late = its.transports[0].write, make_event(2)

        def write_and_send(data: bytes) -> None:
            write(data)
            its.transports[0].write = write  # type: ignore[method-assign]
            its.feed.append(late)

        its.transports[0].write = write_and_send  # type: ignore[method-assign]
        frames = its.send(1) + late.frame(False, False)
        its.clock.advance(1)
        assert its.written == [frames] * 3

    def test_a_later_follower_gets_no_earlier_event(self) -> None:
        its = Followers()
        its.buffers[0].unfollow()
        its.feed.append(make_event(1))
        its.buffers[0].follow(its.feed, deflate=True)
        second = its.send(2)
        assert its.written[0] == second
        assert its.written[1] == make_event(1).frame(False, False) + second

    def test_a_closed_buffer_cannot_follow(self) -> None:
        its = Followers(count=1)
        its.buffers[0].close()
        its.buffers[0].follow(its.feed, deflate=False)
        its.send(1)
        assert its.written == [b""]
        assert its.feed.end == 1
        assert its.feed.since(0) == []

    def test_encodings_of_events_that_are_stored_are_forgotten(self) -> None:
        its = Followers()
        event = make_event(1)
        event.holders["a"] = 1
        its.feed.append(event)
        its.clock.advance(0)
        assert event._frames == {}
        assert event._texts == {}

    def test_an_event_that_cannot_be_encoded_does_not_stop_the_next(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        its = Followers()
        with monkeypatch.context() as patched, capturedLogs() as logs:
            patched.setattr(EventFrame, "frame", None)
            its.feed.append(make_event(1))
            its.clock.advance(0)
        assert len([entry for entry in logs if "log_failure" in entry]) == 1
        assert its.written == [b""] * 3
        second = its.send(2)
        assert its.written == [second] * 3
