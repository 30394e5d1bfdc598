"""The bus of a KAZOO cluster, over AMQP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.bus.amqp.consumers import AmqpConsumer
from kazoo_bridge.bus.amqp.deliveries import DEFAULT_LARGEST_BODY
from kazoo_bridge.bus.amqp.link import Link
from kazoo_bridge.bus.amqp.outgoing import Outgoing
from kazoo_bridge.bus.amqp.protocol import BrokerConnection
from kazoo_bridge.bus.amqp.topology import QueueArguments, Topology
from kazoo_bridge.bus.asking import Asker
from kazoo_bridge.config import AmqpUri
from kazoo_bridge.interfaces import BusUnavailable, EventHandler, IBus, IConsumer, Queue
from kazoo_bridge.kazoo import Event

#: Seconds that consumers are given to cancel when the service stops.
_CANCEL_WITHIN = 3.0


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
        largest_body: int = DEFAULT_LARGEST_BODY,
    ) -> None:
        if not uris:
            raise ValueError("at least one AMQP URI is needed")
        self._reactor = reactor
        self._queue_arguments = QueueArguments(dict(queue_arguments or {}))
        self._largest_body = largest_body
        self._topology: Topology | None = None
        self._consumers: list[AmqpConsumer] = []
        self._outgoing = Outgoing(reactor)
        self._asker = Asker(reactor, self)
        self._incoming_link = Link(reactor, uris, self._maker(connection_name), self._incoming_up, self._incoming_down)
        self._outgoing_link = Link(
            reactor,
            uris,
            self._maker(f"{connection_name} publishing"),
            self._outgoing.connected,
            self._outgoing.disconnected,
        )

    # -- IBus -----------------------------------------------------------------------------------

    def consume(self, queue: Queue, handler: EventHandler) -> IConsumer:
        """See `IBus`."""
        consumer = AmqpConsumer(self._reactor, queue, handler)
        self._consumers = [known for known in self._consumers if not known.cancelled] + [consumer]
        connection = self._incoming_link.connection
        if connection is not None and self._topology is not None:
            consumer.connected(connection, self._topology)
        return consumer

    def publish(self, exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False) -> Deferred[None]:
        """See `IBus`. Fails with ValueError when the message cannot be written as JSON or its routing key is too long."""
        trouble = self._outgoing_link.trouble()
        if trouble is not None:
            return fail(BusUnavailable(trouble))
        return self._outgoing.publish(exchange, routing_key, body, mandatory)

    def ask(
        self,
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        *,
        timeout: float,
        enough: Callable[[Sequence[Event]], bool] | None = None,
    ) -> Deferred[list[Event]]:
        """See `IBus`."""
        return self._asker.ask(exchange, routing_key, body, timeout=timeout, enough=enough)

    def trouble(self) -> str | None:
        """See `IBus`."""
        if not self.running:
            return "the bus is not started"
        troubles = (self._incoming_link.trouble, *(one.trouble for one in self._active()), self._outgoing_link.trouble)
        for trouble in (*troubles, self._outgoing.trouble):
            words = trouble()
            if words is not None:
                return words
        return None

    # -- service --------------------------------------------------------------------------------

    def startService(self) -> None:
        """Begin to connect, and keep connected."""
        super().startService()
        self._incoming_link.startService()
        self._outgoing_link.startService()

    def stopService(self) -> Deferred[None]:
        """Cancel the consumers, acknowledge what has finished, and close the connections in good order."""
        super().stopService()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._incoming_link.connection is not None:
            await self._quiesce()
        await gatherResults(
            [Deferred.fromCoroutine(link.stop()) for link in (self._incoming_link, self._outgoing_link)], consumeErrors=True
        )

    async def _quiesce(self) -> None:
        """Take no further deliveries, and tell the broker what has finished."""
        cancelling = gatherResults([one.suspend() for one in self._active()], consumeErrors=True)
        try:
            await cancelling.addTimeout(_CANCEL_WITHIN, self._reactor)
        except Exception:
            self.log.warn("not every consumer could be cancelled in time; what is unfinished comes again")
        for consumer in self._consumers:
            consumer.flush()

    # -- told by the links ----------------------------------------------------------------------

    def _incoming_up(self, connection: BrokerConnection) -> None:
        self._topology = Topology(connection, self._queue_arguments)
        for consumer in self._active():
            consumer.connected(connection, self._topology)

    def _incoming_down(self) -> None:
        self._topology = None
        for consumer in self._active():
            consumer.disconnected()

    def _active(self) -> list[AmqpConsumer]:
        return [consumer for consumer in self._consumers if not consumer.cancelled]

    def _maker(self, connection_name: str) -> Callable[[AmqpUri], BrokerConnection]:
        def make(uri: AmqpUri) -> BrokerConnection:
            return BrokerConnection(
                self._reactor,
                uri.vhost,
                connection_name=connection_name,
                heartbeat=uri.heartbeat,
                largest_body=self._largest_body,
            )

        return make
