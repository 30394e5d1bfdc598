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

    `keys` are the hook's, newest first, each with its expiry; keys that expire at or before `now` are
    skipped. If none is left the result is empty. `webhook_id` is the value of the ``webhook-id`` header,
    which the caller sends. `now` is in Unix seconds; its fraction is dropped. `body` is the exact body; for a
    GET it is empty, so that the signature does not cover the query string. ``webhook-signature`` has one
    ``v1,{base64}`` (HMAC) or ``v1a,{base64}`` (ed25519) per key, separated by spaces, in the order of `keys`.
    """
    valid = [key for key, expires in keys if expires is None or expires > now]
    if not valid:
        return {}
    timestamp = str(int(now))
    content = b".".join((webhook_id.encode(), timestamp.encode(), body))
    return {
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(key.sign(content) for key in valid),
    }
