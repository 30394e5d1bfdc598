"""Encodes payloads as forms and query strings, quickly.

Payloads of one kind of event have the same names with values of the same types. For such a shape the form is
a template, which is filled in and then percent-encoded all at once: the characters of the template that must
stay as they are are marks, which values rarely contain. What this cannot decide exactly (unusual types and
names, marks in values, payloads near the limit of work) is left to `payload_encoding.form_encode`, which
defines the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote_plus

from kazoo_bridge.webhooks.http.payload_encoding import (
    DEFAULT_MAX_BYTES,
    MAX_WORK_FACTOR,
    PayloadTooLarge,
    form_encode,
)

#: Marks, which stand for the characters of `_CHARACTERS` until the values are percent-encoded.
_EQUALS, _AMPERSAND, _OPENING, _CLOSING, _PERCENT, _PLUS = _MARKS = "\1\2\3\4\5\6"
_CHARACTERS = "=&[]%+"

_MARK_BYTES = _MARKS.encode()

#: What percent-encoding leaves as it is, and the space, which is replaced with the marks.
_UNCHANGED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~- "

#: Byte -> (the byte, its percent-encoded form).
_REPLACEMENTS = tuple((bytes((byte,)), b"%%%02X" % byte) for byte in range(256))

_TO_CHARACTERS = bytes.maketrans(_MARK_BYTES + b" ", _CHARACTERS.encode() + b"+")

#: The length of a name in a template, encoded.
_MAX_NAME_LENGTH = 256

#: Members of the shapes that are remembered. Customers choose some of their names, which have no end.
_MAX_REMEMBERED = 20_000


class _NotQuickError(Exception):
    """The payload is left to `form_encode`."""


def encode_form(
    payload: Mapping[str, Any], limit: int = DEFAULT_MAX_BYTES, *, in_query: bool = False
) -> bytes:
    """Return the same as `form_encode`, as bytes. The parameters and exceptions are the same."""
    try:
        return _ENCODER.encode(payload, limit, in_query)
    except (_NotQuickError, ValueError) as reason:
        if isinstance(reason, PayloadTooLarge):
            raise
        return form_encode(payload, limit, in_query=in_query).encode("ascii")


class _QuickFormEncoder:
    """Encodes forms, and remembers their shapes."""

    def __init__(self) -> None:
        self.remembered = 0
        #: Members that may still be looked at, and the marks in the templates that were filled in, of the
        #: payload that is encoded.
        self.members_left = self.marks = 0
        self._root = _Shapes(self, "", "", "")

    def encode(self, payload: Mapping[str, Any], limit: int, in_query: bool) -> bytes:
        """Return the form. Raises `PayloadTooLarge`, and `_NotQuickError` or ValueError for `form_encode`."""
        if self.remembered > _MAX_REMEMBERED:
            self.remembered = 0
            self._root = _Shapes(self, "", "", "")
        # The work for a member is its name and that of its object.
        self.members_left = limit * MAX_WORK_FACTOR // (2 * _MAX_NAME_LENGTH)
        self.marks = 0
        text = self._root.fill_in(payload, payload.values()).encode()
        special = text.translate(None, _UNCHANGED)
        unsafe = special.translate(None, _MARK_BYTES)
        if len(special) - len(unsafe) != self.marks:
            raise _NotQuickError  # a value contains a mark
        if len(text) - 1 + 2 * len(unsafe) > limit:
            raise PayloadTooLarge(limit)
        text = _percent_encode(text, unsafe)
        if in_query:
            text = text.replace(b"\3", b"%5B").replace(b"\4", b"%5D")
        form = text[1:].translate(_TO_CHARACTERS)
        if len(form) > limit:
            raise PayloadTooLarge(limit)
        return form


class _Shape(NamedTuple):
    """The form of an object or a list, and what is to be done with the values before they are put into it.

    `template` has a place for a value at each odd index, and `marks` marks. `empty`: places of null, which
    stands in no form. `numbers`: places of integers and floats. `nested`: places of objects and lists, and
    the shapes of these.
    """

    template: list[str]
    marks: int
    empty: Sequence[int]
    booleans: Sequence[int]
    floats: Sequence[int]
    numbers: Sequence[int]
    nested: Sequence[tuple[int, _Shapes]]


class _Shapes:
    """The shapes that an object or a list has, by its names and the types of its values.

    `path` is its name in the form, with marks, and `before` and `after` enclose the names of its members.
    """

    __slots__ = ("_after", "_before", "_by_key", "_encoder", "_nested")

    def __init__(self, encoder: _QuickFormEncoder, path: str, opening: str, closing: str) -> None:
        self._encoder = encoder
        self._before, self._after = path + opening, closing
        self._by_key: dict[tuple[Any, ...], _Shape] = {}
        self._nested: dict[str, _Shapes] = {}

    def fill_in(self, names: Iterable[str], items: Iterable[Any]) -> str:
        """Return the form, with marks; an ampersand stands before each pair."""
        values = list(items)
        encoder = self._encoder
        encoder.members_left -= len(values)
        if encoder.members_left < 0:
            raise _NotQuickError
        key: tuple[Any, ...] = (*names, *map(type, values))
        shape = self._by_key.get(key)
        if shape is None:
            shape = self._by_key[key] = self._make_shape(key[: len(values)], values)
            encoder.remembered += len(values) + 1
        template, marks, empty, booleans, floats, numbers, nested = shape
        for place in floats:
            if not math.isfinite(values[place]):
                return self.fill_in(key[: len(values)], map(_without_infinite, values))
        for place in empty:
            values[place] = ""
        for place in booleans:
            values[place] = "true" if values[place] else "false"
        for place in numbers:
            values[place] = str(values[place])
        for place, shapes in nested:
            inner = values[place]
            if type(inner) is dict:
                values[place] = shapes.fill_in(inner, inner.values()) if inner else ""
            else:
                values[place] = shapes.fill_in(("",) * len(inner), inner) if inner else ""
        encoder.marks += marks
        filled = template.copy()
        filled[1::2] = values
        return "".join(filled)

    def _make_shape(self, names: Sequence[str], values: Sequence[Any]) -> _Shape:
        template: list[str] = []
        places: dict[type, list[int]] = {type(None): [], bool: [], float: [], int: [], str: []}
        nested = []
        for place, (name, value) in enumerate(zip(names, values, strict=True)):
            kind = type(value)
            if type(name) is not str or len(name) > _MAX_NAME_LENGTH:
                raise _NotQuickError
            before = ""
            if kind in (dict, list, tuple):
                nested.append((place, self._of_member(name)))
            elif kind in places:
                places[kind].append(place)
                before = "" if value is None else f"{_AMPERSAND}{self._name(name)}{_EQUALS}"
            else:
                raise _NotQuickError
            template += (before, "")
        marks = sum("".join(template).count(mark) for mark in _MARKS)
        numbers = places[int] + places[float]
        return _Shape(template, marks, places[type(None)], places[bool], places[float], numbers, nested)

    def _name(self, key: str) -> str:
        quoted = quote_plus(key).replace("%", _PERCENT).replace("+", _PLUS)
        name = self._before + quoted + self._after
        if len(name) > _MAX_NAME_LENGTH:
            raise _NotQuickError
        return name

    def _of_member(self, key: str) -> _Shapes:
        """Return the shapes of the objects and lists with this name; a list's items have the name ``""``."""
        shapes = self._nested.get(key)
        if shapes is None:
            shapes = self._nested[key] = _Shapes(self._encoder, self._name(key), _OPENING, _CLOSING)
            self._encoder.remembered += 1
        return shapes


def _without_infinite(value: Any) -> Any:
    return None if type(value) is float and not math.isfinite(value) else value


def _percent_encode(text: bytes, unsafe: bytes) -> bytes:
    """Percent-encode the bytes `unsafe` in `text`."""
    kinds = set(unsafe)
    if 0x25 in kinds:
        # First: the others bring further ones.
        kinds.remove(0x25)
        text = text.replace(b"%", b"%25")
    for byte in kinds:
        text = text.replace(*_REPLACEMENTS[byte])
    return text


_ENCODER = _QuickFormEncoder()
