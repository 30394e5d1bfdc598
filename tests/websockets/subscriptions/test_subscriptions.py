from __future__ import annotations

import json
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import (
    ALL_ACCOUNTS,
    BindingRefused,
    BindingUnavailable,
    CallChange,
    StorageUnavailable,
    Topic,
)
from kazoo_bridge.kazoo import account_db
from kazoo_bridge.testing import make_event
from kazoo_bridge.websockets.subscriptions.bind_queue import ANSWER_TIMEOUT
from kazoo_bridge.websockets.subscriptions.subscription_budget import SubscribingTooFast
from kazoo_bridge.websockets.subscriptions.subscriptions import RENEWAL_INTERVAL
from kazoo_bridge.websockets.subscriptions.work_pacer import INTERVAL
from tests.websockets.fakes import CHILD, PARENT, STRANGER, SUPERADMIN, PartsHarness
from tests.websockets.harness import RESELLER, Harness
from tests.websockets.stream_client import StreamClient

REFUSED = "binding {} is not available: the message bus has refused it"
UNANSWERED = "binding {} is not available: the message bus has not answered within 5 seconds"
#: Two hours before the turn of a month (and year).
LAST_DAY = datetime(2026, 12, 31, 22, tzinfo=UTC).timestamp()


def refusals(subscribing: Deferred[None], kind: type[BindingRefused] = BindingRefused) -> list[str]:
    """The texts with which subscribing has been refused; empty if it has succeeded."""
    results: list[Any] = []
    subscribing.addBoth(results.append)
    assert results, "it still waits"
    if results[0] is None:
        return []
    assert results[0].check(BindingRefused) is BindingRefused or kind is not BindingRefused
    results[0].trap(kind)
    return list(results[0].value.args)


def unsubscribed(unsubscribing: Coroutine[Any, Any, list[str]]) -> list[str]:
    """Return what has ended, or raise the refusal, of one that need not wait for its turn."""
    results: list[Any] = []
    Deferred.fromCoroutine(unsubscribing).addBoth(results.append)
    (result,) = results
    if isinstance(result, Failure):
        result.raiseException()
    ended: list[str] = result
    return ended


class TestSubscribe:
    def test_it_takes_effect_in_the_index_and_at_the_broker(self) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        assert not refusals(its.subscribe(session, "parking.*", "fax.status.*"))
        assert session.bindings == ["parking.*", "fax.status.*"]
        assert its.consumer.bound == set(its.fanout.index.topics)
        assert Topic("faxes", f"fax.status.{PARENT}.*") in its.consumer.bound

    def test_a_binding_that_is_there_already_changes_nothing(self) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        its.subscribe(session, "fax.status.*")
        (subscription,) = session.subscriptions.values()
        assert not refusals(its.subscribe(session, "fax.status.*"))
        assert list(session.subscriptions.values()) == [subscription]
        assert list(its.fanout.index.topics.values()) == [1]

    def test_every_refusal_is_reported_and_none_is_subscribed(self) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        answer = refusals(its.subscribe(session, "parking.*", "call.NO.*", "weather.x"))
        assert answer == [
            "event NO not supported",
            "no available subscriptions to requested binding weather.x",
        ]
        assert not session.subscription_count
        assert not its.consumer.bound

    def test_an_account_that_does_not_exist_is_refused(self) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        answer = refusals(its.subscribe(session, "parking.*", account_id="0" * 32))
        assert answer == ["unauthorized account id"]

    def test_all_accounts_are_one_subscription(self) -> None:
        its = PartsHarness()
        session, _ = its.connect(SUPERADMIN)
        assert not refusals(its.subscribe(session, "fax.status.*", account_id=ALL_ACCOUNTS))
        assert its.consumer.bound == {Topic("faxes", "fax.status.*.*")}
        (subscription,) = session.subscriptions.values()
        assert subscription.account_id is None

    def test_notifications_of_the_system_need_a_super_admin(self) -> None:
        its = PartsHarness()
        (admin, _), (other, _) = its.connect(SUPERADMIN, 1), its.connect(PARENT, 2)
        binding = "notification.system_alert"
        assert not refusals(its.subscribe(admin, binding, account_id=SUPERADMIN))
        assert refusals(its.subscribe(other, binding)) == ["event system_alert not supported"]

    def test_the_number_of_subscriptions_is_limited(self) -> None:
        its = PartsHarness(max_subscriptions=2)
        session, _ = its.connect()
        limit = ["a socket can have at most 2 subscriptions"]
        assert refusals(its.subscribe(session, "parking.*", "call.*.*", "fax.status.*")) == limit
        assert not refusals(its.subscribe(session, "parking.*", "calls"))
        assert refusals(its.subscribe(session, "fax.status.*")) == limit
        assert refusals(its.subscribe(session, "calls", account_id=CHILD)) == limit
        assert not refusals(its.subscribe(session, "parking.*", "calls"))

    @pytest.mark.parametrize(("length", "refused"), [(288, False), (289, True)])
    def test_a_pattern_must_fit_into_a_routing_key(self, length: int, refused: bool) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        name = "x" * (length - len(f"fax.status.{PARENT}."))
        answer = refusals(its.subscribe(session, f"fax.status.{name}"))
        text = "the binding is too long: as a routing key it has more than 255 bytes"
        assert answer == ([text] if refused else [])

    def test_a_session_that_has_ended_meanwhile_is_not_subscribed(self) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        session.ended = True
        assert not refusals(its.subscribe(session, "parking.*", "calls"))
        assert not session.subscription_count
        assert not its.consumer.bound


