"""Encodes the payload of a request, as a form, a query string or JSON, within a limit.

The limit is enforced while encoding: a form repeats the whole path of keys for each value, so that a short
event can have a form of gigabytes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus

import orjson

#: The default of ``webhooks.max_body_bytes``.
DEFAULT_MAX_BYTES = 1024 * 1024

#: Characters of keys that may be joined for each byte of the limit. Empty objects need keys too, but leave
#: nothing in a form.
MAX_WORK_FACTOR = 4

#: Replaces what UTF-8 cannot encode.
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

#: Text that quoting does not change.
_SAFE = re.compile(r"[A-Za-z0-9_.~-]*")

_SURROGATE = re.compile("[\ud800-\udfff]")


class PayloadTooLarge(ValueError):
    """The encoded payload would exceed the limit."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the request would be larger than webhooks.max_body_bytes ({limit} bytes)")


def json_encode(payload: Mapping[str, Any], limit: int = DEFAULT_MAX_BYTES) -> bytes:
    """Encode `payload` as JSON in UTF-8.

    Integers keep all their digits. Infinities and not-a-number become null, a lone surrogate U+FFFD. Raises
    `PayloadTooLarge` if the result has more than `limit` bytes, and TypeError for what JSON cannot hold.
    """
    try:
        # JSON is about as long as the event was on the bus, and this is faster than to measure it first.
        encoded = orjson.dumps(payload)
    except TypeError:
        # Rare, and slow: most likely an integer beyond 64 bits or a lone surrogate.
        if _subtract_size(payload, limit) < 0:
            raise PayloadTooLarge(limit) from None
        encoded = json.dumps(_cleaned(payload), ensure_ascii=False, separators=(",", ":")).encode()
    if len(encoded) > limit:
        raise PayloadTooLarge(limit)
    return encoded


def _subtract_size(value: Any, left: int) -> int:
    """Return `left` minus a lower bound of the size of `value` as JSON; what is below 0 is not counted on."""
    kind = type(value)
    if kind is str:
        return left - len(value) - 2
    if kind is dict:
        for name, inner in value.items():
            left = _subtract_size(inner, left - len(name) - 3)
            if left < 0:
                break
        return left
    if kind is list:
        for inner in value:
            left = _subtract_size(inner, left - 1)
            if left < 0:
                break
        return left
    return left - 1


def _cleaned(value: Any) -> Any:
    """Return a copy that Python's encoder writes as JSON in UTF-8."""
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {_clean_text(name): _cleaned(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(inner) for inner in value]
    return value


def _clean_text(text: str) -> str:
    return _SURROGATE.sub(_REPLACEMENT, text)


def form_encode(payload: Mapping[str, Any], limit: int = DEFAULT_MAX_BYTES, *, in_query: bool = False) -> str:
    """Encode `payload` as ``application/x-www-form-urlencoded`` in KAZOO's form for nested data.

    An object's key is written ``a[b]=v``, each item of a list ``a[]=v``. The brackets are not
    percent-encoded, unless `in_query`: servers refuse them in a query string. Booleans are ``true`` and
    ``false``, integers keep all their digits. Nulls, infinities, not-a-number, empty objects and empty lists
    are left out. The result is ASCII; a lone surrogate becomes U+FFFD.

    Raises `PayloadTooLarge` if the result has more than `limit` bytes, after work in proportion to `limit`.
    """
    encoder = _FormEncoder(limit, *(("%5B", "%5D") if in_query else ("[", "]")))
    encoder.add_members(None, payload)
    return "&".join(encoder.pairs)


class _FormEncoder:
    """Collects the pairs of a form."""

    def __init__(self, limit: int, opening: str, closing: str) -> None:
        self.pairs: list[str] = []
        self._limit = limit
        self._left = limit + 1  # the first pair has no ampersand
        self._work_left = limit * MAX_WORK_FACTOR
        self._opening, self._closing, self._item = opening, closing, opening + closing

    def add_members(self, path: str | None, members: Mapping[str, Any]) -> None:
        """Add the members of an object; `path` is its name, None for the whole payload."""
        for key, value in members.items():
            self._work(len(path or "") + len(key))
            quoted = _quote(key)
            name = quoted if path is None else f"{path}{self._opening}{quoted}{self._closing}"
            self._add(name, value)

    def _add(self, name: str, value: Any) -> None:
        if isinstance(value, str):
            # Before it is quoted: text never becomes shorter by that.
            if len(value) > self._left:
                raise PayloadTooLarge(self._limit)
            self._add_pair(f"{name}={_quote(value)}")
        elif value is None:
            return
        elif isinstance(value, int | float):
            if isinstance(value, int) or math.isfinite(value):
                self._add_pair(f"{name}={_number_text(value)}")
        elif isinstance(value, list | tuple):
            self._work(len(name))
            item_name = name + self._item
            for item in value:
                self._add(item_name, item)
        elif isinstance(value, Mapping):
            self.add_members(name, value)
        else:
            self._add(name, str(value))

    def _add_pair(self, pair: str) -> None:
        self._left -= len(pair) + 1
        if self._left < 0:
            raise PayloadTooLarge(self._limit)
        self.pairs.append(pair)

    def _work(self, characters: int) -> None:
        self._work_left -= characters
        if self._work_left < 0:
            raise PayloadTooLarge(self._limit)


def _number_text(value: float) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    text = str(value)
    return text if "+" not in text else text.replace("+", "%2B")


def _quote(text: str) -> str:
    if _SAFE.fullmatch(text):
        return text
    try:
        return quote_plus(text)
    except UnicodeEncodeError:
        return quote_plus(_clean_text(text))
