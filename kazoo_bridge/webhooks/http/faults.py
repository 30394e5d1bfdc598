"""Decides whose fault a failed request is."""

from __future__ import annotations

from enum import Enum

from OpenSSL import SSL
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived

from kazoo_bridge.webhooks.egress import BadDestination, EgressDenied, HostNotFound, ProxyFailed
from kazoo_bridge.webhooks.egress.own_faults import is_own_fault
from kazoo_bridge.webhooks.egress.tls import CertificateRefused


class Fault(Enum):
    """Whose fault a failure is.

    `RECEIVER`: the receiver's, or of the hook's URI. The failure counts against the hook, and the request is
    repeated as the hook's retries say.

    `OURS`: this node's, its name server's or its proxy's. The request is repeated later.

    `DEFECT`: an error in this program, or a request that can never be made. Repeating it is no use.
    """

    RECEIVER = "receiver"
    OURS = "ours"
    DEFECT = "defect"


#: Errors with which requests fail by what the receiver, the network or the hook's URI does.
_RECEIVER_ERRORS = (
    BadDestination,
    CertificateRefused,
    ConnectError,
    ConnectionClosed,
    EgressDenied,
    HostNotFound,
    OSError,
    ProxyFailed,
    RequestTransmissionFailed,
    ResponseFailed,
    ResponseNeverReceived,
    SSL.Error,
)

#: Errors with which a request fails before there is a connection to the receiver.
UNREACHABLE_ERRORS = (ConnectError, EgressDenied, HostNotFound, ProxyFailed)


def fault_of(error: BaseException) -> Fault:
    """Return whose fault it is that a request failed with `error`."""
    for one in (error, *_reasons(error)):
        if is_own_fault(one):
            return Fault.OURS
    return Fault.RECEIVER if isinstance(error, _RECEIVER_ERRORS) else Fault.DEFECT


def _reasons(error: BaseException) -> list[BaseException]:
    reasons = getattr(error, "reasons", None)
    values = [reason.value for reason in reasons or () if isinstance(reason, Failure)]
    return [value for value in values if value is not None]
