"""KAZOO's tokens: JSON Web Tokens, signed with a key of the cluster, and with the secret of an identity.

The identity is the device, the user or the account that has logged in. Its signature is the HMAC-SHA256 of
its id with its own secret followed by that of the system, so that a new secret ends all of its tokens. See
``core/kazoo_auth/src/kz_auth_jwt.erl`` and ``kz_auth_identity.erl`` in ``2600hz/kazoo``.
"""

from __future__ import annotations

import binascii
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import jwt
from attrs import field, frozen
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from kazoo_bridge.directory.jwt_claims import ALGORITHMS, ONLY_THE_SIGNATURE, may_be_token, parse_time
from kazoo_bridge.kazoo import is_account_id

#: Characters of the id of a key or an identity; KAZOO's have 32.
MAX_ID_LENGTH = 128

#: Such an id. It becomes a part of a path to CouchDB: none of CouchDB's own documents, which begin with an
#: underscore, and no dots or slashes that a proxy on the way may take for another path.
_ID = re.compile("[0-9A-Za-z][0-9A-Za-z_.:@+-]*")

ISSUER = "kazoo"


@frozen
class KazooToken:
    """What a token claims; nothing of it is verified yet.

    `identity_id`: the id of the document whose secret signs. `identity_signature`: None if it has none, which
    KAZOO accepts. `expires`: Unix seconds. `acts_as`: the account below that it acts for; None: its own.
    `user_id`: the user that it acts as; None: no user.
    """

    text: str = field(repr=False)
    key_id: str
    account_id: str
    identity_id: str
    identity_signature: bytes | None = field(repr=False)
    expires: float
    acts_as: str | None = None
    restrictions: Any = None
    user_id: str | None = None

    def is_signed_by(self, key: RSAPublicKey) -> bool:
        """Verify the signature of the whole token."""
        try:
            jwt.decode(self.text, key, list(ALGORITHMS), ONLY_THE_SIGNATURE)
        except (jwt.PyJWTError, ValueError, TypeError):
            return False
        return True

    def is_of_identity(self, identity_secret: str, system_secret: str) -> bool:
        """Verify the signature of the identity, in constant time. A token without it is not of any."""
        expected = sign_identity(self.identity_id, identity_secret, system_secret)
        return self.identity_signature is not None and hmac.compare_digest(expected, self.identity_signature)


def parse_token(text: str) -> KazooToken | None:
    """Parse a token; None if it is none of KAZOO's, or lacks a claim that it must have."""
    if not may_be_token(text):
        return None
    try:
        parsed = jwt.api_jwt.decode_complete(text, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        # The library parses JSON that any client may have written.
        return None
    header, claims = parsed["header"], parsed["payload"]
    expires = parse_time(claims.get("exp"))
    if header.get("alg") not in ALGORITHMS or claims.get("iss") != ISSUER or expires is None:
        return None
    return _token(text, header.get("kid"), claims, expires)


def mint_token(
    claims: Mapping[str, Any], key_id: str, key: RSAPrivateKey, identity_secret: str, system_secret: str
) -> str:
    """Return a token as KAZOO would: signed with the key, for the identity that `claims` name."""
    signature = sign_identity(_identity(claims) or "", identity_secret, system_secret)
    signed = {"identity_sig": urlsafe_b64encode(signature).rstrip(b"=").decode(), **claims, "iss": ISSUER}
    return jwt.encode(signed, key, "RS256", {"kid": key_id})


def sign_identity(identity_id: str, identity_secret: str, system_secret: str) -> bytes:
    """Return the signature of an identity."""
    return hmac.digest((identity_secret + system_secret).encode(), identity_id.encode(), sha256)


def _token(text: str, key_id: object, claims: Mapping[str, Any], expires: float) -> KazooToken | None:
    account_id, identity_id = claims.get("account_id"), _identity(claims)
    signature = _signature(claims["identity_sig"]) if "identity_sig" in claims else None
    if not is_account_id(account_id) or identity_id is None or not _is_id(key_id):
        return None
    if "identity_sig" in claims and not signature:
        return None
    acts_as, user_id = claims.get("as"), claims.get("owner_id")
    if isinstance(acts_as, dict) and acts_as.get("account_id") and acts_as.get("owner_id"):
        acts_as, user_id = acts_as["account_id"], acts_as["owner_id"]
        if not is_account_id(acts_as):
            return None
    else:
        acts_as = None
    return KazooToken(
        text=text,
        key_id=str(key_id),
        account_id=str(account_id),
        identity_id=identity_id,
        identity_signature=signature,
        expires=expires,
        acts_as=acts_as,
        restrictions=claims.get("restrictions"),
        user_id=str(user_id) if _is_id(user_id) else None,
    )


def _identity(claims: Mapping[str, Any]) -> str | None:
    for name in ("device_id", "owner_id", "account_id"):
        if name in claims:
            return str(claims[name]) if _is_id(claims[name]) else None
    return None


def _is_id(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_ID_LENGTH and _ID.fullmatch(value) is not None


def _signature(value: object) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return urlsafe_b64decode(value.rstrip("=") + "=" * (-len(value.rstrip("=")) % 4))
    except (binascii.Error, ValueError):
        return None
