"""Writes JSON with integers of any size, which orjson alone refuses beyond 64 bits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

_MIN_INTEGER, _MAX_INTEGER = -(2**63), 2**64 - 1


def write_json(
    value: Any, *, default: Callable[[Any], Any] | None = None, option: int | None = None
) -> bytes:
    """Return `value` as JSON. `default` and `option` are those of `orjson.dumps`.

    Raises TypeError for what JSON cannot hold.
    """
    try:
        return orjson.dumps(value, default=default, option=option)
    except TypeError:
        # Rare: most likely one of the integers is too long, such as the number of a SIM card.
        try:
            return orjson.dumps(_with_written_integers(value), default=default, option=option)
        except RecursionError:
            raise TypeError("recursion limit reached") from None


def _with_written_integers(value: Any) -> Any:
    """Return a copy in which the integers that orjson refuses are written already."""
    if type(value) is int:
        fits = _MIN_INTEGER <= value <= _MAX_INTEGER
        return value if fits else orjson.Fragment(str(value).encode())
    if isinstance(value, Mapping):
        return {key: _with_written_integers(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_with_written_integers(item) for item in value]
    return value
