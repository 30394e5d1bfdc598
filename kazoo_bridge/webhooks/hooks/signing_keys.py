"""The keys that sign requests according to Standard Webhooks (https://www.standardwebhooks.com/).

A secret ``whsec_…`` is a shared key for HMAC-SHA256. ``whsk_…`` is a private ed25519 key, whose public key
``whpk_…`` receivers verify with. What follows the prefix is base64.
"""

from __future__ import annotations

import base64
import binascii
import secrets as random_secrets
from binascii import b2a_base64
from hashlib import sha256
from typing import TYPE_CHECKING, Protocol

from attrs import define, field, frozen
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

if TYPE_CHECKING:
    from hashlib import _Hash as _Sha256

HMAC, ED25519 = "hmac", "ed25519"

#: Kinds of signatures, the default first.
SIGNATURES = (HMAC, ED25519)

HMAC_PREFIX, PRIVATE_PREFIX, PUBLIC_PREFIX = "whsec_", "whsk_", "whpk_"

#: The length of a shared secret after base64 decoding, and of one that is generated.
MIN_SECRET_BYTES, MAX_SECRET_BYTES, GENERATED_SECRET_BYTES = 24, 64, 32

#: The length of a private key: the seed, which the public key can follow (the form of libsodium).
_SEED_BYTES, _PAIR_BYTES = 32, 64

#: What HMAC mixes into each byte of the key, for the inner and the outer hash (RFC 2104).
_INNER, _OUTER = (bytes(byte ^ mixed for byte in range(256)) for mixed in (0x36, 0x5C))


class SigningKey(Protocol):
    """Signs requests.

    `kind` is one of `SIGNATURES`; `public_key` is ``whpk_…``, or empty if the key is shared.
    """

    @property
    def kind(self) -> str: ...

    @property
    def public_key(self) -> str: ...

    def sign(self, content: bytes) -> str:
        """Return the signature with its version, as in the header ``webhook-signature``."""


@define
class HmacKey:
    """A shared secret, at most `MAX_SECRET_BYTES` long; see `SigningKey`."""

    _key: bytes = field(repr=False)
    #: The two hashes of HMAC after the padded key. Copying them is faster than to hash the key each time.
    _states: tuple[_Sha256, _Sha256] | None = field(init=False, default=None, eq=False, repr=False)
    kind = HMAC
    public_key = ""

    def sign(self, content: bytes) -> str:
        """See `SigningKey`."""
        if self._states is None:
            # Of 64 bytes, SHA-256's block (RFC 2104).
            padded = self._key.ljust(64, b"\0")
            self._states = sha256(padded.translate(_INNER)), sha256(padded.translate(_OUTER))
        inner, outer = self._states
        inner, outer = inner.copy(), outer.copy()
        inner.update(content)
        outer.update(inner.digest())
        return "v1," + b2a_base64(outer.digest(), newline=False).decode("ascii")


@frozen
class Ed25519Key:
    """A private key; see `SigningKey`."""

    _key: Ed25519PrivateKey = field(repr=False)
    kind = ED25519

    @property
    def public_key(self) -> str:
        """See `SigningKey`."""
        return PUBLIC_PREFIX + _encode(self._key.public_key().public_bytes_raw())

    def sign(self, content: bytes) -> str:
        """See `SigningKey`."""
        return f"v1a,{_encode(self._key.sign(content))}"


def parse_key(secret: str) -> SigningKey:
    """Return the key of a secret; raises ValueError, whose text does not repeat the secret."""
    if secret.startswith(PRIVATE_PREFIX):
        return _parse_private_key(_decode(secret, PRIVATE_PREFIX))
    if not secret.startswith(HMAC_PREFIX):
        raise ValueError(f"expected {HMAC_PREFIX} or {PRIVATE_PREFIX} followed by base64")
    key = _decode(secret, HMAC_PREFIX)
    if not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise ValueError(
            f"expected {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes in base64 after {HMAC_PREFIX}"
        )
    return HmacKey(key)


def generate_secret(kind: str = HMAC) -> str:
    """Return a new random secret for a kind of signature, from the operating system's secure source."""
    if kind == HMAC:
        return HMAC_PREFIX + _encode(random_secrets.token_bytes(GENERATED_SECRET_BYTES))
    key = Ed25519PrivateKey.generate()
    return PRIVATE_PREFIX + _encode(key.private_bytes_raw() + key.public_key().public_bytes_raw())


def _parse_private_key(key: bytes) -> Ed25519Key:
    if len(key) not in (_SEED_BYTES, _PAIR_BYTES):
        raise ValueError(f"expected {_SEED_BYTES} or {_PAIR_BYTES} bytes in base64 after {PRIVATE_PREFIX}")
    private = Ed25519PrivateKey.from_private_bytes(key[:_SEED_BYTES])
    if len(key) == _PAIR_BYTES and key[_SEED_BYTES:] != private.public_key().public_bytes_raw():
        raise ValueError(f"expected the private key and its own public key after {PRIVATE_PREFIX}")
    return Ed25519Key(private)


def _decode(secret: str, prefix: str) -> bytes:
    try:
        return base64.b64decode(secret.removeprefix(prefix), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(f"expected base64 after {prefix}") from None


def _encode(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
