"""Field tables: every AMQP field type, read and written, with the type letters of RabbitMQ.

Read: ``t`` bool, ``b B s U u I i l L`` integers of 8 to 64 bits, ``f d`` floats, ``D`` Decimal, ``S`` str
(bytes when it is not UTF-8), ``x`` bytes, ``A`` list, ``F`` dict, ``T`` `Timestamp`, ``V`` None. Written: by
the Python type, so that reading returns an equal value.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from kazoo_bridge.bus.amqp.wire.errors import FieldError
from kazoo_bridge.kazoo import MAX_SHORT_STRING_BYTES

#: Limit of the nesting of tables and arrays; a hostile peer could otherwise exhaust the stack.
MAX_DEPTH = 64


class Timestamp(int):
    """A number of AMQP's timestamp type: seconds, or the sender's unit (KAZOO sends microseconds)."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Timestamp({int(self)})"


# -- reading ------------------------------------------------------------------------------------


def decode_table(data: bytes, start: int = 0) -> tuple[dict[str, Any], int]:
    """Return the table at `start` (its length first) and the position after it. Raises FieldError."""
    try:
        return _read_table(data, start, 0)
    except (struct.error, IndexError):
        raise FieldError("a field table is cut short") from None


def _span(data: bytes, start: int) -> tuple[int, int]:
    """Return where the value begins and ends whose 32-bit length is at `start`."""
    (size,) = _LONG.unpack_from(data, start)
    begin = start + 4
    if begin + size > len(data):
        raise FieldError("a field is longer than its table")
    return begin, begin + size


def _read_table(data: bytes, start: int, depth: int) -> tuple[dict[str, Any], int]:
    if depth > MAX_DEPTH:
        raise FieldError("field tables are nested too deep")
    position, end = _span(data, start)
    table: dict[str, Any] = {}
    while position < end:
        name_end = position + 1 + data[position]
        name = data[position + 1 : name_end].decode("utf-8", "replace")
        table[name], position = _read_value(data, name_end, depth)
    if position != end:
        raise FieldError("a field runs over the end of its table")
    return table, end


def _read_array(data: bytes, start: int, depth: int) -> tuple[list[Any], int]:
    if depth > MAX_DEPTH:
        raise FieldError("field arrays are nested too deep")
    position, end = _span(data, start)
    items: list[Any] = []
    while position < end:
        item, position = _read_value(data, position, depth)
        items.append(item)
    if position != end:
        raise FieldError("a field runs over the end of its array")
    return items, end


def _read_value(data: bytes, position: int, depth: int) -> tuple[Any, int]:
    kind = data[position]
    fixed = _FIXED.get(kind)
    if fixed is not None:
        form, make = fixed
        value = make(*form.unpack_from(data, position + 1))
        return value, position + 1 + form.size
    if kind in b"FA":
        read = _read_table if kind == ord("F") else _read_array
        return read(data, position + 1, depth + 1)
    if kind in b"Sx":
        begin, end = _span(data, position + 1)
        raw = data[begin:end]
        return (raw if kind == ord("x") else text_or_bytes(raw)), end
    if kind == ord("V"):
        return None, position + 1
    raise FieldError(f"unknown field type {chr(kind)!r}")


