"""Signs requests according to Standard Webhooks.

The specification is at https://www.standardwebhooks.com/. The signed content is
``{webhook-id}.{webhook-timestamp}.{body}``. Each valid secret of the hook adds a signature.
"""

from __future__ import annotations

from collections.abc import Iterable

from kazoo_bridge.webhooks.hooks.signing_keys import SigningKey


def signature_headers(
    keys: Iterable[tuple[SigningKey, float | None]], webhook_id: str, now: float, body: bytes
) -> dict[str, str]:
    """Return the headers that sign a request: ``webhook-timestamp`` and ``webhook-signature``.

    They have the values that `sign` returns; if it returns None there are none.
    """
    signed = sign(keys, webhook_id, now, body)
    return {} if signed is None else {"webhook-timestamp": signed[0], "webhook-signature": signed[1]}


def sign(
    keys: Iterable[tuple[SigningKey, float | None]], webhook_id: str, now: float, body: bytes
) -> tuple[str, str] | None:
    """Return the values of the headers ``webhook-timestamp`` and ``webhook-signature``.

    `keys` are the hook's, newest first, each with its expiry; keys that expire at or before `now` are
    skipped. If none is left the result is None. `webhook_id` is the value of the ``webhook-id`` header,
    which the caller sends. `now` is in Unix seconds; its fraction is dropped. `body` is the exact body; for a
    GET it is empty, so that the signature does not cover the query string. The signature has one
    ``v1,{base64}`` (HMAC) or ``v1a,{base64}`` (ed25519) per key, separated by spaces, in the order of `keys`.
    """
    timestamp = str(int(now))
    content = f"{webhook_id}.{timestamp}.".encode() + body
    signatures = ""
    for key, expires in keys:
        if expires is None or expires > now:
            signature = key.sign(content)
            signatures = f"{signatures} {signature}" if signatures else signature
    return (timestamp, signatures) if signatures else None
