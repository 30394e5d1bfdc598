"""A connection that is established again after a loss, by Twisted's client service."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.application.service import Service
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.connection.failover_endpoint import FailoverEndpoint
from kazoo_bridge.config import AmqpUri

#: Seconds for each step of closing a connection with the handshake.
CLOSE_TIMEOUT = 3.0
#: Seconds before attempt n to connect: from 0.5 to 30, and up to one more at random.
RECONNECT_DELAY = backoffPolicy(initialDelay=0.5, maxDelay=30.0, factor=1.5)
#: Seconds before attempt n (from 0) on a connection that works: 1, 2, 4, … 30, and up to one more at random.
RETRY_DELAY = backoffPolicy(initialDelay=1.0, maxDelay=30.0, factor=2.0)


class _LifecycleProtocol(Protocol):
    """Reports when a connection begins and ends."""

    def __init__(self, on_connected: Callable[[], None], on_lost: Callable[[], None]) -> None:
        self._on_connected = on_connected
        self._on_lost = on_lost

    def connectionMade(self) -> None:
        self._on_connected()

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._on_lost()


class ReconnectingConnection(Service):
    """Keeps one connection to one of the brokers.

    `make_connection` makes the protocol for a broker. `on_connected` is called with each established
    connection, `on_lost` when it is gone. `name` names the connection in the log.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        uris: Sequence[AmqpUri],
        make_connection: Callable[[AmqpUri], BrokerConnection],
        on_connected: Callable[[BrokerConnection], None],
        on_lost: Callable[[], None],
        name: str = "only",
    ) -> None:
        self.connection: BrokerConnection | None = None
        #: How often a connection was established.
        self.connects = 0
        self._on_connected = on_connected
        self._on_lost = on_lost
        self._endpoint = FailoverEndpoint(reactor, uris, make_connection, name)
        factory = Factory.forProtocol(lambda: _LifecycleProtocol(self._handle_connected, self._handle_lost))
        self._client = ClientService(self._endpoint, factory, retryPolicy=RECONNECT_DELAY, clock=reactor)

    def unavailable_reason(self) -> str | None:
        """Return why there is no connection; None while there is one."""
        if self.connection is not None:
            # A connection is closed a moment before its transport is gone.
            closed = self.connection.close_reason
            return None if closed is None else f"the connection has ended: {closed}"
        return self._endpoint.last_error or f"no connection to {self._endpoint!r} yet"

    def startService(self) -> None:
        """Start to connect."""
        super().startService()
        self._client.startService()

    async def stop(self) -> None:
        """Close the connection with the handshake and connect no more."""
        if self.running:
            super().stopService()
        connection = self.connection
        if connection is not None:
            await connection.close_gracefully(CLOSE_TIMEOUT)
        await self._client.stopService()

    def _handle_connected(self) -> None:
        self.connection = self._endpoint.latest
        if self.connection is not None:
            self.connects += 1
            self._on_connected(self.connection)

    def _handle_lost(self) -> None:
        connection, self.connection = self.connection, None
        if self.running and connection is not None:
            self._endpoint.record_loss(str(connection.close_reason))
        self._on_lost()
