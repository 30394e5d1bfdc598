from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kazoo_bridge.categories import channel_payload as module
from kazoo_bridge.categories.channel_payload import RESERVED_CHANNEL_VARS, channel_payload
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.kazoo import is_true

HOOKS = [f"channel_{name}" for name in ("create", "answer", "bridge", "destroy", "hold", "unhold")]

_KEYS = {
    "call_direction": "Call-Direction",
    "call_id": "Call-ID",
    "callee_id_name": "Callee-ID-Name",
    "callee_id_number": "Callee-ID-Number",
    "caller_id_name": "Caller-ID-Name",
    "caller_id_number": "Caller-ID-Number",
    "custom_application_vars": "Custom-Application-Vars",
    "from": "From",
    "inception": "Inception",
    "other_leg_call_id": "Other-Leg-Call-ID",
    "request": "Request",
    "timestamp": "Timestamp",
    "to": "To",
}
_MORE_KEYS = {
    "channel_bridge": {"other_leg_destination_number": "Other-Leg-Destination-Number"},
    "channel_destroy": {
        "hangup_cause": "Hangup-Cause",
        "hangup_code": "Hangup-Code",
        "duration_seconds": "Duration-Seconds",
        "ringing_seconds": "Ringing-Seconds",
        "billing_seconds": "Billing-Seconds",
    },
}
_VARIABLES = {
    "authorizing_id": "Authorizing-ID",
    "authorizing_type": "Authorizing-Type",
    "owner_id": "Owner-ID",
    "reseller_id": "Reseller-ID",
}
_INTEGERS = {"timestamp", "duration_seconds", "ringing_seconds", "billing_seconds"}


def simple_payload(hook: str, body: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payload, made without plans."""
    global_resource = is_true(variables.get("Global-Resource"))
    forwarded = variables.get("Call-Forward")
    payload = {
        "hook_event": hook,
        "account_id": variables.get("Account-ID"),
        "call_forwarded": None if forwarded is None else is_true(forwarded),
        "custom_channel_vars": {
            name: value for name, value in variables.items() if name not in RESERVED_CHANNEL_VARS
        },
        "emergency_resource_used": is_true(variables.get("Emergency-Resource")),
        "is_internal_leg": is_true(body.get("Channel-Is-Loopback")),
        "local_resource_id": None if global_resource else variables.get("Resource-ID"),
        "local_resource_used": not global_resource,
    }
    payload |= {name: body.get(key) for name, key in (_KEYS | _MORE_KEYS.get(hook, {})).items()}
    payload |= {name: variables.get(key, body.get(key)) for name, key in _VARIABLES.items()}
    if hook == "channel_bridge":
        payload["original_number"] = variables.get("Original-Number")
    for name in _INTEGERS & payload.keys():
        number = to_integer(payload[name], accept_text=True)
        payload[name] = payload[name] if number is None else number
    empty_too = {"from", "inception", "to"}
    return {
        name: value
        for name, value in payload.items()
        if value is not None and (value != "" or name in empty_too)
    }


_VALUES = st.sampled_from(
    [None, None, True, "true", "False", "", "7", "1.5", 7, 7.0, 10**20, {"a": 1}, [None]]
)
_BODY_KEYS = [*_KEYS.values(), *(key for keys in _MORE_KEYS.values() for key in keys.values())]
_FLAGS = ["Account-ID", "Call-Forward", "Emergency-Resource", "Global-Resource", "Resource-ID"]
_bodies = st.dictionaries(
    st.sampled_from([*_BODY_KEYS, *_VARIABLES.values(), "Channel-Is-Loopback"]) | st.text(max_size=3), _VALUES
)
_variables = st.dictionaries(
    st.sampled_from([*_FLAGS, *_VARIABLES.values(), "Original-Number", "Own", "Realm", "Call-ID"])
    | st.text(max_size=3),
    _VALUES,
)


def assert_same(payload: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    # In the same order, which a form shows.
    assert list(payload.items()) == list(expected.items())
    assert list(map(type, payload.values())) == list(map(type, expected.values()))


@given(st.sampled_from(HOOKS), _bodies, _variables, st.lists(_VALUES, min_size=1))
def test_the_payload_is_that_without_plans(
    hook: str, body: dict[str, Any], variables: dict[str, Any], values: list[Any]
) -> None:
    assert_same(channel_payload(hook, body, variables), simple_payload(hook, body, variables))
    # The plan does not depend on the values of the event that it was made for.
    body = {key: values[number % len(values)] for number, key in enumerate(body)}
    variables = {key: values[-number % len(values)] for number, key in enumerate(variables)}
    assert_same(channel_payload(hook, body, variables), simple_payload(hook, body, variables))


@given(_bodies, _variables)
def test_events_with_the_same_keys_have_a_payload_for_each_hook(
    body: dict[str, Any], variables: dict[str, Any]
) -> None:
    for hook in HOOKS:
        assert_same(channel_payload(hook, body, variables), simple_payload(hook, body, variables))


@pytest.mark.parametrize(
    ("body", "variables"),
    [
        ({"a": 1, "Owner-ID": "o"}, {}),
        ({"a": 1}, {"Owner-ID": "o"}),
        ({"a": 1, "Owner-ID": "body"}, {"Owner-ID": None}),
        ({"a": 1, "Owner-ID": "body", "Reseller-ID": "r"}, {"Owner-ID": "v", "Authorizing-ID": "x"}),
    ],
)
def test_keys_of_the_event_and_of_its_variables_are_not_confused(
    body: dict[str, Any], variables: dict[str, Any]
) -> None:
    for _ in ("first", "from memory"):
        assert_same(
            channel_payload("channel_create", body, variables),
            simple_payload("channel_create", body, variables),
        )


def test_a_payload_does_not_share_what_it_consists_of_with_later_ones() -> None:
    body, variables = {"Call-ID": "1"}, {"Own": "x"}
    first = channel_payload("channel_create", body, variables)
    first["custom_channel_vars"]["more"] = first["more"] = 1
    assert_same(
        channel_payload("channel_create", body, variables), simple_payload("channel_create", body, variables)
    )


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> dict[Any, Any]:
    plans: dict[Any, Any] = {}
    monkeypatch.setattr(module, "_plans", plans)
    return plans


def test_plans_are_made_once_for_a_shape(plans: dict[Any, Any]) -> None:
    for number in range(5):
        channel_payload("channel_create", {"Call-ID": str(number)}, {"Own": number})
    assert len(plans) == 1
    channel_payload("channel_answer", {"Call-ID": "1"}, {"Own": 1})
    assert len(plans) == 2


def test_the_number_of_plans_is_bounded(plans: dict[Any, Any]) -> None:
    for number in range(2 * module._MAX_SHAPES + 10):
        variables = {f"Own-{number}": number}
        payload = channel_payload("channel_create", {"Call-ID": "1"}, variables)
        assert payload["custom_channel_vars"] == variables
        assert len(plans) <= module._MAX_SHAPES
    assert len(plans) == 10


@pytest.mark.parametrize(
    "variables",
    [
        {f"Own-{number}": number for number in range(module._MAX_SHAPE_KEYS)},
        {"x" * module._MAX_SHAPE_LENGTH: 1},
    ],
    ids=["many", "long"],
)
def test_large_shapes_are_not_remembered(plans: dict[Any, Any], variables: dict[str, Any]) -> None:
    for body, names in (({"Call-ID": "1"}, variables), ({"Call-ID": "1", **variables}, {})):
        assert_same(
            channel_payload("channel_create", body, names), simple_payload("channel_create", body, names)
        )
    assert plans == {}
