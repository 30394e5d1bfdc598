from __future__ import annotations

import pytest

from kazoo_bridge.categories.pivot import pivot
from kazoo_bridge.testing import CategoryHarness, make_event
from tests.categories.category_calls import ACCOUNT, occurrences, patterns, refusal, topics


def test_events_reach_the_subscribers_of_the_name() -> None:
    harness = CategoryHarness(pivot)
    named, every = harness.subscribe("pivot.front-desk"), harness.subscribe("pivot.*")
    other = harness.subscribe("pivot.back-office")
    event = make_event("sysconf", f"pivot.event.{ACCOUNT}.front-desk", {"Event-Name": "pivot_answered"})
    assert list(harness.publish(event)) == []
    for client in (named, every):
        assert [frame["routing_key"] for frame in client.frames] == [f"pivot.{ACCOUNT}.front-desk"]
    assert other.frames == []


def test_other_messages_on_the_exchange_are_ignored() -> None:
    for key in ("websockets.get", f"pivot.ask.{ACCOUNT}.front-desk", "pivot.node.hello"):
        assert list(pivot.subscriber_events(make_event("sysconf", key, {"Event-Name": "x"}))) == []
    assert occurrences(pivot, {"Event-Name": "pivot_answered"}) == []


def test_topics_and_patterns() -> None:
    assert topics(pivot, "pivot.front-desk") == [("sysconf", f"pivot.event.{ACCOUNT}.front-desk")]
    assert patterns(pivot, "pivot.*") == [f"pivot.{ACCOUNT}.*"]
    assert patterns(pivot, "pivot.front-desk", None) == ["pivot.*.front-desk"]
    assert pivot.resolve_binding("call.*.*", None, False, 0) is None


@pytest.mark.parametrize("binding", ["pivot", "pivot.", "pivot.#", "pivot.a.b", "pivot.%2A"])
def test_refused_bindings(binding: str) -> None:
    assert refusal(pivot, binding).startswith("invalid format for pivot subscription")
