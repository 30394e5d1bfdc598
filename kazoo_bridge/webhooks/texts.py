"""Text in documents: what no text may have, and how to show it all the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

_MOST_SHOWN = 100

#: A value as a validation error repeats it is text of at most so many characters, or has so many items.
_MOST_ITEMS = 20


def forbidden_texts(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every text in a document, keys included, that has control characters or lone surrogates; each with where it stands."""
    if isinstance(value, str):
        if _FORBIDDEN.search(value):
            yield path, value
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            if _FORBIDDEN.search(name):
                yield (*path, shown_text(name)), name
            else:
                yield from forbidden_texts(inner, (*path, name))
    elif isinstance(value, list | tuple):
        for number, inner in enumerate(value):
            yield from forbidden_texts(inner, (*path, str(number)))


def shown_text(text: str) -> str:
    """The beginning of the text, forbidden characters as escapes."""
    beginning = text if len(text) <= _MOST_SHOWN else text[:_MOST_SHOWN] + "…"
    return _FORBIDDEN.sub(lambda found: f"\\u{ord(found[0]):04x}", beginning)


def shown(value: Any) -> Any:
    """A value fit to be repeated in an error: short, and without what no text may have."""
    if isinstance(value, str):
        return shown_text(value)
    if isinstance(value, Mapping):
        return {shown_text(name): shown(inner) for name, inner in list(value.items())[:_MOST_ITEMS]}
    if isinstance(value, list | tuple):
        return [shown(inner) for inner in value[:_MOST_ITEMS]]
    return value
