from __future__ import annotations

import errno

import pytest
from OpenSSL import SSL
from twisted.internet.error import (
    ConnectError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.python.failure import Failure
from twisted.web.client import ResponseFailed, ResponseNeverReceived

from kazoo_bridge.webhooks.egress import BadDestination, EgressDenied, HostNotFound, ProxyFailed
from kazoo_bridge.webhooks.egress.receiver_response import HeadTooLong, MalformedResponse
from kazoo_bridge.webhooks.egress.tls import CertificateRefused
from kazoo_bridge.webhooks.http.failure_reasons import FAILURE_REASONS, reason_of_error, reason_of_status


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (EgressDenied("forbidden"), "blocked"),
        (BadDestination("no URI"), "blocked"),
        (HostNotFound("no such name"), "host_not_found"),
        (ProxyFailed("the proxy answers 502"), "proxy"),
        (CertificateRefused("it has expired"), "tls"),
        (ResponseNeverReceived([Failure(SSL.Error([]))]), "tls"),
        (ConnectionRefusedError(), "refused"),
        (TimeoutError(), "timeout"),
        (ConnectError(errno.EHOSTUNREACH, "no way"), "unreachable"),
        (ConnectionLost(), "connection_lost"),
        (ResponseFailed([Failure(ResponseNeverReceived([Failure(ConnectionDone())]))]), "connection_lost"),
        (OSError(errno.ECONNRESET, "reset"), "connection_lost"),
        (ResponseFailed([Failure(MalformedResponse())]), "invalid_response"),
        (ResponseFailed([Failure(HeadTooLong())]), "invalid_response"),
        (ConnectError(errno.EMFILE, "too many open files"), "own_fault"),
        (KeyError("x"), "defect"),
    ],
)
def test_an_error_has_one_of_the_reasons(error: Exception, reason: str) -> None:
    assert reason_of_error(error) == reason
    assert reason in FAILURE_REASONS


@pytest.mark.parametrize(
    ("status", "reason"),
    [(204, "2xx"), (302, "3xx"), (404, "4xx"), (503, "5xx"), (100, "1xx"), (999, "other")],
)
def test_a_status_has_the_reason_of_its_class(status: int, reason: str) -> None:
    assert reason_of_status(status) == reason
    assert reason in FAILURE_REASONS
