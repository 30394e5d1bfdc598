"""Subscriptions that follow the calendar, and what the room does when parts of it fail."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest_twisted
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from zope.interface import implementer

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.interfaces import Account, IDirectory, Topic
from kazoo_bridge.kazoo import Event, account_db
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.websockets.server.frames import EventFrame
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.sessions.token_bucket import TokenBucket
from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue
from kazoo_bridge.websockets.subscriptions.fanout import EventFanout
from kazoo_bridge.websockets.subscriptions.subscription_index import SubscriptionIndex
from kazoo_bridge.websockets.subscriptions.subscriptions import Subscriptions

ACCOUNT = "a" * 32


@implementer(IDirectory)
class OneAccount:
    """A directory of one."""

    def account(self, account_id: str) -> Deferred[Account | None]:
        return succeed(Account(account_id, "n", "r.example.com"))

    def is_superadmin(self, account_id: str) -> bool:
        return False

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


class Seen:
    """An outlet that remembers."""

    def __init__(self) -> None:
        self.frames: list[EventFrame] = []

    def event(self, frame: EventFrame, sequenced: bool) -> None:
        self.frames.append(frame)

    def reply(self, text: bytes) -> None:
        raise AssertionError(text)

    def close(self, code: int, reason: str) -> None:
        raise AssertionError(code)


def fax(month: str) -> Event:
    return Event(
        "configuration",
        f"doc_created.{account_db(ACCOUNT)}-{month}.fax.f1",
        {"Event-Name": "doc_created"},
        b"",
    )


@pytest_twisted.ensureDeferred
async def test_a_subscription_moves_on_at_the_turn_of_the_month() -> None:
    clock = Clock()
    clock.advance(datetime(2026, 12, 31, 22, tzinfo=UTC).timestamp())
    bus = EmbeddedBus(clock)
    bus.startService()
    listener: EventFanout = EventFanout(clock, bus, SubscriptionIndex())
    listener.start()
    subscriptions = Subscriptions(
        clock, OneAccount(), BindingCatalogue.from_categories(find_categories()), listener, 100
    )
    outlet = Seen()
    session = Session("s", "127.0.0.1", "h", 0, TokenBucket(1, 1), outlet, 0)
    await subscriptions.subscribe(session, ACCOUNT, ["fax.object.doc_created", "call.*.*"])

    def heard() -> list[str]:
        outlet.frames.clear()
        for month in ("202612", "202701"):
            bus.publish("configuration", fax(month).routing_key, {"Event-Name": "doc_created"})
        clock.advance(0.1)
        return [frame.text(False).split(b"-20")[1][:4].decode() for frame in outlet.frames]

    await subscriptions.renew([session])
    assert heard() == ["2612"]
    clock.advance(3600)
    await subscriptions.renew([session])
    assert heard() == ["2612", "2701"]
    clock.advance(2 * 3600)
    await subscriptions.renew([session])
    assert heard() == ["2701"]
    assert session.bindings == ["fax.object.doc_created", "call.*.*"]
    assert {topic.pattern for topic in listener.index.topics if topic.exchange == "configuration"} == {
        f"doc_created.{account_db(ACCOUNT)}-202701.fax.*"
    }


class SlowBroker:
    """A consumer whose bindings are never confirmed."""

    start_count = 1

    def __init__(self) -> None:
        self.bindings: list[Deferred[None]] = []

    def bind(self, topic: Topic) -> Deferred[None]:
        self.bindings.append(Deferred())
        return self.bindings[-1]


def test_a_subscriber_does_not_wait_for_ever_for_the_broker() -> None:
    clock, broker = Clock(), SlowBroker()
    listener: EventFanout = EventFanout(clock, EmbeddedBus(clock), SubscriptionIndex())
    listener._consumer = broker  # type: ignore[assignment]
    topic = Topic("callevt", "call.CHANNEL_CREATE.*")
    listener.index.topics[topic] = 1
    waiting = Deferred.fromCoroutine(listener.bind([topic]))
    clock.advance(4.9)
    assert not waiting.called
    clock.advance(0.2)
    assert waiting.result == {topic: "the message bus has not answered within 5 seconds"}
    assert not clock.getDelayedCalls()
