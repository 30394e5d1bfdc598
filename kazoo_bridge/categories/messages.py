"""Inbound text messages: SMS and MMS.

KAZOO publishes ``{sms|mms}.inbound.offnet.{MESSAGE_ID}`` on ``im``. The payload follows its
``webhooks_sms`` and ``webhooks_mms``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from twisted.plugin import IPlugin
from zope.interface import implementer

from kazoo_bridge.interfaces import HookType, IEventCategory, Occurrence, Topic
from kazoo_bridge.kazoo import Event, is_account_id

_EXCHANGE = "im"
_NAMES = {"sms": "SMS", "mms": "MMS"}

#: Payload key -> key of the message.
_FROM_MESSAGE = {
    "id": "Message-ID",
    "account_id": "Account-ID",
    "type": "Event-Category",
    "from": "From",
    "to": "To",
    "body": "Body",
    "origin": "Route-Type",
    "charges": "Charges",
}

_SAMPLE: Mapping[str, Any] = {
    "id": "7b9e2f10c4d84a6f93d1e05a8c6b7f24",
    "account_id": "3f0a9c51d7e84b62a1c05d9e7b2f4860",
    "from": "+4722555019",
    "to": "+15555550142",
    "body": "The parcel is at the front desk",
    "origin": "offnet",
    "charges": 0.01,
}


def _hook(kind: str) -> HookType:
    return HookType(
        id=kind,
        name=_NAMES[kind],
        description=f"An {_NAMES[kind]} message has come in",
        samples=({**_SAMPLE, "type": kind},),
    )


@implementer(IPlugin, IEventCategory)
@frozen
class MessageCategory:
    """A hook for SMS and one for MMS; no bindings."""

    name: str = "messages"
    hooks: tuple[HookType, ...] = (_hook("sms"), _hook("mms"))

    def topics(self, hook: str) -> Iterable[Topic]:
        """See `IEventCategory`."""
        return [Topic(_EXCHANGE, f"{hook}.inbound.offnet.*")]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        """See `IEventCategory`."""
        kind = event.body.get("Event-Category")
        if not isinstance(kind, str) or kind not in _NAMES or event.name != "inbound":
            return []
        payload = {
            name: value
            for name, source in _FROM_MESSAGE.items()
            if (value := event.body.get(source)) is not None and (value != "" or name != "body")
        }
        account_id = payload.get("account_id")
        return [Occurrence(kind, account_id if is_account_id(account_id) else None, payload)]


messages = MessageCategory()
