"""Text in documents: what no text may have, and how to show it all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_MAX_LENGTH = 100

#: A value as a validation error repeats it is text of at most so many characters, or has so many items.
_MAX_ITEMS = 20


def forbidden_texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text in a document, keys included, that has control characters or lone surrogates; each with where it stands."""
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
        for number, inner in enumerate(value):
            yield from forbidden_texts(inner, (*path, str(number)))


def text_for_display(text: str) -> str:
    """The beginning of the text, forbidden characters as escapes."""
    beginning = text if len(text) <= _MAX_LENGTH else text[:_MAX_LENGTH] + "…"
    return _FORBIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", beginning)


def for_display(value: Any) -> Any:
    """A value fit to be repeated in an error: short, and without what no text may have."""
    if isinstance(value, str):
        return text_for_display(value)
    if isinstance(value, Mapping):
        return {
            text_for_display(name): for_display(inner) for name, inner in list(value.items())[:_MAX_ITEMS]
        }
    if isinstance(value, list | tuple):
        return [for_display(inner) for inner in value[:_MAX_ITEMS]]
    return value
