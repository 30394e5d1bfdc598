from __future__ import annotations

from typing import Any

import pytest
from zope.interface.verify import verifyObject

from kazoo_bridge.categories.call import call
from kazoo_bridge.interfaces import IEventCategory, Occurrence, Topic
from kazoo_bridge.kazoo import Event

ACCOUNT = "a" * 32


def occurrences(name: str, body: dict[str, Any]) -> list[Occurrence]:
    return list(call.occurrences(Event("callevt", f"call.{name}.x", {"Event-Name": name, **body}, b"{}")))


def payload(name: str, body: dict[str, Any]) -> Any:
    (occurrence,) = occurrences(name, body)
    return occurrence.payload


def test_it_is_a_category_with_kazoos_four_hooks_and_two_of_our_own() -> None:
    verifyObject(IEventCategory, call)
    assert [(hook.id, hook.name) for hook in call.hooks] == [
        ("channel_create", "Channel Create"),
        ("channel_answer", "Channel Answer"),
        ("channel_bridge", "Channel Bridge"),
        ("channel_destroy", "Channel Destroy"),
        ("channel_hold", "Channel Hold"),
        ("channel_unhold", "Channel Unhold"),
    ]
    assert list(call.topics("channel_create")) == [Topic("callevt", "call.CHANNEL_CREATE.*")]
    assert set(call.topics("channel_destroy")) == {
        Topic("callevt", "call.CHANNEL_DESTROY.*"),
        Topic("callevt", "call.CHANNEL_DISCONNECTED.*"),
    }


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
        ("CHANNEL_DISCONNECTED", "channel_destroy", DESTROY),
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
def test_without_an_account(variables: Any) -> None:
    assert occurrences("CHANNEL_CREATE", {"Custom-Channel-Vars": variables})[0].account_id is None


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ({"Request": "+4722555019@r", "To": "2001@r"}, "4722555019"),
        ({"Request": "sip:4722555019@r"}, "4722555019"),
        ({"Request": "4722555019"}, "4722555019"),
        ({"To": "4722555019@r"}, "4722555019"),
        ({"Request": "reception@r", "To": "2001@r"}, "2001"),
        ({"Request": "reception@r"}, None),
        ({"Request": ["x"], "To": None}, None),
        ({}, None),
    ],
)
def test_without_an_account_the_dialled_number_is_told(body: dict[str, Any], number: str | None) -> None:
    assert occurrences("CHANNEL_CREATE", body)[0].called_number == number
    assert (
        occurrences("CHANNEL_CREATE", {**body, "Custom-Channel-Vars": {"Account-ID": ACCOUNT}})[
            0
        ].called_number
        is None
    )


def test_other_events_concern_nobody() -> None:
    assert occurrences("CHANNEL_PROGRESS", FULL) == []
    assert occurrences("", {}) == []


@pytest.mark.parametrize("hook", call.hooks, ids=lambda hook: hook.id)
def test_samples_have_what_real_payloads_have(hook: Any) -> None:
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
def test_numbers_of_the_switch_are_integers_that_json_can_hold(name: str, given: Any, expected: Any) -> None:
    value = payload("CHANNEL_DESTROY", {**FULL, name: given})[name.lower().replace("-", "_")]
    assert (type(value), value) == (type(expected), expected)
