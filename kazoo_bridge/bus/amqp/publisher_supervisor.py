"""Messages out over a connection of their own, so that a broker that blocks publishers does not stop consumers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.consumer.backoff import Backoff
from kazoo_bridge.bus.amqp.consumer.topology import Topology
from kazoo_bridge.bus.amqp.publisher import ConfirmingPublisher, encode
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel, Closed
from kazoo_bridge.interfaces import BusUnavailable


class PublisherSupervisor:
    """Keeps a publisher open on the connection it is given."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._connection: BrokerConnection | None = None
        self._topology: Topology | None = None
        self._publisher: ConfirmingPublisher | None = None
        self._task: Deferred[None] | None = None

    def unavailable_reason(self) -> str | None:
        """Why nothing can be published; None when it can."""
        if self._connection is None or self._connection.close_reason is not None or self._publisher is None:
            return "publishing is not possible yet"
        return (
            f"broker has blocked publishing: {self._connection.blocked}"
            if self._connection.blocked is not None
            else None
        )

    def connected(self, connection: BrokerConnection) -> None:
        """Publish over this connection."""
        self._connection = connection
        self._topology = Topology(connection)
        connection.on_blocked = self._on_blocked
        self._task = Deferred.fromCoroutine(self._keep_open(connection))
        self._task.addErrback(self._task_failed)

    def disconnected(self) -> None:
        """The connection is gone."""
        self._connection = self._topology = self._publisher = None
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def publish(
        self, exchange: str, routing_key: str, body: Mapping[str, Any], mandatory: bool
    ) -> Deferred[None]:
        """See `IBus.publish`; fails with ValueError for a message that cannot be sent by anybody."""
        try:
            encoded = encode(body)
        except ValueError as error:
            return fail(error)
        trouble = self.unavailable_reason()
        if trouble is not None or self._publisher is None or self._topology is None:
            return fail(BusUnavailable(trouble))
        if exchange == "" or self._topology.knows(exchange):
            return self._publisher.publish(exchange, routing_key, encoded, mandatory)
        return Deferred.fromCoroutine(
            self._publish_first(self._topology, exchange, routing_key, encoded, mandatory)
        )

    async def _publish_first(
        self, topology: Topology, exchange: str, routing_key: str, body: bytes, mandatory: bool
    ) -> None:
        """Publish to an exchange that this connection has not seen yet."""
        try:
            await topology.exchange(exchange)
        except BrokerClosedChannel as error:
            raise BusUnavailable(f"exchange {exchange} cannot be used: {error.text}") from None
        except Closed as error:
            raise BusUnavailable(f"the connection ended before the message was sent: {error}") from None
        if self._publisher is None:
            raise BusUnavailable(self.unavailable_reason())
        await self._publisher.publish(exchange, routing_key, body, mandatory)

    def _on_blocked(self, reason: str | None) -> None:
        if reason is None:
            self.log.info("the broker takes messages again")
            return
        self.log.warn("the broker has blocked publishing: {reason}", reason=reason)
        if self._publisher is not None:
            self._publisher.fail_all(f"broker has blocked publishing: {reason}")

    async def _keep_open(self, connection: BrokerConnection) -> None:
        backoff = Backoff()
        while connection.close_reason is None:
            try:
                self._publisher = publisher = await ConfirmingPublisher.open(connection)
                reason = await publisher.ended
            except Closed as error:
                reason = str(error)
            if connection.close_reason is not None:
                return
            self._publisher = None
            delay = backoff.delay()
            self.log.warn(
                "publishing was stopped by the broker and is tried again in {delay:.1f} s: {reason}",
                delay=delay,
                reason=reason,
            )
            await deferLater(self._clock, delay)

    def _task_failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self.log.failure("publishing has stopped for good", failure)
