"""Encodes payloads as forms and query strings, quickly.

The values of a form are joined and percent-encoded all at once, and its names are remembered from earlier
forms. What this cannot decide exactly (unusual types and names, payloads near the limit of work) is left to
`payload_encoding.form_encode`, which defines the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from kazoo_bridge.webhooks.http.payload_encoding import (
    DEFAULT_MAX_BYTES,
    MAX_WORK_FACTOR,
    PayloadTooLarge,
    form_encode,
)

#: Stands between the values while they are percent-encoded.
_SEPARATOR = "\0"

#: What percent-encoding leaves as it is, the separator, and the space, which is replaced last.
_UNCHANGED = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.~- \0"

#: Byte -> (the byte, its percent-encoded form).
_REPLACEMENTS = tuple((bytes((byte,)), b"%%%02X" % byte) for byte in range(256))

_PERCENT = ord("%")

#: The length of a name that is remembered, with ampersand and equals sign.
_MAX_NAME_BYTES = 256

#: Names that are remembered. Customers choose some of them, so their number has no end.
_MAX_NAMES = 5000


class _NotQuickError(Exception):
    """The payload is left to `form_encode`."""


def encode_form(
    payload: Mapping[str, Any], limit: int = DEFAULT_MAX_BYTES, *, in_query: bool = False
) -> bytes:
    """Return the same as `form_encode`, as bytes. The parameters and exceptions are the same."""
    try:
        return (_QUERY if in_query else _BODY).encode(payload, limit)
    except (_NotQuickError, ValueError) as reason:
        if isinstance(reason, PayloadTooLarge):
            raise
        return form_encode(payload, limit, in_query=in_query).encode("ascii")


class _QuickFormEncoder:
    """Encodes forms, and remembers the names in them. `opening` and `closing` are its brackets."""

    def __init__(self, opening: bytes, closing: bytes) -> None:
        self.opening, self.closing = opening, closing
        self.remembered = 0
        self._members_left = 0
        self._root = _Names(self, b"&", b"=")

    def encode(self, payload: Mapping[str, Any], limit: int) -> bytes:
        """Return the form. Raises `PayloadTooLarge`, and `_NotQuickError` or ValueError for `form_encode`."""
        if self.remembered > _MAX_NAMES:
            self.remembered = 0
            self._root = _Names(self, b"&", b"=")
        # The work for a member is its name and that of its object.
        self._members_left = limit * MAX_WORK_FACTOR // (2 * _MAX_NAME_BYTES)
        self.expect(len(payload))
        names: list[bytes] = []
        values: list[str] = []
        _collect(payload.items(), self._root, names, values)
        if not names:
            return b""
        text = _SEPARATOR.join(values).encode()
        unsafe = _unsafe_bytes(text)
        if len(text) + 2 * len(unsafe) - len(values) >= limit:
            raise PayloadTooLarge(limit)  # before it is encoded
        encoded = _percent_encode(text, unsafe).split(b"\0")
        if len(encoded) != len(names):
            raise _NotQuickError  # a value contains the separator
        pairs = [b""] * (2 * len(names))
        pairs[::2], pairs[1::2] = names, encoded
        form = b"".join(pairs)
        if len(form) > limit + 1:
            raise PayloadTooLarge(limit)
        return form[1:]

    def expect(self, members: int) -> None:
        """Count `members` before they are looked at; raises `_NotQuickError` if they may be too much work."""
        self._members_left -= members
        if self._members_left < 0:
            raise _NotQuickError


class _Names(dict[str, bytes]):
    """The names of an object's members, as they stand in a form: ``{"key": b"&path[key]="}``.

    `before` and `after` enclose the percent-encoded key in it.
    """

    def __init__(self, encoder: _QuickFormEncoder, before: bytes, after: bytes) -> None:
        super().__init__()
        self.encoder, self._before, self._after = encoder, before, after
        self._nested: dict[str, _Names] = {}

    def __missing__(self, key: str) -> bytes:
        if not isinstance(key, str):
            raise _NotQuickError
        text = key.encode()
        name = self._before + _percent_encode(text, _unsafe_bytes(text)) + self._after
        if len(name) > _MAX_NAME_BYTES or b"\0" in name:
            raise _NotQuickError
        self.encoder.remembered += 1
        self[key] = name
        return name

    def of_member(self, key: str) -> _Names:
        """Return the names of the members of the object `key`; a list's items have the key ``""``."""
        nested = self._nested.get(key)
        if nested is None:
            path = self[key][:-1]
            encoder = self.encoder
            nested = _Names(encoder, path + encoder.opening, encoder.closing + b"=")
            self._nested[key] = nested
        return nested


def _collect(
    members: Iterable[tuple[str, Any]], names_of: _Names, names: list[bytes], values: list[str]
) -> None:
    """Add the pairs of `members` to `names` and `values`."""
    for key, value in members:
        kind = type(value)
        if kind is str:
            values.append(value)
        elif value is True:
            values.append("true")
        elif value is False:
            values.append("false")
        elif kind is int or (kind is float and math.isfinite(value)):
            values.append(str(value))
        elif kind is dict:
            names_of.encoder.expect(len(value))
            _collect(value.items(), names_of.of_member(key), names, values)
            continue
        else:
            _collect_other(key, value, names_of, names, values)
            continue
        names.append(names_of[key])


def _collect_other(key: str, value: Any, names_of: _Names, names: list[bytes], values: list[str]) -> None:
    """Add the pairs of a list; leave out what has none."""
    kind = type(value)
    if kind is list or kind is tuple:
        names_of.encoder.expect(len(value))
        _collect([("", item) for item in value], names_of.of_member(key), names, values)
    elif not ((value is None or kind is float) and type(key) is str and len(key) <= _MAX_NAME_BYTES):
        raise _NotQuickError


def _unsafe_bytes(text: bytes) -> bytes:
    """Return those bytes of `text` that percent-encoding replaces by three."""
    return text.translate(None, _UNCHANGED)


def _percent_encode(text: bytes, unsafe: bytes) -> bytes:
    """Percent-encode `text` like `urllib.parse.quote_plus`, but leave NUL as it is.

    `unsafe` are its `_unsafe_bytes`.
    """
    if unsafe:
        kinds = set(unsafe)
        if _PERCENT in kinds:
            # First: the others bring further ones.
            kinds.remove(_PERCENT)
            text = text.replace(b"%", b"%25")
        for byte in kinds:
            text = text.replace(*_REPLACEMENTS[byte])
    return text.replace(b" ", b"+")


_BODY = _QuickFormEncoder(b"[", b"]")
_QUERY = _QuickFormEncoder(b"%5B", b"%5D")
