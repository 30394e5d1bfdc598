"""What clients hear of bindings that the broker refuses, or does not answer about."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.interfaces import BusUnavailable, Topic
from kazoo_bridge.plugins.discovery import find_categories
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.sessions.token_bucket import TokenBucket
from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue
from kazoo_bridge.websockets.subscriptions.fanout import BIND_TIMEOUT, EventFanout
from kazoo_bridge.websockets.subscriptions.subscription_index import SubscriptionIndex
from kazoo_bridge.websockets.subscriptions.subscriptions import (
    RENEWAL_INTERVAL,
    BindingUnavailable,
    Subscriptions,
)
from tests.websockets.stage import RESELLER, Stage
from tests.websockets.test_renewal import ACCOUNT, OneAccount

REFUSED = "binding {} is not available: the message bus has refused it"
UNANSWERED = "binding {} is not available: the message bus has not answered within 5 seconds"


class FakeConsumer:
    """Binds at once, refuses, or leaves unanswered, by the word that a pattern contains."""

    start_count = 1

    def __init__(self) -> None:
        self.bound: set[Topic] = set()
        self.refused: list[str] = []
        self.silent: list[str] = []
        self.waiting: list[Deferred[None]] = []

    def bind(self, topic: Topic) -> Deferred[None]:
        if any(word in topic.pattern for word in self.refused):
            return fail(BusUnavailable("ACCESS_REFUSED for user 'guest'"))
        self.bound.add(topic)
        if any(word in topic.pattern for word in self.silent):
            self.waiting.append(Deferred())
            return self.waiting[-1]
        return succeed(None)

    def unbind(self, topic: Topic) -> Deferred[None]:
        self.bound.discard(topic)
        return succeed(None)


class FakeOutlet:
    """Keeps the replies."""

    def __init__(self) -> None:
        self.replies: list[bytes] = []

    def reply(self, text: bytes) -> None:
        self.replies.append(text)


class FakeCalls:
    """Live calls of which only the watches count."""

    watches = 0

    def watch(self, account_id: str, watcher: Any) -> FakeCalls:
        self.watches += 1
        return self

    def stop(self) -> None:
        self.watches -= 1


class Harness:
    """Subscriptions over a fake consumer."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(datetime(2026, 12, 31, 22, tzinfo=UTC).timestamp())
        self.consumer = FakeConsumer()
        self.listener: EventFanout = EventFanout(self.clock, EmbeddedBus(self.clock), SubscriptionIndex())
        consumer: Any = self.consumer
        self.listener._consumer = consumer
        self.calls = FakeCalls()
        calls: Any = self.calls
        catalogue = BindingCatalogue.from_categories(find_categories())
        self.subscriptions = Subscriptions(self.clock, OneAccount(), catalogue, self.listener, 100, calls)

    def session(self, name: str = "s") -> Session:
        outlet: Any = FakeOutlet()
        return Session(name, "127.0.0.1", "h", 0, TokenBucket(1, 1), outlet, 0)

    def subscribe(self, session: Session, *bindings: str) -> Deferred[None]:
        return Deferred.fromCoroutine(self.subscriptions.subscribe(session, ACCOUNT, bindings))


def refusals(subscribing: Deferred[None]) -> list[str]:
    failures: list[Any] = []
    subscribing.addErrback(failures.append)
    assert failures[0].check(BindingUnavailable)
    return list(failures[0].value.args)


def test_a_refused_binding_takes_the_others_of_its_message_with_it() -> None:
    its = Harness()
    session = its.session()
    its.consumer.refused = ["CHANNEL_CREATE"]
    assert not refusals_or_none(its.subscribe(session, "fax.status.*"))
    before = set(its.consumer.bound)
    answer = refusals(its.subscribe(session, "call.CHANNEL_CREATE.*", "parking.*", "call.*.x", "calls"))
    assert answer == [REFUSED.format("call.CHANNEL_CREATE.*"), REFUSED.format("call.*.x")]
    assert session.bindings == ["fax.status.*"]
    assert its.calls.watches == 0
    assert its.consumer.bound == set(its.listener.index.topics) == before


def refusals_or_none(subscribing: Deferred[None]) -> list[str]:
    return [] if subscribing.called and subscribing.result is None else refusals(subscribing)


