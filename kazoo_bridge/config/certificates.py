"""Whether PEM files can be used, told before anything starts."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key


def certificates(path: str) -> None:
    """A PEM file with at least one certificate, or nothing. Raises ValueError."""
    if path:
        read_certificates(path)


def private_key(path: str) -> None:
    """A PEM file with an unencrypted private key, or nothing. Raises ValueError."""
    if path:
        _public_half(path)


def certificate_pair(certificate: str, key: str) -> None:
    """That the key belongs to the file's first certificate. Raises ValueError."""
    certified = (
        read_certificates(certificate)[0]
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    if _public_half(key) != certified:
        raise ValueError(
            f"expected the key of the first certificate in {certificate!r}, but {key!r} has another one"
        )


def read_certificates(path: str) -> list[x509.Certificate]:
    """Read every certificate of a PEM file, in its order. Raises ValueError naming the file."""
    content = _content(path)
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise ValueError(f"expected a PEM file with a certificate, got {path!r}") from None


def _public_half(path: str) -> bytes:
    content = _content(path)
    try:
        key = load_pem_private_key(content, None)
    except Exception:
        # Whatever else is wrong with it, no more shall be said of a file with a key.
        raise ValueError(
            f"expected a PEM file with a private key that is not encrypted, got {path!r}"
        ) from None
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ValueError(f"expected a PEM file, but {path!r} cannot be read: {error.strerror}") from None
