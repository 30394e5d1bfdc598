"""The state of a call, derived from call events and from replies to channel queries.

Both have the same data under different keys. The events are those of ``kapi_call`` in ``2600hz/kazoo``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from kazoo_bridge.calls.channel_queries import Channel
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.kazoo import channel_start, is_loopback, is_true, to_gregorian

#: A call in its public form. Calls are immutable: a change makes a new one.
Call = Mapping[str, Any]

RINGING, ANSWERED, HELD, PARKED = "ringing", "answered", "held", "parked"

PARK_PARKED, PARK_RETRIEVED, PARK_ABANDONED = "PARK_PARKED", "PARK_RETRIEVED", "PARK_ABANDONED"
CREATED, BRIDGED = "CHANNEL_CREATE", "CHANNEL_BRIDGE"
RECORD_START, RECORD_STOP = "RECORD_START", "RECORD_STOP"

#: Events that end a call. ``CHANNEL_DISCONNECTED`` does not: KAZOO publishes it for every call of a switch
#: when its link to the switch is away (``ecallmgr_fs_channels``), and the calls go on.
END_EVENTS = frozenset({"CHANNEL_DESTROY"})

#: Events that free a parking slot.
UNPARK_EVENTS = frozenset({PARK_RETRIEVED, PARK_ABANDONED})

#: State after an event. That after `CREATED` and `BRIDGED` depends on the event and the state before.
_STATES = {
    "CHANNEL_ANSWER": ANSWERED,
    "CHANNEL_HOLD": HELD,
    "CHANNEL_UNHOLD": ANSWERED,
    PARK_PARKED: PARKED,
    PARK_RETRIEVED: ANSWERED,
    PARK_ABANDONED: ANSWERED,
}

#: All events that change calls.
EVENTS = frozenset({CREATED, BRIDGED, RECORD_START, RECORD_STOP, *_STATES, *END_EVENTS})

#: Keys that a call has only while it is parked.
_PARKING_KEYS = ("parking_slot", "parked_by_name", "parked_by_number")

_NOT_ANSWERED = ("early", "ringing")

#: Key of a call -> key of the event.
_FROM_EVENT = {
    "direction": "Call-Direction",
    "caller_id_name": "Caller-ID-Name",
    "caller_id_number": "Caller-ID-Number",
    "callee_id_name": "Callee-ID-Name",
    "callee_id_number": "Callee-ID-Number",
    "from": "From",
    "to": "To",
    "other_leg_call_id": "Other-Leg-Call-ID",
    "parking_slot": "Parking-Slot",
}

#: Key of a call -> key of the event's channel variables.
_FROM_VARIABLES = {
    "authorizing_id": "Authorizing-ID",
    "authorizing_type": "Authorizing-Type",
    "owner_id": "Owner-ID",
}

#: Key of a call -> keys of a channel. Replies about one call and those about an account have different keys.
_FROM_CHANNEL = {
    "direction": ("call_direction", "direction"),
    "caller_id_name": ("caller_id_name",),
    "caller_id_number": ("caller_id_number",),
    "callee_id_name": ("callee_id_name",),
    "callee_id_number": ("callee_id_number",),
    "from": ("from",),
    "to": ("to", "destination"),
    "other_leg_call_id": ("other_leg_call_id", "other_leg"),
    "authorizing_id": ("authorizing_id",),
    "authorizing_type": ("authorizing_type",),
    "owner_id": ("owner_id",),
}


def apply_event(account_id: str, name: str, old: Call | None, body: Mapping[str, Any]) -> Call:
    """Return the call after an event of the account. `old` is the call before, None if it is new."""
    variables = body.get("Custom-Channel-Vars")
    data = _without_absent({key: body.get(source) for key, source in _FROM_EVENT.items()})
    if isinstance(variables, Mapping):
        data |= _without_absent({key: variables.get(source) for key, source in _FROM_VARIABLES.items()})
    before = old or {"call_id": body["Call-ID"], "account_id": account_id, **_start_time(body)}
    call = {**before, **data, "state": _next_state(name, before.get("state"), body)}
    if "is_internal_leg" not in call or "Channel-Name" in body or "Channel-Is-Loopback" in body:
        call["is_internal_leg"] = is_loopback(body)
    if name == RECORD_START:
        call["recording"] = True
    elif name == RECORD_STOP:
        call.pop("recording", None)
    if name == PARK_PARKED and old is not None:
        call |= _parker(old)
    return _without_parking(call)


def with_state_since(old: Call | None, call: Call, now: float | None) -> Call:
    """Return the call with the time of its last change of state, in Gregorian seconds, as far as it is known.

    `old` is the call before, None if it is new. `now`, in Unix seconds, is when it changed; None: nothing
    tells, because the call was not known before a reply.
    """
    since = (old or {}).get("state_since")
    if old is None or old.get("state") != call["state"]:
        since = to_gregorian(now) if now is not None else None
        if now is None and call["state"] == RINGING:
            since = call.get("timestamp")
    rest = {key: value for key, value in call.items() if key != "state_since"}
    return rest if since is None else {**rest, "state_since": since}


def unparked(old: Call) -> Call:
    """Return the call as answered, without its parking slot."""
    return _without_parking({**old, "state": ANSWERED})


def _without_parking(call: dict[str, Any]) -> dict[str, Any]:
    """Remove what only a parked call has, unless it is parked."""
    if call["state"] != PARKED:
        for key in _PARKING_KEYS:
            call.pop(key, None)
    return call


def _parker(old: Call) -> dict[str, Any]:
    """Return who has parked a call: the party that it was connected to. Parking events do not say."""
    if old.get("state") not in (ANSWERED, HELD) or "other_leg_call_id" not in old:
        return {}
    party = "callee" if old.get("direction") == "inbound" else "caller"
    found = {f"parked_by_{key}": old.get(f"{party}_id_{key}") for key in ("name", "number")}
    return _without_absent(found)


def apply_reply(account_id: str, old: Call | None, channel: Channel) -> Call:
    """Return the call with the data of a reply. Keys that the reply lacks keep their values."""
    data = from_channel(account_id, channel)
    before = {key: value for key, value in (old or {}).items() if key != "other_leg_call_id"}
    call = {**before, **data}
    if old is not None and old.get("state") == PARKED and data["state"] == ANSWERED:
        call["state"] = PARKED  # the switch does not know about parking
    return _without_parking(call)


def from_channel(account_id: str, channel: Channel) -> dict[str, Any]:
    """Return the call's data in a reply."""
    data = {
        key: next((channel[name] for name in names if channel.get(name)), None)
        for key, names in _FROM_CHANNEL.items()
    }
    on_hold = channel.get("is_on_hold", channel.get("is_onhold"))
    return _without_absent(data) | {
        "call_id": channel["call_id"],
        "account_id": account_id,
        "is_internal_leg": is_true(channel.get("is_loopback")),
        "state": HELD if is_true(on_hold) else ANSWERED if is_true(channel.get("answered")) else RINGING,
        **({"timestamp": channel_start(channel)} if channel_start(channel) else {}),
    }


def _next_state(name: str, before: object, body: Mapping[str, Any]) -> str:
    if name in _STATES:
        return _STATES[name]
    answer_state = body.get("Channel-Answer-State")
    if name in (RECORD_START, RECORD_STOP) and isinstance(before, str):
        return before
    if name == CREATED:
        return ANSWERED if answer_state == "answered" else RINGING
    # Bridged before the answer, to pass on the ringing tone (early media).
    return RINGING if before in (None, RINGING) and answer_state in _NOT_ANSWERED else ANSWERED


def _start_time(body: Mapping[str, Any]) -> dict[str, int]:
    """Return the creation time in Gregorian seconds, or else the time of the event."""
    microseconds = _whole_number(body.get("Channel-Created-Time"))
    if microseconds:
        return {"timestamp": to_gregorian(microseconds / 1_000_000)}
    seconds = _whole_number(body.get("Timestamp"))
    return {"timestamp": seconds} if seconds else {}


def _whole_number(value: object) -> int:
    return max(0, to_integer(value, accept_text=True) or 0)


def _without_absent(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are non-empty strings; others are absent or malformed."""
    return {key: value for key, value in data.items() if isinstance(value, str) and value}