class TestAccount:
    def test_the_subscriptions_of_all_its_sockets_are_limited_and_come_back_when_they_end(self) -> None:
        its = PartsHarness(max_subscriptions_per_account=3)
        (one, _), (two, _), (other, _) = its.connect(), its.connect(port=2), its.connect(CHILD, 3)
        limit = ["the sockets of an account can have at most 3 subscriptions together"]
        assert not refusals(its.subscribe(one, "parking.*", "calls"))
        assert refusals(its.subscribe(two, "parking.*", "fax.status.*")) == limit
        assert not refusals(its.subscribe(two, "parking.*"))
        assert not refusals(its.subscribe(other, "parking.*", "calls", account_id=CHILD))
        its.consumer.refused = ["CHANNEL"]
        its.subscriptions.unsubscribe(one, None, None)
        assert refusals(its.subscribe(two, "call.*.*", "calls"), BindingUnavailable)
        assert its.subscription_budget.subscriptions == {PARENT: 1, CHILD: 2}
        for session in (one, two, other):
            its.registry.end(session)
        assert not its.subscription_budget.subscriptions

    def test_much_work_is_charged_to_the_session_and_to_the_account(self) -> None:
        its = PartsHarness(max_subscriptions=100_000, max_subscriptions_per_account=0)
        (session, _), (other, _) = its.connect(), its.connect(port=2)
        many = [f"fax.status.{number}" for number in range(30_000)]
        its.subscribe(session, *many)
        assert not session.bucket.has_token(its.clock.seconds())
        too_fast = [f"rate limiting threshold hit for {PARENT}!"]
        assert refusals(its.subscribe(other, "fax.status.x"), SubscribingTooFast) == too_fast
        with pytest.raises(SubscribingTooFast):
            unsubscribed(its.subscriptions.request_unsubscribe(other, None, []))
        stranger, _ = its.connect(STRANGER, 3)
        subscribing = its.subscribe(stranger, "fax.status.*", account_id=STRANGER)
        its.clock.advance(2 * INTERVAL)
        assert not refusals(subscribing)
        its.registry.end(session)
        its.clock.advance(1)
        assert not refusals(its.subscribe(other, "fax.status.x"))

    def test_a_message_cannot_name_more_bindings_than_a_socket_can_have(self) -> None:
        its = PartsHarness(max_subscriptions=2)
        session, _ = its.connect()
        with pytest.raises(BindingRefused, match="at most 2 bindings"):
            unsubscribed(its.subscriptions.request_unsubscribe(session, None, ["a", "b", "c"]))

    def test_a_session_that_ends_while_many_are_added_leaves_nothing(self) -> None:
        its = PartsHarness(max_subscriptions=2000)
        session, _ = its.connect()
        counts: list[int] = []

        def end_in_the_middle() -> None:
            counts.append(session.subscription_count)
            if counts[-1] < 500:
                its.clock.callLater(INTERVAL, end_in_the_middle)
            else:
                its.registry.end(session)

        subscribing = its.subscribe(session, *(f"fax.status.{number}" for number in range(1000)), "calls")
        its.clock.callLater(0, end_in_the_middle)
        its.clock.pump([INTERVAL] * 20)
        assert not refusals(subscribing)
        assert 500 <= counts[-1] < 1000
        assert not session.subscription_count
        assert not its.consumer.bound
        assert not its.calls.watches
        assert not its.subscription_budget.subscriptions

    def test_what_is_being_added_counts(self) -> None:
        its = PartsHarness(max_subscriptions=1000, max_subscriptions_per_account=1500)
        (one, _), (two, _) = its.connect(), its.connect(port=2)
        many = [f"fax.status.{number}" for number in range(1000)]
        first = its.subscribe(one, *many)
        assert "1500 subscriptions together" in refusals(its.subscribe(two, *many))[0]
        its.clock.pump([INTERVAL] * 20)
        assert not refusals(first)

    def test_spellings_of_one_binding_are_listed_and_receive_one_frame(self) -> None:
        its = PartsHarness()
        session, output = its.connect()
        spellings = [f"doc_edited.x{number}.user.*" for number in range(50)]
        assert not refusals(its.subscribe(session, *spellings, "object.doc_edited.user"))
        assert session.bindings == [*spellings, "object.doc_edited.user"]
        key = f"doc_edited.{account_db(PARENT)}.user.u1"
        its.fanout.handle(make_event("configuration", key, {"Event-Name": "doc_edited"}))
        assert [frame.subscribed_key for frame, _ in output.events] == [
            spellings[0],
            "object.doc_edited.user",
        ]


