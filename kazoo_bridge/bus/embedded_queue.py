"""A queue of the embedded bus: hands messages to its takers in turn and keeps what is not acknowledged."""

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

from kazoo_bridge.bus.message_codec import DecodeError, decode
from kazoo_bridge.interfaces import EventHandler, Requeue
from kazoo_bridge.kazoo import Event

#: Seconds until a message that could not be finished is handed out again.
REDELIVERY_DELAY = 1.0

#: A queue keeps at most this many waiting messages, of at most this many bytes together; then it drops the oldest.
MAX_MESSAGES = 100_000
MAX_BYTES = 64 * 1024 * 1024

#: Messages handed out in one turn of the reactor, so that a long queue does not hold up everything else.
_BATCH_SIZE = 100
#: A full queue says so with the first message that it drops, and again after this many.
_LOG_INTERVAL = 1000


@frozen
class QueuedMessage:
    """A message as it lies in a queue."""

    exchange: str
    routing_key: str
    raw: bytes = field(repr=False)
    content_encoding: str | None = None
    redelivered: bool = False

    def decoded(self) -> Event:
        """A fresh event, which nobody else has; raises `DecodeError`."""
        return decode(self.exchange, self.routing_key, self.raw, self.content_encoding, self.redelivered)


@define(eq=False)
class QueueConsumer:
    """A consumer's end of a queue. `prefetch` 0: no bound.

    `in_hand` counts what is not settled, `to_return` holds what is on its way back to the queue and still counts.
    """

    handler: EventHandler
    prefetch: int
    acknowledge: bool
    unacknowledged: int = 0
    to_requeue: dict[int, QueuedMessage] = field(factory=dict)
    requeue_timer: IDelayedCall | None = None

    @property
    def has_capacity(self) -> bool:
        """Whether it may be handed another message."""
        return not self.prefetch or self.unacknowledged < self.prefetch


