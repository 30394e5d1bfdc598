"""A message bus in memory that delivers at once: no reactor, no clock, no waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import count
from typing import Any

from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.interfaces import (
    BusUnavailable,
    EventHandler,
    IBus,
    IConsumer,
    Queue,
    Requeue,
    Topic,
    Unroutable,
)
from kazoo_bridge.kazoo import EXCHANGES, TARGETED, Event, build_request
from kazoo_bridge.testing.events import make_event
from kazoo_bridge.topics import matches

#: Makes the bodies of the replies to a request.
Responder = Callable[[Event], Iterable[Mapping[str, Any]]]


@frozen
class PublishedMessage:
    """A message that was published on a `FakeBus`."""

    exchange: str
    routing_key: str
    body: Mapping[str, Any]


@implementer(IConsumer)
@define(eq=False)
class FakeConsumer:
    """A consumer of a `FakeBus`.

    `queue`: what it was made with. `topics`: what its queue is bound to at present.

    `unacknowledged`, `acknowledged`, `requeued`, `rejected`: the events that it received, by the result of
    the handler. The bus does not deliver requeued events again by itself; call `FakeBus.redeliver`.
    """

    queue: Queue
    _handler: EventHandler
    _bus: FakeBus
    topics: set[Topic] = field(init=False)
    start_count: int = field(init=False, default=1)
    cancelled: bool = field(init=False, default=False)
    unacknowledged: list[Event] = field(init=False, factory=list)
    acknowledged: list[Event] = field(init=False, factory=list)
    requeued: list[Event] = field(init=False, factory=list)
    rejected: list[tuple[Event, Failure]] = field(init=False, factory=list)

    def __attrs_post_init__(self) -> None:
        self.topics = set(self.queue.topics)

    def bind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`.

        Fails while the bus is unavailable, and for an unknown exchange.
        """
        reason = self._bus.unavailable_reason() or self._bus.exchange_problem(topic.exchange)
        if reason is not None:
            return fail(BusUnavailable(reason))
        self.topics.add(topic)
        return succeed(None)

    def unbind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`."""
        self.topics.discard(topic)
        return succeed(None)

    def when_running(self) -> Deferred[None]:
        """See `IConsumer`. Fires at once."""
        return fail(CancelledError()) if self.cancelled else succeed(None)

    def cancel(self) -> Deferred[None]:
        """See `IConsumer`."""
        self.cancelled = True
        return succeed(None)

    def wants(self, event: Event) -> bool:
        """Return True if the queue is bound to a topic of the event."""
        return not self.cancelled and any(
            topic.exchange == event.exchange and self._bus.matches(topic, event.routing_key)
            for topic in self.topics
        )

    def receive(self, event: Event) -> None:
        """Call the handler, and sort the event by its result."""
        self.unacknowledged.append(event)
        try:
            handled = self._handler(event)
        except Exception:
            self._failed(Failure(), event)
            return
        if isinstance(handled, Deferred):
            handled.addCallbacks(self._succeeded, self._failed, callbackArgs=(event,), errbackArgs=(event,))
        elif handled is not None and hasattr(handled, "when_done"):
            handled.when_done(partial(self._done, event))
        else:
            self._succeeded(None, event)

    def _done(self, event: Event, failure: Failure | None) -> None:
        if failure is None:
            self._succeeded(None, event)
        else:
            self._failed(failure, event)

    def _succeeded(self, _result: object, event: Event) -> None:
        self.unacknowledged.remove(event)
        self.acknowledged.append(event)

    def _failed(self, failure: Failure, event: Event) -> None:
        self.unacknowledged.remove(event)
        if failure.check(Requeue, CancelledError):
            self.requeued.append(event)
        else:
            self.rejected.append((event, failure))


@implementer(IBus)
@define(eq=False)
class FakeBus:
    """An `IBus` in memory. Everything happens within the call that causes it, in a fixed order.

    `published`: all messages that were published, requests among them. `consumers`: all that were started.

    `unavailable`: set it to a text, and the bus refuses everything with `BusUnavailable` and that text. Set
    it to None, and it works again.

    `exchanges`: the types of exchanges by name, KAZOO's if omitted.

    The bus stores nothing: a message that no consumer wants is gone. Consumers of one named queue take turns.

    Example::

        bus = FakeBus()
        consumer = bus.consume(Queue(topics=frozenset({Topic("callevt", "call.#")})), handler)
        bus.deliver(make_event("callevt", "call.CHANNEL_CREATE.c1", {"Event-Name": "CHANNEL_CREATE"}))
        assert len(consumer.acknowledged) == 1
        bus.publish("notifications", "notifications.webhook.disabled", {"Hook-ID": "h1"})
        assert bus.published[-1].body["Hook-ID"] == "h1"
    """

    unavailable: str | None = None
    exchanges: Mapping[str, str] = field(default=EXCHANGES, kw_only=True)
    published: list[PublishedMessage] = field(init=False, factory=list)
    consumers: list[FakeConsumer] = field(init=False, factory=list)
    _responders: list[tuple[Topic, Responder]] = field(init=False, factory=list)
    _waiting: deque[tuple[FakeConsumer, Event]] = field(init=False, factory=deque)
    _is_delivering: bool = field(init=False, default=False)
    _message_numbers: count[int] = field(init=False, factory=lambda: count(1))

    # -- IBus ------------------------------------------------------------------------------------------

    def consume(self, queue: Queue, handler: EventHandler) -> FakeConsumer:
        """See `IBus`."""
        consumer = FakeConsumer(queue, handler, self)
        self.consumers.append(consumer)
        return consumer

    def publish(
        self, exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False
    ) -> Deferred[None]:
        """See `IBus`. Fails with TypeError if `body` cannot be written as JSON."""
        reason = self.unavailable or self.exchange_problem(exchange)
        if reason is not None:
            return fail(BusUnavailable(reason))
        try:
            event = make_event(exchange, routing_key, body, envelope=False)
        except TypeError:
            return fail()
        self.published.append(PublishedMessage(exchange, routing_key, event.body))
        if not self.deliver(event) and mandatory:
            return fail(Unroutable(f"no queue takes {routing_key} from the exchange {exchange}"))
        return succeed(None)

    def reply(self, request: Event, body: Mapping[str, Any]) -> Deferred[None]:
        """See `IBus`."""
        if request.server_id is None:
            return fail(ValueError("the request has no Server-ID that a reply could go to"))
        return self.publish(TARGETED, request.server_id, body)

    def request(
        self,
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        *,
        timeout: float,
        done_when: Callable[[Sequence[Event]], bool] | None = None,
        mandatory: bool = False,
    ) -> Deferred[list[Event]]:
        """See `IBus`.

        Fires at once: the replies come from `respond` and from consumers that publish at once. A topic of
        `respond` counts as a queue that takes a mandatory request.
        """
        message_id = f"fake-request-{next(self._message_numbers)}"
        sent = build_request(body, message_id=message_id, server_id=message_id)
        replies: list[Event] = []
        consumer = self.consume(Queue(topics=frozenset({Topic(TARGETED, message_id)})), replies.append)
        event = make_event(exchange, routing_key, sent, envelope=False)
        is_taken = any(
            topic.exchange == exchange and self.matches(topic, routing_key) for topic, _ in self._responders
        )
        published = self.publish(exchange, routing_key, sent, mandatory=mandatory and not is_taken)
        self.consumers.remove(consumer)
        if self.unavailable is None:
            replies += self._responses(event)
        if done_when is not None:
            wanted = next((n for n in range(1, len(replies) + 1) if done_when(replies[:n])), len(replies))
            del replies[wanted:]
        return published.addCallback(lambda _: replies)

    def unavailable_reason(self) -> str | None:
        """See `IBus`."""
        return self.unavailable

    # -- for tests -------------------------------------------------------------------------------------

    def deliver(self, event: Event) -> int:
        """Deliver an event to every queue that wants it; return the number of queues."""
        queues: dict[object, FakeConsumer] = {}
        for consumer in self.consumers:
            if consumer.wants(event):
                queues.setdefault(consumer.queue.name or consumer, consumer)
        for consumer in queues.values():
            if consumer.queue.name:
                # Consumers of one queue take turns.
                self.consumers.remove(consumer)
                self.consumers.append(consumer)
            self._waiting.append((consumer, event))
        self._deliver_waiting()
        return len(queues)

    def redeliver(self, consumer: FakeConsumer) -> None:
        """Deliver the requeued events of a consumer again, marked as redelivered."""
        events, consumer.requeued = consumer.requeued, []
        for event in events:
            self._waiting.append((consumer, evolve(event, redelivered=True)))
        self._deliver_waiting()

    def respond(self, topic: Topic, responder: Responder) -> None:
        """Reply to every request of a topic: `responder` returns the bodies for the event of the request."""
        self._responders.append((topic, responder))

    def exchange_problem(self, exchange: str) -> str | None:
        """Return why an exchange cannot be used; None: it can."""
        if exchange in self.exchanges:
            return None
        return f"there is no exchange {exchange!r}; known are {', '.join(self.exchanges)}"

    def matches(self, topic: Topic, routing_key: str) -> bool:
        """Return whether a message on the topic's exchange has a routing key of the topic."""
        if self.exchanges.get(topic.exchange) == "direct":
            return topic.pattern == routing_key
        return matches(topic.pattern, routing_key)

    def _responses(self, request: Event) -> Iterator[Event]:
        for topic, responder in self._responders:
            if topic.exchange == request.exchange and self.matches(topic, request.routing_key):
                for body in responder(request):
                    yield make_event(
                        TARGETED, request.body["Server-ID"], {**body, "Msg-ID": request.message_id}
                    )

    def _deliver_waiting(self) -> None:
        """Deliver in the order of publishing: what a handler publishes comes after the handler returns."""
        if self._is_delivering:
            return
        self._is_delivering = True
        try:
            while self._waiting:
                consumer, event = self._waiting.popleft()
                consumer.receive(event)
        finally:
            self._is_delivering = False
