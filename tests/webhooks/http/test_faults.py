from __future__ import annotations

import errno

import pytest
from OpenSSL import SSL
from twisted.internet.error import ConnectBindError, ConnectError, ConnectionLost, ConnectionRefusedError
from twisted.python.failure import Failure
from twisted.web._newclient import RequestGenerationFailed
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from kazoo_bridge.webhooks.egress import BadDestination, EgressDenied, HostNotFound, ProxyFailed
from kazoo_bridge.webhooks.egress.proxy import ProxyUnavailable
from kazoo_bridge.webhooks.egress.resolver import LookupFailed, TooManyLookups
from kazoo_bridge.webhooks.egress.tls import CertificateRefused
from kazoo_bridge.webhooks.http.faults import Fault, fault_of


@pytest.mark.parametrize(
    "error",
    [
        ConnectionRefusedError(),
        ConnectionLost(),
        ResponseFailed([Failure(ValueError())]),
        ResponseNeverReceived([Failure(ConnectionLost())]),
        SSL.Error([]),
        CertificateRefused("it has expired"),
        HostNotFound("no such name"),
        EgressDenied("forbidden"),
        BadDestination("no URI"),
        ProxyFailed("the proxy answers 502"),
        OSError(errno.ECONNRESET, "reset"),
    ],
)
def test_what_a_receiver_does_is_its_fault(error: Exception) -> None:
    assert fault_of(error) is Fault.RECEIVER


@pytest.mark.parametrize(
    "error",
    [
        ConnectBindError(errno.EMFILE, "too many open files"),
        ConnectError(errno.EADDRNOTAVAIL, "no ports"),
        ResponseFailed([Failure(OSError(errno.ENOMEM, "no memory"))]),
        LookupFailed("no answer"),
        TooManyLookups(),
        ProxyUnavailable("the proxy cannot be reached"),
        MemoryError(),
    ],
)
def test_what_this_node_lacks_is_ours(error: BaseException) -> None:
    assert fault_of(error) is Fault.OURS


@pytest.mark.parametrize("error", [KeyError("x"), RequestGenerationFailed([Failure(KeyError())])])
def test_anything_else_is_a_defect(error: Exception) -> None:
    assert fault_of(error) is Fault.DEFECT
