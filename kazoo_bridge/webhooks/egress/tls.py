"""TLS to receivers: verified against the host's name, version 1.2 or later, and with a reason in words when it fails."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attrs import frozen
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL, crypto
from service_identity import VerificationError
from service_identity.pyopenssl import verify_hostname, verify_ip_address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import CertificateOptions, TLSVersion, platformTrust
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.config.certificates import read_certificates
from kazoo_bridge.ip_addresses import is_ip_address

_log = Logger()

#: OpenSSL's numbers for what is wrong with a certificate.
_REASONS = {
    9: "it is not valid yet",
    10: "it has expired",
    18: "it is self-signed",
    19: "its chain ends in a self-signed certificate that is not trusted",
    20: "its issuer is not known",
    21: "its chain is incomplete",
    23: "it has been revoked",
    26: "it is not meant for servers",
}


class CertificateRefused(Exception):
    """The receiver's certificate does not prove that it is the receiver."""


@frozen
class TlsClient:
    """Makes the client's side of TLS. One context serves all hosts: loading the system's roots costs milliseconds."""

    _context: SSL.Context

    @classmethod
    def from_config(
        cls, ca_bundle: str = "", client_certificate: str = "", client_key: str = ""
    ) -> TlsClient:
        """Read the files, which the configuration has checked.

        `ca_bundle` is trusted beside the system's roots; `client_certificate` (with its chain, and its key unless `client_key` has that)
        is shown to receivers that ask for one.
        """
        options: dict[str, Any] = {}
        if client_certificate:
            first, *chain = _read_certificates(client_certificate)
            key = load_pem_private_key(Path(client_key or client_certificate).read_bytes(), None)
            private: Any = key
            options = {
                "privateKey": crypto.PKey.from_cryptography_key(private),
                "certificate": first,
                "extraCertChain": chain,
            }
        context = CertificateOptions(
            trustRoot=platformTrust(), raiseMinimumTo=TLSVersion.TLSv1_2, **options
        ).getContext()
        if ca_bundle:
            store: Any = context.get_cert_store()
            for certificate in _read_certificates(ca_bundle):
                store.add_cert(certificate)
        return cls(context)

    def for_host(self, host: str) -> IOpenSSLClientConnectionCreator:
        """For connections to this host: its name is sent (an address is not), and its certificate must be for it."""
        return _Creator(self._context, host)


def _read_certificates(path: str) -> list[crypto.X509]:
    return [crypto.X509.from_cryptography(one) for one in read_certificates(path)]


@implementer(IOpenSSLClientConnectionCreator)
@frozen
class _Creator:
    context: SSL.Context
    host: str

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """A connection that fails its handshake unless the certificate is good."""
        connection = SSL.Connection(self.context, None)
        if not is_ip_address(self.host):
            connection.set_tlsext_host_name(self.host.encode("ascii"))
        connection.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verifier(weakref.ref(tlsProtocol), self.host)
        )
        return connection


class _PeerCertificate:
    """A certificate in the middle of a handshake, as service_identity takes it."""

    def __init__(self, certificate: crypto.X509) -> None:
        self._certificate = certificate

    def get_peer_certificate(self, **_: Any) -> crypto.X509:
        return self._certificate


def _problem(host: str, certificate: crypto.X509, error: int, depth: int, ok: bool) -> str:
    if not ok:
        return _REASONS.get(error, f"verification fails with OpenSSL's error {error}")
    if depth == 0:
        shown: Any = _PeerCertificate(certificate)
        try:
            (verify_ip_address if is_ip_address(host) else verify_hostname)(shown, host)
        except VerificationError:
            return "it is for another host"
    return ""


def _verifier(protocol: weakref.ref[Any], host: str) -> Callable[[Any, crypto.X509, int, int, int], bool]:
    def verify(_: Any, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
        # An exception would vanish in OpenSSL, and the handshake go on.
        try:
            problem = _problem(host, certificate, error, depth, bool(ok))
        except Exception:
            _log.failure("the certificate of {host} cannot be judged", host=host)
            problem = "it cannot be read"
        tls = protocol()
        if problem and tls is not None:
            tls.failVerification(
                Failure(CertificateRefused(f"the certificate of {host} is refused: {problem}"))
            )
        return not problem

    return verify