class TestBroker:
    def test_a_refused_binding_takes_the_others_of_its_message_with_it(self) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        its.subscribe(session, "fax.status.*")
        before = set(its.consumer.bound)
        its.consumer.refused = ["CHANNEL_CREATE"]
        subscribing = its.subscribe(session, "call.CHANNEL_CREATE.*", "parking.*", "call.*.x", "calls")
        assert refusals(subscribing, BindingUnavailable) == [
            REFUSED.format("call.CHANNEL_CREATE.*"),
            REFUSED.format("call.*.x"),
        ]
        assert session.bindings == ["fax.status.*"]
        assert not its.calls.active_watches
        assert its.consumer.bound == set(its.fanout.index.topics) == before

    def test_an_unanswered_binding_fails_in_time_and_is_undone(self) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        its.consumer.unanswered = ["CHANNEL_HOLD"]
        subscribing = its.subscribe(session, "call.CHANNEL_HOLD.*", "parking.*")
        its.clock.advance(ANSWER_TIMEOUT - 0.1)
        assert not subscribing.called
        its.clock.advance(0.1)
        assert refusals(subscribing, BindingUnavailable) == [UNANSWERED.format("call.CHANNEL_HOLD.*")]
        assert not session.subscription_count
        assert not its.consumer.bound
        assert not its.clock.getDelayedCalls()

    def test_another_session_waits_for_the_same_answer_and_keeps_its_topic(self) -> None:
        its = PartsHarness()
        (one, _), (two, _) = its.connect(port=1), its.connect(port=2)
        its.consumer.unanswered = ["CHANNEL_HOLD"]
        first = its.subscribe(one, "call.CHANNEL_HOLD.*")
        its.clock.advance(ANSWER_TIMEOUT - 1)
        second = its.subscribe(two, "call.CHANNEL_HOLD.*")
        its.clock.advance(1)
        assert refusals(first, BindingUnavailable) == [UNANSWERED.format("call.CHANNEL_HOLD.*")]
        assert not second.called
        assert its.consumer.bound == {Topic("callevt", "call.CHANNEL_HOLD.*")}
        its.consumer.waiting[1].callback(None)
        assert not refusals(second)
        assert two.bindings == ["call.CHANNEL_HOLD.*"]
        assert not its.clock.getDelayedCalls()

    def test_a_repeated_binding_waits_for_the_outstanding_answer(self) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        its.consumer.unanswered = ["CHANNEL_HOLD"]
        its.subscribe(session, "call.CHANNEL_HOLD.*")
        again = its.subscribe(session, "call.CHANNEL_HOLD.*")
        its.consumer.waiting[0].callback(None)
        assert not again.called
        its.consumer.waiting[1].callback(None)
        assert not refusals(again)

    def test_a_session_that_ends_while_its_binding_is_pending_leaves_nothing(self) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        its.consumer.unanswered = ["CHANNEL_HOLD"]
        subscribing = its.subscribe(session, "call.CHANNEL_HOLD.*", "calls")
        its.subscriptions.unsubscribe(session, None, None)
        its.clock.advance(ANSWER_TIMEOUT)
        assert refusals(subscribing, BindingUnavailable)
        assert not its.fanout.index.topics
        assert not its.consumer.bound


