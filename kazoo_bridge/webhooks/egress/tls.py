"""TLS to receivers: version 1.2 or later, with the certificate verified against the host.

A refused certificate fails the request with `CertificateRefused`, whose text says why.
"""

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

#: OpenSSL's X509_V_ERR_* numbers.
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
    """The certificate of the receiver is not trusted, not valid now, or for another host."""


@frozen
class TlsClient:
    """The client's side of TLS.

    All hosts share one context, as loading the system's authorities takes milliseconds.
    """

    _context: SSL.Context

    @classmethod
    def from_config(
        cls, ca_bundle: str = "", client_certificate: str = "", client_key: str = ""
    ) -> TlsClient:
        """Read the PEM files of ``egress.ca_bundle``, ``client_certificate`` and ``client_key``.

        An empty text is no file. The authorities of `ca_bundle` are trusted in addition to the system's. The
        first certificate of `client_certificate`, followed by its chain, is presented to receivers that
        request one; its key is read from `client_key`, or from the same file if that is empty.

        Raises ValueError for unusable files; the configuration has checked them.
        """
        options: dict[str, Any] = {}
        if client_certificate:
            first, *chain = _load_certificates(client_certificate)
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
            for certificate in _load_certificates(ca_bundle):
                store.add_cert(certificate)
        return cls(context)

    def for_host(self, host: str) -> IOpenSSLClientConnectionCreator:
        """Return a connection creator for `host`, a name or a numeric address.

        The name is sent as SNI (an address is not), and the receiver's certificate must be for `host`. There
        is no option that turns verification off.
        """
        return _ConnectionCreator(self._context, host)


def _load_certificates(path: str) -> list[crypto.X509]:
    return [crypto.X509.from_cryptography(certificate) for certificate in read_certificates(path)]


@implementer(IOpenSSLClientConnectionCreator)
@frozen
class _ConnectionCreator:
    context: SSL.Context
    host: str

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        """Return a connection whose handshake fails unless the certificate is accepted."""
        connection = SSL.Connection(self.context, None)
        if not is_ip_address(self.host):
            connection.set_tlsext_host_name(self.host.encode("ascii"))
        connection.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, _verifier(weakref.ref(tlsProtocol), self.host)
        )
        return connection


class _PeerCertificate:
    """Presents a certificate to service_identity, which expects a connection after its handshake."""

    def __init__(self, certificate: crypto.X509) -> None:
        self._certificate = certificate

    def get_peer_certificate(self, **_: Any) -> crypto.X509:
        return self._certificate


def _refusal_reason(host: str, certificate: crypto.X509, error: int, depth: int, ok: bool) -> str:
    if not ok:
        return _REASONS.get(error, f"verification fails with OpenSSL's error {error}")
    if depth == 0:
        peer: Any = _PeerCertificate(certificate)
        try:
            (verify_ip_address if is_ip_address(host) else verify_hostname)(peer, host)
        except VerificationError:
            return "it is for another host"
    return ""


def _verifier(protocol: weakref.ref[Any], host: str) -> Callable[[Any, crypto.X509, int, int, int], bool]:
    def verify(_: Any, certificate: crypto.X509, error: int, depth: int, ok: int) -> bool:
        # pyOpenSSL drops exceptions of this callback, and the handshake would continue.
        try:
            reason = _refusal_reason(host, certificate, error, depth, bool(ok))
        except Exception:
            _log.failure("certificate verification failed unexpectedly host={host}", host=host)
            reason = "it cannot be read"
        tls = protocol()
        if reason and tls is not None:
            tls.failVerification(
                Failure(CertificateRefused(f"the certificate of {host} is refused: {reason}"))
            )
        return not reason

    return verify
