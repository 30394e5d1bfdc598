"""The secrets with which the requests of a hook are signed: validates, generates, replaces and expires them.

A secret is ``whsec_…`` or ``whsk_…``, see `signing_keys`. A hook can have several valid secrets while one is
being replaced.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from kazoo_bridge.interfaces import InvalidDocument, Secret
from kazoo_bridge.json_numbers import to_integer
from kazoo_bridge.schema_errors import field_error
from kazoo_bridge.text_sanitizing import for_display
from kazoo_bridge.webhooks.hooks.signing_keys import (
    HMAC,
    HMAC_PREFIX,
    MAX_SECRET_BYTES,
    MIN_SECRET_BYTES,
    PRIVATE_PREFIX,
    SIGNATURES,
    generate_secret,
    parse_key,
)

#: Secrets of one hook that are valid at the same time: the newest, and those it is replacing.
MAX_ACTIVE_SECRETS = 3

#: Seconds that a replaced secret stays valid beside the new one.
DEFAULT_OVERLAP = 86_400
MAX_OVERLAP = 7 * 86_400

#: JSON schemas of the keys of a hook document that concern secrets. `updated_secrets` validates them.
SECRET_PROPERTIES: Mapping[str, Any] = {
    "secret": {
        "anyOf": [
            {"type": "string", "pattern": f"^({HMAC_PREFIX}|{PRIVATE_PREFIX})[A-Za-z0-9+/]+={{0,2}}$"},
            {"type": ["boolean", "null"]},
        ],
        "description": f"{HMAC_PREFIX} and {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64 to sign"
        f" requests with, or {PRIVATE_PREFIX} and a private ed25519 key; true: make one; null: no signing",
    },
    "signature": {
        "type": "string",
        "enum": list(SIGNATURES),
        "description": "The kind of secret that is generated or given; without it the current one, or hmac",
    },
    "secret_overlap_seconds": {
        "type": "integer",
        "minimum": 0,
        "maximum": MAX_OVERLAP,
        "default": DEFAULT_OVERLAP,
        "description": "How long the replaced secret stays valid",
    },
}


def updated_secrets(
    document: Mapping[str, Any], current: Sequence[Secret], now: float
) -> tuple[Secret, ...] | None:
    """Return the secrets of a hook after `document` is written; None if it leaves them as they are.

    ``secret`` in `document` is a new secret, true to generate one of the kind ``signature`` (without it, of
    the kind of the current one), or null or false to end signing; without it nothing changes. The result has
    the new secret first. The `current` secrets that have not expired follow: each expires
    ``secret_overlap_seconds`` after `now` (Unix seconds) or at its own expiry, whichever is earlier. At most
    `MAX_ACTIVE_SECRETS` remain; an overlap of 0 keeps the new one only.

    Raises `InvalidDocument`, whose errors contain no secret; also for a ``signature`` without a ``secret``
    that is not the kind of the current one.
    """
    kind = _parse_signature(document.get("signature"))
    current_kind = parse_key(current[0].value).kind if current else None
    if "secret" not in document:
        if kind not in (None, current_kind):
            raise InvalidDocument(field_error("secret", "required", "expected true, for a new secret"))
        return None
    requested = document["secret"]
    if requested is None or requested is False:
        return ()
    overlap = _parse_overlap(document.get("secret_overlap_seconds", DEFAULT_OVERLAP))
    made = generate_secret(kind or current_kind or HMAC) if requested is True else _validate(requested, kind)
    new = Secret(made)
    return (new, *_replaced(new, current, now, overlap))


def _parse_signature(given: object) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or given not in SIGNATURES:
        target = list(SIGNATURES)
        raise InvalidDocument(field_error("signature", "enum", target=target, cause=for_display(given)))
    return given


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


def _validate(secret: object, kind: str | None) -> str:
    message = "expected text, or true to have one made"
    if isinstance(secret, str):
        try:
            found = parse_key(secret).kind
        except ValueError as error:
            message = str(error)
        else:
            if kind is None or kind == found:
                return secret
            message = f"expected a secret for {kind}, which signature asks for"
    # No cause: it would repeat the secret.
    raise InvalidDocument(field_error("secret", "wrong_format", message))


def signature_form(secrets: Sequence[Secret]) -> dict[str, Any]:
    """Return what clients may see of a hook's secrets: ``signed``, ``signature`` and ``public_key``.

    The result is empty if there are none. A shared secret has no public key.
    """
    if not secrets:
        return {}
    key = parse_key(secrets[0].value)
    form = {"signed": True, "signature": key.kind}
    return form | ({"public_key": key.public_key} if key.public_key else {})
