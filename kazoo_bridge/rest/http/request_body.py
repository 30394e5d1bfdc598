"""Request bodies: JSON objects of bounded size and depth, and the method that a POST can carry in one.

How much a body may cost depends on whether its sender is known: see `BodyLimits`.
"""

from __future__ import annotations

from typing import IO, Any

import orjson
from attrs import frozen

from kazoo_bridge.json_limits import exceeds_depth, exceeds_values
from kazoo_bridge.rest.http.errors import invalid_field, invalid_method, parse_error, too_large

#: Bytes of a body whose request has a token in its head.
MAX_BODY_BYTES = 1024 * 1024

#: Bytes of a body whose request has no token in its head.
MAX_ANONYMOUS_BODY_BYTES = 64 * 1024

#: Levels of objects and lists within each other.
MAX_DEPTH = 64

#: The methods that clients can use, in the request line or inside a POST.
METHODS = ("GET", "PUT", "POST", "PATCH", "DELETE")


#: Methods of requests that have no body, and change nothing.
READING_METHODS = (b"GET", b"HEAD", b"OPTIONS")


@frozen
class BodyLimits:
    """What a body may have at most: bytes, and values (objects, lists, and what they contain)."""

    max_bytes: int
    max_values: int


#: Of requests of authenticated clients.
AUTHENTICATED = BodyLimits(MAX_BODY_BYTES, 20_000)

#: Of other requests: their token, if any, is in the body.
ANONYMOUS = BodyLimits(MAX_ANONYMOUS_BODY_BYTES, 2000)


def parse_body(content: IO[bytes] | None, limits: BodyLimits = AUTHENTICATED) -> dict[str, Any]:
    """Parse a request's body.

    Returns the JSON object, an empty one if the body is empty. Raises 413 for a body of more bytes than
    `limits` allow, a validation error on ``body`` for more values or a depth of more than `MAX_DEPTH`, and a
    parse error (400) for a body that is not a JSON object.
    """
    raw = _read(content, limits)
    if not raw.strip():
        return {}
    if exceeds_values(raw, limits.max_values):
        message = f"the body may have {limits.max_values} values at most"
        raise invalid_field("body", "maxItems", message, target=limits.max_values)
    try:
        envelope = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise parse_error(f"the body is not JSON: {error}") from None
    if not isinstance(envelope, dict):
        raise parse_error('expected a body of the form {"data": {…}}')
    if exceeds_depth(envelope, MAX_DEPTH):
        message = f"the body is nested more than {MAX_DEPTH} deep"
        raise invalid_field("body", "maxDepth", message, target=MAX_DEPTH)
    return envelope


def parse_method(carried: object) -> str:
    """Return the method that a POST carries as ``verb``, in upper case; raises 405 for any other value."""
    method = carried.upper() if isinstance(carried, str) else ""
    if method not in METHODS:
        raise invalid_method(METHODS)
    return method


def may_carry_method(content: IO[bytes] | None) -> bool:
    """Return whether a body may have a method as ``verb``; does not parse it."""
    if content is None:
        return False
    content.seek(0)
    return b'"verb"' in content.read()


def _read(content: IO[bytes] | None, limits: BodyLimits) -> bytes:
    if content is None:
        return b""
    content.seek(0)
    raw = content.read(limits.max_bytes + 1)
    if len(raw) > limits.max_bytes:
        hint = "" if limits == AUTHENTICATED else "; send more with the token in the request's head"
        raise too_large(limits.max_bytes, hint)
    return raw
