from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.categories.call import call
from kazoo_bridge.categories.channel_payload import channel_payload
from kazoo_bridge.interfaces import HookType, Occurrence, Topic
from kazoo_bridge.kazoo import channel_account_id, channel_variables, is_loopback
from kazoo_bridge.testing import EXAMPLE_ACCOUNT, CategoryHarness, make_event
from tests.categories.category_calls import ACCOUNT, OTHER, patterns, refusal, topics

CHANNEL_EVENTS = [f"CHANNEL_{name}" for name in ("CREATE", "ANSWER", "DESTROY", "HOLD", "UNHOLD", "BRIDGE")]
EVENTS = [*CHANNEL_EVENTS, "PARK_PARKED", "PARK_RETRIEVED", "PARK_ABANDONED"]


def occurrences(name: str, body: dict[str, Any]) -> list[Occurrence]:
    event = make_event("callevt", f"call.{name}.x", {"Event-Name": name, **body}, envelope=False)
    return list(call.occurrences(event))


def payload(name: str, body: dict[str, Any]) -> Any:
    (occurrence,) = occurrences(name, body)
    return occurrence.payload


def test_the_hooks() -> None:
    assert [(hook.id, hook.name) for hook in call.hooks] == [
        ("channel_create", "Channel Create"),
        ("channel_answer", "Channel Answer"),
        ("channel_bridge", "Channel Bridge"),
        ("channel_destroy", "Channel Destroy"),
        ("channel_hold", "Channel Hold"),
        ("channel_unhold", "Channel Unhold"),
    ]
    assert list(call.topics("channel_create")) == [Topic("callevt", "call.CHANNEL_CREATE.*")]
    assert list(call.topics("channel_destroy")) == [Topic("callevt", "call.CHANNEL_DESTROY.*")]


@pytest.mark.parametrize("event", ["CHANNEL_DISCONNECTED", "CHANNEL_CONNECTED"])
def test_a_lost_link_to_the_switch_fires_no_hook(event: str) -> None:
    assert occurrences(event, FULL) == []


FULL = {
    "Call-ID": "leg-a",
    "Call-Direction": "outbound",
    "Callee-ID-Name": "Front",
    "Callee-ID-Number": "2001",
    "Caller-ID-Name": "Ümit",
    "Caller-ID-Number": "+49",
    "Custom-Application-Vars": {"ticket": "7"},
    "From": "f@r",
    "Inception": "+49@p",
    "Other-Leg-Call-ID": "leg-b",
    "Request": "q@r",
    "Timestamp": "63961574400",
    "To": "t@r",
    "Channel-Is-Loopback": False,
    "Custom-Channel-Vars": {
        "Account-ID": ACCOUNT,
        "Authorizing-ID": "dev",
        "Authorizing-Type": "device",
        "Owner-ID": "own",
        "Reseller-ID": "res",
        "Resource-ID": "rsc",
        "Original-Number": "2001",
        "Call-Forward": "true",
        "Emergency-Resource": "true",
        "Presence-ID": "hidden",
        "Campaign": "autumn",
    },
    "Hangup-Cause": "NORMAL_CLEARING",
    "Hangup-Code": "sip:200",
    "Duration-Seconds": "12",
    "Ringing-Seconds": 4,
    "Billing-Seconds": 8,
    "Other-Leg-Destination-Number": "2002",
}

BASE = {
    "account_id": ACCOUNT,
    "authorizing_id": "dev",
    "authorizing_type": "device",
    "call_direction": "outbound",
    "call_forwarded": True,
    "call_id": "leg-a",
    "callee_id_name": "Front",
    "callee_id_number": "2001",
    "caller_id_name": "Ümit",
    "caller_id_number": "+49",
    "custom_application_vars": {"ticket": "7"},
    "custom_channel_vars": {
        "Reseller-ID": "res",
        "Resource-ID": "rsc",
        "Original-Number": "2001",
        "Emergency-Resource": "true",
        "Campaign": "autumn",
    },
    "emergency_resource_used": True,
    "from": "f@r",
    "inception": "+49@p",
    "is_internal_leg": False,
    "local_resource_id": "rsc",
    "local_resource_used": True,
    "other_leg_call_id": "leg-b",
    "owner_id": "own",
    "request": "q@r",
    "reseller_id": "res",
    "timestamp": 63961574400,
    "to": "t@r",
}

BRIDGE = {"original_number": "2001", "other_leg_destination_number": "2002"}
DESTROY = {
    "hangup_cause": "NORMAL_CLEARING",
    "hangup_code": "sip:200",
    "duration_seconds": 12,
    "ringing_seconds": 4,
    "billing_seconds": 8,
}


