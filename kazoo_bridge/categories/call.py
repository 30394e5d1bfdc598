"""Calls: a channel (one leg of a call) is created, answered, bridged, held or destroyed.

KAZOO publishes ``call.{EVENT}.{CALL_ID}`` on ``callevt``. The payload follows its ``webhooks_channel_util``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import evolve, frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.categories.bindings import account_segment, id_segment, invalid_format, unsupported_event
from kazoo_bridge.categories.channel_payload import channel_payload
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
from kazoo_bridge.kazoo import (
    Event,
    called_number,
    channel_account_id,
    channel_variables,
    is_account_id,
    is_loopback,
)

_EXCHANGE = "callevt"

#: Event name -> the hook that it fires. ``CHANNEL_DISCONNECTED`` fires none: the link to the switch is
#: away, and the call goes on (``ecallmgr_fs_channels`` and ``webhooks_channel_destroy`` in ``2600hz/kazoo``).
_HOOK_BY_EVENT = {
    "CHANNEL_CREATE": "channel_create",
    "CHANNEL_ANSWER": "channel_answer",
    "CHANNEL_BRIDGE": "channel_bridge",
    "CHANNEL_DESTROY": "channel_destroy",
    "CHANNEL_HOLD": "channel_hold",
    "CHANNEL_UNHOLD": "channel_unhold",
}

#: The events that websockets can subscribe to, as in KAZOO's ``bh_call``.
_BINDING_EVENTS = (
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

_TOPICS = {event: Topic(_EXCHANGE, f"call.{event}.*") for event in _BINDING_EVENTS}

#: For bindings to all events, one filter has all topics.
_FIRST_TOPIC, *_other_topics = _TOPICS.values()
_MORE_TOPICS = tuple(_other_topics)


#: Segments of the category's own keys up to the event.
_TO_EVENT = 3

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
_DESTROYED_SAMPLE: Mapping[str, Any] = {
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


def subscriber_event(
    body: Mapping[str, Any], for_account: Callable[[str], SubscriberEvent]
) -> SubscriberEvent:
    """Return the subscriber event of a channel event.

    `for_account` makes it for an account id. If the event names no account, the result is for the
    account ``undefined``, and `SubscriberEvent.for_owner` makes the one for the owner of the called number.
    """
    account_id = channel_account_id(body)
    if account_id is not None:
        return for_account(account_id)
    return evolve(for_account("undefined"), called_number=called_number(body), for_owner=for_account)


@implementer(IPlugin, IBindingCategory)
@frozen
class CallCategory:
    """Hooks for what happens to a channel; bindings ``call.{EVENT}.{CALL_ID}``."""

    name: str = "call"
    bindings: tuple[str, ...] = tuple(f"call.{event}.{{CALL_ID}}" for event in _BINDING_EVENTS)
    hooks: tuple[HookType, ...] = (
        _hook(
            "channel_create", "Channel Create", "A channel has been created: a call comes in or goes out", {}
        ),
        _hook("channel_answer", "Channel Answer", "A channel has been answered", {}),
        _hook(
            "channel_bridge",
            "Channel Bridge",
            "Two channels have been connected and can hear each other",
            {"original_number": "2001", "other_leg_destination_number": "2001"},
        ),
        _hook(
            "channel_destroy",
            "Channel Destroy",
            "A channel has gone: the call is over on this leg",
            _DESTROYED_SAMPLE,
        ),
        _hook("channel_hold", "Channel Hold", "A channel has been put on hold", {}),
        _hook("channel_unhold", "Channel Unhold", "A channel is no longer on hold", {}),
    )

    def topics(self, hook: str) -> Iterable[Topic]:
        """See `IEventCategory`."""
        events = [event for event, fired in _HOOK_BY_EVENT.items() if fired == hook]
        return [Topic(_EXCHANGE, f"call.{event}.*") for event in events]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """See `IEventCategory`. A channel event has at most one occurrence."""
        hook = _HOOK_BY_EVENT.get(event.name)
        if hook is None:
            return []
        body = event.body
        variables = channel_variables(body)
        account_id = variables.get("Account-ID")
        if not is_account_id(account_id):
            account_id = None
        number = called_number(body) if account_id is None else None
        payload = channel_payload(hook, body, variables)
        wants_reseller = "reseller_id" not in payload
        return (
            Occurrence(
                hook, account_id, payload, {}, is_loopback(body), False, None, number, False, wants_reseller
            ),
        )

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """See `IBindingCategory`. Routing keys do not contain the account, so the category's own keys do.

        The broker sends all calls of an event: its topics do not grow with the ids that clients choose.
        """
        first, *segments = binding.split(".")
        if first != "call":
            return None
        if len(segments) != 2:
            raise invalid_format("call", segments)
        if segments[0] not in (*_BINDING_EVENTS, "*"):
            raise unsupported_event(segments[0])
        call_id, account_id = id_segment("call", segments, segments[1]), account_segment(account)
        pattern = f"call.{account_id}.{segments[0]}.{call_id}"
        if segments[0] == "*":
            # Clients see the kind of event in the subscription key, like in KAZOO.
            return BindingPlan(
                (TopicFilter(_FIRST_TOPIC, pattern, more_topics=_MORE_TOPICS, segments_of_key=_TO_EVENT),)
            )
        return BindingPlan((TopicFilter(_TOPICS[segments[0]], pattern),))

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        """See `IBindingCategory`."""
        first, name, call_id = [*event.routing_key.split(".", 2), "", ""][:3]
        if first != "call" or name not in _BINDING_EVENTS:
            return []

        def for_account(account_id: str) -> SubscriberEvent:
            key = f"call.{account_id}.{name}.{call_id}"
            return SubscriberEvent(key, key)

        return [subscriber_event(event.body, for_account)]


call = CallCategory()
