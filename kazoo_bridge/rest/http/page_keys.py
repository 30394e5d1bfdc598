"""The opaque keys at which pages start."""

from __future__ import annotations

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any

import orjson

from kazoo_bridge.rest.http.errors import ApiError, validation_error

_VERSION = b"1"
_CHECK_BYTES = 6
_MAX_LENGTH = 2048


def encode_page_key(scope: str, position: Any) -> str:
    """A key for `position` (anything JSON can hold) in the list `scope`; base64url: version, checksum, position.

    The checksum is no secret: it tells a key that was cut, changed or taken from another list, and a position gives access to nothing.
    """
    body = orjson.dumps(position)
    return urlsafe_b64encode(_VERSION + _checksum(scope, body) + body).rstrip(b"=").decode()


def decode_page_key(scope: str, given: str) -> Any:
    """The position of a key that `encode_page_key` has made for the same list; raises a validation error on ``start_key`` for any other text."""
    try:
        if len(given) > _MAX_LENGTH:
            raise ValueError
        raw = urlsafe_b64decode(given.encode("ascii") + b"=" * (-len(given) % 4))
        check, body = raw[1 : 1 + _CHECK_BYTES], raw[1 + _CHECK_BYTES :]
        if (
            raw[:1] != _VERSION
            or check != _checksum(scope, body)
            or encode_page_key(scope, position := orjson.loads(body)) != given.rstrip("=")
        ):
            raise ValueError
    except (ValueError, binascii.Error):
        raise invalid_page_key(given) from None
    return position


def invalid_page_key(given: str) -> ApiError:
    """The validation error for a text that is not a key of the list."""
    return validation_error(
        {
            "start_key": {
                "wrong_format": {
                    "message": "expected a next_start_key of this list, unchanged",
                    "cause": given[:100],
                }
            }
        }
    )


def _checksum(scope: str, body: bytes) -> bytes:
    return sha256(scope.encode("utf-8", "surrogatepass") + b"\0" + body).digest()[:_CHECK_BYTES]