@pytest.mark.parametrize(
    ("event", "hook", "more"),
    [
        ("CHANNEL_CREATE", "channel_create", {}),
        ("CHANNEL_ANSWER", "channel_answer", {}),
        ("CHANNEL_BRIDGE", "channel_bridge", BRIDGE),
        ("CHANNEL_DESTROY", "channel_destroy", DESTROY),
    ],
)
def test_the_whole_payload(event: str, hook: str, more: dict[str, Any]) -> None:
    (occurrence,) = occurrences(event, FULL)
    assert (occurrence.hook, occurrence.account_id, occurrence.internal_leg) == (hook, ACCOUNT, False)
    assert occurrence.payload == {"hook_event": hook, **BASE, **more}


def test_what_is_absent_is_left_out() -> None:
    assert payload("CHANNEL_CREATE", {"Custom-Channel-Vars": {"Account-ID": ACCOUNT}}) == {
        "hook_event": "channel_create",
        "account_id": ACCOUNT,
        "custom_channel_vars": {},
        "emergency_resource_used": False,
        "is_internal_leg": False,
        "local_resource_used": True,
    }


@pytest.mark.parametrize("event", list(CHANNEL_EVENTS))
def test_empty_texts_are_left_out_where_kazoo_does(event: str) -> None:
    empty = dict.fromkeys([*FULL, "Authorizing-ID", "Authorizing-Type", "Owner-ID", "Reseller-ID"], "")
    sent = payload(
        event, {**empty, "Custom-Channel-Vars": {"Account-ID": ACCOUNT, "Owner-ID": "", "Own": ""}}
    )
    assert sent == {
        "hook_event": event.lower(),
        "account_id": ACCOUNT,
        "custom_channel_vars": {"Own": ""},
        "emergency_resource_used": False,
        "from": "",
        "inception": "",
        "is_internal_leg": False,
        "local_resource_used": True,
        "to": "",
    }


def test_empty_objects_and_zeros_are_sent() -> None:
    sent = payload("CHANNEL_DESTROY", {"Billing-Seconds": 0, "Custom-Application-Vars": {}})
    assert (sent["billing_seconds"], sent["custom_application_vars"]) == (0, {})


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"Custom-Channel-Vars": {"Account-ID": ACCOUNT}}, True),
        ({"Custom-Channel-Vars": {"Account-ID": ACCOUNT, "Reseller-ID": "r"}}, False),
        ({"Reseller-ID": "r"}, False),
        ({"Reseller-ID": ""}, True),
    ],
)
def test_a_payload_without_a_reseller_wants_one(body: dict[str, Any], wanted: bool) -> None:
    assert occurrences("CHANNEL_CREATE", body)[0].wants_reseller is wanted


def test_a_global_resource_hides_the_local_one() -> None:
    sent = payload(
        "CHANNEL_CREATE", {"Custom-Channel-Vars": {"Global-Resource": "true", "Resource-ID": "rsc"}}
    )
    assert sent["local_resource_used"] is False
    assert "local_resource_id" not in sent


@pytest.mark.parametrize(
    "body", [{"Channel-Is-Loopback": True}, {"Channel-Is-Loopback": "true"}, {"Channel-Name": "loopback/x-a"}]
)
def test_internal_legs(body: dict[str, Any]) -> None:
    assert occurrences("CHANNEL_CREATE", body)[0].internal_leg


@pytest.mark.parametrize("variables", [None, {}, {"Account-ID": "short"}, {"Account-ID": 7}, "text", [1]])
def test_events_without_an_account(variables: Any) -> None:
    assert occurrences("CHANNEL_CREATE", {"Custom-Channel-Vars": variables})[0].account_id is None


def test_the_called_number_counts_only_without_an_account() -> None:
    body: dict[str, Any] = {"Request": "+4722555019@sip.example.net"}
    assert occurrences("CHANNEL_CREATE", body)[0].called_number == "+4722555019"
    body["Custom-Channel-Vars"] = {"Account-ID": ACCOUNT}
    assert occurrences("CHANNEL_CREATE", body)[0].called_number is None


def test_other_events_are_ignored() -> None:
    assert occurrences("CHANNEL_PROGRESS", FULL) == []
    assert occurrences("", {}) == []


@pytest.mark.parametrize("hook", call.hooks, ids=lambda hook: hook.id)
def test_samples_have_the_keys_of_real_payloads(hook: HookType) -> None:
    sample = hook.samples[0]
    real = {
        "hook_event": hook.id,
        **BASE,
        **(BRIDGE if "bridge" in hook.id else {}),
        **(DESTROY if "destroy" in hook.id else {}),
    }
    assert sample["hook_event"] == hook.id
    assert set(sample) == set(real)


