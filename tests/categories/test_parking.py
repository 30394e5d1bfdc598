from __future__ import annotations

import pytest

from kazoo_bridge.categories.parking import parking
from kazoo_bridge.interfaces import Occurrence
from kazoo_bridge.testing import EXAMPLE_ACCOUNT, CategoryHarness, make_event
from tests.categories.category_calls import ACCOUNT, occurrences, patterns, refusal, topics


@pytest.mark.parametrize("name", ["PARK_PARKED", "PARK_RETRIEVED", "PARK_ABANDONED"])
def test_the_payload(name: str) -> None:
    body = {
        "Node": "n",
        "Msg-ID": "m",
        "App-Name": "a",
        "App-Version": "v",
        "Event-Category": "call_event",
        "Event-Name": name,
        "Call-ID": "c",
        "Parking-Slot": "101",
        "Nothing": None,
        "Custom-Channel-Vars": {"Account-ID": ACCOUNT},
    }
    payload = {"event_name": name, "call_id": "c", "parking_slot": "101", "account_id": ACCOUNT}
    assert occurrences(parking, body) == [Occurrence("parking", ACCOUNT, payload)]


def test_an_event_without_an_account_belongs_to_the_owner_of_the_called_number() -> None:
    body = {"Event-Name": "PARK_PARKED", "Request": "+4722555019@sip.example.net"}
    harness = CategoryHarness(parking, account_for_number={"4722555019": ACCOUNT})
    client = harness.subscribe("parking.*")
    (occurrence,) = harness.publish(make_event("callevt", "call.PARK_PARKED.c", body))
    assert (occurrence.account_id, occurrence.called_number) == (None, "+4722555019")
    assert [frame["name"] for frame in client.frames] == ["PARK_PARKED"]


def test_other_events_on_the_exchange_are_ignored() -> None:
    event = make_event("callevt", "call.CHANNEL_CREATE.c", {"Event-Name": "CHANNEL_CREATE"})
    assert list(parking.occurrences(event)) == []
    assert list(parking.subscriber_events(event)) == []


def test_a_loopback_leg_is_not_left_out_as_internal() -> None:
    (occurrence,) = occurrences(parking, {"Event-Name": "PARK_PARKED", "Channel-Name": "loopback/x-a"})
    assert not occurrence.internal_leg


def test_bindings() -> None:
    assert patterns(parking, "parking.*") == [f"parking.{ACCOUNT}.*"] * 3
    assert topics(parking, "parking.PARK_PARKED") == [("callevt", "call.PARK_PARKED.*")]
    assert patterns(parking, "parking.PARK_PARKED", None) == ["parking.*.PARK_PARKED"]
    assert parking.resolve_binding("call.x", EXAMPLE_ACCOUNT, False, 0.0) is None


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        ("parking.NO", "event NO not supported"),
        ("parking.PARK_PARKED.x", "invalid format for parking subscription : PARK_PARKED, x"),
    ],
)
def test_refusals(binding: str, text: str) -> None:
    assert refusal(parking, binding) == text
