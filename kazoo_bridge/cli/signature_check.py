"""Verifies the signatures of webhooks (https://www.standardwebhooks.com/), as receivers do."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable, Mapping

from attrs import field, frozen
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from kazoo_bridge.webhooks.hooks.signing_keys import PUBLIC_PREFIX, parse_key

#: Seconds between the signature and now, at most.
TOLERANCE = 5 * 60


@frozen
class SignatureCheck:
    """Checks requests with one key. `verify` receives the signed content and one signature."""

    _verify: Callable[[bytes, str], bool] = field(repr=False)

    @classmethod
    def parse(cls, key: str) -> SignatureCheck:
        """Make the check for a secret (``whsec_…``, ``whsk_…``) or a public key (``whpk_…``).

        Raises ValueError, whose text does not repeat the key.
        """
        if not key.startswith(PUBLIC_PREFIX):
            signing = parse_key(key)
            if not signing.public_key:
                return cls(
                    lambda content, given: hmac.compare_digest(signing.sign(content).encode(), given.encode())
                )
            key = signing.public_key
        try:
            public = Ed25519PublicKey.from_public_bytes(
                base64.b64decode(key.removeprefix(PUBLIC_PREFIX), validate=True)
            )
        except ValueError:
            raise ValueError(f"expected 32 bytes in base64 after {PUBLIC_PREFIX}") from None
        return cls(lambda content, given: _is_valid(public, content, given))

    def problem(self, headers: Mapping[str, str], body: bytes, now: float) -> str | None:
        """Return why a request is not to be trusted; None: its signature is valid.

        Names of headers are in lower case; `now` is in Unix seconds.
        """
        timestamp, signatures = headers.get("webhook-timestamp", ""), headers.get("webhook-signature", "")
        if not signatures:
            return "INVALID: there is none"
        if not timestamp.isdecimal():
            return "INVALID: webhook-timestamp is no time"
        content = f"{headers.get('webhook-id', '')}.{timestamp}.".encode() + body
        if not any(self._verify(content, one) for one in signatures.split()):
            return "INVALID: it was made with another key, or of another request"
        age = now - int(timestamp)
        if abs(age) > TOLERANCE:
            return f"valid, but {abs(age):.0f} seconds {'old' if age > 0 else 'in the future'}: refuse it"
        return None


def _is_valid(key: Ed25519PublicKey, content: bytes, given: str) -> bool:
    version, _, signature = given.partition(",")
    try:
        key.verify(base64.b64decode(signature, validate=True), content)
    except (ValueError, InvalidSignature):
        return False
    return version == "v1a"
