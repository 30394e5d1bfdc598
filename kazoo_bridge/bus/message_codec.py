"""Converts between bytes on the bus and events: JSON, optionally gzipped."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from kazoo_bridge.json_limits import exceeds_depth
from kazoo_bridge.kazoo import Event

#: Limit in bytes of a decompressed body.
MAX_DECOMPRESSED_BYTES = 64 * 1024 * 1024

#: Limit of the nesting of objects and arrays, so that code that walks a body may recurse.
MAX_DEPTH = 100

_GZIP = 16 + zlib.MAX_WBITS


class DecodeError(ValueError):
    """A message is not what KAZOO sends. The text says why, without quoting the body."""


def decode(
    exchange: str, routing_key: str, raw: bytes, content_encoding: str | None, redelivered: bool
) -> Event:
    """Return the event in the body `raw` of a message.

    Raises `DecodeError` for a body that is no JSON object.
    """
    if content_encoding:
        raw = _decompress(raw, content_encoding.strip().lower())
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise DecodeError(
            f"the body of {len(raw)} bytes is not JSON: {error.msg} at byte {_offending_byte(error)}"
        ) from None
    if not isinstance(body, dict):
        raise DecodeError(f"the body is JSON, but {_type_name(body)} and not an object")
    # Counting brackets is cheap and sufficient for nearly every message.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and exceeds_depth(body, MAX_DEPTH):
        raise DecodeError(f"the body is JSON nested deeper than {MAX_DEPTH} levels")
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


def _offending_byte(error: orjson.JSONDecodeError) -> int:
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
        raise DecodeError(f"the content encoding {encoding[:40]!r} is unknown, expected gzip")
    decompressor = zlib.decompressobj(_GZIP)
    try:
        # One byte more than allowed shows that the limit is exceeded, so a small bomb is not decompressed
        # completely.
        decompressed = decompressor.decompress(raw, MAX_DECOMPRESSED_BYTES + 1)
    except zlib.error as error:
        raise DecodeError(f"the body is not gzip as announced: {error}") from None
    if len(decompressed) > MAX_DECOMPRESSED_BYTES:
        raise DecodeError(f"the body decompresses to more than {MAX_DECOMPRESSED_BYTES} bytes")
    if not decompressor.eof:
        raise DecodeError("the gzipped body is cut off")
    if decompressor.unused_data:
        raise DecodeError(f"{len(decompressor.unused_data)} bytes follow the end of the gzipped body")
    return decompressed
