"""Reads and checks the PEM files that the configuration names.

All errors are ValueErrors that name the path.
"""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


def read_certificates(path: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM file, at least one.

    Raises ValueError if the file cannot be read or contains no certificate.
    """
    content = _read(path)
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise ValueError(f"expected a PEM file with a certificate, got {path!r}") from None


def check_certificates(path: str) -> None:
    """Check that `path` is empty, or a PEM file with at least one certificate. Raises ValueError."""
    if path:
        read_certificates(path)


def check_private_key(path: str) -> None:
    """Check that `path` is empty, or a PEM file with an unencrypted private key. Raises ValueError."""
    if path:
        _read_public_key(path)


def check_key_pair(certificate_path: str, key_path: str) -> None:
    """Check that the private key belongs to the first certificate. Raises ValueError."""
    certificate = read_certificates(certificate_path)[0]
    certified = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    if _read_public_key(key_path) != certified:
        raise ValueError(
            f"expected the key of the first certificate in {certificate_path!r}, "
            f"but {key_path!r} has another one"
        )


def _read_public_key(key_path: str) -> bytes:
    """Return the public key that belongs to a private key, in DER form."""
    content = _read(key_path)
    try:
        key = load_pem_private_key(content, None)
    except Exception:
        # The original error might contain a part of the key.
        raise ValueError(
            f"expected a PEM file with a private key that is not encrypted, got {key_path!r}"
        ) from None
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"expected a PEM file, but {path!r} cannot be read: {error.strerror}") from None
