"""Names why attempts fail, for metrics: a few words that group the texts of `error_messages`."""

from __future__ import annotations

from collections.abc import Iterator

from OpenSSL import SSL
from twisted.internet.error import (
    ConnectError,
    ConnectingCancelledError,
    ConnectionClosed,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.python.failure import Failure

from kazoo_bridge.webhooks.egress import BadDestination, EgressDenied, HostNotFound, ProxyFailed
from kazoo_bridge.webhooks.egress.tls import CertificateRefused
from kazoo_bridge.webhooks.http.faults import Fault, fault_of

TIMEOUT = "timeout"
INVALID_RESPONSE = "invalid_response"
OTHER = "other"

#: Classes of statuses, by their hundreds.
_STATUS_CLASSES = {hundreds: f"{hundreds}xx" for hundreds in range(1, 6)}

#: Classes of errors and their reasons; the first that matches counts.
_BY_ERROR: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], str], ...] = (
    ((EgressDenied, BadDestination), "blocked"),
    (HostNotFound, "host_not_found"),
    (ProxyFailed, "proxy"),
    ((CertificateRefused, SSL.Error), "tls"),
    (ConnectionRefusedError, "refused"),
    (TimeoutError, TIMEOUT),
    ((ConnectError, ConnectingCancelledError), "unreachable"),
    ((ConnectionClosed, OSError), "connection_lost"),
)

#: All reasons.
FAILURE_REASONS = (
    TIMEOUT,
    "blocked",
    "host_not_found",
    "proxy",
    "tls",
    "refused",
    "unreachable",
    "connection_lost",
    INVALID_RESPONSE,
    "own_fault",
    "defect",
    *_STATUS_CLASSES.values(),
    OTHER,
)


def reason_of_error(error: BaseException) -> str:
    """Return which of `FAILURE_REASONS` it is that a request failed with `error`, without a response."""
    fault = fault_of(error)
    if fault is Fault.OURS:
        return "own_fault"
    if fault is Fault.DEFECT:
        return "defect"
    for one in _with_reasons(error):
        for kinds, reason in _BY_ERROR:
            if isinstance(one, kinds):
                return reason
    return INVALID_RESPONSE


def reason_of_status(status: int) -> str:
    """Return the reason of a failure by the status of the response."""
    return _STATUS_CLASSES.get(status // 100, OTHER)


def _with_reasons(error: BaseException) -> Iterator[BaseException]:
    """Yield an error, and what it was raised for."""
    yield error
    for reason in getattr(error, "reasons", None) or ():
        if isinstance(reason, Failure) and reason.value is not None:
            yield from _with_reasons(reason.value)
