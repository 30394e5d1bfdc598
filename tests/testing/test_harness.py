from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve
from twisted.plugin import IPlugin
from zope.interface import implementer

import kazoo_bridge
from kazoo_bridge.categories.call import call
from kazoo_bridge.interfaces import (
    Account,
    BindingPlan,
    BindingRefused,
    HookType,
    IBindingCategory,
    Occurrence,
    SubscriberEvent,
    Topic,
    TopicFilter,
)
from kazoo_bridge.kazoo import Event
from kazoo_bridge.testing import EXAMPLE_ACCOUNT, CategoryHarness, InvalidPlugin, make_event

OTHER = evolve(EXAMPLE_ACCOUNT, id="b" * 32)


def make_alarm(account: Account = EXAMPLE_ACCOUNT, **body: Any) -> Event:
    return make_event("callevt", f"alarm.{account.id}", {"Event-Name": "ALARM", "Level": 3, **body})


@implementer(IPlugin, IBindingCategory)
@define
class AlarmCategory:
    """A category for these tests; `fault` makes it do one thing wrong."""

    fault: str = ""
    name: str = "alarm"
    hooks: tuple[HookType, ...] = (HookType("alarm", "Alarm", "An alarm is raised"),)
    bindings: tuple[str, ...] = ("alarm.RAISED",)

    def topics(self, hook: str) -> Iterable[Topic]:
        return [Topic("callevt", "elsewhere.*" if self.fault == "topic" else "alarm.*")]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        if self.fault == "raise":
            raise RuntimeError("no alarm today")
        payload: Any = "text" if self.fault == "payload" else {"level": event.body.get("Level")}
        return [Occurrence("alarm", event.routing_key.removeprefix("alarm."), payload)]

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        if not binding.startswith("alarm.") or self.fault == "unknown":
            return None
        if binding != "alarm.RAISED" or self.fault == "refuse":
            raise BindingRefused(f"event {binding.removeprefix('alarm.')} not supported")
        pattern = f"alarm.{'*' if account is None else account.id}"
        return BindingPlan((TopicFilter(Topic("callevt", pattern), pattern),))

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        key: Any = 7 if self.fault == "key" else event.routing_key
        return [SubscriberEvent(key, event.routing_key)]


def test_a_published_event_fires_hooks_and_reaches_subscribers() -> None:
    harness = CategoryHarness(AlarmCategory())
    client = harness.subscribe("alarm.RAISED")
    assert client.topics == [Topic("callevt", f"alarm.{EXAMPLE_ACCOUNT.id}")]
    assert harness.publish(make_alarm()) == [Occurrence("alarm", EXAMPLE_ACCOUNT.id, {"level": 3})]
    (frame,) = client.frames
    assert frame["data"].pop("msg_id") == "test-message"
    assert frame == {
        "action": "event",
        "subscribed_key": "alarm.RAISED",
        "subscription_key": f"alarm.{EXAMPLE_ACCOUNT.id}",
        "name": "ALARM",
        "routing_key": f"alarm.{EXAMPLE_ACCOUNT.id}",
        "data": {
            "app_name": "test",
            "app_version": kazoo_bridge.__version__,
            "event_category": "",
            "event_name": "ALARM",
            "level": 3,
        },
    }


def test_subscribers_receive_the_events_of_their_account_only() -> None:
    harness = CategoryHarness(AlarmCategory())
    own = harness.subscribe("alarm.RAISED")
    everything = harness.subscribe("alarm.RAISED", None, superadmin=True)
    occurrences = harness.publish(make_alarm(), make_alarm(OTHER))
    assert [one.account_id for one in occurrences] == [EXAMPLE_ACCOUNT.id, OTHER.id]
    assert (len(own.frames), len(everything.frames)) == (1, 2)


def test_an_event_that_no_topic_matches_reaches_nothing() -> None:
    harness = CategoryHarness(AlarmCategory())
    client = harness.subscribe("alarm.RAISED", None)
    event = make_event("callevt", "alarm.a.b", {"Event-Name": "ALARM"})
    assert harness.publish(event) == []
    assert client.frames == []
    assert harness.problems(event) == ["alarm.a.b: no topic of the hook 'alarm' matches"]


def test_refusals_reach_the_test_as_they_reach_the_client() -> None:
    harness = CategoryHarness(AlarmCategory())
    with pytest.raises(BindingRefused, match=r"^event LOST not supported$"):
        harness.subscribe("alarm.LOST")
    with pytest.raises(BindingRefused, match=r"^no available subscriptions to requested binding planets"):
        harness.subscribe("planets.x")


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("raise", "RuntimeError: no alarm today"),
        ("payload", "InvalidPlugin: expected Mapping, got str"),
        ("key", "InvalidPlugin: expected str, got int"),
    ],
)
def test_what_a_node_would_log_fails_the_test(fault: str, words: str) -> None:
    harness = CategoryHarness(AlarmCategory(fault))
    harness.subscribe("alarm.RAISED")
    with pytest.raises(InvalidPlugin, match=f"^alarm.{EXAMPLE_ACCOUNT.id}: {words}"):
        harness.publish(make_alarm())


@pytest.mark.parametrize(
    ("category", "problem"),
    [
        ({"fault": "raise"}, f"alarm.{EXAMPLE_ACCOUNT.id}: no alarm today"),
        ({"fault": "payload"}, f"alarm.{EXAMPLE_ACCOUNT.id}: expected Mapping, got str"),
        ({"fault": "key"}, f"alarm.{EXAMPLE_ACCOUNT.id}: expected str, got int"),
        ({"fault": "topic"}, f"alarm.{EXAMPLE_ACCOUNT.id}: no topic of the hook 'alarm' matches"),
        ({"fault": "unknown"}, "alarm.RAISED: listed in bindings, but unknown"),
        ({"fault": "refuse"}, "alarm.RAISED: listed in bindings, but refused: event RAISED not supported"),
        ({"name": "call"}, "another category is already named 'call'"),
        ({"hooks": (HookType("sms", "n", "d"),)}, "hook id 'sms' belongs to another category"),
        ({"bindings": (1,)}, "expected str, got int"),
    ],
)
def test_problems_are_listed(category: Mapping[str, Any], problem: str) -> None:
    assert CategoryHarness(AlarmCategory(**category)).problems(make_alarm()) == [problem]


def test_a_good_category_has_no_problems() -> None:
    assert CategoryHarness(AlarmCategory()).problems(make_alarm()) == []


def test_a_category_that_a_node_would_leave_out_cannot_run() -> None:
    harness = CategoryHarness(AlarmCategory(name="call"))
    with pytest.raises(InvalidPlugin, match="already named"):
        harness.publish(make_alarm())
    with pytest.raises(InvalidPlugin, match="already named"):
        harness.subscribe("alarm.RAISED")


def test_events_without_an_account_reach_the_owner_of_the_called_number() -> None:
    harness = CategoryHarness(call, account_for_number={"4722555019": EXAMPLE_ACCOUNT.id})
    client = harness.subscribe("call.CHANNEL_CREATE.*")
    body = {"Event-Name": "CHANNEL_CREATE", "Request": "+4722555019@sip.example.net"}
    (occurrence,) = harness.publish(make_event("callevt", "call.CHANNEL_CREATE.c1", body))
    assert (occurrence.account_id, occurrence.called_number) == (None, "+4722555019")
    assert [frame["routing_key"] for frame in client.frames] == [
        f"call.{EXAMPLE_ACCOUNT.id}.CHANNEL_CREATE.c1"
    ]


def test_the_package_is_typed() -> None:
    assert (Path(kazoo_bridge.__file__).parent / "py.typed").exists()
