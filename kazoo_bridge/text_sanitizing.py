"""Finds characters that no text of a document may contain, and prepares values for display in errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

#: Control characters and lone surrogates.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

#: Limits of a value that is repeated in an error: characters of a text, items of an object or list.
_MAX_DISPLAY_LENGTH = 100
_MAX_DISPLAY_ITEMS = 20


def forbidden_texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Find the texts in a JSON value that contain control characters or lone surrogates.

    Yields the path and the text of each, keys of objects included. `path` is where `value` is found; in the
    result a forbidden key stands in its path as `text_for_display` shows it, and a list's item by its index.
    """
    if isinstance(value, str):
        if _FORBIDDEN.search(value):
            yield path, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if _FORBIDDEN.search(name):
                yield (*path, text_for_display(name)), name
            else:
                yield from forbidden_texts(inner, (*path, name))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from forbidden_texts(inner, (*path, str(index)))


def text_for_display(text: str) -> str:
    """Return the first 100 characters of `text`, and ``…`` if there are more, for display in an error.

    Control characters and lone surrogates are written as ``\\uXXXX``.
    """
    beginning = text if len(text) <= _MAX_DISPLAY_LENGTH else text[:_MAX_DISPLAY_LENGTH] + "…"
    return _FORBIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", beginning)


def for_display(value: Any) -> Any:
    """Return a JSON value in a form fit to be repeated in an error.

    Texts, keys included, are as in `text_for_display`; of objects and lists the first 20 items are kept, at
    every depth.
    """
    if isinstance(value, str):
        return text_for_display(value)
    if isinstance(value, Mapping):
        return {
            text_for_display(name): for_display(inner)
            for name, inner in list(value.items())[:_MAX_DISPLAY_ITEMS]
        }
    if isinstance(value, list | tuple):
        return [for_display(inner) for inner in value[:_MAX_DISPLAY_ITEMS]]
    return value
