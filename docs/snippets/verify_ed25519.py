"""Verify a webhook that is signed with a key pair, with its public key. Needs `pip install cryptography`."""

import base64
import time

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

TOLERANCE = 5 * 60  # seconds


def verify(public_key: str, headers: dict[str, str], body: bytes) -> bool:
    """Return whether `body` was signed with the key of `public_key`. Names of headers are in lower case."""
    webhook_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key.removeprefix("whpk_")))
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    for one in headers.get("webhook-signature", "").split():
        if one.startswith("v1a,"):
            try:
                key.verify(base64.b64decode(one.removeprefix("v1a,")), signed)
            except (InvalidSignature, ValueError):
                continue
            return True
    return False
