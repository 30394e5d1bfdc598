"""Call parking: a call is parked in a slot, retrieved from it, or abandoned there.

KAZOO publishes ``call.PARK_….{CALL_ID}`` on ``callevt``. The payload follows its ``webhooks_parking``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.categories.bindings import account_segment, invalid_format, unsupported_event
from kazoo_bridge.categories.call import subscriber_event
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
from kazoo_bridge.kazoo import Event, called_number, channel_account_id, normalize

_EXCHANGE = "callevt"
_EVENTS = ("PARK_PARKED", "PARK_RETRIEVED", "PARK_ABANDONED")
#: Keys of the message that payloads leave out.
_INTERNAL_KEYS = frozenset(
    {"Node", "Msg-ID", "App-Version", "App-Name", "Event-Category", "Custom-Channel-Vars"}
)


def _payload(body: Mapping[str, Any], account_id: str | None) -> dict[str, Any]:
    kept = {name: value for name, value in body.items() if name not in _INTERNAL_KEYS}
    return {**normalize(kept), "account_id": account_id}


_SAMPLE: Mapping[str, Any] = {
    "account_id": "3f0a9c51d7e84b62a1c05d9e7b2f4860",
    "call_id": "9c1e7f40-55ab-4d02-8a6f-2e0b7d91c3aa@198.51.100.20",
    "callee_id_name": "Front Desk",
    "callee_id_number": "2001",
    "caller_id_name": "Ingrid Solberg",
    "caller_id_number": "+4722555019",
    "parking_slot": "101",
}


@implementer(IPlugin, IBindingCategory)
@frozen
class ParkingCategory:
    """One hook for all parking events; bindings ``parking.{EVENT}`` and ``parking.*``."""

    name: str = "parking"
    bindings: tuple[str, ...] = tuple(f"parking.{event}" for event in _EVENTS)
    hooks: tuple[HookType, ...] = (
        HookType(
            id="parking",
            name="Call Parking",
            description="A call is parked, retrieved or abandoned",
            samples=tuple({"event_name": event, **_SAMPLE} for event in _EVENTS),
        ),
    )

    def topics(self, hook: str) -> Iterable[Topic]:
        """See `IEventCategory`."""
        return [Topic(_EXCHANGE, f"call.{event}.*") for event in _EVENTS]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """See `IEventCategory`. Parking is for hooks without internal legs, too, like in KAZOO."""
        if event.name not in _EVENTS:
            return []
        body = event.body
        account_id = channel_account_id(body)
        return [
            Occurrence(
                "parking",
                account_id,
                _payload(body, account_id),
                called_number=called_number(body) if account_id is None else None,
            )
        ]

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """See `IBindingCategory`."""
        first, *segments = binding.split(".")
        if first != "parking":
            return None
        if len(segments) != 1:
            raise invalid_format("parking", segments)
        if segments[0] not in (*_EVENTS, "*"):
            raise unsupported_event(segments[0])
        topics = [Topic(_EXCHANGE, f"call.{event}.*") for event in _EVENTS if segments[0] in (event, "*")]
        return BindingPlan(
            tuple(TopicFilter(topic, f"parking.{account_segment(account)}.{segments[0]}") for topic in topics)
        )

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        """See `IBindingCategory`."""
        if event.name not in _EVENTS:
            return []

        def for_account(account_id: str) -> SubscriberEvent:
            return SubscriberEvent(f"parking.{account_id}.{event.name}", event.routing_key)

        return [subscriber_event(event.body, for_account)]


parking = ParkingCategory()
