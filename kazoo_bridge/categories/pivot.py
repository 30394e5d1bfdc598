"""Pivot points: KAZOO asks what to do with a call, and clients answer.

The events ``pivot_answered`` and ``pivot_ended`` are messages on ``sysconf`` with the key
``pivot.event.{ACCOUNT}.{NAME}``. ``pivot_request`` has the same key, and reaches clients through
`kazoo_bridge.websockets.pivot_clients`, because not each subscriber receives each.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.categories.bindings import account_segment, id_segment, invalid_format
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
from kazoo_bridge.kazoo import Event

_EXCHANGE, _KEY = "sysconf", "pivot.event."


@implementer(IPlugin, IBindingCategory)
@frozen
class PivotCategory:
    """No hooks; bindings ``pivot.{NAME}`` and ``pivot.*``."""

    name: str = "pivot"
    bindings: tuple[str, ...] = ("pivot.{NAME}",)
    hooks: tuple[HookType, ...] = ()

    def topics(self, hook: str) -> Iterable[Topic]:
        """See `IEventCategory`."""
        return []

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """See `IEventCategory`."""
        return []

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """See `IBindingCategory`."""
        first, *segments = binding.split(".")
        if first != "pivot":
            return None
        if len(segments) != 1:
            raise invalid_format("pivot", segments)
        name = id_segment("pivot", segments, segments[0])
        key = f"{account_segment(account)}.{name}"
        topic = Topic(_EXCHANGE, f"{_KEY}{key}")
        every = Topic(_EXCHANGE, f"{_KEY}#")
        return BindingPlan((TopicFilter(topic, f"pivot.{key}", all_accounts=every),))

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        """See `IBindingCategory`."""
        if not event.routing_key.startswith(_KEY):
            return []
        key = "pivot." + event.routing_key.removeprefix(_KEY)
        return [SubscriberEvent(key, key)]


pivot = PivotCategory()