class TestUnsubscribe:
    def subscribed(self) -> tuple[PartsHarness, Any]:
        its = PartsHarness()
        session, _ = its.connect()
        its.subscribe(session, "parking.*", "call.*.*", "calls")
        its.subscribe(session, "parking.*", "calls", account_id=CHILD)
        return its, session

    def test_of_one_binding_for_every_account(self) -> None:
        its, session = self.subscribed()
        assert its.subscriptions.unsubscribe(session, None, ["parking.*"]) == ["parking.*"]
        assert session.bindings == ["call.*.*", "calls"]

    def test_of_everything_for_one_account(self) -> None:
        its, session = self.subscribed()
        assert its.subscriptions.unsubscribe(session, CHILD, None) == ["parking.*", "calls"]
        assert session.subscribed_accounts == {PARENT}
        assert [watch.account_id for watch in its.calls.active_watches] == [PARENT]

    def test_of_one_binding_for_one_account(self) -> None:
        its, session = self.subscribed()
        assert its.subscriptions.unsubscribe(session, PARENT, ["calls", "parking.*"]) == [
            "parking.*",
            "calls",
        ]
        assert set(session.subscriptions) == {(PARENT, "call.*.*"), (CHILD, "parking.*")}
        assert set(session.call_watches) == {CHILD}

    def test_of_everything(self) -> None:
        its, session = self.subscribed()
        assert its.subscriptions.unsubscribe(session, None, None) == ["parking.*", "call.*.*", "calls"]
        assert not session.subscription_count
        assert not its.consumer.bound
        assert not its.calls.active_watches

    def test_only_bindings_that_cannot_exist_are_refused(self) -> None:
        its, session = self.subscribed()
        ended = unsubscribed(
            its.subscriptions.request_unsubscribe(session, PARENT, ["fax.status.*", "parking.*", "calls"])
        )
        assert ended == ["fax.status.*", "parking.*", "calls"]
        with pytest.raises(BindingRefused, match=r"weather\.x"):
            unsubscribed(its.subscriptions.request_unsubscribe(session, None, ["call.*.*", "weather.x"]))
        assert session.bindings == ["call.*.*", "parking.*", "calls"]


class TestCalls:
    def test_changes_become_events(self) -> None:
        its = PartsHarness()
        session, output = its.connect()
        its.subscribe(session, "calls")
        (watch,) = its.calls.watches
        watch.on_change(CallChange("changed", [{"call_id": "c2"}]))
        watch.on_change(CallChange("removed", call_ids=["c1"]))
        watch.on_change(CallChange("stale"))
        events = [json.loads(frame.text(False)) for frame, _ in output.events]
        assert events[0] == {
            "action": "event",
            "subscribed_key": "calls",
            "subscription_key": f"calls.{PARENT}",
            "name": "snapshot",
            "routing_key": f"calls.{PARENT}",
            "data": {"account_id": PARENT, "calls": [{"call_id": "c1"}]},
        }
        assert [(event["name"], event["data"]) for event in events[1:]] == [
            ("changed", {"account_id": PARENT, "calls": [{"call_id": "c2"}]}),
            ("removed", {"account_id": PARENT, "call_ids": ["c1"]}),
            ("stale", {"account_id": PARENT}),
        ]
        assert len({frame.sequence for frame, _ in output.events}) == 4

    def test_an_account_is_watched_once(self) -> None:
        its = PartsHarness()
        session, _ = its.connect()
        for _ in range(2):
            assert not refusals(its.subscribe(session, "calls"))
        assert len(its.calls.watches) == 1

    def test_calls_of_all_accounts_are_refused(self) -> None:
        its = PartsHarness()
        session, _ = its.connect(SUPERADMIN)
        answer = refusals(its.subscribe(session, "calls", account_id=ALL_ACCOUNTS))
        assert answer == ["event calls not supported for all accounts"]


