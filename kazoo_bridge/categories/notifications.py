"""Notifications: what KAZOO would send a mail about, and the hooks that callflows bring along.

KAZOO sends ``notifications.{CLASS}.{NAME}`` on ``notifications``; the payload is settled by its ``webhooks_notifications``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.categories.notification_samples import sample_of
from kazoo_bridge.categories.notification_types import TYPES
from kazoo_bridge.interfaces import HookType, IEventCategory, Occurrence, Topic
from kazoo_bridge.kazoo import Event, is_account_id, normalise

_log = Logger()

_EXCHANGE = "notifications"
_HOOK = "notifications"
_CALLFLOW = "webhook"
_NAMES = frozenset(one.name for one in TYPES)
SUPERADMIN_ONLY = frozenset({"system_alert", "webhook_disabled"})

#: Where the account may stand, in the order in which KAZOO looks (its ``kapi_notifications``).
_ACCOUNT_PATHS = (
    ("account_id",),
    ("account", "_id"),
    ("pvt_account_id",),
    ("_id",),
    ("id",),
    ("Account-ID",),
    ("details", "account_id"),
    ("Details", "Account-ID"),
    ("details", "custom_channel_vars", "account_id"),
    ("Details", "Custom-Channel-Vars", "Account-ID"),
)


def _at(body: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = body
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _account_of(body: Mapping[str, Any]) -> str | None:
    return next((found for path in _ACCOUNT_PATHS if is_account_id(found := _at(body, path))), None)


def _items() -> dict[str, dict[str, str]]:
    told = {one.name: {"friendly_name": one.friendly_name, "description": one.description} for one in TYPES}
    return {"all": {"friendly_name": "All", "description": "Every notification"}} | dict(sorted(told.items()))


def _either(name: str) -> dict[str, frozenset[str]]:
    return {"type": frozenset({name, f"{name}_error"})}


@implementer(IPlugin, IEventCategory)
@frozen
class NotificationCategory:
    """One hook, which chooses a type."""

    name: str = "notifications"
    hooks: tuple[HookType, ...] = (
        HookType(
            id=_HOOK,
            name="Notifications Webhook",
            description="A notification is sent: a fax, a voicemail message, a registration, a port request and more",
            modifiers={"type": {"type": "object", "items": _items()}},
            samples=tuple(sample_of(one) for one in TYPES),
            superadmin_values=SUPERADMIN_ONLY,
            aliases={
                "callflow": {"type": frozenset({_CALLFLOW})},
                "inbound_fax": _either("inbound_fax"),
                "outbound_fax": _either("outbound_fax"),
            },
        ),
    )

    def topics(self, hook: str) -> Iterable[Topic]:
        """The keys of all types."""
        return [Topic(_EXCHANGE, f"notifications.{one.kind}.{one.key_name}") for one in TYPES]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """One, for the account that the notification is about."""
        if event.name not in _NAMES:
            return []
        if event.name == _CALLFLOW:
            return _brought(event)
        payload = normalise(event.body)
        return [Occurrence(_HOOK, _account_of(event.body), payload, {"type": event.name}, superadmin_only=event.name in SUPERADMIN_ONLY)]


def _brought(event: Event) -> list[Occurrence]:
    """A callflow's own hook, which is fired with the call's data."""
    hook, data = event.body.get("Hook"), event.body.get("Data")
    account_id = _at(event.body, ("Hook", "pvt_account_id")) or event.body.get("Account-ID")
    if not isinstance(hook, Mapping) or not isinstance(data, Mapping) or not isinstance(hook.get("uri"), str):
        _log.warn("{routing_key}: expected a Hook with a uri, and Data, as objects; nothing is fired", routing_key=event.routing_key)
        return []
    return [Occurrence(_HOOK, account_id if is_account_id(account_id) else None, normalise(data), {"type": _CALLFLOW}, own_hook=hook)]


notifications = NotificationCategory()
