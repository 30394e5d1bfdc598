"""A message from the bus."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen


@frozen(slots=True)
class Event:
    """One message from the bus, decoded once and never changed.

    ``body`` is the decoded JSON object, ``raw`` the bytes it was decoded from (unzipped).
    ``redelivered`` is true when the broker had handed the message out before.
    """

    exchange: str
    routing_key: str
    body: Mapping[str, Any]
    raw: bytes = field(repr=False)
    redelivered: bool = False

    @property
    def name(self) -> str:
        """The event's name (``Event-Name``), or ``""``."""
        return str(self.body.get("Event-Name", ""))

    @property
    def message_id(self) -> str | None:
        """The sender's ``Msg-ID``, if it gave one."""
        value = self.body.get("Msg-ID")
        return value if isinstance(value, str) and value else None
