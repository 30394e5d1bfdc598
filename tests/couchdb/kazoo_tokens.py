"""Mints tokens as KAZOO does, step by step as its code, without the code under test.

See ``core/kazoo_auth/src/kz_auth_jwt.erl`` (``encode``) and ``kz_auth_identity.erl`` (``sign``) in
``2600hz/kazoo``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from functools import cache
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

_HASHES: dict[str, hashes.HashAlgorithm] = {
    "RS256": hashes.SHA256(),
    "RS384": hashes.SHA384(),
    "RS512": hashes.SHA512(),
}


def rsa_key(name: str = "system", bits: int = 2048) -> rsa.RSAPrivateKey:
    """Return a key, the same for the same name."""
    return _rsa_key(name, bits)


@cache
def _rsa_key(_name: str, bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


def to_pem(key: rsa.RSAPrivateKey) -> bytes:
    """Return a key as KAZOO stores it: PKCS#1."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())


def base64url(raw: bytes) -> str:
    """Encode as ``kz_base64url`` does: without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def identity_signature(identity_id: str, identity_secret: str, system_secret: str) -> str:
    """Return the claim ``identity_sig``."""
    key = (identity_secret + system_secret).encode()
    return base64url(hmac.new(key, identity_id.encode(), hashlib.sha256).digest())


def encode_token(header: dict[str, Any], claims: Any, key: rsa.RSAPrivateKey | None) -> str:
    """Return header and claims, signed; with an empty signature without a key."""
    signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
    signature = b""
    if key is not None:
        algorithm = _HASHES.get(header.get("alg", ""), hashes.SHA256())
        signature = key.sign(signed.encode(), padding.PKCS1v15(), algorithm)
    return f"{signed}.{base64url(signature)}"
