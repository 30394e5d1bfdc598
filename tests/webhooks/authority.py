"""A certificate authority for tests, and TLS servers with its certificates."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from OpenSSL import SSL, crypto
from twisted.internet.ssl import CertificateOptions

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority. `bundle` is the path of its own certificate."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._signed("Authority of the tests", self.key, self.key, authority=True)
        self.bundle = str(folder / "ca.pem")
        Path(self.bundle).write_bytes(self.certificate.public_bytes(Encoding.PEM))

    def _signed(
        self,
        name: str,
        key: Any,
        by: Any,
        *,
        authority: bool = False,
        until: datetime.datetime = NOW + DAY,
        self_signed: bool = False,
    ) -> x509.Certificate:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        try:
            alternative: Any = x509.IPAddress(ipaddress.ip_address(name))
        except ValueError:
            alternative = x509.DNSName(name if not authority else "ca.example")
        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(name if self_signed or authority else "Authority of the tests"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(until - 3 * DAY)
            .not_valid_after(until)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([alternative]), critical=False)
        )
        return builder.sign(by, hashes.SHA256())

    def issue(self, name: str, *, expired: bool = False, self_signed: bool = False) -> tuple[str, str]:
        """Write a certificate for `name` and its key; return the paths of both."""
        key = ec.generate_private_key(ec.SECP256R1())
        signer = key if self_signed else self.key
        certificate = self._signed(
            name, key, signer, until=NOW - DAY if expired else NOW + DAY, self_signed=self_signed
        )
        stem = f"{name}{'-expired' * expired}{'-self' * self_signed}"
        files = self.folder / f"{stem}.pem", self.folder / f"{stem}.key"
        files[0].write_bytes(certificate.public_bytes(Encoding.PEM))
        files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return str(files[0]), str(files[1])

    def server(self, name: str, *, wants_client: bool = False, newest: int | None = None, **how: Any) -> Any:
        """Return the options of a TLS server; `newest` is its latest TLS version."""
        certificate, key = self.issue(name, **how)
        options = CertificateOptions(
            privateKey=crypto.load_privatekey(crypto.FILETYPE_PEM, Path(key).read_bytes()),
            certificate=crypto.load_certificate(crypto.FILETYPE_PEM, Path(certificate).read_bytes()),
        )
        context = options.getContext()
        if wants_client:
            store: Any = context.get_cert_store()
            store.add_cert(crypto.X509.from_cryptography(self.certificate))
            context.set_verify(
                SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, lambda *results: bool(results[-1])
            )
        if newest is not None:
            context.set_min_proto_version(0)
            context.set_max_proto_version(newest)
            context.set_cipher_list(b"ALL:@SECLEVEL=0")
        return options
