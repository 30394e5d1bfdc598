"""Deadlines of many things, looked at together."""

from __future__ import annotations

from typing import Generic, TypeVar

from attrs import define, field

_T = TypeVar("_T")


@define(eq=False)
class Timeouts(Generic[_T]):
    """Items with deadlines, which most of them never reach.

    Adding and removing takes the time of a dictionary's. Items with equal time-outs are kept in the order of
    their deadlines, so `expire` looks only at what expires, once for each different time-out.
    """

    _by_timeout: dict[float, dict[_T, float]] = field(init=False, factory=dict)

    def __bool__(self) -> bool:
        """Whether there are items."""
        return any(self._by_timeout.values())

    def add(self, item: _T, timeout: float, now: float) -> None:
        """Add `item`, which expires `timeout` seconds after `now`, the present time of the clock."""
        try:
            self._by_timeout[timeout][item] = now + timeout
        except KeyError:
            self._by_timeout[timeout] = {item: now + timeout}

    def remove(self, item: _T, timeout: float) -> None:
        """Remove `item`, which was added with `timeout`, if it has not expired."""
        items = self._by_timeout.get(timeout)
        if items is not None:
            items.pop(item, None)

    def expire(self, now: float) -> list[_T]:
        """Remove and return the items whose deadline is `now` or earlier."""
        expired = []
        for timeout, items in list(self._by_timeout.items()):
            due = []
            for item, deadline in items.items():
                if deadline > now:
                    break
                due.append(item)
            for item in due:
                del items[item]
            expired.extend(due)
            if not items:
                del self._by_timeout[timeout]
        return expired
