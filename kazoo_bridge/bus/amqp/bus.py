"""The bus of a KAZOO cluster, over AMQP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.bus.amqp.binding_probe import BindingProbe, probe_queue_name
from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.connection.reconnecting import ReconnectingConnection
from kazoo_bridge.bus.amqp.consumer.consumer import AmqpConsumer
from kazoo_bridge.bus.amqp.publisher import PublisherSupervisor
from kazoo_bridge.bus.amqp.queue_arguments import QueueArguments
from kazoo_bridge.bus.amqp.queue_monitor import QueueMonitor
from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.bus.amqp.wire.frame_reader import DEFAULT_MAX_BODY_BYTES
from kazoo_bridge.bus.message_decoder import MessageDecoder
from kazoo_bridge.bus.queue_metrics import (
    BodySizes,
    register_binding_metrics,
    register_queue_metrics,
    register_unacknowledged,
)
from kazoo_bridge.bus.request_reply import DoneWhen, RequestReplyClient, publish_reply
from kazoo_bridge.config import AmqpUri
from kazoo_bridge.interfaces import BusUnavailable, EventHandler, IBus, IConsumer, Queue
from kazoo_bridge.kazoo import EXCHANGES, Event
from kazoo_bridge.metrics import register_labelled_counter

#: Seconds to wait for the cancellation of the consumers when the service stops.
_CANCEL_TIMEOUT = 3.0


@implementer(IBus)
class AmqpBus(Service):
    """Consumes and publishes through the first broker of `uris` that accepts the login.

    After a loss it takes the next one. Keeps two connections, because a broker short of memory blocks the
    connections that publish.

    `connection_name` is shown on the broker's management page. `queue_arguments` apply to durable queues, for
    instance ``{"x-queue-type": "quorum"}``. `max_body_bytes` limits the body of a message: larger ones are
    rejected and logged. `decoder` decodes and counts the messages; several buses may share it. Raises
    ValueError without any URI.
    """

    log = Logger()

    def __init__(
        self,
        reactor: Any,
        uris: Sequence[AmqpUri],
        *,
        connection_name: str = "kazoo_bridge",
        queue_arguments: Mapping[str, Any] | None = None,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
        decoder: MessageDecoder | None = None,
    ) -> None:
        if not uris:
            raise ValueError("at least one AMQP URI is needed")
        self._reactor = reactor
        self._queue_arguments = QueueArguments(dict(queue_arguments or {}))
        self._exchanges = dict(EXCHANGES)
        self._topology: Topology | None = None
        self._consumers: list[AmqpConsumer] = []
        self._decoder = decoder or MessageDecoder(reactor)
        self._queue_monitor = QueueMonitor(reactor, self._queue_arguments, self._durable_queues)
        self._publisher = PublisherSupervisor(reactor)
        self._request_reply = RequestReplyClient(reactor, self, self._publisher.when_open)
        self._binding_probe = BindingProbe(reactor, self._publisher.publish_probe, self._on_bindings_lost)

        def make_consuming(uri: AmqpUri) -> BrokerConnection:
            return BrokerConnection(
                reactor,
                uri.vhost,
                connection_name=connection_name,
                heartbeat=uri.heartbeat,
                max_body_bytes=max_body_bytes,
            )

        def make_publishing(uri: AmqpUri) -> BrokerConnection:
            return BrokerConnection(
                reactor,
                uri.vhost,
                connection_name=f"{connection_name} publishing",
                heartbeat=uri.heartbeat,
                on_blocked=self._publisher.on_blocked,
            )

        self._consuming = ReconnectingConnection(
            reactor, uris, make_consuming, self._on_consuming_connected, self._on_consuming_lost, "consuming"
        )
        self._publishing = ReconnectingConnection(
            reactor,
            uris,
            make_publishing,
            self._publisher.connected,
            self._publisher.disconnected,
            "publishing",
        )

    # -- IBus -----------------------------------------------------------------------------------

    def consume(self, queue: Queue, handler: EventHandler) -> IConsumer:
        """See `IBus`. Raises ValueError for a topic that is longer than AMQP allows (255 bytes)."""
        consumer = AmqpConsumer(self._reactor, queue, handler, self._decoder)
        self._consumers = [known for known in self._consumers if not known.cancelled] + [consumer]
        connection = self._consuming.connection
        if connection is not None and self._topology is not None:
            consumer.connected(connection, self._topology)
        return consumer

    def publish(
        self, exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False
    ) -> Deferred[None]:
        """See `IBus`. Fails with ValueError for a body that JSON cannot hold or too long a routing key."""
        reason = self._publishing.unavailable_reason()
        if reason is not None:
            return fail(BusUnavailable(reason))
        return self._publisher.publish(exchange, routing_key, body, mandatory)

    def reply(self, request: Event, body: Mapping[str, Any]) -> Deferred[None]:
        """See `IBus`."""
        return publish_reply(self, request, body)

    def request(
        self,
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        *,
        timeout: float,
        done_when: DoneWhen | None = None,
        mandatory: bool = False,
    ) -> Deferred[list[Event]]:
        """See `IBus`."""
        return self._request_reply.request(
            exchange, routing_key, body, timeout=timeout, done_when=done_when, mandatory=mandatory
        )

    def unavailable_reason(self) -> str | None:
        """See `IBus`."""
        if not self.running:
            return "the bus is not started"
        parts: Sequence[Callable[[], str | None]] = (
            self._consuming.unavailable_reason,
            *(one.unavailable_reason for one in self._active_consumers()),
            self._publishing.unavailable_reason,
            self._publisher.unavailable_reason,
        )
        reasons = (part() for part in parts)
        return next((reason for reason in reasons if reason is not None), None)

    def missing_bindings(self) -> list[str]:
        """Return why topics of exchanges that are not KAZOO's are not bound, one line each."""
        return [reason for one in self._active_consumers() for reason in one.missing_bindings()]

    def add_exchanges(self, exchanges: Mapping[str, str]) -> None:
        """Declare these exchanges, too; types by name. Call it before topics on them are used."""
        self._exchanges.update(exchanges)

    def connects(self) -> dict[str, int]:
        """Return how many connections were established, by their use."""
        return {"consuming": self._consuming.connects, "publishing": self._publishing.connects}

    def register_metrics(self, registry: CollectorRegistry) -> None:
        """Register the metrics of the connections, the messages and the durable queue."""
        register_labelled_counter(
            registry,
            "bus_connects",
            "Connections to the broker of the home zone that were established",
            "connection",
            self.connects,
        )
        register_unacknowledged(registry, lambda: sum(one.unacknowledged for one in self._consumers))
        self._decoder.register_metrics(registry)
        register_queue_metrics(registry, self._queue_monitor.level)
        register_binding_metrics(registry, self.missing_bindings)

    # -- service --------------------------------------------------------------------------------

    def startService(self) -> None:
        """Connect, and stay connected."""
        super().startService()
        self._consuming.startService()
        self._publishing.startService()

    def stopService(self) -> Deferred[None]:
        """End open requests, cancel the consumers, acknowledge what is finished, and disconnect."""
        super().stopService()
        self._request_reply.stop()
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        if self._consuming.connection is not None:
            await self._stop_consuming()
        await gatherResults(
            [Deferred.fromCoroutine(one.stop()) for one in (self._consuming, self._publishing)],
            consumeErrors=True,
        )
        self._decoder.stop()

    async def _stop_consuming(self) -> None:
        cancelling = gatherResults([one.suspend() for one in self._active_consumers()], consumeErrors=True)
        try:
            await cancelling.addTimeout(_CANCEL_TIMEOUT, self._reactor)
        except Exception:
            self.log.warn("not every consumer was cancelled in time; unfinished events will be redelivered")
        for consumer in self._consumers:
            consumer.flush()

    # -- called by the consuming connection -----------------------------------------------------

    def _on_consuming_connected(self, connection: BrokerConnection) -> None:
        self._topology = Topology(connection, self._queue_arguments, probe_queue_name(), self._exchanges)
        for consumer in self._active_consumers():
            consumer.connected(connection, self._topology)
        self._queue_monitor.connected(self._topology)
        self._binding_probe.connected(self._topology)

    def _on_consuming_lost(self) -> None:
        self._queue_monitor.disconnected()
        self._binding_probe.disconnected()
        self._topology = None
        for consumer in self._active_consumers():
            consumer.disconnected()
        # The broker deletes the queue of the replies with the connection.
        self._request_reply.connection_lost()

    def _on_bindings_lost(self, exchange: str) -> None:
        for consumer in self._active_consumers():
            consumer.rebind(exchange)

    def _durable_queues(self) -> list[tuple[str, BodySizes]]:
        return [(one.queue.name, one.sizes) for one in self._active_consumers() if one.queue.durable]

    def _active_consumers(self) -> list[AmqpConsumer]:
        return [consumer for consumer in self._consumers if not consumer.cancelled]