class TestRenew:
    def renew(self, its: PartsHarness) -> None:
        renewing = Deferred.fromCoroutine(its.subscriptions.renew(its.registry))
        assert renewing.called
        assert renewing.result is None

    def months(self, its: PartsHarness) -> set[str]:
        """The months whose documents the broker sends."""
        topics = [topic.pattern for topic in its.consumer.bound if topic.exchange == "configuration"]
        return {pattern.removeprefix(f"doc_created.{account_db(PARENT)}-")[:6] for pattern in topics}

    def test_a_subscription_follows_the_calendar(self) -> None:
        its = PartsHarness(now=LAST_DAY)
        session, _ = its.connect()
        its.subscribe(session, "fax.object.doc_created", "call.*.*")
        self.renew(its)
        assert self.months(its) == {"202612"}
        its.clock.advance(3600)
        self.renew(its)
        assert self.months(its) == {"202612", "202701"}
        its.clock.advance(2 * 3600)
        self.renew(its)
        assert self.months(its) == {"202701"}
        assert session.bindings == ["fax.object.doc_created", "call.*.*"]
        assert its.consumer.bound == set(its.fanout.index.topics)

    def test_a_renewal_that_the_broker_refuses_changes_nothing_and_is_repeated(self) -> None:
        its = PartsHarness(now=LAST_DAY)
        session, output = its.connect()
        its.subscribe(session, "fax.object.doc_created")
        its.clock.advance(3 * 3600)
        old = set(its.consumer.bound)
        its.consumer.refused = ["202701"]
        self.renew(its)
        assert session.bindings == ["fax.object.doc_created"]
        assert its.consumer.bound == set(its.fanout.index.topics) == old
        (notice,) = [json.loads(text)["data"] for text in output.replies]
        assert notice == {
            "errors": [REFUSED.format("fax.object.doc_created")],
            "account_id": PARENT,
            "unsubscribed": [],
            "subscribed": ["fax.object.doc_created"],
        }
        its.consumer.refused = []
        its.clock.advance(RENEWAL_INTERVAL - 0.1)
        self.renew(its)
        assert its.consumer.bound == old
        its.clock.advance(0.1)
        self.renew(its)
        assert self.months(its) == {"202701"}
        assert len(output.replies) == 1

    def test_a_subscription_of_an_account_that_is_gone_is_left_to_the_registry(self) -> None:
        its = PartsHarness(now=LAST_DAY)
        session, _ = its.connect()
        its.subscribe(session, "fax.object.doc_created")
        del its.directory.parents[PARENT]
        its.clock.advance(3 * 3600)
        self.renew(its)
        assert self.months(its) == {"202612"}
        assert session.bindings == ["fax.object.doc_created"]

    def test_a_directory_that_does_not_answer_is_logged(self) -> None:
        its = PartsHarness(now=LAST_DAY)
        session, _ = its.connect()
        its.subscribe(session, "fax.object.doc_created")
        its.directory.unavailable = True
        its.clock.advance(3 * 3600)
        with capturedLogs() as logs:
            self.renew(its)
        assert [event["log_failure"].type for event in logs] == [StorageUnavailable]
        assert session.bindings == ["fax.object.doc_created"]


@pytest.mark.timeout(30)
@pytest_twisted.ensureDeferred
async def test_over_websockets_and_streams(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    consumer = PartsHarness().consumer
    consumer.refused = ["CHANNEL_CREATE"]
    monkeypatch.setattr(harness.websockets.fanout._bind_queue, "_consumer", consumer)
    client = await harness.connect()
    data = {"account_id": RESELLER, "binding": "call.CHANNEL_CREATE.*"}
    answer = await client.request("subscribe", data)
    assert answer["status"] == "error"
    assert answer["data"]["errors"] == [REFUSED.format("call.CHANNEL_CREATE.*")]
    stream = await StreamClient().open(harness, "?binding=call.CHANNEL_CREATE.*")
    assert stream.response.code == 503
    assert (await stream.response.json())["data"]["message"] == REFUSED.format("call.CHANNEL_CREATE.*")
    monkeypatch.undo()
