"""A bus within the process, with the semantics of a broker: for small sites, demonstrations and tests."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

from prometheus_client import CollectorRegistry
from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from zope.interface import implementer

from kazoo_bridge.bus.embedded_queue import MAX_BYTES, EmbeddedQueue, QueuedMessage
from kazoo_bridge.bus.message_codec import encode
from kazoo_bridge.bus.message_decoder import MessageDecoder
from kazoo_bridge.bus.queue_metrics import (
    QueueLevel,
    register_binding_metrics,
    register_queue_metrics,
    register_unacknowledged,
)
from kazoo_bridge.bus.request_reply import DoneWhen, RequestReplyClient, publish_reply
from kazoo_bridge.interfaces import BusUnavailable, EventHandler, IBus, IConsumer, Queue, Topic, Unroutable
from kazoo_bridge.kazoo import EXCHANGES, MAX_SHORT_STRING_BYTES, Event
from kazoo_bridge.metrics import register_counter
from kazoo_bridge.topics import TopicTable

_NOT_STARTED = "the embedded bus has not been started"


@implementer(IConsumer)
class EmbeddedConsumer:
    """One consumer of one queue."""

    def __init__(self, bus: EmbeddedBus, queue: EmbeddedQueue, wanted: Queue, handler: EventHandler) -> None:
        self._bus = bus
        self._queue = queue
        self._subscription = queue.add_consumer(handler, wanted.prefetch, wanted.acknowledge)
        self._start_waiters: list[Deferred[None]] = []
        self._cancelled = False
        self.start_count = 1  # it is never interrupted

    def bind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`. Fails with BusUnavailable for an unknown exchange."""
        try:
            self._bus.bind(self._queue, topic)
        except BusUnavailable:
            return fail()
        return succeed(None)

    def unbind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`."""
        self._bus.unbind(self._queue, topic)
        return succeed(None)

    def when_running(self) -> Deferred[None]:
        """See `IConsumer`."""
        if self._cancelled:
            return fail(CancelledError())
        if self._bus.running:
            return succeed(None)
        waiter: Deferred[None] = Deferred(self._forget_waiter)
        self._start_waiters.append(waiter)
        return waiter

    def cancel(self) -> Deferred[None]:
        """See `IConsumer`."""
        if not self._cancelled:
            self._cancelled = True
            self._queue.remove_consumer(self._subscription)
            self._bus.consumer_cancelled(self, self._queue)
            for waiter in list(self._start_waiters):
                waiter.cancel()
        return succeed(None)

    def started(self) -> None:
        """Fire the Deferreds of `when_running`: the bus is started."""
        waiters, self._start_waiters = self._start_waiters, []
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(None)

    def _forget_waiter(self, waiter: Deferred[None]) -> None:
        if waiter in self._start_waiters:
            self._start_waiters.remove(waiter)


@implementer(IBus)
class EmbeddedBus(Service):
    """KAZOO's exchanges, queues, acknowledgement and redelivery, in memory: all is lost with the process."""

    log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._topics: dict[str, TopicTable[EmbeddedQueue]] = {}
        self.add_exchanges(EXCHANGES)
        self._queues: dict[str, EmbeddedQueue] = {}
        self._bindings: dict[EmbeddedQueue, dict[Topic, None]] = {}
        self._refused: dict[EmbeddedQueue, list[str]] = {}
        self._consumers: dict[EmbeddedConsumer, None] = {}
        self._numbers = count(1)
        self._decoder = MessageDecoder(clock)
        self._request_reply = RequestReplyClient(clock, self)

    # -- IBus

    def consume(self, queue: Queue, handler: EventHandler) -> IConsumer:
        """See `IBus`.

        A topic on an unknown exchange is logged, and one of `missing_bindings`; the others work.
        """
        known = self._get_queue(queue)
        for topic in sorted(queue.topics, key=lambda topic: (topic.exchange, topic.pattern)):
            try:
                self.bind(known, topic)
            except BusUnavailable as error:
                problem = f"{known.name} is not bound to {topic.pattern}: {error}"
                self._refused.setdefault(known, []).append(problem)
                self.log.error("{problem}", problem=problem)
        consumer = EmbeddedConsumer(self, known, queue, handler)
        self._consumers[consumer] = None
        return consumer

    def publish(
        self, exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False
    ) -> Deferred[None]:
        """See `IBus`.

        Fails with ValueError when the message cannot be written as JSON or its routing key is too long.
        """
        try:
            raw = encode(body)
        except ValueError:
            return fail()
        return self.publish_raw(exchange, routing_key, raw, mandatory=mandatory)

    def publish_raw(
        self,
        exchange: str,
        routing_key: str,
        raw: bytes,
        content_encoding: str | None = None,
        *,
        mandatory: bool = False,
    ) -> Deferred[None]:
        """Publish bytes of any kind, with the results of `publish`."""
        if len(routing_key.encode("utf-8", "surrogatepass")) > MAX_SHORT_STRING_BYTES:
            return fail(ValueError(f"a routing key has at most {MAX_SHORT_STRING_BYTES} bytes"))
        if not self.running:
            return fail(BusUnavailable(_NOT_STARTED))
        try:
            queues = self._table(exchange).match(routing_key)
        except BusUnavailable:
            return fail()
        if mandatory and not queues:
            return fail(Unroutable(f"no queue takes {routing_key} from the exchange {exchange}"))
        message = QueuedMessage(exchange, routing_key, raw, content_encoding)
        for queue in queues:
            queue.put(message)
        return succeed(None)

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
        return None if self.running else _NOT_STARTED

    def missing_bindings(self) -> list[str]:
        """Return why topics of exchanges that are not KAZOO's are not bound, one line each."""
        return [reason for reasons in self._refused.values() for reason in reasons]

    def add_exchanges(self, exchanges: Mapping[str, str]) -> None:
        """Have these exchanges, too; types by name. Call it before topics on them are used."""
        for name, kind in exchanges.items():
            self._topics.setdefault(name, TopicTable(wildcards=kind == "topic"))

    def connects(self) -> dict[str, int]:
        """Return how many connections were established: there are none."""
        return {}

    def register_metrics(self, registry: CollectorRegistry) -> None:
        """Register the metrics of the messages and of the durable queues."""
        self._decoder.register_metrics(registry)
        register_queue_metrics(registry, self._level)
        register_binding_metrics(registry, self.missing_bindings)
        register_unacknowledged(
            registry, lambda: sum(queue.unacknowledged for queue in self._queues.values())
        )
        register_counter(
            registry,
            "queue_dropped",
            "Messages that full queues have dropped, the oldest first",
            lambda: sum(queue.dropped for queue in self._queues.values()),
        )

    def _level(self) -> QueueLevel:
        durable = [queue for queue in self._queues.values() if queue.durable]
        return QueueLevel(sum(map(len, durable)), sum(queue.size for queue in durable), MAX_BYTES)

    # -- service

    def startService(self) -> None:
        """Deliver messages."""
        super().startService()
        for queue in self._queues.values():
            queue.resume()
        for consumer in list(self._consumers):
            consumer.started()

    def stopService(self) -> None:
        """End open requests, deliver no more messages, and leave no delayed call.

        Handlers may still finish.
        """
        super().stopService()
        for queue in self._queues.values():
            queue.pause()
        self._request_reply.stop()
        self._decoder.stop()

    # -- called by consumers

    def bind(self, queue: EmbeddedQueue, topic: Topic) -> None:
        """Route messages of `topic` to `queue`, if that still exists.

        Raises `BusUnavailable` for an unknown exchange.
        """
        table = self._table(topic.exchange)
        bindings = self._bindings.get(queue)
        if bindings is not None:
            bindings[topic] = None
            table.add(topic.pattern, queue)

    def unbind(self, queue: EmbeddedQueue, topic: Topic) -> None:
        """Undo `bind`."""
        if self._bindings.get(queue, {}).pop(topic, topic) is None:
            self._topics[topic.exchange].discard(topic.pattern, queue)

    def consumer_cancelled(self, consumer: EmbeddedConsumer, queue: EmbeddedQueue) -> None:
        """Forget a cancelled consumer, and delete a queue that is not durable with its last one."""
        self._consumers.pop(consumer, None)
        if queue.durable or queue.has_consumers:
            return
        for topic in self._bindings.pop(queue):
            self._topics[topic.exchange].discard(topic.pattern, queue)
        self._refused.pop(queue, None)
        del self._queues[queue.name]
        queue.pause()

    # -- names

    def _get_queue(self, queue: Queue) -> EmbeddedQueue:
        name = queue.name or f"embedded-{next(self._numbers)}"
        known = self._queues.get(name)
        if known is None:
            known = self._queues[name] = EmbeddedQueue(
                self._clock, name, queue.durable and bool(queue.name), self._decoder
            )
            self._bindings[known] = {}
            if self.running:
                known.resume()
        return known

    def _table(self, exchange: str) -> TopicTable[EmbeddedQueue]:
        table = self._topics.get(exchange)
        if table is None:
            raise BusUnavailable(f"there is no exchange {exchange!r}; known are {', '.join(self._topics)}")
        return table
