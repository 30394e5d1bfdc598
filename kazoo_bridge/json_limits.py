"""Limits of JSON values that come from outside.

Code that walks a value may recurse, and orjson writes a limited number of levels only, so each border checks
the depth. Parsing and walking cost time for each value, so borders that any client can reach count the values
before they parse.
"""

from __future__ import annotations

from typing import Any


def exceeds_depth(value: Any, limit: int) -> bool:
    """Return True if more than `limit` objects and lists are nested in each other."""
    level = [value] if isinstance(value, dict | list) else []
    for _ in range(limit):
        level = [
            inner
            for one in level
            for inner in (one.values() if isinstance(one, dict) else one)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return bool(level)


def exceeds_values(raw: bytes, limit: int) -> bool:
    """Return True if the text of a JSON value may have more than `limit` values, without parsing it.

    Values are objects, lists, and what they contain. The number is exact for valid JSON, but for empty
    objects and lists, which count twice.
    """
    if _count_values(raw) <= limit:
        return False
    unescaped = raw.replace(rb"\\", b"").replace(rb"\"", b"")
    # A value has two texts at most: its key and itself.
    if unescaped.count(b'"') > 4 * limit:
        return True
    return _count_values(b"".join(unescaped.split(b'"')[::2])) > limit


def _count_values(raw: bytes) -> int:
    return 1 + raw.count(b",") + raw.count(b"[") + raw.count(b"{")
