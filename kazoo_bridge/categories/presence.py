"""Presence: dialogs of phones, and message-waiting indication of mailboxes. For websockets only.

KAZOO publishes ``dialog.{REALM}.{CALL_ID}``, ``update.{REALM}.{CALL_ID}`` and ``mwi_updates.{REALM}.{USER}``
on ``presence``. The bindings are those of its ``bh_presence``, which shows them without their first word.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.categories.bindings import id_segment, invalid_format, realm_segment, unsupported_event
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

_EXCHANGE = "presence"
_KINDS = ("dialog", "mwi_updates", "update")


@implementer(IPlugin, IBindingCategory)
@frozen
class PresenceCategory:
    """Bindings ``presence.{dialog|update}.{CALL_ID}`` and ``presence.mwi_updates.{USER}``; no hooks."""

    name: str = "presence"
    hooks: tuple[HookType, ...] = ()
    bindings: tuple[str, ...] = (
        "presence.dialog.{CALL_ID}",
        "presence.mwi_updates.{USER}",
        "presence.update.{CALL_ID}",
    )

    def topics(self, hook: str) -> Iterable[Topic]:
        """See `IEventCategory`."""
        return []

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """See `IEventCategory`."""
        return []

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """See `IBindingCategory`. A binding is accepted as it is shown, too: without ``presence``."""
        first, *segments = binding.split(".")
        if first in _KINDS:
            first, segments = "presence", [first, *segments]
        if first != "presence":
            return None
        if not segments or segments[0] not in _KINDS:
            raise unsupported_event(segments[0]) if segments else invalid_format("presence", segments)
        if len(segments) != 2:
            raise invalid_format("presence", segments)
        of_realm = f"{segments[0]}.{realm_segment(account)}"
        pattern = f"{of_realm}.{id_segment('presence', segments, segments[1])}"
        every = Topic(_EXCHANGE, f"{segments[0]}.*.*")
        topic_filter = TopicFilter(Topic(_EXCHANGE, f"{of_realm}.*"), pattern, every)
        return BindingPlan((topic_filter,), shown=".".join(segments))

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        """See `IBindingCategory`."""
        return [SubscriberEvent(event.routing_key, event.routing_key)]


presence = PresenceCategory()
