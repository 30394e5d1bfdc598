"""The payload of hooks about a channel, after KAZOO's ``webhooks_channel_util``.

The events of a switch have the same keys again and again. For such a shape the keys of the payload and their
sources are looked up once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.kazoo import is_true

#: Channel variables that payloads leave out: KAZOO's default for ``reserved_ccv_keys`` of ``call_command``.
RESERVED_CHANNEL_VARS = frozenset(
    {
        "Account-ID",
        "Account-Name",
        "Account-Realm",
        "Authorizing-ID",
        "Authorizing-Type",
        "Auto-Answer",
        "Call-Forward",
        "Call-Waiting-Disabled",
        "Confirm-Cancel-Timeout",
        "Confirm-File",
        "Confirm-Key",
        "Fax-Enabled",
        "Loopback-Bowout",
        "Media-Encryption-Enforce-Security",
        "Media-Webrtc",
        "Owner-ID",
        "Presence-ID",
        "RTCP-MUX",
        "Realm",
        "Require-Ignore-Early-Media",
        "Retain-CID",
        "SIP-Invite-Domain",
        "Simplify-Loopback",
        "Username",
    }
)

#: Payload key -> key of the event.
_FROM_EVENT = {
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

#: Payload key -> key of the event's channel variables, otherwise of the event.
_FROM_VARIABLES = {
    "authorizing_id": "Authorizing-ID",
    "authorizing_type": "Authorizing-Type",
    "owner_id": "Owner-ID",
    "reseller_id": "Reseller-ID",
}

#: Hook -> further payload keys -> key of the event.
_FROM_EVENT_BY_HOOK: Mapping[str, Mapping[str, str]] = {
    "channel_bridge": {"other_leg_destination_number": "Other-Leg-Destination-Number"},
    "channel_destroy": {
        "hangup_cause": "Hangup-Cause",
        "hangup_code": "Hangup-Code",
        "duration_seconds": "Duration-Seconds",
        "ringing_seconds": "Ringing-Seconds",
        "billing_seconds": "Billing-Seconds",
    },
}

#: Payload keys that are sent although they are empty texts, like in KAZOO (``webhooks_channel_util``).
_MAY_BE_EMPTY = frozenset({"from", "inception", "to"})

#: Values of keys that are left out: KAZOO reads an empty text as absent (``kz_json:get_ne_binary_value``).
_ABSENT = (None, "")

#: Payload keys that are integers, also where the switch writes text.
_INTEGER_KEYS = frozenset({"timestamp", "duration_seconds", "ringing_seconds", "billing_seconds"})


#: Shapes that are remembered, and the keys of the largest one and their characters.
_MAX_SHAPES = 500
_MAX_SHAPE_KEYS = 200
_MAX_SHAPE_LENGTH = 8192

_Reader = Callable[[Mapping[str, Any]], Sequence[Any]]


class _Plan(NamedTuple):
    """What the payload takes from events of one shape: names, and what reads their values.

    `merges`: some values for `from_variables` are those of the event, as the channel variables lack them.
    `custom`: the channel variables that are passed on.
    """

    from_event: Sequence[str]
    read_event: _Reader
    from_variables: Sequence[str]
    read_variables: _Reader
    merges: bool
    custom: Sequence[str]
    read_custom: _Reader
    integers: Sequence[str]

    @classmethod
    def for_shape(cls, hook: str, body: Mapping[str, Any], variables: Mapping[str, Any]) -> _Plan:
        """Plan for the keys of `body` and `variables`."""
        sources = {**_FROM_EVENT, **_FROM_EVENT_BY_HOOK.get(hook, {})}
        from_event = {name: source for name, source in sources.items() if source in body}
        from_variables = {
            name: source for name, source in _FROM_VARIABLES.items() if source in variables or source in body
        }
        custom = [name for name in variables if name not in RESERVED_CHANNEL_VARS]
        return cls(
            tuple(from_event),
            _reader(tuple(from_event.values())),
            tuple(from_variables),
            _reader(tuple(from_variables.values())),
            any(source not in variables for source in from_variables.values()),
            custom,
            _reader(custom),
            tuple(name for name in from_event if name in _INTEGER_KEYS),
        )


_plans: dict[tuple[object, ...], _Plan] = {}


def channel_payload(hook: str, body: Mapping[str, Any], variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return the payload of a channel hook.

    `hook` is the hook's id, `body` the body of the event, and `variables` are its channel variables. Keys
    that the event lacks are left out, and so are most empty texts.
    """
    plan = _plan_for(hook, body, variables)
    payload: dict[str, Any] = {"hook_event": hook}
    read = variables.get
    if (account_id := read("Account-ID")) not in _ABSENT:
        payload["account_id"] = account_id
    if (forwarded := read("Call-Forward")) is not None:
        payload["call_forwarded"] = is_true(forwarded)
    payload["custom_channel_vars"] = dict(zip(plan.custom, plan.read_custom(variables), strict=True))
    payload["emergency_resource_used"] = is_true(read("Emergency-Resource"))
    payload["is_internal_leg"] = is_true(body.get("Channel-Is-Loopback"))
    is_local = not is_true(read("Global-Resource"))
    if is_local and (resource_id := read("Resource-ID")) not in _ABSENT:
        payload["local_resource_id"] = resource_id
    payload["local_resource_used"] = is_local
    _add(payload, plan.from_event, plan.read_event(body))
    mapping = {**body, **variables} if plan.merges else variables
    _add(payload, plan.from_variables, plan.read_variables(mapping))
    if hook == "channel_bridge" and (number := read("Original-Number")) not in _ABSENT:
        payload["original_number"] = number
    for name in plan.integers:
        if name in payload and type(payload[name]) is not int:
            payload[name] = _to_integer(payload[name])
    return payload


def _plan_for(hook: str, body: Mapping[str, Any], variables: Mapping[str, Any]) -> _Plan:
    shape = (hook, len(body), *body, *variables)
    plan = _plans.get(shape)
    if plan is None:
        plan = _Plan.for_shape(hook, body, variables)
        if len(shape) <= _MAX_SHAPE_KEYS and sum(map(len, (*body, *variables))) <= _MAX_SHAPE_LENGTH:
            if len(_plans) >= _MAX_SHAPES:
                _plans.clear()
            _plans[shape] = plan
    return plan


def _add(payload: dict[str, Any], names: Sequence[str], values: Sequence[Any]) -> None:
    """Add the values, but for those that are absent."""
    if all(values):
        payload.update(zip(names, values, strict=True))
    else:
        payload.update(
            (name, value)
            for name, value in zip(names, values, strict=True)
            if value is not None and (value != "" or name in _MAY_BE_EMPTY)
        )


def _reader(keys: Sequence[str]) -> _Reader:
    """Return a function that returns the values of `keys`."""
    if len(keys) > 1:
        return itemgetter(*keys)
    return lambda mapping: [mapping[key] for key in keys]


def _to_integer(value: object) -> object:
    number = to_integer(value, accept_text=True)
    return value if number is None else number
