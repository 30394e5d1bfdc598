"""Lists, a page at a time, in KAZOO's words: ``page_size``, ``start_key``, ``next_start_key``, ``paginate``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from attrs import frozen

from kazoo_bridge.rest.http import page_keys
from kazoo_bridge.rest.http.query import Query, whole_number

T = TypeVar("T")
Row = TypeVar("Row")

#: KAZOO's own.
DEFAULT_PAGE_SIZE = 50

#: Larger pages are cut to this.
MAX_PAGE_SIZE = 1000

#: How many rows of a store one request may look at.
MAX_SCANNED_ROWS = 5000

_BATCH_SIZE = 500
_FALSE_VALUES = ("false", "0", "no")


@frozen
class Page(Generic[T]):
    """Some items of a list; `next_start_key` is where the next page starts, None: there is none."""

    items: list[T]
    start_key: str | None = None
    next_start_key: str | None = None

    def more(self) -> Mapping[str, Any]:
        """What the envelope says beside ``data``."""
        keys = {"start_key": self.start_key, "next_start_key": self.next_start_key}
        return {"page_size": len(self.items)} | {
            name: value for name, value in keys.items() if value is not None
        }


@frozen
class Paginator:
    """Which page of the list `scope` is wanted. `size` None: all of it."""

    scope: str
    size: int | None = DEFAULT_PAGE_SIZE
    start_key: str | None = None

    @classmethod
    def from_query(cls, query: Query, scope: str) -> Paginator:
        """Read from a request; raises validation errors on ``page_size``. `scope` tells lists apart: their keys are not exchangeable."""
        text = query.first("page_size")
        size = (
            DEFAULT_PAGE_SIZE
            if text is None
            else min(whole_number("page_size", text, minimum=1), MAX_PAGE_SIZE)
        )
        everything = (query.first("paginate") or "").lower() in _FALSE_VALUES
        return cls(scope, None if everything else size, query.first("start_key") or None)

    def from_list(
        self, items: Sequence[T], position: Callable[[T], int | str], identity: Callable[[T], str]
    ) -> Page[T]:
        """A page of a list in memory, in which `position` never falls.

        A page starts with the very item that the one before announced or, if that has gone, with the first that is not before its place:
        so no item is left out because another went.
        """
        start = 0 if self.start_key is None else _index(items, position, identity, self._position(list))
        end = len(items) if self.size is None else start + self.size
        following = [position(items[end]), identity(items[end])] if end < len(items) else None
        return self._page(list(items[start:end]), following)

    async def from_store(
        self,
        fetch: Callable[[int | None, int], Awaitable[Sequence[Row]]],
        position: Callable[[Row], int],
        accepts: Callable[[Row], bool],
        max_scanned: int = MAX_SCANNED_ROWS,
    ) -> Page[Row]:
        """A page of what a store lists: `fetch(after, count)` gives at most `count` rows beyond the position `after` (None: the first).

        Rows that are not accepted are left out, and others fetched for them until `max_scanned` rows were seen: then the page ends early,
        and the next one goes on from there.
        """
        after: int | None = None if self.start_key is None else self._position(int)
        found: list[Row] = []
        scanned = 0
        while scanned < max_scanned:
            # One row more than is needed tells whether there is another page.
            count = min(
                _BATCH_SIZE,
                max_scanned - scanned,
                _BATCH_SIZE if self.size is None else max(self.size - len(found), 20),
            )
            rows = await fetch(after, count + 1)
            for number, row in enumerate(rows[:count]):
                after = position(row)
                scanned += 1
                if accepts(row):
                    found.append(row)
                if len(found) == self.size:
                    return self._page(found, after if number + 1 < len(rows) else None)
            if len(rows) <= count:
                return self._page(found, None)
        return self._page(found, after)

    def _position(self, kind: type) -> Any:
        position = page_keys.decode_page_key(self.scope, self.start_key or "")
        if type(position) is not kind:
            raise page_keys.invalid_page_key(self.start_key or "")
        return position

    def _page(self, items: list[T], following: Any) -> Page[T]:
        return Page(
            items,
            self.start_key,
            None if following is None else page_keys.encode_page_key(self.scope, following),
        )


def _index(
    items: Sequence[T], position: Callable[[T], int | str], identity: Callable[[T], str], start: list[Any]
) -> int:
    place, name = start
    same = (index for index, item in enumerate(items) if identity(item) == name and position(item) == place)
    not_before = (index for index, item in enumerate(items) if position(item) >= place)
    return next(same, next(not_before, len(items)))
