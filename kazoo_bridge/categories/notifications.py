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

from kazoo_bridge.categories.bindings import account_segment, not_supported, wrong_format
from kazoo_bridge.categories.notification_samples import sample_of
from kazoo_bridge.categories.notification_types import TYPES
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
from kazoo_bridge.kazoo import Event, is_account_id, normalize

_log = Logger()

_EXCHANGE = "notifications"
_HOOK = "notifications"
_CALLFLOW = "webhook"
_TOPICS = {one.name: Topic(_EXCHANGE, f"notifications.{one.kind}.{one.key_name}") for one in TYPES}
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


def _value_at(body: Mapping[str, Any], path: tuple[str, ...]) -> Any:
    value: Any = body
    for name in path:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _account_id_from(body: Mapping[str, Any]) -> str | None:
    return next((found for path in _ACCOUNT_PATHS if is_account_id(found := _value_at(body, path))), None)


def _items() -> dict[str, dict[str, str]]:
    told = {one.name: {"friendly_name": one.friendly_name, "description": one.description} for one in TYPES}
    return {"all": {"friendly_name": "All", "description": "Every notification"}} | dict(sorted(told.items()))


def _either(name: str) -> dict[str, frozenset[str]]:
    return {"type": frozenset({name, f"{name}_error"})}


@implementer(IPlugin, IBindingCategory)
@frozen
class NotificationCategory:
    """One hook, which chooses a type; bindings ``notification.{TYPE}``."""

    name: str = "notifications"
    bindings: tuple[str, ...] = tuple(
        f"notification.{name}" for name in sorted(_TOPICS) if name not in SUPERADMIN_ONLY
    )
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
        return list(_TOPICS.values())

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """One, for the account that the notification is about."""
        if event.name not in _TOPICS:
            return []
        if event.name == _CALLFLOW:
            return _inline_hook(event)
        payload = normalize(event.body)
        return [
            Occurrence(
                _HOOK,
                _account_id_from(event.body),
                payload,
                {"type": event.name},
                superadmin_only=event.name in SUPERADMIN_ONLY,
            )
        ]

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """See `IBindingCategory`. What is for super-admins only has keys of its own, which ``*`` does not match for others."""
        first, *words = binding.split(".")
        if first != "notification":
            return None
        if len(words) != 1:
            raise wrong_format("notification", words)
        kind = words[0]
        if kind != "*" and (kind not in _TOPICS or (kind in SUPERADMIN_ONLY and not superadmin)):
            raise not_supported(kind)
        topic = Topic(_EXCHANGE, "notifications.*.*") if kind == "*" else _TOPICS[kind]
        whose = account_segment(account)
        patterns = [_key(whose, kind, kind in SUPERADMIN_ONLY)]
        if kind == "*" and superadmin:
            patterns.append(_key(whose, kind, True))
        return BindingPlan(tuple(TopicFilter(topic, pattern) for pattern in patterns))

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        """See `IBindingCategory`."""
        if event.name not in _TOPICS:
            return []
        account_id = _account_id_from(event.body) or "undefined"
        return [
            SubscriberEvent(_key(account_id, event.name, event.name in SUPERADMIN_ONLY), event.routing_key)
        ]


def _key(account: str, kind: str, superadmin_only: bool) -> str:
    return (
        f"notification.{account}.superadmin.{kind}" if superadmin_only else f"notification.{account}.{kind}"
    )


def _inline_hook(event: Event) -> list[Occurrence]:
    """A callflow's own hook, which is fired with the call's data."""
    hook, data = event.body.get("Hook"), event.body.get("Data")
    account_id = _value_at(event.body, ("Hook", "pvt_account_id")) or event.body.get("Account-ID")
    if not isinstance(hook, Mapping) or not isinstance(data, Mapping) or not isinstance(hook.get("uri"), str):
        _log.warn(
            "{routing_key}: expected a Hook with a uri, and Data, as objects; nothing is fired",
            routing_key=event.routing_key,
        )
        return []
    return [
        Occurrence(
            _HOOK,
            account_id if is_account_id(account_id) else None,
            normalize(data),
            {"type": _CALLFLOW},
            inline_hook=hook,
        )
    ]


notifications = NotificationCategory()
