from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel, capturedLogs

from kazoo_bridge.interfaces import Queue, StorageUnavailable, Topic
from kazoo_bridge.kazoo import Event
from kazoo_bridge.websockets.subscriptions.bind_queue import ANSWER_TIMEOUT
from kazoo_bridge.websockets.subscriptions.fanout import OWNER_TIMEOUT
from tests.websockets.fakes import CHILD, PARENT, FakeOutput, PartsHarness


def park(account_id: str | None, name: str = "PARK_PARKED", **more: Any) -> Event:
    variables = {"Account-ID": account_id} if account_id else {}
    body = {"Event-Name": name, "Call-ID": "c1", "Custom-Channel-Vars": variables, **more}
    return Event("callevt", f"call.{name}.c1", body, b"")


def received(output: FakeOutput) -> list[dict[str, Any]]:
    return [json.loads(frame.text(False)) for frame, _ in output.events]


class TestUnknownNumbers:
    def wait(self, its: PartsHarness) -> tuple[FakeOutput, FakeOutput, Deferred[Any]]:
        """Connect the owner and another account, and hand an event to the fan-out."""
        (owner, output), (other, other_output) = its.connect(CHILD, 1), its.connect(PARENT, 2)
        its.subscribe(owner, "parking.*", account_id=CHILD)
        its.subscribe(other, "parking.*", account_id=PARENT)
        asking = its.directory.asked_numbers["+4722555019"] = Deferred()
        its.fanout.handle(park(None, Request="+4722555019@carrier"))
        assert (output.events, other_output.events) == ([], [])
        return output, other_output, asking

    def test_an_event_waits_for_the_owner_of_its_number(self) -> None:
        its = PartsHarness()
        output, other_output, asking = self.wait(its)
        its.directory.numbers["4722555019"] = CHILD
        asking.callback(None)
        assert [one["subscription_key"] for one in received(output)] == [f"parking.{CHILD}.*"]
        assert other_output.events == []
        assert its.fanout.events_sent == 1

    def test_without_an_answer_it_has_no_owner(self) -> None:
        its = PartsHarness()
        outputs = [*self.wait(its)[:2]]
        its.clock.advance(OWNER_TIMEOUT)
        assert [output.events for output in outputs] == [[], []]
        first, second, asking = self.wait(PartsHarness())
        asking.errback(StorageUnavailable("away"))
        assert (first.events, second.events) == ([], [])

    @pytest_twisted.ensureDeferred
    async def test_stopping_leaves_nothing(self) -> None:
        its = PartsHarness()
        output, _, asking = self.wait(its)
        its.directory.numbers["4722555019"] = CHILD
        before = len(its.clock.getDelayedCalls())
        await its.fanout.stop()
        assert asking.called
        assert output.events == []
        assert len(its.clock.getDelayedCalls()) < before

    def test_the_events_that_wait_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kazoo_bridge.websockets.subscriptions.fanout.MAX_WAITING", 0)
        its = PartsHarness()
        output, _, _ = self.wait(its)
        its.clock.advance(OWNER_TIMEOUT)
        assert output.events == []


class TestHandle:
    def test_an_event_reaches_the_sessions_that_it_matches(self) -> None:
        its = PartsHarness()
        (own, own_output), (other, other_output) = its.connect(PARENT, 1), its.connect(CHILD, 2)
        its.subscribe(own, "parking.*")
        its.subscribe(other, "parking.*", account_id=CHILD)
        its.fanout.handle(park(PARENT, Nothing=None, Node="n"))
        assert received(own_output) == [
            {
                "action": "event",
                "subscribed_key": "parking.*",
                "subscription_key": f"parking.{PARENT}.*",
                "name": "PARK_PARKED",
                "routing_key": "call.PARK_PARKED.c1",
                "data": {
                    "event_name": "PARK_PARKED",
                    "call_id": "c1",
                    "custom_channel_vars": {"account_id": PARENT},
                },
            }
        ]
        assert other_output.events == []
        assert its.fanout.events_sent == 1

    def test_sessions_with_the_same_subscription_share_a_frame(self) -> None:
        its = PartsHarness()
        outputs = []
        for port in range(3):
            session, output = its.connect(PARENT, port)
            its.subscribe(session, "parking.*")
            outputs.append(output)
        its.fanout.handle(park(PARENT))
        (frame,) = {frame for output in outputs for frame, _ in output.events}
        assert frame.subscribed_key == "parking.*"

    def test_an_event_for_two_bindings_of_a_session_comes_twice_and_counts_once(self) -> None:
        its = PartsHarness()
        session, output = its.connect()
        its.subscribe(session, "parking.*", "parking.PARK_PARKED", "call.*.*")
        its.fanout.handle(park(PARENT))
        keys = [event["subscribed_key"] for event in received(output)]
        assert sorted(keys) == ["call.*.*", "parking.*", "parking.PARK_PARKED"]
        assert its.fanout.events_sent == 1

    def test_sequences_grow_and_start_with_the_time_in_microseconds(self) -> None:
        its = PartsHarness(now=1_700_000_000.5)
        session, output = its.connect()
        its.subscribe(session, "parking.*")
        for _ in range(2):
            its.fanout.handle(park(PARENT))
        first, second = (frame.sequence for frame, _ in output.events)
        assert (first, second) == (1_700_000_000_500_000, 1_700_000_000_500_001)
        assert its.fanout.next_sequence() == second + 1

    def test_an_event_that_matches_nothing_is_not_counted(self) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        its.subscribe(session, "parking.PARK_RETRIEVED")
        its.fanout.handle(park(PARENT))
        assert its.fanout.events_sent == 0

    def test_a_session_may_unsubscribe_while_an_event_is_delivered(self) -> None:
        its = PartsHarness()
        (one, _), (two, output) = its.connect(PARENT, 1), its.connect(PARENT, 2)
        its.subscribe(one, "parking.*")
        its.subscribe(two, "parking.*")

        class Leaving(FakeOutput):
            def event(self, frame: object, sequenced: bool) -> None:
                its.subscriptions.unsubscribe(one, None, None)

        one.connect(Leaving())
        its.fanout.handle(park(PARENT))
        assert len(output.events) == 1


