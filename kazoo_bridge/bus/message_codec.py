"""Converts between bytes on the bus and events: JSON, optionally gzipped."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Literal

import orjson

from kazoo_bridge.bus.lenient_json import SHAPE, may_have_long_integer, parse_leniently
from kazoo_bridge.json_limits import exceeds_depth
from kazoo_bridge.kazoo import Event

#: Limit in bytes of a decompressed body.
MAX_DECOMPRESSED_BYTES = 8 * 1024 * 1024

#: Limit of the values in a body. Each takes up to a hundred bytes of memory, even if its text has two.
MAX_VALUES = 500_000
_BYTES_PER_VALUE = 100
#: Bodies of fewer bytes are small whatever they contain.
_MAX_SMALL_BYTES = 16 * 1024
#: Larger bodies are not repaired, because that takes much longer than reading them.
MAX_REPAIRED_BYTES = 1024 * 1024
#: Bodies of fewer bytes cannot have more than `MAX_VALUES` values.
_MAX_UNCOUNTED_BYTES = MAX_VALUES

#: Limit of the nesting of objects and arrays, so that code that walks a body may recurse.
MAX_DEPTH = 100

_GZIP = 16 + zlib.MAX_WBITS


#: Called with exchange, routing key and the problem in words.
OnRepaired = Callable[[str, str, str], None]

#: Why a message is dropped, as a label of metrics. ``invalid``: its handler cannot use it.
Unreadable = Literal["not_json", "not_an_object", "too_deep", "too_large", "encoding", "invalid"]


class DecodeError(ValueError):
    """A message is not what KAZOO sends. The text says why, without quoting the body."""

    def __init__(self, reason: Unreadable, text: str) -> None:
        super().__init__(text)
        self.reason = reason


def decode(
    exchange: str,
    routing_key: str,
    raw: bytes,
    content_encoding: str | None,
    redelivered: bool,
    on_repaired: OnRepaired = lambda _exchange, _routing_key, _problem: None,
) -> Event:
    """Return the event in the body `raw` of a message.

    `on_repaired` is called when the body is not quite JSON, but can be read (see
    `lenient_json.parse_leniently`). Raises `DecodeError` for a body that is no JSON object.
    """
    if content_encoding:
        raw = _decompress(raw, content_encoding.strip().lower())
    if len(raw) > _MAX_UNCOUNTED_BYTES:
        _check_number_of_values(raw)
    shape = raw.translate(SHAPE)
    try:
        body = parse_leniently(raw) if may_have_long_integer(raw, shape) else orjson.loads(raw)
    except (ValueError, RecursionError) as error:
        problem = _problem(error)
        body = _repair(raw, problem)
        on_repaired(exchange, routing_key, problem)
    if not isinstance(body, dict):
        raise DecodeError("not_an_object", f"the body is JSON, but {_type_name(body)} and not an object")
    # Counting brackets is cheap and sufficient for nearly every message.
    if shape.count(b"{") > MAX_DEPTH and exceeds_depth(body, MAX_DEPTH):
        raise DecodeError("too_deep", f"the body is JSON nested deeper than {MAX_DEPTH} levels")
    return Event(exchange, routing_key, body, raw, redelivered)


def encode(body: Mapping[str, Any]) -> bytes:
    """Return the body as JSON. Raises ValueError for what JSON cannot hold (NaN and infinity become null)."""
    if not isinstance(body, Mapping):
        raise ValueError(f"a message is a JSON object, not {type(body).__name__}")
    try:
        return orjson.dumps(body, default=_to_json_value)
    except TypeError as error:
        raise ValueError(f"the message cannot be written as JSON: {error}") from None


def _to_json_value(value: object) -> dict[str, Any]:
    """Return a mapping of any kind as a dict."""
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a value of type {type(value).__name__} is in it")


def _check_number_of_values(raw: bytes) -> None:
    if _count_values(raw) > MAX_VALUES:
        raise DecodeError("too_large", f"the body of {len(raw)} bytes has more than {MAX_VALUES} values")


def _count_values(raw: bytes) -> int:
    # Each value but the first follows a bracket or a comma. Those within strings count, too.
    return raw.count(b",") + raw.count(b"[") + raw.count(b"{")


def estimated_memory(raw: bytes) -> int:
    """Return about how many bytes of memory the body that is decoded from `raw` takes.

    A short list takes fifty times as much memory as text.
    """
    return len(raw) if len(raw) <= _MAX_SMALL_BYTES else len(raw) + _BYTES_PER_VALUE * _count_values(raw)


def _problem(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at byte {_offending_byte(error)}"
    return "it is nested too deep"


def _repair(raw: bytes, problem: str) -> Any:
    """Read what strict JSON refuses because of `problem`.

    Raises `DecodeError` for what is not even nearly JSON.
    """
    if len(raw) <= MAX_REPAIRED_BYTES:
        try:
            return parse_leniently(raw)
        except RecursionError:
            raise DecodeError("too_deep", f"the body is JSON nested deeper than {MAX_DEPTH} levels") from None
        except ValueError:
            pass
    raise DecodeError("not_json", f"the body of {len(raw)} bytes is not JSON: {problem}")


def _offending_byte(error: json.JSONDecodeError) -> int:
    # The parser counts characters.
    return len(error.doc[: error.pos].encode("utf-8", "surrogatepass"))


def _type_name(value: object) -> str:
    if value is None:
        return "null"
    return {list: "an array", str: "a string", bool: "true or false"}.get(type(value), "a number")


def _decompress(raw: bytes, encoding: str) -> bytes:
    if encoding in ("", "identity", "utf-8", "utf8"):
        return raw
    if encoding not in ("gzip", "x-gzip"):
        raise DecodeError("encoding", f"the content encoding {encoding[:40]!r} is unknown, expected gzip")
    decompressor = zlib.decompressobj(_GZIP)
    try:
        # One byte more than allowed shows that the limit is exceeded, so a small bomb is not decompressed
        # completely.
        decompressed = decompressor.decompress(raw, MAX_DECOMPRESSED_BYTES + 1)
    except zlib.error as error:
        raise DecodeError("encoding", f"the body is not gzip as announced: {error}") from None
    if len(decompressed) > MAX_DECOMPRESSED_BYTES:
        raise DecodeError("too_large", f"the body decompresses to more than {MAX_DECOMPRESSED_BYTES} bytes")
    if not decompressor.eof:
        raise DecodeError("encoding", "the gzipped body is cut off")
    if decompressor.unused_data:
        follow = len(decompressor.unused_data)
        raise DecodeError("encoding", f"{follow} bytes follow the end of the gzipped body")
    return decompressed
