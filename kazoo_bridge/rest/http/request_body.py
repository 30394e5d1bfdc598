"""Request bodies: JSON objects of bounded size and depth, and the method that a POST can carry in one."""

from __future__ import annotations

from typing import IO, Any

import orjson

from kazoo_bridge.json_limits import exceeds_depth
from kazoo_bridge.rest.http.errors import invalid_method, parse_error, too_large

#: Bytes.
MAX_BODY_BYTES = 1024 * 1024

#: Levels of objects and lists within each other.
MAX_DEPTH = 64

#: The methods that clients can use, in the request line or inside a POST.
METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")


def parse_body(content: IO[bytes] | None) -> dict[str, Any]:
    """Parse a request's body.

    Returns the JSON object, an empty one if the body is empty. Raises 413 for a body of more than
    `MAX_BODY_BYTES`, and a parse error (400) for a body that is not a JSON object or too deep.
    """
    raw = _read(content)
    if not raw.strip():
        return {}
    try:
        envelope = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise parse_error(f"the body is not JSON: {error}") from None
    if not isinstance(envelope, dict):
        raise parse_error('expected a body of the form {"data": {…}}')
    if exceeds_depth(envelope, MAX_DEPTH):
        raise parse_error(f"the body is nested more than {MAX_DEPTH} deep")
    return envelope


def parse_method(carried: object) -> str:
    """Return the method that a POST carries as ``verb``, in upper case; raises 405 for any other value."""
    method = carried.upper() if isinstance(carried, str) else ""
    if method not in METHODS:
        raise invalid_method(METHODS)
    return method


def _read(content: IO[bytes] | None) -> bytes:
    if content is None:
        return b""
    content.seek(0)
    raw = content.read(MAX_BODY_BYTES + 1)
    if len(raw) > MAX_BODY_BYTES:
        raise too_large(MAX_BODY_BYTES)
    return raw
