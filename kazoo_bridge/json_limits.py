"""How deep objects and lists of JSON lie in each other: whatever walks a value that came from outside may recurse, and JSON is written to a
certain depth only."""

from __future__ import annotations

from typing import Any


def exceeds_depth(value: Any, limit: int) -> bool:
    """Whether more than `limit` objects and lists are within each other."""
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