class TestConsumer:
    def test_the_queue_is_unnamed_and_needs_no_acknowledgement(self) -> None:
        its = PartsHarness()
        assert its.bus.queues == [Queue(topics=frozenset(), acknowledge=False, federated=True)]

    def test_interruptions_are_the_starts_of_the_consumer(self) -> None:
        its = PartsHarness()
        its.consumer.start_count = 3
        assert its.fanout.interruptions == 3

    def test_after_stop_nothing_is_bound(self) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        Deferred.fromCoroutine(its.fanout.stop())
        assert its.consumer.cancelled
        its.subscribe(session, "parking.*")
        assert session.bindings == ["parking.*"]
        assert not its.consumer.bound
        its.subscriptions.unsubscribe(session, None, None)
        assert its.fanout.interruptions == 0


class TestBind:
    def bind(self, its: PartsHarness, *patterns: str) -> Deferred[dict[Topic, str]]:
        """Bind these patterns, which are subscribed to."""
        topics = [Topic("callevt", pattern) for pattern in patterns]
        its.fanout.index.topics.update(topics)
        return Deferred.fromCoroutine(its.fanout.bind(topics))

    def test_topics_that_are_bound_at_once_need_no_timer(self) -> None:
        its = PartsHarness()
        assert self.bind(its, "a", "b").result == {}
        assert {topic.pattern for topic in its.consumer.bound} == {"a", "b"}
        assert not its.clock.getDelayedCalls()

    def test_a_topic_without_a_subscription_is_not_bound(self) -> None:
        its = PartsHarness()
        assert Deferred.fromCoroutine(its.fanout.bind([Topic("callevt", "a")])).result == {}
        assert not its.consumer.bound

    def test_a_refusal_is_reported_without_the_brokers_own_text_which_is_logged(self) -> None:
        its = PartsHarness()
        its.consumer.refused = ["a"]
        with capturedLogs() as logs:
            assert self.bind(its, "a", "b").result == {
                Topic("callevt", "a"): "the message bus has refused it"
            }
        assert [(event["log_level"], str(event["reason"])) for event in logs] == [
            (LogLevel.warn, "ACCESS_REFUSED for user 'guest'")
        ]

    def test_a_broker_that_continues_to_answer_has_more_time(self) -> None:
        its = PartsHarness()
        its.consumer.unanswered = ["a", "b"]
        binding = self.bind(its, "a", "b")
        its.clock.advance(ANSWER_TIMEOUT - 0.1)
        its.consumer.waiting[0].callback(None)
        its.clock.advance(ANSWER_TIMEOUT - 0.1)
        assert not binding.called
        its.consumer.waiting[1].callback(None)
        assert binding.result == {}
        assert not its.clock.getDelayedCalls()

    def test_a_broker_that_does_not_answer_is_reported(self) -> None:
        its = PartsHarness()
        its.consumer.unanswered = ["a"]
        binding = self.bind(its, "a", "b")
        its.clock.advance(ANSWER_TIMEOUT - 0.1)
        assert not binding.called
        its.clock.advance(0.1)
        assert binding.result == {Topic("callevt", "a"): "the message bus has not answered within 5 seconds"}
        assert not its.clock.getDelayedCalls()


class TestUnbind:
    def test_a_topic_that_is_subscribed_to_again_stays_bound(self) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        its.subscribe(session, "parking.*")
        topics = set(its.consumer.bound)
        its.fanout.unbind(topics)
        assert its.consumer.bound == topics
        its.fanout.index.topics.clear()
        its.fanout.unbind(topics)
        assert not its.consumer.bound

    def test_a_failure_is_logged(self) -> None:
        its = PartsHarness()
        its.consumer.unbinding_fails = True
        with capturedLogs() as logs:
            its.fanout.unbind([Topic("callevt", "a")])
        assert [(event["log_level"], event["pattern"]) for event in logs] == [(LogLevel.warn, "a")]
