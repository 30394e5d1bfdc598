"""A bounded cache whose entries expire."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from attrs import define

T = TypeVar("T")


@define
class CacheLookups:
    """How often a cache has known what was looked up, and how often not."""

    hits: int = 0
    misses: int = 0


class TtlCache(Generic[T]):
    """Values by key, each with its own expiry; beyond the limit, the least recently used entry is dropped.

    Times are in seconds, of any clock that the caller uses throughout.
    """

    def __init__(self, limit: int) -> None:
        """Hold at most `limit` entries."""
        self._limit = limit
        self._entries: OrderedDict[str, tuple[T, float | None]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: str, now: float) -> T | None:
        """Return the value of `key`; None if there is none or it has expired at the time `now`."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, until = entry
        if until is not None and until <= now:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: str, value: T, until: float | None) -> None:
        """Store a value until the time `until`; None: until the entry is dropped or discarded."""
        self._entries[key] = (value, until)
        self._entries.move_to_end(key)
        while len(self._entries) > self._limit:
            self._entries.popitem(last=False)

    def discard(self, key: str) -> bool:
        """Drop the entry of `key`; returns whether there was one."""
        return self._entries.pop(key, None) is not None

    def discard_if(self, unwanted: Callable[[T], bool]) -> None:
        """Drop every entry for whose value `unwanted` is true."""
        for key in [key for key, (value, _) in self._entries.items() if unwanted(value)]:
            del self._entries[key]

    def clear(self) -> None:
        """Drop every entry."""
        self._entries.clear()
