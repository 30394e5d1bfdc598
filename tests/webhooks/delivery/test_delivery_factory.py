from __future__ import annotations

from typing import Any

import pytest

from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.kazoo import Event
from kazoo_bridge.webhooks.delivery.delivery_factory import delivery_id, event_id, make_delivery
from tests.webhooks.hook_factory import ACCOUNT, make_hook


def ordering_key(payload: dict[str, Any], event: str = "channel_create", *, ordered: bool = True) -> str:
    occurrence = Occurrence(event, ACCOUNT, payload)
    return make_delivery(make_hook(ordered=ordered), occurrence, "e1", 0.0).ordering_key


def test_a_redelivered_event_has_the_same_id() -> None:
    raw = b'{"Call-ID": "1"}'
    first = event_id(Event("callevt", "x.1", {}, raw))
    assert first == event_id(Event("callevt", "x.1", {}, raw, redelivered=True))
    assert first.startswith("msg_")
    assert len(first) == len("msg_") + 32


@pytest.mark.parametrize(
    "other",
    [Event("callevt", "x.2", {}, b"1"), Event("other", "x.1", {}, b"1"), Event("callevt", "x.1", {}, b"2")],
)
def test_another_event_has_another_id(other: Event) -> None:
    assert event_id(Event("callevt", "x.1", {}, b"1")) != event_id(other)


def test_a_delivery_id_depends_on_the_event_and_the_hook() -> None:
    assert delivery_id("e1", "h1") == delivery_id("e1", "h1")
    assert len({delivery_id("e1", "h1"), delivery_id("e2", "h1"), delivery_id("e1", "h2")}) == 3


def test_a_delivery_has_what_the_request_needs() -> None:
    occurrence = Occurrence("channel_create", "b" * 32, {"call_id": "1"}, inline_hook={"uri": "http://x/"})
    made = make_delivery(make_hook("h7"), occurrence, "e1", 12.5)
    assert made.id == delivery_id("e1", "h7")
    assert (made.hook_id, made.account_id, made.event, made.event_id) == (
        "h7",
        ACCOUNT,
        "channel_create",
        "e1",
    )
    assert (made.payload, made.created, made.attempts) == ({"call_id": "1"}, 12.5, 0)
    assert (made.inline_hook, made.ordering_key) == ({"uri": "http://x/"}, "")


@pytest.mark.parametrize("name", ["call_id", "conference_id", "job_id", "id"])
def test_events_of_one_subject_have_one_ordering_key(name: str) -> None:
    first = ordering_key({name: "1", "number": 1})
    assert first == ordering_key({name: "1", "number": 2})
    assert first != ordering_key({name: "2", "number": 1})


def test_the_most_specific_subject_counts() -> None:
    assert ordering_key({"call_id": "1", "id": "2"}) == ordering_key({"call_id": "1", "id": "3"})
    assert ordering_key({"call_id": "", "id": "2"}) == ordering_key({"id": "2"})


def test_events_without_subject_are_ordered_by_their_kind() -> None:
    assert ordering_key({}) == ordering_key({"number": 1})
    assert ordering_key({}) != ordering_key({}, "channel_answer")


def test_without_order_there_is_no_ordering_key() -> None:
    assert ordering_key({"call_id": "1"}, ordered=False) == ""