class EmbeddedQueue:
    """Messages in order; delivery happens from the clock, never inside the publisher's call."""

    log = Logger()

    def __init__(self, clock: IReactorTime, name: str, durable: bool) -> None:
        self.name = name
        self.durable = durable
        self._clock = clock
        # Ordered by number, so that what comes back takes its old place.
        self._messages: list[tuple[int, QueuedMessage]] = []
        self._bytes = 0
        self._numbers = 0
        self._dropped = 0
        self._takers: deque[QueueConsumer] = deque()
        self._flowing = False
        self._pump: IDelayedCall | None = None
        self._returning: set[QueueConsumer] = set()

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._messages)

    @property
    def has_consumers(self) -> bool:
        """Whether anybody consumes."""
        return bool(self._takers)

    def add_consumer(self, handler: EventHandler, prefetch: int, acknowledge: bool) -> QueueConsumer:
        """Share the messages with another consumer."""
        taker = QueueConsumer(handler, prefetch if acknowledge else 0, acknowledge)
        self._takers.append(taker)
        self._schedule_delivery()
        return taker

    def remove_consumer(self, taker: QueueConsumer) -> None:
        """Hand it no more messages; what it has in hand it may still finish, what it could not finish comes back at once."""
        self._takers.remove(taker)
        self._requeue(taker)

    def put(self, message: QueuedMessage) -> None:
        """Append a message."""
        self._numbers += 1
        self._insert(self._numbers, message)
        self._schedule_delivery()

    def resume(self) -> None:
        """Let messages flow."""
        self._flowing = True
        self._schedule_delivery()

    def pause(self) -> None:
        """Let no more messages flow, and leave nothing to be called later. No message is lost."""
        self._flowing = False
        for taker in list(self._returning):
            self._requeue(taker)
        if self._pump is not None:
            self._pump.cancel()
            self._pump = None

    # -- the messages

    def _insert(self, number: int, message: QueuedMessage) -> None:
        heappush(self._messages, (number, message))
        self._bytes += len(message.raw)
        while len(self._messages) > MAX_MESSAGES or (self._bytes > MAX_BYTES and len(self._messages) > 1):
            self._drop(self._remove_first()[1])

    def _remove_first(self) -> tuple[int, QueuedMessage]:
        number, message = heappop(self._messages)
        self._bytes -= len(message.raw)
        return number, message

    def _drop(self, message: QueuedMessage) -> None:
        if self._dropped % _LOG_INTERVAL == 0:
            self.log.error(
                "queue {queue} is full ({waiting} messages, {size} bytes): its oldest message, {routing_key}, is dropped, "
                "after {dropped} others",
                queue=self.name,
                waiting=len(self._messages),
                size=self._bytes,
                routing_key=message.routing_key,
                dropped=self._dropped,
            )
        self._dropped += 1

    # -- handing out

    def _schedule_delivery(self) -> None:
        if self._flowing and self._pump is None and self._messages and self._takers:
            self._pump = self._clock.callLater(0, self._deliver)

    def _deliver(self) -> None:
        self._pump = None
        for _ in range(_BATCH_SIZE):
            if not self._flowing or not self._messages:
                return
            taker = self._next_consumer()
            if taker is None:
                return
            number, message = self._remove_first()
            self._hand_over(number, message, taker)
        self._schedule_delivery()

    def _next_consumer(self) -> QueueConsumer | None:
        for _ in range(len(self._takers)):
            self._takers.rotate(-1)
            if self._takers[-1].has_capacity:
                return self._takers[-1]
        return None

    def _hand_over(self, number: int, message: QueuedMessage, taker: QueueConsumer) -> None:
        taker.unacknowledged += 1
        try:
            handled = taker.handler(message.decoded())
        except DecodeError as error:
            self.log.warn(
                "dropping a message on {exchange} with routing key {routing_key}: {reason}",
                exchange=message.exchange,
                routing_key=message.routing_key,
                reason=str(error),
            )
            taker.unacknowledged -= 1
        except Exception:
            self._failed(Failure(), number, message, taker)
        else:
            if isinstance(handled, Deferred):
                settle: Callable[[object], None] = partial(self._acknowledge, taker)
                handled.addCallbacks(settle, self._failed, errbackArgs=(number, message, taker))
            else:
                taker.unacknowledged -= 1

    def _acknowledge(self, taker: QueueConsumer, _result: object) -> None:
        taker.unacknowledged -= 1
        self._schedule_delivery()

    def _failed(self, failure: Failure, number: int, message: QueuedMessage, taker: QueueConsumer) -> None:
        # Work that was cancelled is not finished either, and must not be lost.
        if failure.check(Requeue, CancelledError):
            if taker.acknowledge:
                self._requeue_later(number, message, taker)
                return
        else:
            self.log.failure(
                "handling an event with routing key {routing_key} failed",
                failure,
                routing_key=message.routing_key,
            )
        self._acknowledge(taker, None)

    # -- and back

    def _requeue_later(self, number: int, message: QueuedMessage, taker: QueueConsumer) -> None:
        """Put it back after a while, lest it go round and round; until then it counts for its taker's prefetch."""
        taker.to_requeue[number] = evolve(message, redelivered=True)
        if not self._flowing or taker not in self._takers:
            self._requeue(taker)
        elif taker.requeue_timer is None:
            self._returning.add(taker)
            taker.requeue_timer = self._clock.callLater(REDELIVERY_DELAY, self._requeue, taker)

    def _requeue(self, taker: QueueConsumer) -> None:
        self._returning.discard(taker)
        if taker.requeue_timer is not None and taker.requeue_timer.active():
            taker.requeue_timer.cancel()
        taker.requeue_timer = None
        for number, message in taker.to_requeue.items():
            self._insert(number, message)
        taker.unacknowledged -= len(taker.to_requeue)
        taker.to_requeue.clear()
        self._schedule_delivery()
