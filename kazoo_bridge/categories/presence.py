"""Presence: who is on the phone, and whose mailbox has messages. For websockets only, as in KAZOO's ``bh_presence``.

KAZOO sends ``dialog.{REALM}.{CALL_ID}``, ``update.{REALM}.{CALL_ID}`` and ``mwi_updates.{REALM}.{USER}`` on ``presence``.
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.categories.bindings import id_segment, not_supported, wrong_format
from kazoo_bridge.interfaces import (
    ALL_ACCOUNTS,
    Account,
    BindingPlan,
    BindingRefused,
    HookType,
    IBindingCategory,
    Occurrence,
    SubscriberEvent,
    Topic,
    TopicFilter,
)
from kazoo_bridge.kazoo import Event, encode_key_part

_EXCHANGE = "presence"
_KINDS = ("dialog", "mwi_updates", "update")


@implementer(IPlugin, IBindingCategory)
@frozen
class PresenceCategory:
    """Bindings ``presence.{dialog|update}.{CALL_ID}`` and ``presence.mwi_updates.{USER}``, within the account's realm."""

    name: str = "presence"
    hooks: tuple[HookType, ...] = ()
    bindings: tuple[str, ...] = (
        "presence.dialog.{CALL_ID}",
        "presence.mwi_updates.{USER}",
        "presence.update.{CALL_ID}",
    )

    def topics(self, hook: str) -> Iterable[Topic]:
        """There are no hooks."""
        return []

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """There are no hooks."""
        return []

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """See `IBindingCategory`."""
        first, *words = binding.split(".")
        if first != "presence":
            return None
        if not words or words[0] not in _KINDS:
            raise not_supported(words[0]) if words else wrong_format("presence", words)
        if len(words) != 2:
            raise wrong_format("presence", words)
        if account is not None and account.realm in ("", "*", "#"):
            raise BindingRefused("the account has no realm, and nothing is known of its presence")
        realm = ALL_ACCOUNTS if account is None else encode_key_part(account.realm)
        pattern = f"{words[0]}.{realm}.{id_segment('presence', words, words[1])}"
        return BindingPlan((TopicFilter(Topic(_EXCHANGE, pattern), pattern),))

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        """See `IBindingCategory`."""
        return [SubscriberEvent(event.routing_key, event.routing_key)]


presence = PresenceCategory()
