"""The bus of a KAZOO cluster, over AMQP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.connection.reconnecting import ReconnectingConnection
from kazoo_bridge.bus.amqp.consumer.consumer import AmqpConsumer
from kazoo_bridge.bus.amqp.consumer.topology import QueueArguments, Topology
from kazoo_bridge.bus.amqp.publisher_supervisor import PublisherSupervisor
from kazoo_bridge.bus.amqp.wire.frame_reader import DEFAULT_MAX_BODY_BYTES
from kazoo_bridge.bus.request_reply import RequestReplyClient
from kazoo_bridge.config import AmqpUri
from kazoo_bridge.interfaces import BusUnavailable, EventHandler, IBus, IConsumer, Queue
from kazoo_bridge.kazoo import Event

#: Seconds that consumers are given to cancel when the service stops.
_CANCEL_TIMEOUT = 3.0


@implementer(IBus)
class AmqpBus(Service):
    """Consumes and publishes through the first of `uris` that lets it in, and through the next when that is lost.

    It keeps two connections, for a broker that is short of memory blocks those that publish. `connection_name` is what its
    management page shows, `queue_arguments` are given to durable queues (for instance ``{"x-queue-type": "quorum"}``),
    `largest_body` bounds a message, in bytes: larger ones are rejected and logged.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        uris: Sequence[AmqpUri],
        *,
        connection_name: str = "kazoo_bridge",
        queue_arguments: Mapping[str, Any] | None = None,
        largest_body: int = DEFAULT_MAX_BODY_BYTES,
    ) -> None:
        if not uris:
            raise ValueError("at least one AMQP URI is needed")
        self._reactor = reactor
        self._queue_arguments = QueueArguments(dict(queue_arguments or {}))
        self._max_body_bytes = largest_body
        self._topology: Topology | None = None
        self._consumers: list[AmqpConsumer] = []
        self._publisher = PublisherSupervisor(reactor)
        self._request_reply = RequestReplyClient(reactor, self)
        self._consuming = ReconnectingConnection(
            reactor,
            uris,
            self._connection_factory(connection_name),
            self._on_consuming_up,
            self._on_consuming_down,
        )
        self._publishing = ReconnectingConnection(
            reactor,
            uris,
            self._connection_factory(f"{connection_name} publishing"),
            self._publisher.connected,
            self._publisher.disconnected,
        )

    # -- IBus -----------------------------------------------------------------------------------

    def consume(self, queue: Queue, handler: EventHandler) -> IConsumer:
        """See `IBus`."""
        consumer = AmqpConsumer(self._reactor, queue, handler)
        self._consumers = [known for known in self._consumers if not known.cancelled] + [consumer]
        connection = self._consuming.connection
        if connection is not None and self._topology is not None:
            consumer.connected(connection, self._topology)
        return consumer

    def publish(
        self, exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False
    ) -> Deferred[None]:
        """See `IBus`. Fails with ValueError when the message cannot be written as JSON or its routing key is too long."""
        trouble = self._publishing.unavailable_reason()
        if trouble is not None:
            return fail(BusUnavailable(trouble))
        return self._publisher.publish(exchange, routing_key, body, mandatory)

    def request(
        self,
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        *,
        timeout: float,
        done_when: Callable[[Sequence[Event]], bool] | None = None,
    ) -> Deferred[list[Event]]:
        """See `IBus`."""
        return self._request_reply.request(exchange, routing_key, body, timeout=timeout, done_when=done_when)

    def unavailable_reason(self) -> str | None:
        """See `IBus`."""
        if not self.running:
            return "the bus is not started"
        troubles = (
            self._consuming.unavailable_reason,
            *(one.unavailable_reason for one in self._active_consumers()),
            self._publishing.unavailable_reason,
        )
        for trouble in (*troubles, self._publisher.unavailable_reason):
            words = trouble()
            if words is not None:
                return words
        return None

    # -- service --------------------------------------------------------------------------------

    def startService(self) -> None:
        """Begin to connect, and keep connected."""
        super().startService()
        self._consuming.startService()
        self._publishing.startService()

    def stopService(self) -> Deferred[None]:
        """Cancel the consumers, acknowledge what has finished, and close the connections in good order."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._consuming.connection is not None:
            await self._stop_consuming()
        await gatherResults(
            [Deferred.fromCoroutine(link.stop()) for link in (self._consuming, self._publishing)],
            consumeErrors=True,
        )

    async def _stop_consuming(self) -> None:
        """Take no further deliveries, and tell the broker what has finished."""
        cancelling = gatherResults([one.suspend() for one in self._active_consumers()], consumeErrors=True)
        try:
            await cancelling.addTimeout(_CANCEL_TIMEOUT, self._reactor)
        except Exception:
            self.log.warn("not every consumer could be cancelled in time; what is unfinished comes again")
        for consumer in self._consumers:
            consumer.flush()

    # -- told by the links ----------------------------------------------------------------------

    def _on_consuming_up(self, connection: BrokerConnection) -> None:
        self._topology = Topology(connection, self._queue_arguments)
        for consumer in self._active_consumers():
            consumer.connected(connection, self._topology)

    def _on_consuming_down(self) -> None:
        self._topology = None
        for consumer in self._active_consumers():
            consumer.disconnected()

    def _active_consumers(self) -> list[AmqpConsumer]:
        return [consumer for consumer in self._consumers if not consumer.cancelled]

    def _connection_factory(self, connection_name: str) -> Callable[[AmqpUri], BrokerConnection]:
        def make(uri: AmqpUri) -> BrokerConnection:
            return BrokerConnection(
                self._reactor,
                uri.vhost,
                connection_name=connection_name,
                heartbeat=uri.heartbeat,
                largest_body=self._max_body_bytes,
            )

        return make
