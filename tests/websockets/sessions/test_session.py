from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from kazoo_bridge.interfaces import BindingPlan, Principal
from kazoo_bridge.token_bucket import TokenBucket
from kazoo_bridge.websockets.server.flusher import Flusher
from kazoo_bridge.websockets.server.frames import EventFrame
from kazoo_bridge.websockets.server.group_feed import FeedOwner, GroupFeed
from kazoo_bridge.websockets.sessions.replay_buffer import ReplayBuffer, ReplayMemory
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions.subscription_index import Subscription, SubscriptionGroup
from tests.websockets.fakes import CHILD, PARENT, FakeCallWatch, FakeOutput


def make_session() -> Session:
    return Session("192.0.2.1:5", "192.0.2.1", "host", 0.0, TokenBucket(1, 1.0), 0.0)


def make_frame(sequence: int) -> EventFrame:
    return EventFrame("call.*.*", b"{", b"}", sequence)


def subscribe(session: Session, account_id: str, *bindings: str) -> None:
    category: Any = None
    for binding in bindings:
        session.subscriptions[account_id, binding] = Subscription(
            binding, account_id, category, BindingPlan(())
        )


class FollowingOutput(FakeOutput):
    """A connection that follows feeds."""

    def follow(self, group: FeedOwner) -> bool:
        if group.feed is None:
            group.feed = GroupFeed(Flusher(Clock()))
        return True


class TestSession:
    def test_events_go_to_the_connection(self) -> None:
        session, output, frame = make_session(), FakeOutput(), make_frame(1)
        session.deliver(frame)
        session.connect(output)
        session.deliver(frame)
        session.disconnect()
        session.deliver(frame)
        assert output.events == [(frame, False)]

    def test_a_resumable_session_keeps_events_and_shows_their_sequence(self) -> None:
        session, output, frame = make_session(), FakeOutput(), make_frame(1)
        session.replay_buffer = ReplayBuffer(10, 0, PARENT, ReplayMemory(0, 0))
        session.deliver(frame)
        session.connect(output)
        session.deliver(frame)
        assert output.events == [(frame, True)]
        assert session.replay_buffer.after(0) == [frame, frame]

    def test_connecting_ends_the_wait_for_the_client(self) -> None:
        session = make_session()
        session.disconnected_at = 5.0
        assert not session.is_connected
        session.connect(FakeOutput())
        assert session.is_connected
        assert session.disconnected_at is None

    def test_it_counts_for_its_account_while_it_is_connected_and_has_not_ended(self) -> None:
        session = make_session()
        session.connect(FakeOutput())
        assert not session.connected
        for _ in range(2):
            session.authenticate("token", Principal(PARENT))
            session.connect(FakeOutput())
            assert session.connected == {PARENT: 1}
        session.disconnect()
        assert not session.connected
        session.connect(FakeOutput())
        assert session.connected == {PARENT: 1}
        session.end()
        assert not session.connected

    def test_it_counts_the_events_for_its_client_from_a_feed_or_one_by_one(self) -> None:
        sessions = [make_session(), make_session()]
        group: SubscriptionGroup[Session] = SubscriptionGroup("call.*.*", "call.*.*", PARENT)

        def counts() -> list[int]:
            return [session.event_count for session in sessions]

        for session in sessions:
            session.connect(FollowingOutput())
        group.add(sessions[0])
        group.deliver(make_frame(1))
        assert counts() == [1, 0]
        group.add(sessions[1])
        group.deliver(make_frame(2))
        group.deliver(make_frame(3))
        assert counts() == [3, 2]
        assert sessions[0].to_document()["events"] == 3
        # Another group, events one by one, and none after the end of the subscription.
        sessions[1].deliver(make_frame(4))
        sessions[1].keep_events(ReplayBuffer(10, 0, PARENT, ReplayMemory(0, 0)))
        group.deliver(make_frame(5))
        assert counts() == [4, 4]
        group.discard(sessions[0])
        group.deliver(make_frame(6))
        assert counts() == [4, 5]

    def test_an_ended_session_stores_nothing(self) -> None:
        session, memory = make_session(), ReplayMemory(0, 0)
        session.replay_buffer = ReplayBuffer(10, 0, PARENT, memory)
        session.deliver(make_frame(1))
        session.end()
        session.deliver(make_frame(2))
        assert memory.bytes_total == 0

    def test_the_account_is_that_of_the_principal(self) -> None:
        session = make_session()
        assert session.account_id is None
        session.principal = Principal(PARENT)
        assert session.account_id == PARENT

    def test_bindings_are_listed_once_in_the_order_of_subscribing(self) -> None:
        session = make_session()
        subscribe(session, PARENT, "b", "a")
        subscribe(session, CHILD, "b", "c")
        assert session.bindings == ["b", "a", "c"]
        assert session.subscription_count == 4
        session.call_watches[CHILD] = FakeCallWatch(CHILD, lambda _: None)
        assert session.bindings == ["b", "a", "c", "calls"]
        assert session.subscription_count == 5
        assert session.subscribed_accounts == {PARENT, CHILD}

    def test_the_listed_document_has_kazoos_keys_and_nothing_that_is_missing(self) -> None:
        session = make_session()
        assert session.to_document() == {
            "websocket_session_id": "192.0.2.1:5",
            "bindings": [],
            "timestamp": 62167219200,
            "destination": "host",
            "source": "192.0.2.1",
            "events": 0,
        }
        session.name, session.metadata = "desk", {"a": 1}
        document = session.to_document()
        assert (document["name"], document["metadata"]) == ("desk", {"a": 1})

    def test_the_token_is_not_logged(self) -> None:
        session = make_session()
        session.token = "hunter2"
        assert "hunter2" not in repr(session)
