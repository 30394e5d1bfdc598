"""The secrets with which the requests of a hook are signed: validates, generates, replaces and expires them.

A secret is ``whsec_`` followed by base64, like in Standard Webhooks (https://www.standardwebhooks.com/). A
hook can have several valid secrets while one is being replaced.
"""

from __future__ import annotations

import base64
import binascii
import secrets as random_secrets
from collections.abc import Mapping, Sequence
from typing import Any

from kazoo_bridge.interfaces import InvalidDocument, Secret
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.schema_errors import field_error
from kazoo_bridge.text_sanitizing import for_display

_PREFIX = "whsec_"

#: The length of a secret after base64 decoding, and of one that is generated.
MIN_SECRET_BYTES, MAX_SECRET_BYTES, GENERATED_SECRET_BYTES = 24, 64, 32

#: Secrets of one hook that are valid at the same time: the newest, and those it is replacing.
MAX_ACTIVE_SECRETS = 3

#: Seconds that a replaced secret stays valid beside the new one.
DEFAULT_OVERLAP = 86_400
MAX_OVERLAP = 7 * 86_400

#: JSON schemas of the keys of a hook document that concern secrets. `updated_secrets` validates them.
SECRET_PROPERTIES: Mapping[str, Any] = {
    "secret": {
        "anyOf": [
            {"type": "string", "pattern": f"^{_PREFIX}[A-Za-z0-9+/]+={{0,2}}$"},
            {"type": ["boolean", "null"]},
        ],
        "description": f"{_PREFIX} and {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64 to sign"
        " requests with; true: generate one; null: no signing",
    },
    "secret_overlap_seconds": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_OVERLAP,
        "default": DEFAULT_OVERLAP,
        "description": "How long the replaced secret stays valid",
    },
}


def generate_secret() -> str:
    """Return a new random secret of `GENERATED_SECRET_BYTES`, from the operating system's secure source."""
    return _PREFIX + base64.b64encode(random_secrets.token_bytes(GENERATED_SECRET_BYTES)).decode("ascii")


def updated_secrets(
    document: Mapping[str, Any], current: Sequence[Secret], now: float
) -> tuple[Secret, ...] | None:
    """Return the secrets of a hook after `document` is written; None if it leaves them as they are.

    ``secret`` in `document` is a new secret, true to generate one, or null or false to end signing; without
    it nothing changes. The result has the new secret first. The `current` secrets that have not expired
    follow: each expires ``secret_overlap_seconds`` after `now` (Unix seconds) or at its own expiry, whichever
    is earlier. At most `MAX_ACTIVE_SECRETS` remain; an overlap of 0 keeps the new one only.

    Raises `InvalidDocument`, whose errors contain no secret.
    """
    if "secret" not in document:
        return None
    requested = document["secret"]
    if requested is None or requested is False:
        return ()
    overlap = _parse_overlap(document.get("secret_overlap_seconds", DEFAULT_OVERLAP))
    new = Secret(generate_secret() if requested is True else _validate(requested))
    return (new, *_replaced(new, current, now, overlap))


def _parse_overlap(given: object) -> int:
    overlap = to_integer(given)
    if overlap is None:
        raise _bad_overlap("type", "integer", given)
    if overlap < 0:
        raise _bad_overlap("minimum", 0, given)
    if overlap > MAX_OVERLAP:
        raise _bad_overlap("maximum", MAX_OVERLAP, given)
    return overlap


def _bad_overlap(rule: str, target: object, given: object) -> InvalidDocument:
    message = f"expected a whole number of seconds from 0 to {MAX_OVERLAP}"
    return InvalidDocument(
        field_error("secret_overlap_seconds", rule, message, target=target, cause=for_display(given))
    )


def _replaced(new: Secret, current: Sequence[Secret], now: float, overlap: int) -> list[Secret]:
    """Return the current secrets that stay valid beside `new`, with their expiry."""
    if not overlap:
        return []
    until = now + overlap
    others = [
        secret
        for secret in current
        if secret.value != new.value and (secret.expires is None or secret.expires > now)
    ]
    return [
        Secret(secret.value, until if secret.expires is None else min(secret.expires, until))
        for secret in others[: MAX_ACTIVE_SECRETS - 1]
    ]


def _validate(secret: object) -> str:
    message = "expected text, or true to have one made"
    if isinstance(secret, str):
        try:
            signing_key(secret)
        except ValueError as error:
            message = str(error)
        else:
            return secret
    # No cause: it would repeat the secret.
    raise InvalidDocument(field_error("secret", "wrong_format", message))


def signing_key(secret: str) -> bytes:
    """Return the bytes that `secret` signs with; raises ValueError, whose text does not repeat the secret."""
    if not secret.startswith(_PREFIX):
        raise ValueError(f"expected {_PREFIX} followed by base64")
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"expected base64 after {_PREFIX}") from None
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise ValueError(f"expected {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64 after {_PREFIX}")
    return key
