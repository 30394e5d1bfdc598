"""The newest events of a part of the node, in memory, so that an operator can ask what happened to one.

They are written for every event and read when an operator asks: writing makes one tuple, and reading looks
at all of them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from kazoo_bridge.kazoo import Event

#: Longer ids of messages and calls are not kept.
MAX_ID_LENGTH = 255


class EventTrace(NamedTuple):
    """An event, and what this part of the node did with it.

    `received` is in Unix seconds. `message_id` and `call_id` are empty if the event has none. `event_id`: see
    `kazoo_bridge.webhooks.event_handler.event_id`; empty if the event fired no hook. `result`: tuples of
    constants, as the part writes and reads them.
    """

    received: float
    exchange: str
    routing_key: str
    message_id: str
    call_id: str
    event_id: str
    result: Any


class EventTraces:
    """The newest `size` events; 0: none is kept. `seconds` returns the time in Unix seconds."""

    __slots__ = ("_append", "_entries", "_seconds", "enabled")

    def __init__(self, seconds: Callable[[], float] = float, size: int = 0) -> None:
        self._entries: deque[tuple[Any, ...]] = deque(maxlen=size)
        #: A bound method, which is called faster than one that is looked up.
        self._append = self._entries.append
        self._seconds = seconds
        self.enabled = size > 0

    def __len__(self) -> int:
        """Return the number of events that are kept."""
        return len(self._entries)

    def add(self, event: Event, event_id: str, result: Any) -> None:
        """Keep an event; nothing else of it is kept alive than texts of at most `MAX_ID_LENGTH`."""
        get = event.body.get
        message_id, call_id = get("Msg-ID"), get("Call-ID")
        self._append(
            (
                self._seconds(),
                event.exchange,
                event.routing_key,
                message_id if type(message_id) is str and len(message_id) <= MAX_ID_LENGTH else "",
                call_id if type(call_id) is str and len(call_id) <= MAX_ID_LENGTH else "",
                event_id,
                result,
            )
        )

    def find(self, ids: Collection[str], limit: int | None = None) -> list[EventTrace]:
        """Return the newest `limit` events with one of these ids, of any kind, the oldest first.

        None: all that are kept.
        """
        wanted = frozenset(ids) - {""}
        found = [
            EventTrace._make(entry)
            for entry in self._entries
            if entry[3] in wanted or entry[4] in wanted or entry[5] in wanted
        ]
        return found if limit is None else found[-limit:]

    @property
    def oldest(self) -> float | None:
        """When the oldest event that is kept was received, in Unix seconds; None: none is kept."""
        return self._entries[0][0] if self._entries else None
