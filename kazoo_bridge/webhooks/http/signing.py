"""Signs requests according to Standard Webhooks.

The specification is at https://www.standardwebhooks.com/. A request is signed with HMAC-SHA256 over
``{webhook-id}.{webhook-timestamp}.{body}``. Each valid secret of the hook adds a signature.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Sequence

from kazoo_bridge.interfaces import Secret
from kazoo_bridge.webhooks.hooks.hook_secrets import signing_key


def signature_headers(secrets: Sequence[Secret], webhook_id: str, now: float, body: bytes) -> dict[str, str]:
    """Return the headers that sign a request: ``webhook-timestamp`` and ``webhook-signature``.

    `secrets` are the hook's, newest first; those that expire at or before `now` are skipped. If none is left
    the result is empty. `webhook_id` is the value of the ``webhook-id`` header, which the caller sends. `now`
    is in Unix seconds; its fraction is dropped. `body` is the exact body; for a GET it is empty, so that the
    signature does not cover the query string. ``webhook-signature`` has one ``v1,{base64}`` per secret,
    separated by spaces, in the order of `secrets`.
    """
    valid = [secret for secret in secrets if secret.expires is None or secret.expires > now]
    if not valid:
        return {}
    timestamp = str(int(now))
    signed = b".".join((webhook_id.encode(), timestamp.encode(), body))
    signatures = (hmac.digest(signing_key(secret.value), signed, hashlib.sha256) for secret in valid)
    return {
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(
            f"v1,{base64.b64encode(signature).decode('ascii')}" for signature in signatures
        ),
    }
