"""A connection that comes back: Twisted's client service over the brokers of the configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import random
from typing import Any

from twisted.application.internet import ClientService, backoffPolicy
from twisted.application.service import Service
from twisted.internet.protocol import Factory, Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.connection.failover_endpoint import FailoverEndpoint
from kazoo_bridge.config import AmqpUri

#: Seconds for each step of closing a connection in good order.
CLOSE_TIMEOUT = 3.0


class _LifecycleProtocol(Protocol):
    """Tells the link when a connection begins and ends."""

    def __init__(self, up: Callable[[], None], down: Callable[[], None]) -> None:
        self._up = up
        self._down = down

    def connectionMade(self) -> None:
        self._up()

    def connectionLost(self, reason: Failure | None = None) -> None:
        self._down()


class ReconnectingConnection(Service):
    """Keeps one connection to one of the brokers. `up` is called with each new connection, `down` when it is gone."""

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        uris: Sequence[AmqpUri],
        make: Callable[[AmqpUri], BrokerConnection],
        up: Callable[[BrokerConnection], None],
        down: Callable[[], None],
    ) -> None:
        self.connection: BrokerConnection | None = None
        self._up = up
        self._down = down
        self._where = FailoverEndpoint(reactor, uris, make)
        factory = Factory.forProtocol(lambda: _LifecycleProtocol(self._on_connected, self._on_lost))
        policy = backoffPolicy(initialDelay=0.5, maxDelay=30.0, factor=1.5, jitter=random)
        self._client = ClientService(self._where, factory, retryPolicy=policy, clock=reactor)

    def unavailable_reason(self) -> str | None:
        """Why there is no connection; None while there is one."""
        if self.connection is not None:
            # An ended connection is told of a moment before the transport is gone.
            return (
                None
                if self.connection.close_reason is None
                else f"the connection has ended: {self.connection.close_reason}"
            )
        return self._where.trouble or f"no connection to {self._where!r} yet"

    def startService(self) -> None:
        """Begin to connect."""
        super().startService()
        self._client.startService()

    async def stop(self) -> None:
        """Close the connection in good order and connect no more."""
        if self.running:
            super().stopService()
        connection = self.connection
        if connection is not None:
            await connection.close_gracefully(CLOSE_TIMEOUT)
        await self._client.stopService()

    def _on_connected(self) -> None:
        self.connection = self._where.latest
        if self.connection is not None:
            self._up(self.connection)

    def _on_lost(self) -> None:
        connection, self.connection = self.connection, None
        if self.running and connection is not None:
            self._where.record_loss(str(connection.close_reason))
        self._down()
