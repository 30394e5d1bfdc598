"""Channels: a leg of a call comes into being, is answered, is bridged, goes away.

KAZOO sends ``call.{EVENT}.{CALL_ID}`` on ``callevt``; what a hook gets of it is settled by KAZOO's ``webhooks_channel_util``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve, frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.categories.bindings import account_segment, id_segment, not_supported, wrong_format
from kazoo_bridge.interfaces import (
    Account,
    BindingPlan,
    HookType,
    IBindingCategory,
    Occurrence,
    SubscriberEvent,
    Topic,
    TopicFilter,
)
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.kazoo import Event, is_account_id, normalize_number

_EXCHANGE = "callevt"

#: Event name -> the hook it fires. A disconnected channel is gone, whatever the switch calls it.
_HOOK_OF_EVENT = {
    "CHANNEL_CREATE": "channel_create",
    "CHANNEL_ANSWER": "channel_answer",
    "CHANNEL_BRIDGE": "channel_bridge",
    "CHANNEL_DESTROY": "channel_destroy",
    "CHANNEL_DISCONNECTED": "channel_destroy",
    "CHANNEL_HOLD": "channel_hold",
    "CHANNEL_UNHOLD": "channel_unhold",
}

#: What websockets can subscribe to, as in KAZOO's ``bh_call``.
_BOUND_EVENTS = (
    "CHANNEL_CREATE",
    "CHANNEL_ANSWER",
    "CHANNEL_DESTROY",
    "CHANNEL_HOLD",
    "CHANNEL_UNHOLD",
    "CHANNEL_BRIDGE",
    "PARK_PARKED",
    "PARK_RETRIEVED",
    "PARK_ABANDONED",
)

#: Channel variables that hooks do not get: KAZOO's default for ``reserved_ccv_keys`` of ``call_command``.
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

#: Payload key -> key of the event's channel variables.
_FROM_VARS = {
    "authorizing_id": "Authorizing-ID",
    "authorizing_type": "Authorizing-Type",
    "owner_id": "Owner-ID",
    "reseller_id": "Reseller-ID",
}

_MORE_FROM_EVENT: Mapping[str, Mapping[str, str]] = {
    "channel_bridge": {"other_leg_destination_number": "Other-Leg-Destination-Number"},
    "channel_destroy": {
        "hangup_cause": "Hangup-Cause",
        "hangup_code": "Hangup-Code",
        "duration_seconds": "Duration-Seconds",
        "ringing_seconds": "Ringing-Seconds",
        "billing_seconds": "Billing-Seconds",
    },
}

#: These are whole numbers outside, even where the switch wrote them as text.
_NUMBERS = frozenset({"timestamp", "duration_seconds", "ringing_seconds", "billing_seconds"})


def _is_true(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")


def _number(value: object) -> object:
    number = to_integer(value, accept_text=True)
    return value if number is None else number


def _variables(body: Mapping[str, Any]) -> Mapping[str, Any]:
    value = body.get("Custom-Channel-Vars")
    return value if isinstance(value, Mapping) else {}


def is_internal_leg(body: Mapping[str, Any]) -> bool:
    """Whether the channel is a loopback leg, which only exists inside the switch."""
    name = body.get("Channel-Name")
    return _is_true(body.get("Channel-Is-Loopback")) or (
        isinstance(name, str) and name.startswith("loopback/")
    )


def account_id_from(body: Mapping[str, Any]) -> str | None:
    """The account that a call event belongs to, where it says so."""
    account_id = _variables(body).get("Account-ID")
    return account_id if is_account_id(account_id) else None


def called_number(body: Mapping[str, Any]) -> str | None:
    """The number that was called, in `normalize_number`'s form, where the event names one."""
    ends = (
        value.removeprefix("sip:").partition("@")[0]
        for name in ("Request", "To")
        if isinstance(value := body.get(name), str)
    )
    return next((number for end in ends if (number := normalize_number(end)) is not None), None)


