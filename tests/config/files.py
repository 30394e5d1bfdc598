"""Files for tests of the configuration."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from kazoo_bridge.config import ConfigError, load


def errors_of(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> tuple[str, ...]:
    """Return the errors of a configuration file with this text."""
    path = tmp_path / "bridge.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(str(path), environ or {})
    return caught.value.errors


def install_certificate(folder: Path, name: str) -> None:
    """Write a certificate for `name` to ``cert.pem`` and its key to ``key.pem``, over former ones."""
    (folder / name).mkdir()
    certificate, key = make_certificate(folder / name, name)
    Path(certificate).replace(folder / "cert.pem")
    Path(key).replace(folder / "key.pem")


def shown_name(port: int) -> str:
    """Connect to a port of loopback, and return the name in the server's certificate."""
    certificate = x509.load_pem_x509_certificate(ssl.get_server_certificate(("127.0.0.1", port)).encode())
    return certificate.subject.rfc4514_string()


def make_certificate(folder: Path, name: str) -> tuple[str, str]:
    """Write a self-signed certificate and its key into two files; return their paths."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    files = folder / f"{name}.pem", folder / f"{name}.key"
    files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
    files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return str(files[0]), str(files[1])