def text_or_bytes(raw: bytes) -> str | bytes:
    """Return a long string as str if it is UTF-8, else as bytes."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def _decimal(scale: int, unscaled: int) -> Decimal:
    return Decimal(unscaled).scaleb(-scale)


_LONG = struct.Struct("!I")
_DECIMAL = struct.Struct("!Bi")
_FIXED: Mapping[int, tuple[struct.Struct, Callable[..., Any]]] = {
    ord("t"): (struct.Struct("!B"), bool),
    ord("b"): (struct.Struct("!b"), int),
    ord("B"): (struct.Struct("!B"), int),
    # RabbitMQ reads "s" as a short integer where the specification has a short string.
    ord("s"): (struct.Struct("!h"), int),
    ord("U"): (struct.Struct("!h"), int),
    ord("u"): (struct.Struct("!H"), int),
    ord("I"): (struct.Struct("!i"), int),
    ord("i"): (struct.Struct("!I"), int),
    ord("l"): (struct.Struct("!q"), int),
    ord("L"): (struct.Struct("!q"), int),
    ord("f"): (struct.Struct("!f"), float),
    ord("d"): (struct.Struct("!d"), float),
    ord("D"): (_DECIMAL, _decimal),
    ord("T"): (struct.Struct("!Q"), Timestamp),
}


# -- writing ------------------------------------------------------------------------------------


def encode_table(table: Mapping[str, Any]) -> bytes:
    """Return the table after its length. Raises FieldError for a value that AMQP cannot carry."""
    return _write_table(table, 0)


def short_string(text: str | bytes) -> bytes:
    """Return `text` after its length in bytes as one octet.

    Raises FieldError above 255 bytes and for lone surrogates.
    """
    raw = utf8(text)
    if len(raw) > MAX_SHORT_STRING_BYTES:
        raise FieldError(
            f"AMQP allows {MAX_SHORT_STRING_BYTES} bytes for a name or routing key, this one has {len(raw)}"
        )
    return bytes((len(raw),)) + raw


def long_string(text: str | bytes) -> bytes:
    """Return `text` after its length in bytes as a 32-bit number."""
    raw = utf8(text)
    return _LONG.pack(len(raw)) + raw


def utf8(text: str | bytes) -> bytes:
    """Return `text` as UTF-8. Raises FieldError for lone surrogates."""
    if isinstance(text, str):
        try:
            return text.encode("utf-8")
        except UnicodeEncodeError:
            raise FieldError("text with lone surrogates cannot be sent") from None
    return bytes(text)


def _write_table(table: Mapping[str, Any], depth: int) -> bytes:
    body = b"".join(short_string(name) + _write_value(value, depth) for name, value in table.items())
    return _LONG.pack(len(body)) + body


def _write_array(items: Sequence[Any], depth: int) -> bytes:
    body = b"".join(_write_value(item, depth) for item in items)
    return _LONG.pack(len(body)) + body


def _write_value(value: Any, depth: int) -> bytes:
    if depth > MAX_DEPTH:
        raise FieldError("the value is nested too deep in tables and arrays")
    for kind, write in _WRITERS:
        if isinstance(value, kind):
            return write(value, depth + 1)
    raise FieldError(f"a value of type {type(value).__name__} cannot stand in an AMQP table")


def _write_integer(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"I" + struct.pack("!i", value)
    if -(2**63) <= value < 2**63:
        return b"l" + struct.pack("!q", value)
    raise FieldError("an integer in an AMQP table has at most 64 bits")


def _write_timestamp(value: int) -> bytes:
    if not 0 <= value < 2**64:
        raise FieldError("an AMQP timestamp is between 0 and 2**64 - 1")
    return b"T" + struct.pack("!Q", value)


def _write_decimal(value: Decimal) -> bytes:
    sign, digits, exponent = value.as_tuple()
    if not isinstance(exponent, int):
        raise FieldError("AMQP has no decimal for infinity or NaN")
    unscaled = int("".join(map(str, digits)) or "0") * (-1 if sign else 1)
    if exponent > 0:
        # Beyond ten zeros it cannot fit 32 bits anyway; the bound keeps 1E+999999 from being computed.
        unscaled, exponent = unscaled * 10 ** min(exponent, 10), 0
    if exponent < -255 or not -(2**31) <= unscaled < 2**31:
        raise FieldError("an AMQP decimal has 32 bits and at most 255 decimal places")
    return b"D" + _DECIMAL.pack(-exponent, unscaled)


_WRITERS: Sequence[tuple[type | tuple[type, ...], Callable[[Any, int], bytes]]] = (
    (str, lambda value, _: b"S" + long_string(value)),
    (bool, lambda value, _: b"t\x01" if value else b"t\x00"),
    (Timestamp, lambda value, _: _write_timestamp(value)),
    (int, lambda value, _: _write_integer(value)),
    (type(None), lambda _value, _: b"V"),
    (Mapping, lambda value, depth: b"F" + _write_table(value, depth)),
    ((bytes, bytearray, memoryview), lambda value, _: b"x" + long_string(bytes(value))),
    ((list, tuple), lambda value, depth: b"A" + _write_array(value, depth)),
    (float, lambda value, _: b"d" + struct.pack("!d", value)),
    (Decimal, lambda value, _: _write_decimal(value)),
    (datetime, lambda value, _: _write_timestamp(int(value.timestamp()))),
)
