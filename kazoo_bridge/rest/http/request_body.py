"""Bodies of requests: JSON objects, of bounded size and depth."""

from __future__ import annotations

from typing import IO, Any

import orjson

from kazoo_bridge.json_limits import exceeds_depth
from kazoo_bridge.rest.http.errors import parse_error, too_large

#: In bytes.
MAX_BODY_BYTES = 1024 * 1024

#: Objects and lists within each other; deeper ones are no document of anybody's.
MAX_DEPTH = 64


def parse(content: IO[bytes] | None) -> dict[str, Any]:
    """The JSON object of a body; an empty one when there is no body. Raises `too_large` and parse errors."""
    raw = read_body(content)
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


def read_body(content: IO[bytes] | None) -> bytes:
    """The bytes of a body, from its beginning; raises `too_large`."""
    if content is None:
        return b""
    content.seek(0)
    raw = content.read(MAX_BODY_BYTES + 1)
    if len(raw) > MAX_BODY_BYTES:
        raise too_large(MAX_BODY_BYTES)
    return raw
