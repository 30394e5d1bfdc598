"""Finds characters that no text of a document may contain, and prepares values for display in errors."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any

from attrs import define

#: Control characters and lone surrogates.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

#: Limits of a value that is repeated in an error: characters of a text, and items of objects and lists and
#: characters of all their texts together.
_MAX_DISPLAY_LENGTH = 100
_MAX_DISPLAY_ITEMS = 20
_MAX_DISPLAY_TOTAL = 300


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

    Texts, keys included, are as in `text_for_display`; of objects and lists the first 20 items are kept, all
    depths together, and fewer if their texts are long.
    """
    return _Display().shorten(value)


@define
class _Display:
    """What may still be shown of one value."""

    items: int = _MAX_DISPLAY_ITEMS
    characters: int = _MAX_DISPLAY_TOTAL

    def shorten(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._shorten_text(value)
        if isinstance(value, Mapping):
            shown = {}
            for name, inner in value.items():
                if not self._has_room():
                    break
                shown[self._shorten_text(name)] = self.shorten(inner)
            return shown
        if isinstance(value, list | tuple):
            return [self.shorten(inner) for inner in takewhile(lambda _: self._has_room(), value)]
        return value

    def _shorten_text(self, text: str) -> str:
        shown = text_for_display(text)
        self.characters -= len(shown)
        return shown

    def _has_room(self) -> bool:
        self.items -= 1
        return self.items >= 0 and self.characters > 0
