"""Verify a signed webhook: only the standard library is needed."""

import base64
import hashlib
import hmac
import time

TOLERANCE = 5 * 60  # seconds


def verify(secret: str, headers: dict[str, str], body: bytes) -> bool:
    """Return whether `body` was signed with `secret`. Names of headers are in lower case."""
    webhook_id = headers.get("webhook-id", "")
    timestamp = headers.get("webhook-timestamp", "")
    if not timestamp.isdigit() or abs(time.time() - int(timestamp)) > TOLERANCE:
        return False
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{webhook_id}.{timestamp}.".encode() + body
    expected = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    given = [
        one.removeprefix("v1,")
        for one in headers.get("webhook-signature", "").split()
        if one.startswith("v1,")
    ]
    return any(hmac.compare_digest(expected.encode(), one.encode()) for one in given)


class Seen:
    """Detects duplicates. Store the ids where all your processes see them, for some days."""

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def is_new(self, webhook_id: str) -> bool:
        if webhook_id in self._ids:
            return False
        self._ids.add(webhook_id)
        return True
