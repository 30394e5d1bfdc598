"""The brokers in turn: the first that accepts the login is taken; and how each is reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IProtocol, IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import LogLevel
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.connection.failover_endpoint import LOGIN_TIMEOUT, FailoverEndpoint, endpoint_for
from kazoo_bridge.config import AmqpUri
from tests.bus.amqp.fake_broker import failure_of, result_of
from tests.bus.amqp.memory_broker import MemoryBroker
from tests.bus.harness import CapturedLog

URIS = [AmqpUri("first", password="secret"), AmqpUri("second", password="secret")]


class LifecycleRecorder(Protocol):
    """Keeps why the connection was lost."""

    lost: Failure | None = None

    # The default is Twisted's.
    def connectionLost(self, reason: Failure = Failure(ConnectionLost())) -> None:  # noqa: B008
        self.lost = reason


class Harness:
    """An endpoint over two brokers in memory."""

    def __init__(self, broker: MemoryBroker) -> None:
        self.broker = broker
        self.endpoint = FailoverEndpoint(
            broker.clock, URIS, lambda uri: BrokerConnection(broker.clock, uri.vhost), "publishing"
        )

    def connect(self) -> Deferred[IProtocol]:
        connecting = self.endpoint.connect(Factory.forProtocol(LifecycleRecorder))
        self.broker.settle()
        return connecting


@pytest.fixture
def harness(broker: MemoryBroker) -> Harness:
    return Harness(broker)


def test_it_is_an_endpoint(harness: Harness) -> None:
    assert verifyObject(IStreamClientEndpoint, harness.endpoint)


def test_the_first_broker_that_accepts_the_login_is_taken(harness: Harness) -> None:
    protocol: Any = result_of(harness.connect())
    assert harness.broker.attempts == ["first"]
    assert harness.endpoint.latest is not None
    assert harness.endpoint.latest.transport is protocol.transport
    assert harness.endpoint.last_error is None


def test_the_next_broker_is_tried_after_a_failure_and_first_the_next_time(harness: Harness) -> None:
    harness.broker.errors["first"] = ConnectionRefusedError()
    with CapturedLog() as log:
        result_of(harness.connect())
    assert log.at_least(LogLevel.warn) == [
        "no connection to amqp://first:5672/ connection=publishing reason=connection refused"
    ]
    result_of(harness.connect())
    assert harness.broker.attempts == ["first", "second", "second"]


def test_without_any_broker_it_fails_with_the_last_reason(harness: Harness) -> None:
    harness.broker.errors = {host: ConnectionRefusedError() for host in ("first", "second")}
    error = failure_of(harness.connect())
    assert isinstance(error, ConnectionError)
    assert str(error) == "no connection to amqp://second:5672/: connection refused"
    assert harness.endpoint.last_error == str(error)


def test_a_broker_that_does_not_answer_the_login_is_given_up(harness: Harness) -> None:
    harness.broker.silent = True
    connecting = harness.connect()
    for _ in URIS:
        harness.broker.clock.advance(LOGIN_TIMEOUT)
        harness.broker.settle()
    assert "no answer to the login in time" in str(failure_of(connecting))
    assert harness.broker.connections == []


def test_cancelling_ends_the_login(harness: Harness) -> None:
    harness.broker.silent = True
    connecting = harness.connect()
    connecting.cancel()
    harness.broker.settle()
    assert isinstance(failure_of(connecting), CancelledError)
    assert harness.broker.connections == []
    assert harness.broker.attempts == ["first"]
    assert harness.broker.clock.getDelayedCalls() == []


def test_the_loss_of_the_connection_is_passed_on(harness: Harness) -> None:
    protocol: Any = result_of(harness.connect())
    harness.broker.drop_all()
    assert protocol.lost.check(ConnectionLost)
    harness.endpoint.record_loss("the connection broke")
    assert harness.endpoint.last_error == "no connection to amqp://first:5672/: the connection broke"


def test_neither_text_nor_log_has_the_password(harness: Harness) -> None:
    harness.broker.errors["first"] = ConnectionRefusedError()
    with CapturedLog() as log:
        result_of(harness.connect())
    assert not any("secret" in line for line in log.at_least(LogLevel.debug))
    assert repr(harness.endpoint) == "amqp://second:5672/ or amqp://first:5672/"


@pytest.mark.parametrize("content", [None, b"", b"no certificate"])
def test_an_unusable_ca_file_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"expected a PEM file.*ca\.pem"):
        endpoint_for(reactor, AmqpUri("broker", tls=True, cacertfile=str(path)))


def test_tls_is_used_when_the_uri_asks_for_it() -> None:
    assert "TLS" not in type(endpoint_for(reactor, AmqpUri("broker"))).__name__
    assert type(endpoint_for(reactor, AmqpUri("broker", tls=True))) is not type(
        endpoint_for(reactor, AmqpUri("broker"))
    )
