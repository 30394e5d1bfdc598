"""Reads JSON that strict parsers refuse or round: a caller name in another encoding must not lose a call."""

from __future__ import annotations

import json
import math
import re
from typing import Any

#: Digits of the longest integer that is read; longer ones become null.
MAX_INTEGER_DIGITS = 1000

#: Replaces what text cannot hold.
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

#: Control characters that JSON forbids in strings, except the ones it permits between values.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f]")
_SURROGATE = re.compile("[\ud800-\udfff]")

#: `bytes.translate` with this table gives the shape of a message: digits are ``0``, opening brackets of
#: either kind ``{``, everything else a space. That is much cheaper than a regular expression.
SHAPE = bytes(0x30 if 0x30 <= byte <= 0x39 else 0x7B if byte in b"{[" else 0x20 for byte in range(256))
#: What the shape of a message contains if one of its integers may exceed 64 bits, and be rounded by a parser.
LONG_INTEGER = b"0" * 19


#: What stands before the digits of an integer, but for spaces.
_BEFORE_INTEGER = b":,[-"


def may_have_long_integer(raw: bytes, shape: bytes) -> bool:
    """Return whether a message, of which `shape` is given, may have an integer that exceeds 64 bits.

    Ids of calls often have as many digits, but are strings.
    """
    position = shape.find(LONG_INTEGER)
    while position >= 0:
        before = raw[max(0, position - 8) : position].rstrip()
        if not before or before[-1] in _BEFORE_INTEGER:
            return True
        position = shape.find(LONG_INTEGER, shape.find(b" ", position))
    return False


def parse_leniently(raw: bytes) -> Any:
    """Return the value in `raw`, which is nearly JSON.

    Integers of any size keep their digits. Bytes that are not UTF-8, raw control characters in strings and
    lone surrogates become U+FFFD. A byte order mark is skipped. NaN, infinities, numbers beyond the range of
    a float and integers of more than `MAX_INTEGER_DIGITS` digits become null. Of equal keys the last one
    counts.

    Raises ValueError for everything else, RecursionError for values that are nested too deep.
    """
    text = _CONTROL.sub(_REPLACEMENT, raw.decode("utf-8", "replace").removeprefix("\ufeff"))
    value = json.loads(
        text, strict=False, parse_int=_parse_integer, parse_float=_parse_float, parse_constant=_to_null
    )
    # A surrogate can only come from an escape: the text itself has none.
    return _without_surrogates(value) if "\\ud" in text or "\\uD" in text else value


def _parse_integer(digits: str) -> int | None:
    return int(digits) if len(digits) <= MAX_INTEGER_DIGITS else None


def _parse_float(text: str) -> float | None:
    number = float(text)
    return number if math.isfinite(number) else None


def _to_null(_name: str) -> None:
    return None


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return _SURROGATE.sub(_REPLACEMENT, value)
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    return value
