"""Notifications: the events that KAZOO sends mails about, and the inline hooks of callflows.

KAZOO publishes ``notifications.{CLASS}.{NAME}`` on ``notifications``. The payload follows its
``webhooks_notifications``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from twisted.logger import Logger
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.categories.bindings import account_segment, invalid_format, unsupported_event
from kazoo_bridge.categories.notification_samples import make_sample
from kazoo_bridge.categories.notification_types import NOTIFICATION_TYPES
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
_TOPICS = {one.name: Topic(_EXCHANGE, one.routing_key) for one in NOTIFICATION_TYPES}

#: Types that the list of hooks shows to super-admins only. Any account may choose them for its hooks, and
#: receives its own; see ``webhooks_notifications`` in ``2600hz/kazoo``.
LISTED_FOR_SUPERADMINS = frozenset({"system_alert", "webhook_disabled"})

#: Types that KAZOO does not have.
ADDED_TYPES = frozenset({"webhook_recovered"})

#: Types that only super-admins may subscribe to over websockets.
_SUPERADMIN_BINDINGS = frozenset({"system_alert"})

#: Where a notification may name its account, in the order of KAZOO's ``kapi_notifications``.
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


def _modifier_items() -> dict[str, dict[str, str]]:
    items = {
        one.name: {"friendly_name": one.friendly_name, "description": one.description}
        for one in NOTIFICATION_TYPES
    }
    return {"all": {"friendly_name": "All", "description": "Every notification"}} | dict(
        sorted(items.items())
    )


def _with_error(name: str) -> dict[str, frozenset[str]]:
    return {"type": frozenset({name, f"{name}_error"})}


@implementer(IPlugin, IBindingCategory)
@frozen
class NotificationCategory:
    """One hook, which selects a type; bindings ``notification.{TYPE}``."""

    name: str = "notifications"
    bindings: tuple[str, ...] = tuple(
        f"notification.{name}" for name in sorted(_TOPICS) if name not in _SUPERADMIN_BINDINGS
    )
    hooks: tuple[HookType, ...] = (
        HookType(
            id=_HOOK,
            name="Notifications Webhook",
            description=(
                "A notification is sent: a fax, a voicemail message, a registration, a port request and more"
            ),
            modifiers={"type": {"type": "object", "items": _modifier_items()}},
            samples=tuple(make_sample(one) for one in NOTIFICATION_TYPES),
            superadmin_values=LISTED_FOR_SUPERADMINS,
            aliases={
                "callflow": {"type": frozenset({_CALLFLOW})},
                "inbound_fax": _with_error("inbound_fax"),
                "outbound_fax": _with_error("outbound_fax"),
            },
        ),
    )

    def topics(self, hook: str) -> Iterable[Topic]:
        """See `IEventCategory`."""
        return list(_TOPICS.values())

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """See `IEventCategory`."""
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
                addition=event.name in ADDED_TYPES,
            )
        ]

    def resolve_binding(
        self, binding: str, account: Account | None, superadmin: bool, now: float
    ) -> BindingPlan | None:
        """See `IBindingCategory`.

        Types for super-admins have keys of another form, which the ``*`` of other subscribers does not match.
        """
        first, *segments = binding.split(".")
        if first != "notification":
            return None
        if len(segments) != 1:
            raise invalid_format("notification", segments)
        name = segments[0]
        if name != "*" and (name not in _TOPICS or (name in _SUPERADMIN_BINDINGS and not superadmin)):
            raise unsupported_event(name)
        topic = Topic(_EXCHANGE, "notifications.*.*") if name == "*" else _TOPICS[name]
        account_id = account_segment(account)
        patterns = [_key(account_id, name, name in _SUPERADMIN_BINDINGS)]
        if name == "*" and superadmin:
            patterns.append(_key(account_id, name, True))
        return BindingPlan(tuple(TopicFilter(topic, pattern) for pattern in patterns))

    def subscriber_events(self, event: Event) -> Iterable[SubscriberEvent]:
        """See `IBindingCategory`."""
        if event.name not in _TOPICS:
            return []
        account_id = _account_id_from(event.body) or "undefined"
        return [
            SubscriberEvent(
                _key(account_id, event.name, event.name in _SUPERADMIN_BINDINGS), event.routing_key
            )
        ]


def _key(account: str, name: str, superadmin_only: bool) -> str:
    return (
        f"notification.{account}.superadmin.{name}" if superadmin_only else f"notification.{account}.{name}"
    )


def _inline_hook(event: Event) -> list[Occurrence]:
    """Return the occurrence that fires the hook which a callflow has sent in the event."""
    hook, data = event.body.get("Hook"), event.body.get("Data")
    account_id = _value_at(event.body, ("Hook", "pvt_account_id")) or event.body.get("Account-ID")
    if not isinstance(hook, Mapping) or not isinstance(data, Mapping) or not isinstance(hook.get("uri"), str):
        _log.warn(
            "inline hook ignored routing_key={routing_key}: expected the objects Hook (with a uri) and Data",
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