def channel_payload(hook: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """What a channel hook sends; values that the event lacks are left out."""
    variables = _variables(body)
    went_out_globally = _is_true(variables.get("Global-Resource"))
    forwarded = variables.get("Call-Forward")
    payload: dict[str, Any] = {
        "hook_event": hook,
        "account_id": variables.get("Account-ID"),
        "call_forwarded": None if forwarded is None else _is_true(forwarded),
        "custom_channel_vars": {
            name: value for name, value in variables.items() if name not in RESERVED_CHANNEL_VARS
        },
        "emergency_resource_used": _is_true(variables.get("Emergency-Resource")),
        "is_internal_leg": _is_true(body.get("Channel-Is-Loopback")),
        "local_resource_id": None if went_out_globally else variables.get("Resource-ID"),
        "local_resource_used": not went_out_globally,
    }
    for name, source in (_FROM_EVENT | dict(_MORE_FROM_EVENT.get(hook, {}))).items():
        payload[name] = body.get(source)
    for name, source in _FROM_VARS.items():
        payload[name] = variables.get(source, body.get(source))
    if hook == "channel_bridge":
        payload["original_number"] = variables.get("Original-Number")
    return {
        name: _number(value) if name in _NUMBERS else value
        for name, value in payload.items()
        if value is not None
    }


_SAMPLE: Mapping[str, Any] = {
    "account_id": "3f0a9c51d7e84b62a1c05d9e7b2f4860",
    "authorizing_id": "b81d6a0e52c94f37908e14ad6c7f2b35",
    "authorizing_type": "device",
    "call_direction": "inbound",
    "call_forwarded": False,
    "call_id": "9c1e7f40-55ab-4d02-8a6f-2e0b7d91c3aa@198.51.100.20",
    "callee_id_name": "Front Desk",
    "callee_id_number": "2001",
    "caller_id_name": "Ingrid Solberg",
    "caller_id_number": "+4722555019",
    "custom_application_vars": {},
    "custom_channel_vars": {},
    "emergency_resource_used": False,
    "from": "2014@voice.example.com",
    "inception": "+4722555019@sip.example.net",
    "is_internal_leg": False,
    "local_resource_id": "e1a7049d3c5f4b86b29d60f8a4c71e53",
    "local_resource_used": True,
    "other_leg_call_id": "d4b0a5c8-0e77-4c1b-93f2-6a51e8bb07f9@198.51.100.20",
    "owner_id": "6de2a4f8c0b94173a5e87d31f92c604b",
    "request": "2001@voice.example.com",
    "reseller_id": "c40b8d2e6f1a4795b3d80e7c52a9f613",
    "timestamp": 63961574400,
    "to": "2001@voice.example.com",
}
_ENDED: Mapping[str, Any] = {
    "hangup_cause": "NORMAL_CLEARING",
    "hangup_code": "sip:200",
    "duration_seconds": 84,
    "ringing_seconds": 6,
    "billing_seconds": 78,
}


def _hook(hook_id: str, name: str, description: str, sample: Mapping[str, Any]) -> HookType:
    return HookType(
        id=hook_id,
        name=name,
        description=description,
        samples=({"hook_event": hook_id, **_SAMPLE, **sample},),
    )


def subscriber_event(body: Mapping[str, Any], of: Callable[[str], SubscriberEvent]) -> SubscriberEvent:
    """The telling `of` the account whose the call is; of nobody where that is not known, which the number that was called may change."""
    account_id = account_id_from(body)
    return (
        of(account_id)
        if account_id is not None
        else evolve(of("undefined"), called_number=called_number(body), for_owner=of)
    )


@implementer(IPlugin, IBindingCategory)
@frozen
class CallCategory:
    """Hooks on the life of a channel; bindings ``call.{EVENT}.{CALL_ID}``."""

    name: str = "call"
    bindings: tuple[str, ...] = tuple(f"call.{event}.{{CALL_ID}}" for event in _BOUND_EVENTS)
    hooks: tuple[HookType, ...] = (
        _hook("channel_create", "Channel Create", "A new channel: somebody calls or is being called", {}),
        _hook("channel_answer", "Channel Answer", "A channel has been answered", {}),
        _hook(
            "channel_bridge",
            "Channel Bridge",
            "Two channels have been connected and can hear each other",
            {"original_number": "2001", "other_leg_destination_number": "2001"},
        ),
        _hook(
            "channel_destroy", "Channel Destroy", "A channel has gone: the call is over on this leg", _ENDED
        ),
        _hook("channel_hold", "Channel Hold", "A channel has been put on hold", {}),
        _hook("channel_unhold", "Channel Unhold", "A channel is no longer on hold", {}),
    )

    def topics(self, hook: str) -> Iterable[Topic]:
        """The keys under which the switch tells of `hook`."""
        return [
            Topic(_EXCHANGE, f"call.{event}.*") for event, fired in _HOOK_OF_EVENT.items() if fired == hook
        ]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """At most one: a channel event concerns one account."""
        hook = _HOOK_OF_EVENT.get(event.name)
        if hook is None:
            return []
        body = event.body
        account_id = account_id_from(body)
        dialled = called_number(body) if account_id is None else None
        return [
            Occurrence(
                hook,
                account_id,
                channel_payload(hook, body),
                internal_leg=is_internal_leg(body),
                called_number=dialled,
            )
        ]

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """See `IBindingCategory`. Keys on the bus do not name the account, so the category's own do."""
        first, *words = binding.split(".")
        if first != "call":
            return None
        if len(words) != 2:
            raise wrong_format("call", words)
        if words[0] not in (*_BOUND_EVENTS, "*"):
            raise not_supported(words[0])
        call_id, whose = id_segment("call", words, words[1]), account_segment(account)
        events = _BOUND_EVENTS if words[0] == "*" else (words[0],)
        return BindingPlan(
            tuple(
                TopicFilter(Topic(_EXCHANGE, f"call.{event}.{call_id}"), f"call.{whose}.{event}.{call_id}")
                for event in events
            )
        )

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        """See `IBindingCategory`."""
        first, name, call_id = [*event.routing_key.split(".", 2), "", ""][:3]
        if first != "call" or name not in _BOUND_EVENTS:
            return []
        return [
            subscriber_event(
                event.body, lambda whose: SubscriberEvent(shown := f"call.{whose}.{name}.{call_id}", shown)
            )
        ]


call = CallCategory()
