"""A bus inside the process, with the semantics of the broker: for small installations, demonstrations and tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from kazoo_bridge.bus.asking import Asker
from kazoo_bridge.bus.decoding import encode
from kazoo_bridge.bus.embedded_queue import EmbeddedQueue, Message
from kazoo_bridge.bus.topics import TopicTable
from kazoo_bridge.interfaces import BusUnavailable, EventHandler, IBus, IConsumer, Queue, Topic, Unroutable
from kazoo_bridge.kazoo import EXCHANGES, Event


@implementer(IConsumer)
class EmbeddedConsumer:
    """One consumer of one queue."""

    def __init__(self, bus: EmbeddedBus, queue: EmbeddedQueue, wanted: Queue, handler: EventHandler) -> None:
        self._bus = bus
        self.queue = queue
        self._taker = queue.add_taker(handler, wanted.prefetch, wanted.acknowledge)

    def bind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`."""
        self._bus.bind(self.queue, topic)
        return succeed(None)

    def unbind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`."""
        self._bus.unbind(self.queue, topic)
        return succeed(None)

    def when_running(self) -> Deferred[None]:
        """See `IConsumer`."""
        return succeed(None)

    def cancel(self) -> Deferred[None]:
        """See `IConsumer`."""
        self.queue.remove_taker(self._taker)
        if not self.queue.durable and not self.queue.has_takers:
            self._bus.delete(self.queue)
        return succeed(None)


@implementer(IBus)
class EmbeddedBus(Service):
    """Exchanges as KAZOO has them, queues, acknowledgement and redelivery, all in memory and gone with the process."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._topics: dict[str, TopicTable[EmbeddedQueue]] = {exchange: TopicTable() for exchange in EXCHANGES}
        self._bindings: dict[EmbeddedQueue, set[Topic]] = {}
        self._queues: dict[str, EmbeddedQueue] = {}
        self._numbers = count(1)
        self._asker = Asker(clock, self)

    # -- IBus

    def consume(self, queue: Queue, handler: EventHandler) -> IConsumer:
        """See `IBus`."""
        name = queue.name or f"embedded-{next(self._numbers)}"
        known = self._queues.get(name)
        if known is None:
            known = self._queues[name] = EmbeddedQueue(self._clock, name, queue.durable)
            self._bindings[known] = set()
            if self.running:
                known.resume()
        for topic in queue.topics:
            self.bind(known, topic)
        return EmbeddedConsumer(self, known, queue, handler)

    def publish(self, exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False) -> Deferred[None]:
        """See `IBus`."""
        try:
            raw = encode(body)
        except ValueError:
            return fail()
        return self.publish_raw(exchange, routing_key, raw, mandatory=mandatory)

    def publish_raw(
        self, exchange: str, routing_key: str, raw: bytes, content_encoding: str | None = None, *, mandatory: bool = False
    ) -> Deferred[None]:
        """As `publish`, with the body as bytes of any kind."""
        if not self.running:
            return fail(BusUnavailable("the embedded bus is not started"))
        if exchange not in EXCHANGES:
            return fail(ValueError(f"there is no exchange {exchange!r}; known are {', '.join(EXCHANGES)}"))
        queues = self._routed(exchange, routing_key)
        if mandatory and not queues:
            return fail(Unroutable(f"no queue listens to {routing_key} on {exchange}"))
        for queue in queues:
            queue.put(Message(exchange, routing_key, raw, content_encoding))
        return succeed(None)

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
        return None if self.running else "the embedded bus is not started"

    # -- service

    def startService(self) -> None:
        """Let messages flow."""
        super().startService()
        for queue in self._queues.values():
            queue.resume()

    def stopService(self) -> None:
        """Let no more messages flow; nothing is left to be called later."""
        super().stopService()
        for queue in self._queues.values():
            queue.pause()

    # -- routing

    def bind(self, queue: EmbeddedQueue, topic: Topic) -> None:
        """Route messages of `topic` to `queue`; raises `ValueError` for an unknown exchange."""
        if topic.exchange not in EXCHANGES:
            raise ValueError(f"there is no exchange {topic.exchange!r}; known are {', '.join(EXCHANGES)}")
        self._bindings[queue].add(topic)
        self._topics[topic.exchange].add(topic.pattern, queue)

    def unbind(self, queue: EmbeddedQueue, topic: Topic) -> None:
        """Undo `bind`."""
        self._bindings[queue].discard(topic)
        self._topics[topic.exchange].discard(topic.pattern, queue)

    def delete(self, queue: EmbeddedQueue) -> None:
        """Forget a queue and what is in it."""
        for topic in list(self._bindings.pop(queue, ())):
            self._topics[topic.exchange].discard(topic.pattern, queue)
        self._queues.pop(queue.name, None)
        queue.pause()

    def _routed(self, exchange: str, routing_key: str) -> list[EmbeddedQueue]:
        queues = self._topics[exchange].match(routing_key)
        if EXCHANGES[exchange] == "topic":
            return queues
        # On a direct exchange * and # are characters like any other.
        return [queue for queue in queues if Topic(exchange, routing_key) in self._bindings[queue]]
