"""A message from the bus, decoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from kazoo_bridge.kazoo.routing_keys import MAX_SHORT_STRING_BYTES


@frozen(slots=True)
class Event:
    """One message from the bus, decoded once at the border and never changed.

    `exchange`: KAZOO's exchange that carried the message, such as ``callevt``.

    `routing_key`: the message's routing key, such as ``call.CHANNEL_CREATE.9c1e7f40``.

    `body`: the decoded JSON object, with KAZOO's key names (``Event-Name``, ``Call-ID``).

    `raw`: the bytes that `body` was decoded from, decompressed. They are not part of the repr.

    `redelivered`: True if the broker has delivered this message before.

    Example::

        Event("callevt", "call.CHANNEL_CREATE.c1", {"Event-Name": "CHANNEL_CREATE"}, b"{…}")
    """

    exchange: str
    routing_key: str
    body: Mapping[str, Any]
    raw: bytes = field(repr=False)
    redelivered: bool = False

    @property
    def name(self) -> str:
        """The event's ``Event-Name``; empty if it has none."""
        value = self.body.get("Event-Name", "")
        return value if isinstance(value, str) else ""

    @property
    def message_id(self) -> str | None:
        """The ``Msg-ID`` that the sender gave the message, or None."""
        value = self.body.get("Msg-ID")
        return value if isinstance(value, str) and value else None

    @property
    def server_id(self) -> str | None:
        """The queue on ``targeted`` that replies go to, or None without a name that AMQP can carry."""
        value = self.body.get("Server-ID")
        if not isinstance(value, str) or not value:
            return None
        return value if len(value.encode("utf-8", "replace")) <= MAX_SHORT_STRING_BYTES else None
