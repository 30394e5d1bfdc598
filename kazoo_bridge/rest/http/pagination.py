"""Pages of lists: ``page_size``, ``start_key``, ``next_start_key`` and ``paginate``, like KAZOO."""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Generic, TypeVar

import orjson
from attrs import frozen

from kazoo_bridge.rest.http.errors import ApiError, invalid_field
from kazoo_bridge.rest.http.query import Query, whole_number

T = TypeVar("T")
Row = TypeVar("Row")

#: KAZOO's default.
DEFAULT_PAGE_SIZE = 50

#: A larger ``page_size`` is reduced to this.
MAX_PAGE_SIZE = 1000

#: Rows of a store that one request may read.
MAX_SCANNED_ROWS = 5000

#: Rows of a store that are read at once.
BATCH_SIZE = 500

#: Reads of a store for one request. A store reads large rows in small numbers, so this bounds their size.
MAX_READS = 16

#: A page of a list ends with the item that makes it larger than this.
DEFAULT_MAX_PAGE_BYTES = 1_048_576

_MIN_BATCH_SIZE = 20
_FALSE_VALUES = ("false", "0", "no")

_KEY_VERSION = b"1"
_CHECKSUM_BYTES = 6
_MAX_KEY_LENGTH = 2048

#: The largest position in a store: what its column can hold.
_MAX_POSITION = 2**63 - 1


@frozen
class Page(Generic[T]):
    """One page of a list. `next_start_key` is the key of the next page; None: this is the last one."""

    items: list[T]
    start_key: str | None = None
    next_start_key: str | None = None

    def metadata(self) -> Mapping[str, Any]:
        """Return the keys of the envelope that describe the page."""
        keys = {"start_key": self.start_key, "next_start_key": self.next_start_key}
        return {"page_size": len(self.items)} | {
            name: value for name, value in keys.items() if value is not None
        }


@frozen
class Paginator:
    """A request for a page.

    `scope` identifies the list: a key of one list is refused for another. `size` is the number of items,
    None: all. `start_key` is the key of the page, None: the first page. With the item that makes it larger
    than `max_bytes`, as JSON, a page ends whatever its size.
    """

    scope: str
    size: int | None = DEFAULT_PAGE_SIZE
    start_key: str | None = None
    max_bytes: int = DEFAULT_MAX_PAGE_BYTES

    @classmethod
    def from_query(
        cls,
        query: Query,
        scope: str,
        max_bytes: int = DEFAULT_MAX_PAGE_BYTES,
        default_size: int | None = DEFAULT_PAGE_SIZE,
    ) -> Paginator:
        """Read the parameters of a request; raises a validation error on ``page_size``.

        `default_size` is the size without that parameter, None: all items.
        """
        text = query.first("page_size")
        size = default_size
        if text is not None:
            size = min(whole_number("page_size", text, minimum=1), MAX_PAGE_SIZE)
        paginate = (query.first("paginate") or "").lower() not in _FALSE_VALUES
        return cls(scope, size if paginate else None, query.first("start_key") or None, max_bytes)

    def from_list(
        self,
        items: Sequence[T],
        position: Callable[[T], int | str],
        identity: Callable[[T], str],
        show: Callable[[T], Any],
    ) -> Page[T]:
        """Return the page of a list in memory that is ordered by `position`, ascending.

        The page starts with the item that the previous page announced or, if that item is gone, with the
        first at or after its position; so an item that is removed hides no other. `show` returns an item as
        the client receives it, whose size counts. Raises a validation error on ``start_key``.
        """
        start = 0
        if self.start_key is not None:
            start = _find_start(items, position, identity, self._decode_item(items, position))
        end = len(items) if self.size is None else min(start + self.size, len(items))
        size = 0
        for index in range(start, end):
            size += encoded_size(show(items[index]))
            if size > self.max_bytes:
                end = index + 1
                break
        following = [position(items[end]), identity(items[end])] if end < len(items) else None
        return self._page(list(items[start:end]), following)

    async def from_store(
        self,
        fetch: Callable[[int | None, int], Awaitable[Sequence[Row]]],
        position: Callable[[Row], int],
        accepts: Callable[[Row], bool],
        show: Callable[[Row], Any],
        max_scanned: int = MAX_SCANNED_ROWS,
    ) -> Page[Row]:
        """Return the page of a list in a store.

        `fetch(after, count)` returns at most `count` rows beyond the position `after` (None: from the first),
        and none only at the end. Rows that `accepts` refuses are left out and others are read in their place,
        up to `max_scanned` rows in `MAX_READS` reads; then the page ends early, and the next one continues
        there. `show` returns a row as the client receives it, whose size counts. Raises a validation error on
        ``start_key``.
        """
        after: int | None = None if self.start_key is None else self._decode_row()
        found: list[Row] = []
        scanned = size = 0
        for read in range(MAX_READS):
            if scanned == max_scanned:
                break
            wanted = BATCH_SIZE if self.size is None else max(self.size - len(found), _MIN_BATCH_SIZE)
            count = min(BATCH_SIZE, max_scanned - scanned, wanted << read)
            # One row more than is needed shows whether there is another page.
            rows = await fetch(after, count + 1)
            if not rows:
                return self._page(found, None)
            for number, row in enumerate(rows[:count]):
                after = position(row)
                scanned += 1
                if accepts(row):
                    found.append(row)
                    size += encoded_size(show(row))
                if len(found) == self.size or size > self.max_bytes:
                    has_more = number + 1 < len(rows) or await fetch(after, 1)
                    return self._page(found, after if has_more else None)
        return self._page(found, after if await fetch(after, 1) else None)

    def _decode_item(self, items: Sequence[T], position: Callable[[T], int | str]) -> tuple[Any, str]:
        match decode_page_key(self.scope, self.start_key or ""):
            case [int() | str() as start, str() as identity] if not items or (
                type(start) is type(position(items[0]))
            ):
                return start, identity
        raise _invalid_page_key(self.start_key or "")

    def _decode_row(self) -> int:
        position = decode_page_key(self.scope, self.start_key or "")
        if type(position) is not int or not 0 <= position <= _MAX_POSITION:
            raise _invalid_page_key(self.start_key or "")
        return position

    def _page(self, items: list[T], following: Any) -> Page[T]:
        next_start_key = None if following is None else encode_page_key(self.scope, following)
        return Page(items, self.start_key, next_start_key)