@pytest.mark.parametrize(
    ("given", "expected"),
    [("12", 12), (12.0, 12), (12, 12), ("9" * 19, "9" * 19), ("9" * 5000, "9" * 5000), ("1_0", "1_0")],
)
@pytest.mark.parametrize("name", ["Duration-Seconds", "Ringing-Seconds", "Billing-Seconds", "Timestamp"])
def test_numbers_are_integers_that_json_can_hold(name: str, given: Any, expected: Any) -> None:
    value = payload("CHANNEL_DESTROY", {**FULL, name: given})[name.lower().replace("-", "_")]
    assert (type(value), value) == (type(expected), expected)


def test_bindings() -> None:
    assert topics(call, "call.CHANNEL_CREATE.*") == [("callevt", "call.CHANNEL_CREATE.*")]
    assert patterns(call, "call.CHANNEL_CREATE.*") == [f"call.{ACCOUNT}.CHANNEL_CREATE.*"]
    assert patterns(call, "call.CHANNEL_HOLD.a%40b%2Ec") == [f"call.{ACCOUNT}.CHANNEL_HOLD.a%40b%2Ec"]
    assert patterns(call, "call.CHANNEL_HOLD.a@b") == [f"call.{ACCOUNT}.CHANNEL_HOLD.a%40b"]
    assert patterns(call, "call.*.c1") == [f"call.{ACCOUNT}.*.c1"]
    assert sorted(topics(call, "call.*.c1")) == sorted(("callevt", f"call.{event}.*") for event in EVENTS)
    assert patterns(call, "call.PARK_PARKED.*", None) == ["call.*.PARK_PARKED.*"]
    assert call.resolve_binding("parking.*", EXAMPLE_ACCOUNT, False, 0.0) is None


def test_topics_do_not_grow_with_the_calls_that_clients_choose() -> None:
    asked = {topic for number in range(50) for topic in topics(call, f"call.*.c{number}")}
    assert asked == {("callevt", f"call.{event}.*") for event in EVENTS}


@pytest.mark.parametrize(
    ("binding", "text"),
    [
        ("call.CHANNEL_DISCONNECTED.*", "event CHANNEL_DISCONNECTED not supported"),
        ("call.CHANNEL_CREATE", "invalid format for call subscription : CHANNEL_CREATE"),
        ("call.CHANNEL_CREATE.a.b", "invalid format for call subscription : CHANNEL_CREATE, a, b"),
        ("call.CHANNEL_CREATE.", "invalid format for call subscription : CHANNEL_CREATE, "),
        ("call.CHANNEL_CREATE.#", "invalid format for call subscription : CHANNEL_CREATE, #"),
        ("call", "invalid format for call subscription : "),
    ],
)
def test_refusals(binding: str, text: str) -> None:
    assert refusal(call, binding) == text


def test_subscribers_receive_the_calls_of_their_account() -> None:
    harness = CategoryHarness(call)
    client = harness.subscribe("call.*.*")
    for account_id in (ACCOUNT, OTHER):
        body = {"Event-Name": "CHANNEL_CREATE", "Custom-Channel-Vars": {"Account-ID": account_id}}
        harness.publish(make_event("callevt", "call.CHANNEL_CREATE.x%2Ey", body))
    assert [frame["routing_key"] for frame in client.frames] == [f"call.{ACCOUNT}.CHANNEL_CREATE.x%2Ey"]


def test_queries_of_channels_on_the_exchange_reach_no_subscriber() -> None:
    query = make_event("callevt", "call.status_req.channels", {"Event-Name": "query_channels_req"})
    assert list(call.subscriber_events(query)) == []


_BODY_KEYS = ["Call-ID", "Request", "Timestamp", "Owner-ID", "Channel-Is-Loopback", "Channel-Name"]
_VARIABLE_KEYS = ["Account-ID", "Owner-ID", "Channel-Is-Loopback", "Own"]
_VALUES = st.sampled_from([None, True, "true", "", "loopback/x-a", 7, {"a": 1}, ACCOUNT])


@given(
    st.sampled_from(list(CHANNEL_EVENTS)),
    st.dictionaries(st.sampled_from(_BODY_KEYS), _VALUES),
    st.none() | st.just("variables") | st.dictionaries(st.sampled_from(_VARIABLE_KEYS), _VALUES),
)
def test_every_event_of_a_channel_is_an_occurrence(name: str, body: dict[str, Any], variables: Any) -> None:
    if variables is not None:
        body["Custom-Channel-Vars"] = variables
    (occurrence,) = occurrences(name, body)
    assert occurrence.payload == channel_payload(occurrence.hook, body, channel_variables(body))
    assert occurrence.account_id == channel_account_id(body)
    assert occurrence.internal_leg is is_loopback(body)
