from __future__ import annotations

import pytest
from OpenSSL import SSL
from twisted.internet.error import (
    ConnectBindError,
    ConnectingCancelledError,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    TimeoutError,
)
from twisted.python.failure import Failure
from twisted.web.client import RequestTransmissionFailed, ResponseFailed

from kazoo_bridge.webhooks.egress import EgressDenied
from kazoo_bridge.webhooks.egress.receiver_response import HeadTooLong
from kazoo_bridge.webhooks.http.error_messages import describe_error


def response_failed(*reasons: Exception) -> ResponseFailed:
    return ResponseFailed([Failure(reason) for reason in reasons])


@pytest.mark.parametrize(
    ("error", "description"),
    [
        (ConnectionRefusedError("secret"), "ConnectionRefusedError: the receiver refuses connections"),
        (TimeoutError("secret"), "TimeoutError: no connection within the time for connecting"),
        (ConnectBindError("secret"), "ConnectBindError: the service can open no connection at the moment"),
        (ConnectingCancelledError(None), "ConnectingCancelledError: the receiver cannot be reached"),
        (EgressDenied("webhooks may not go to x"), "EgressDenied: webhooks may not go to x"),
        (
            response_failed(ConnectionDone()),
            "ConnectionDone: the receiver closed the connection before its answer was complete",
        ),
        (
            RequestTransmissionFailed([Failure(ConnectionLost())]),
            "ConnectionLost: the receiver closed the connection before its answer was complete",
        ),
        (
            response_failed(HeadTooLong(), ConnectionDone()),
            "HeadTooLong: the answer's headers are longer than 32 KiB",
        ),
        (response_failed(ValueError("secret")), "ValueError: the answer is not HTTP/1.1"),
        (
            response_failed(response_failed(ConnectionLost())),
            "ConnectionLost: the receiver closed the connection before its answer was complete",
        ),
        (
            response_failed(
                SSL.Error([("SSL routines", "", "wrong version number"), ("a", "b", "other"), "text", (1, 2)])
            ),
            "ResponseFailed: TLS fails: wrong version number, other",
        ),
        (response_failed(SSL.Error()), "ResponseFailed: TLS fails: the receiver ended the handshake"),
    ],
)
def test_errors_are_described_without_what_the_receiver_has_sent(error: Exception, description: str) -> None:
    assert describe_error(error) == description


def test_a_description_is_at_most_300_characters_long() -> None:
    assert len(describe_error(EgressDenied("x" * 1000))) == 300
