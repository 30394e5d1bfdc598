"""A queue of the embedded bus: hands messages to its consumers in turn and keeps what is not acknowledged."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from heapq import heappop, heappush

from attrs import define, evolve, field, frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.bus.message_decoder import MessageDecoder
from kazoo_bridge.interfaces import EventHandler, Requeue
from kazoo_bridge.kazoo import Event
from kazoo_bridge.log_throttle import LogThrottle

#: Seconds before a message is delivered again after a handler has failed with `Requeue`.
REDELIVERY_DELAY = 1.0

#: Limits of the messages that wait in one queue: their number, and their size in bytes. Beyond them the
#: oldest is dropped.
MAX_MESSAGES = 100_000
MAX_BYTES = 64 * 1024 * 1024

#: Messages delivered in one reactor turn, so that a long queue does not block other work.
_BATCH_SIZE = 100


@frozen
class QueuedMessage:
    """A message in a queue."""

    exchange: str
    routing_key: str
    raw: bytes = field(repr=False)
    content_encoding: str | None = None
    redelivered: bool = False

    def decoded(self, decoder: MessageDecoder) -> Event | None:
        """Return a new event, which shares no state with others, or None if it cannot be read."""
        return decoder.decode(
            self.exchange, self.routing_key, self.raw, self.content_encoding, self.redelivered
        )


@define(eq=False)
class QueueSubscription:
    """One consumer's share of a queue. `prefetch` limits its unacknowledged messages (0: no limit).

    `unacknowledged` counts what the handler has not settled, including `to_requeue`: messages that return to
    the queue after the redelivery delay.
    """

    handler: EventHandler
    prefetch: int
    acknowledge: bool
    unacknowledged: int = 0
    to_requeue: dict[int, QueuedMessage] = field(factory=dict)
    requeue_timer: IDelayedCall | None = None

    @property
    def has_capacity(self) -> bool:
        """Whether it can take another message."""
        return not self.prefetch or self.unacknowledged < self.prefetch


class EmbeddedQueue:
    """Messages in order. Delivery happens in a later reactor turn, never within the publisher's call."""

    log = Logger()

    def __init__(self, clock: IReactorTime, name: str, durable: bool, decoder: MessageDecoder) -> None:
        self.name = name
        self.durable = durable
        self._clock = clock
        self._decoder = decoder
        # Ordered by number, so that a requeued message takes its old place.
        self._messages: list[tuple[int, QueuedMessage]] = []
        self._bytes = 0
        self._numbers = 0
        self._dropped = LogThrottle(clock, self._log_dropped)
        self._subscriptions: deque[QueueSubscription] = deque()
        self._flowing = False
        self._delivery: IDelayedCall | None = None
        self._requeuing: set[QueueSubscription] = set()

    def __len__(self) -> int:
        """Return the number of waiting messages."""
        return len(self._messages)

    @property
    def size(self) -> int:
        """Bytes of the waiting messages."""
        return self._bytes

    @property
    def dropped(self) -> int:
        """Number of messages dropped because the queue was full."""
        return self._dropped.total

    @property
    def unacknowledged(self) -> int:
        """Number of messages that consumers have received and not acknowledged, unless they need not."""
        return sum(one.unacknowledged for one in self._subscriptions if one.acknowledge)

    @property
    def has_consumers(self) -> bool:
        """Whether the queue has a consumer."""
        return bool(self._subscriptions)

    def add_consumer(self, handler: EventHandler, prefetch: int, acknowledge: bool) -> QueueSubscription:
        """Share the messages with another consumer."""
        subscription = QueueSubscription(handler, prefetch if acknowledge else 0, acknowledge)
        self._subscriptions.append(subscription)
        self._schedule_delivery()
        return subscription

    def remove_consumer(self, subscription: QueueSubscription) -> None:
        """Deliver no more messages to it; requeue at once what waits for redelivery.

        Its handler may still finish others.
        """
        self._subscriptions.remove(subscription)
        self._requeue(subscription)

    def put(self, message: QueuedMessage) -> None:
        """Append a message."""
        self._numbers += 1
        self._insert(self._numbers, message)
        self._schedule_delivery()

    def resume(self) -> None:
        """Deliver messages."""
        self._flowing = True
        self._schedule_delivery()

    def pause(self) -> None:
        """Deliver no more messages, keep them, and leave no delayed call."""
        self._flowing = False
        for subscription in list(self._requeuing):
            self._requeue(subscription)
        if self._delivery is not None:
            self._delivery.cancel()
            self._delivery = None
        self._dropped.stop()

    # -- messages

    def _insert(self, number: int, message: QueuedMessage) -> None:
        heappush(self._messages, (number, message))
        self._bytes += len(message.raw)
        while len(self._messages) > MAX_MESSAGES or (self._bytes > MAX_BYTES and len(self._messages) > 1):
            self._dropped.count(self._remove_first()[1].routing_key)

    def _remove_first(self) -> tuple[int, QueuedMessage]:
        number, message = heappop(self._messages)
        self._bytes -= len(message.raw)
        return number, message

    def _log_dropped(self, count: int, routing_key: str) -> None:
        self.log.error(
            "queue {queue} is full ({waiting} messages, {size} bytes): dropped its {count} oldest, "
            "the latest {routing_key}; {total} in total",
            queue=self.name,
            waiting=len(self._messages),
            size=self._bytes,
            count=count,
            routing_key=routing_key,
            total=self._dropped.total,
        )

    # -- delivery

    def _schedule_delivery(self) -> None:
        if self._flowing and self._delivery is None and self._messages and self._subscriptions:
            self._delivery = self._clock.callLater(0, self._deliver_batch)

    def _deliver_batch(self) -> None:
        self._delivery = None
        for _ in range(_BATCH_SIZE):
            if not self._flowing or not self._messages:
                return
            subscription = self._next_subscription()
            if subscription is None:
                return
            number, message = self._remove_first()
            self._deliver(number, message, subscription)
        self._schedule_delivery()

    def _next_subscription(self) -> QueueSubscription | None:
        for _ in range(len(self._subscriptions)):
            self._subscriptions.rotate(-1)
            if self._subscriptions[-1].has_capacity:
                return self._subscriptions[-1]
        return None

    def _deliver(self, number: int, message: QueuedMessage, subscription: QueueSubscription) -> None:
        subscription.unacknowledged += 1
        event = message.decoded(self._decoder)
        if event is None:
            subscription.unacknowledged -= 1
            return
        try:
            result = subscription.handler(event)
        except Exception:
            self._on_failure(Failure(), number, message, subscription)
            return
        if result is None:
            subscription.unacknowledged -= 1
        elif isinstance(result, Deferred):
            on_success: Callable[[object], None] = partial(self._acknowledge, subscription)
            result.addCallbacks(on_success, self._on_failure, errbackArgs=(number, message, subscription))
        elif hasattr(result, "when_done"):
            result.when_done(partial(self._on_done, number, message, subscription))
        else:
            # Against its contract, it has returned something else: it has finished.
            subscription.unacknowledged -= 1

    def _on_done(
        self, number: int, message: QueuedMessage, subscription: QueueSubscription, failure: Failure | None
    ) -> None:
        if failure is None:
            self._acknowledge(subscription)
        else:
            self._on_failure(failure, number, message, subscription)

    def _acknowledge(self, subscription: QueueSubscription, _result: object = None) -> None:
        subscription.unacknowledged -= 1
        self._schedule_delivery()

    def _on_failure(
        self, failure: Failure, number: int, message: QueuedMessage, subscription: QueueSubscription
    ) -> None:
        # Cancelled work is unfinished too, and must not be lost.
        if failure.check(Requeue, CancelledError):
            if subscription.acknowledge:
                self._requeue_later(number, message, subscription)
                return
        else:
            self._decoder.handler_failed(failure, message.exchange, message.routing_key)
        self._acknowledge(subscription)

    # -- requeueing

    def _requeue_later(self, number: int, message: QueuedMessage, subscription: QueueSubscription) -> None:
        """Requeue after a delay, to avoid a tight loop; until then the message counts for the prefetch."""
        subscription.to_requeue[number] = evolve(message, redelivered=True)
        if not self._flowing or subscription not in self._subscriptions:
            self._requeue(subscription)
        elif subscription.requeue_timer is None:
            self._requeuing.add(subscription)
            subscription.requeue_timer = self._clock.callLater(REDELIVERY_DELAY, self._requeue, subscription)

    def _requeue(self, subscription: QueueSubscription) -> None:
        self._requeuing.discard(subscription)
        if subscription.requeue_timer is not None and subscription.requeue_timer.active():
            subscription.requeue_timer.cancel()
        subscription.requeue_timer = None
        for number, message in subscription.to_requeue.items():
            self._insert(number, message)
        subscription.unacknowledged -= len(subscription.to_requeue)
        subscription.to_requeue.clear()
        self._schedule_delivery()
