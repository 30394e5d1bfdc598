"""Reads the public keys that verify tokens: one RSA key in PEM form, or a JSON Web Key Set.

All errors are ValueErrors that name the path, and repeat no part of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt import PyJWK
from jwt.exceptions import PyJWTError

#: Bytes of a file with keys.
MAX_FILE_BYTES = 1_048_576

#: Keys of one file.
MAX_KEYS = 1000

#: Bits of a key.
MIN_KEY_BITS, MAX_KEY_BITS = 2048, 8192

#: The id of the only key of a PEM file: it verifies tokens whatever ``kid`` they name.
ANY_KEY = ""


def read_public_keys(path: str) -> Mapping[str, RSAPublicKey]:
    """Return the RSA keys of a file by their ids (``kid``); the key of a PEM file has the id `ANY_KEY`.

    Keys of a set that are not RSA keys, or are for encryption, are left out. Raises ValueError.
    """
    content = _read(path)
    keys = _parse_pem(content, path) if b"-----BEGIN" in content else _parse_set(content, path)
    for key in keys.values():
        if not MIN_KEY_BITS <= key.key_size <= MAX_KEY_BITS:
            raise ValueError(
                f"expected RSA keys of {MIN_KEY_BITS} to {MAX_KEY_BITS} bits, but {path!r} has one of "
                f"{key.key_size}"
            )
    return keys


def check_public_keys(path: str) -> None:
    """Check that `path` is empty, or a file that `read_public_keys` reads. Raises ValueError."""
    if path:
        read_public_keys(path)


def _parse_pem(content: bytes, path: str) -> Mapping[str, RSAPublicKey]:
    try:
        if b"-----BEGIN CERTIFICATE-----" in content:
            key: Any = x509.load_pem_x509_certificate(content).public_key()
        else:
            key = load_pem_public_key(content)
    except Exception:
        # The original error might contain a part of the file.
        raise ValueError(
            f"expected a PEM file with one public key (or certificate), got {path!r}; a private key belongs "
            "to the issuer alone"
        ) from None
    if not isinstance(key, RSAPublicKey):
        raise ValueError(f"expected an RSA key, but {path!r} has a key of another kind")
    return {ANY_KEY: key}


def _parse_set(content: bytes, path: str) -> Mapping[str, RSAPublicKey]:
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError:
        document = None
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError(f'expected a PEM file or a JSON Web Key Set ({{"keys": […]}}), got {path!r}')
    if len(entries) > MAX_KEYS:
        raise ValueError(f"expected at most {MAX_KEYS} keys, but {path!r} has {len(entries)}")
    keys: dict[str, RSAPublicKey] = {}
    for entry in entries:
        if not isinstance(entry, dict) or entry.get("kty") != "RSA" or entry.get("use", "sig") != "sig":
            continue
        key_id = entry.get("kid")
        if not isinstance(key_id, str) or not key_id or key_id in keys:
            raise ValueError(f"expected a kid of its own for each RSA key in {path!r}")
        keys[key_id] = _to_public_key(entry, path)
    if not keys:
        raise ValueError(f"expected at least one RSA key for signatures in {path!r}")
    return keys


def _to_public_key(entry: Mapping[str, Any], path: str) -> RSAPublicKey:
    public = {name: entry[name] for name in ("kty", "n", "e") if name in entry}
    try:
        key = PyJWK.from_dict(public, algorithm="RS256").key
    except (PyJWTError, ValueError, TypeError):
        key = None
    if not isinstance(key, RSAPublicKey):
        raise ValueError(f"expected the members n and e of an RSA key in base64url in {path!r}")
    return key


def _read(path: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(
            f"expected a PEM file or a JSON Web Key Set, but {path!r} cannot be read: {error.strerror}"
        ) from None
    if len(content) > MAX_FILE_BYTES:
        raise ValueError(f"expected a file of at most {MAX_FILE_BYTES} bytes, got {path!r}")
    return content
