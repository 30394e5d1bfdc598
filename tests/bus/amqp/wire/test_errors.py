"""Why a channel or connection ended: the exception, and the text for operators."""

from __future__ import annotations

import pytest
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet import error as network
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from txamqp.client import ChannelClosed, Closed
from txamqp.connection import Frame

from kazoo_bridge.bus.amqp.wire.errors import (
    BrokerClosedChannel,
    BrokerClosedConnection,
    ConnectionGone,
    close_error,
    closed_as_result,
    lacks_queue_type,
    reason_text,
)
from kazoo_bridge.bus.amqp.wire.frame_writer import unpack
from tests.bus.amqp.fake_broker import SPEC, failure_of, method, result_of


class FakeMessage:
    """A received method like txAMQP passes it on."""

    def __init__(self, frame: Frame) -> None:
        self.method = frame.payload.method
        self.reply_code, self.reply_text, *_ = frame.payload.args


def closing(name: str, code: int, text: str) -> FakeMessage:
    return FakeMessage(unpack(SPEC, method(name, code, text, 0, 0)))


def test_a_close_method_becomes_the_exception_of_its_class() -> None:
    channel = close_error(closing("channel.close", 404, "NOT_FOUND - größe"))
    assert isinstance(channel, BrokerClosedChannel)
    assert (channel.code, channel.text, str(channel)) == (404, "NOT_FOUND - größe", "404 NOT_FOUND - größe")
    connection = close_error(closing("connection.close", 320, "CONNECTION_FORCED"))
    assert isinstance(connection, BrokerClosedConnection)
    assert connection.code == 320


def test_txamqps_exceptions_are_unwrapped() -> None:
    inner = closing("channel.close", 406, "no")
    assert isinstance(close_error(ChannelClosed(inner)), BrokerClosedChannel)
    assert isinstance(close_error(Closed(ChannelClosed(inner))), BrokerClosedChannel)
    own = ConnectionGone("own")
    assert close_error(own) is own
    assert close_error(Failure(own)) is own


@pytest.mark.parametrize("reason", [network.ConnectionDone(), Failure(network.ConnectionDone())])
def test_a_lost_connection_is_gone(reason: object) -> None:
    found = close_error(reason)
    assert isinstance(found, ConnectionGone)
    assert str(found) == "the broker closed the connection without a word"


@pytest.mark.parametrize(
    ("code", "text", "lacks"),
    [
        (540, "NOT_IMPLEMENTED - x", True),
        (541, "INTERNAL_ERROR - feature flag is disabled", True),
        (541, "INTERNAL_ERROR - other", False),
        (320, "feature flag", False),
    ],
)
def test_a_missing_queue_type_is_recognised(code: int, text: str, lacks: bool) -> None:
    assert lacks_queue_type(BrokerClosedConnection(code, text)) is lacks


def test_closed_becomes_a_result_and_other_failures_pass() -> None:
    closed, other = ConnectionGone("x"), RuntimeError("y")
    for error in (closed, other):
        deferred: Deferred[object] = Deferred()
        deferred.addErrback(closed_as_result)
        deferred.errback(error)
        if error is closed:
            assert result_of(deferred) is closed
        else:
            assert failure_of(deferred) is other


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (network.ConnectionRefusedError(), "connection refused"),
        (network.TimeoutError(), "no answer in time"),
        (network.DNSLookupError("x"), "no such host name"),
        (network.ConnectionLost(), "the connection broke"),
        (VerificationError([]), "TLS: the certificate is for another host"),
        (SSL.Error([("a", "b", "certificate verify failed")]), "TLS: certificate verify failed"),
        (SSL.Error(), "TLS: the handshake failed"),
        (FileNotFoundError(2, "No such file", "/ca.pem"), "cannot read /ca.pem: No such file"),
        (ValueError("first line.\nsecond"), "first line"),
        (ValueError(), "ValueError"),
    ],
)
def test_the_text_of_a_reason_is_one_line(error: BaseException, text: str) -> None:
    assert reason_text(error) == text
