"""KAZOO's form encoding of nested data: ``a[b]=v`` for objects, ``a[]=v`` for each item of a list."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote_plus


def form_encode(payload: Mapping[str, Any]) -> str:
    """The payload as ``application/x-www-form-urlencoded``.

    Brackets stand as they are; nulls, empty objects and empty lists have no form and are left out.
    """
    return "&".join(f"{name}={value}" for name, value in _pairs(payload))


def _pairs(payload: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, value in payload.items():
        yield from _value_pairs(_quote(key), value)


def _value_pairs(name: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _value_pairs(f"{name}[{_quote(key)}]", item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _value_pairs(f"{name}[]", item)
    elif value is not None:
        yield name, _quote(_text(value))


def _text(value: Any) -> str:
    if value is True:
        return "true"
    if value is False:
        return "false"
    return str(value)


def _quote(text: str) -> str:
    # A lone surrogate cannot be written as UTF-8; it becomes "?" rather than an exception.
    return quote_plus(text, encoding="utf-8", errors="replace")