def encode_page_key(scope: str, position: Any) -> str:
    """Return the key of the page that starts at `position` (any JSON value) of the list `scope`.

    A key is base64url of a version, a checksum and the position. The checksum detects keys that were cut,
    changed or taken from another list; it need not be secret, because a position gives access to nothing,
    and one that a client made up is checked like any other parameter.
    """
    body = orjson.dumps(position)
    return urlsafe_b64encode(_KEY_VERSION + _checksum(scope, body) + body).rstrip(b"=").decode()


def decode_page_key(scope: str, key: str) -> Any:
    """Return the position of a key that `encode_page_key` has made for the same list.

    Raises a validation error on ``start_key`` for any other text.
    """
    try:
        if len(key) > _MAX_KEY_LENGTH:
            raise ValueError
        raw = urlsafe_b64decode(key.encode("ascii") + b"=" * (-len(key) % 4))
        checksum, body = raw[1 : 1 + _CHECKSUM_BYTES], raw[1 + _CHECKSUM_BYTES :]
        if raw[:1] != _KEY_VERSION or checksum != _checksum(scope, body):
            raise ValueError
        position = orjson.loads(body)
        # base64 ignores characters that are not in its alphabet; only the key itself is a key.
        if encode_page_key(scope, position) != key.rstrip("="):
            raise ValueError
    except (ValueError, binascii.Error):
        raise _invalid_page_key(key) from None
    return position


def _invalid_page_key(key: str) -> ApiError:
    message = "expected a next_start_key of this list, unchanged"
    return invalid_field("start_key", "wrong_format", message, cause=key[:100])


def _checksum(scope: str, body: bytes) -> bytes:
    return sha256(scope.encode("utf-8", "surrogatepass") + b"\0" + body).digest()[:_CHECKSUM_BYTES]


def encoded_size(shown: Any) -> int:
    """Return the bytes that a value takes in the JSON of a list."""
    try:
        return len(orjson.dumps(shown)) + 1  # and a comma
    except TypeError:  # a lone surrogate, or a number beyond 64 bits
        return len(json.dumps(shown, default=str)) + 1


def _find_start(
    items: Sequence[T],
    position: Callable[[T], int | str],
    identity: Callable[[T], str],
    start: tuple[Any, str],
) -> int:
    start_position, start_identity = start
    same = (
        index
        for index, item in enumerate(items)
        if identity(item) == start_identity and position(item) == start_position
    )
    at_or_after = (index for index, item in enumerate(items) if position(item) >= start_position)
    return next(same, next(at_or_after, len(items)))