def test_an_unanswered_binding_is_an_error_in_time_and_undone() -> None:
    its = Harness()
    session = its.session()
    its.consumer.silent = ["CHANNEL_HOLD"]
    subscribing = its.subscribe(session, "call.CHANNEL_HOLD.*", "parking.*")
    its.clock.advance(BIND_TIMEOUT - 0.1)
    assert not subscribing.called
    its.clock.advance(0.1)
    assert refusals(subscribing) == [UNANSWERED.format("call.CHANNEL_HOLD.*")]
    assert not session.count
    assert not its.consumer.bound
    assert not its.clock.getDelayedCalls()


def test_a_broker_that_goes_on_answering_is_waited_for() -> None:
    its = Harness()
    session = its.session()
    its.consumer.silent = ["CHANNEL_"]
    subscribing = its.subscribe(session, "call.CHANNEL_HOLD.*", "call.CHANNEL_UNHOLD.*")
    its.clock.advance(BIND_TIMEOUT - 0.1)
    its.consumer.waiting[0].callback(None)
    its.clock.advance(BIND_TIMEOUT - 0.1)
    assert not subscribing.called
    its.consumer.waiting[1].callback(None)
    assert subscribing.called
    assert subscribing.result is None
    assert not its.clock.getDelayedCalls()


def test_another_session_waits_for_the_same_answer_and_keeps_its_topic() -> None:
    its = Harness()
    one, two = its.session("one"), its.session("two")
    its.consumer.silent = ["CHANNEL_HOLD"]
    first = its.subscribe(one, "call.CHANNEL_HOLD.*")
    its.clock.advance(BIND_TIMEOUT - 1)
    second = its.subscribe(two, "call.CHANNEL_HOLD.*")
    assert not second.called
    its.clock.advance(1)
    assert refusals(first) == [UNANSWERED.format("call.CHANNEL_HOLD.*")]
    assert not second.called
    assert its.consumer.bound == {Topic("callevt", "call.CHANNEL_HOLD.*")}
    its.consumer.waiting[1].callback(None)
    assert second.called
    assert second.result is None
    assert two.bindings == ["call.CHANNEL_HOLD.*"]
    assert not its.clock.getDelayedCalls()


def test_a_session_that_ends_while_its_binding_is_pending_leaves_nothing() -> None:
    its = Harness()
    session = its.session()
    its.consumer.silent = ["CHANNEL_HOLD"]
    subscribing = its.subscribe(session, "call.CHANNEL_HOLD.*")
    its.subscriptions.unsubscribe(session, None, None)
    its.clock.advance(BIND_TIMEOUT)
    assert refusals(subscribing)
    assert not its.listener.index.topics
    assert not its.consumer.bound


def test_what_cannot_be_renewed_stays_and_is_tried_again() -> None:
    its = Harness()
    session = its.session()
    outlet: Any = session.output
    assert not refusals_or_none(its.subscribe(session, "fax.object.doc_created"))
    its.clock.advance(3 * 3600)
    old = set(its.consumer.bound)
    its.consumer.refused = ["202701"]

    def renew() -> None:
        renewing = Deferred.fromCoroutine(its.subscriptions.renew([session]))
        assert renewing.called
        assert renewing.result is None

    renew()
    assert session.bindings == ["fax.object.doc_created"]
    assert its.consumer.bound == set(its.listener.index.topics) == old
    assert len(outlet.replies) == 1
    assert REFUSED.format("fax.object.doc_created").encode() in outlet.replies[0]
    its.consumer.refused = []
    renew()
    assert its.consumer.bound == old
    its.clock.advance(RENEWAL_INTERVAL)
    renew()
    assert its.consumer.bound == set(its.listener.index.topics) != old
    assert all("202701" in topic.pattern for topic in its.consumer.bound)
    assert len(outlet.replies) == 1


@pytest_twisted.ensureDeferred
async def test_clients_and_streams_are_answered(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.websockets.test_rest_and_streams import Stream

    consumer = FakeConsumer()
    consumer.refused = ["CHANNEL_CREATE"]
    monkeypatch.setattr(stage.bridge.websockets.fanout, "_consumer", consumer)
    client = await stage.client()
    answer = await client.ask("subscribe", {"account_id": RESELLER, "binding": "call.CHANNEL_CREATE.*"})
    assert answer["status"] == "error"
    assert answer["data"]["errors"] == [REFUSED.format("call.CHANNEL_CREATE.*")]
    assert (await client.ask("subscribe", {"account_id": RESELLER, "binding": "parking.*"}))["data"][
        "subscribed"
    ] == ["parking.*"]
    stream = await Stream().open(stage, "?binding=call.CHANNEL_CREATE.*")
    assert stream.response.code == 503
    assert (await stream.response.json())["data"]["message"] == REFUSED.format("call.CHANNEL_CREATE.*")
    monkeypatch.undo()
