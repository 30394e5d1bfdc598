"""Signatures by which receivers know that a request comes from here, as Standard Webhooks has them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets as random_secrets
from collections.abc import Mapping, Sequence
from typing import Any

from kazoo_bridge.interfaces import Secret
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.webhooks.hooks.hook_catalogue import FieldErrors
from kazoo_bridge.webhooks.hooks.text_sanitizing import for_display

_PREFIX = "whsec_"
MIN_SECRET_BYTES, MAX_SECRET_BYTES, GENERATED_SECRET_BYTES = 24, 64, 32

#: Secrets that can be valid at once: the newest and those that are being replaced.
MAX_ACTIVE_SECRETS = 3

#: Seconds for which a secret stays valid beside the one that takes its place.
DEFAULT_OVERLAP = 86_400
MAX_OVERLAP = 7 * 86_400


#: What a hook document says of secrets, as JSON schemas; `updated_secrets` checks it.
DOCUMENT_KEYS: Mapping[str, Any] = {
    "secret": {
        "anyOf": [
            {"type": "string", "pattern": f"^{_PREFIX}[A-Za-z0-9+/]+={{0,2}}$"},
            {"type": ["boolean", "null"]},
        ],
        "description": f"{_PREFIX} and {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64 to sign requests with; true: made here; null: none",
    },
    "secret_overlap_seconds": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_OVERLAP,
        "default": DEFAULT_OVERLAP,
        "description": "For how long the secret before stays valid",
    },
}


class BadSecret(Exception):
    """What was given for a secret cannot be one; `errors` says why, field by field, and repeats no secret."""

    def __init__(self, errors: FieldErrors) -> None:
        super().__init__(", ".join(sorted(errors)))
        self.errors = errors


def generate_secret() -> str:
    """A fresh secret."""
    return _PREFIX + base64.b64encode(random_secrets.token_bytes(GENERATED_SECRET_BYTES)).decode("ascii")


def _signing_bytes(secret: str) -> bytes:
    """The bytes to sign with; raises ValueError."""
    if not secret.startswith(_PREFIX):
        raise ValueError(f"expected {_PREFIX} followed by base64")
    try:
        raw = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"expected base64 after {_PREFIX}") from None
    if not MIN_SECRET_BYTES <= len(raw) <= MAX_SECRET_BYTES:
        raise ValueError(f"expected {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64 after {_PREFIX}")
    return raw


def updated_secrets(
    given: Mapping[str, Any], known: Sequence[Secret], now: float
) -> tuple[Secret, ...] | None:
    """The secrets that a hook shall have after a document was written; None: those that it has.

    ``secret`` is a secret, true (generate one), or null or false (no signing any more). One that takes another's place leaves it valid
    for ``secret_overlap_seconds``. Raises `BadSecret`.
    """
    if "secret" not in given:
        return None
    asked = given["secret"]
    if asked is None or asked is False:
        return ()
    overlap = _overlap(given.get("secret_overlap_seconds", DEFAULT_OVERLAP))
    fresh = Secret(generate_secret() if asked is True else _validate(asked))
    return (fresh, *_replaced(fresh, known, now, overlap))


def _overlap(given: object) -> int:
    overlap = to_integer(given)
    if overlap is not None and 0 <= overlap <= MAX_OVERLAP:
        return overlap
    rule, target = (
        ("type", "integer")
        if overlap is None
        else ("minimum", 0)
        if overlap < 0
        else ("maximum", MAX_OVERLAP)
    )
    told = {
        "message": f"expected a whole number of seconds from 0 to {MAX_OVERLAP}",
        "target": target,
        "cause": for_display(given),
    }
    raise BadSecret({"secret_overlap_seconds": {rule: told}})


def _replaced(fresh: Secret, known: Sequence[Secret], now: float, overlap: int) -> list[Secret]:
    if not overlap:
        return []
    until = now + overlap
    others = [one for one in known if one.value != fresh.value and (one.expires is None or one.expires > now)]
    return [Secret(one.value, until if one.expires is None else min(one.expires, until)) for one in others][
        : MAX_ACTIVE_SECRETS - 1
    ]


def _validate(asked: object) -> str:
    message = "expected text, or true to have one made"
    if isinstance(asked, str):
        try:
            _signing_bytes(asked)
        except ValueError as error:
            message = str(error)
        else:
            return asked
    raise BadSecret({"secret": {"wrong_format": {"message": message}}})


def signature_headers(known: Sequence[Secret], webhook_id: str, now: float, body: bytes) -> dict[str, str]:
    """``webhook-timestamp`` and ``webhook-signature`` for a body; nothing when no secret is valid. `now` is in Unix seconds."""
    valid = [one for one in known if one.expires is None or one.expires > now]
    if not valid:
        return {}
    timestamp = str(int(now))
    signed = b".".join((webhook_id.encode(), timestamp.encode(), body))
    signatures = (hmac.digest(_signing_bytes(one.value), signed, hashlib.sha256) for one in valid)
    return {
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(
            f"v1,{base64.b64encode(signature).decode('ascii')}" for signature in signatures
        ),
    }
