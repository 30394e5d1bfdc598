"""RSA keys for tests; they take a moment to make, so all tests share them."""

from __future__ import annotations

import json
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import RSAAlgorithm

FIRST, SECOND, SMALL = (generate_private_key(65537, bits) for bits in (2048, 2048, 1024))


def to_pem(key: RSAPrivateKey) -> str:
    """Return the public half of a key."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def to_private_pem(key: RSAPrivateKey) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


def to_jwk(key: RSAPrivateKey, key_id: str) -> dict[str, Any]:
    """Return the public half of a key as an entry of a JSON Web Key Set."""
    entry: dict[str, Any] = json.loads(RSAAlgorithm.to_jwk(key.public_key()))
    return entry | {"kid": key_id, "use": "sig"}
