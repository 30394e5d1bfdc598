"""Limits of JSON values that come from outside.

Code that walks a value may recurse, and orjson writes a limited number of levels only, so each border checks
the depth.
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
