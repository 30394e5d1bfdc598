"""Between bytes on the bus and events: JSON, perhaps gzipped, decoded once at the border."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import orjson

from kazoo_bridge.json_limits import exceeds_depth
from kazoo_bridge.kazoo import Event

#: The most bytes that a gzipped body may unpack to.
MAX_DECOMPRESSED_BYTES = 64 * 1024 * 1024

#: How deep objects and arrays may lie in each other. Whatever walks a body may therefore recurse.
MAX_DEPTH = 100

_GZIP = 16 + zlib.MAX_WBITS


class DecodeError(ValueError):
    """The message is not what KAZOO sends; the text says in which way, and quotes nothing of the body."""


def decode(
    exchange: str, routing_key: str, raw: bytes, content_encoding: str | None, redelivered: bool
) -> Event:
    """The event in a message's body; raises `DecodeError`."""
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
    # Counting brackets is cheap and settles it for nearly every message.
    if raw.count(b"{") + raw.count(b"[") > MAX_DEPTH and exceeds_depth(body, MAX_DEPTH):
        raise DecodeError(f"the body is JSON nested deeper than {MAX_DEPTH} levels")
    return Event(exchange, routing_key, body, raw, redelivered)


def encode(body: Mapping[str, Any]) -> bytes:
    """A message's body as bytes; raises `ValueError` for what JSON cannot hold (not-a-number is written as null)."""
    if not isinstance(body, Mapping):
        raise ValueError(f"a message is a JSON object, not {type(body).__name__}")
    try:
        return orjson.dumps(body, default=_to_json_value)
    except TypeError as error:
        raise ValueError(f"the message cannot be written as JSON: {error}") from None


def _to_json_value(value: object) -> dict[str, Any]:
    """Mappings of any kind are objects, not only dicts."""
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
    unpacker = zlib.decompressobj(_GZIP)
    try:
        # One byte more than allowed is enough to know; a small bomb is never unpacked in whole.
        unpacked = unpacker.decompress(raw, MAX_DECOMPRESSED_BYTES + 1)
    except zlib.error as error:
        raise DecodeError(f"the body is not gzip as announced: {error}") from None
    if len(unpacked) > MAX_DECOMPRESSED_BYTES:
        raise DecodeError(f"the body unpacks to more than {MAX_DECOMPRESSED_BYTES} bytes")
    if not unpacker.eof:
        raise DecodeError("the gzipped body is cut off")
    if unpacker.unused_data:
        raise DecodeError(f"{len(unpacker.unused_data)} bytes follow the end of the gzipped body")
    return unpacked
