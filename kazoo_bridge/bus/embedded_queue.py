"""A queue of the embedded bus: hands messages to its takers in turn and keeps what is not acknowledged."""

from __future__ import annotations

from collections import deque
from functools import partial

from attrs import define, evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.bus.decoding import Undecodable, decode
from kazoo_bridge.interfaces import EventHandler, Unfinished

_log = Logger()

#: Seconds until a message that could not be finished is handed out again.
REDELIVERY_DELAY = 1.0

#: A queue keeps this many messages, then it drops the oldest.
MAX_MESSAGES = 100_000


@frozen
class Message:
    """A message as it lies in a queue."""

    exchange: str
    routing_key: str
    raw: bytes = field(repr=False)
    content_encoding: str | None = None
    redelivered: bool = False


@define(eq=False)
class Taker:
    """A consumer's end of a queue. `prefetch` 0: no bound."""

    handler: EventHandler
    prefetch: int
    acknowledge: bool
    in_hand: int = 0

    @property
    def free(self) -> bool:
        """Whether it may be handed another message."""
        return not self.prefetch or self.in_hand < self.prefetch


class EmbeddedQueue:
    """Messages in order; delivery happens from the clock, never inside the publisher's call."""

    def __init__(self, clock: IReactorTime, name: str, durable: bool) -> None:
        self.name = name
        self.durable = durable
        self._clock = clock
        self._messages: deque[Message] = deque()
        self._takers: deque[Taker] = deque()
        self._flowing = False
        self._pump: IDelayedCall | None = None
        self._delayed: dict[int, IDelayedCall] = {}
        self._number = 0

    @property
    def has_takers(self) -> bool:
        """Whether anybody consumes."""
        return bool(self._takers)

    def add_taker(self, handler: EventHandler, prefetch: int, acknowledge: bool) -> Taker:
        """Share the messages with another consumer."""
        taker = Taker(handler, prefetch if acknowledge else 0, acknowledge)
        self._takers.append(taker)
        self._wake()
        return taker

    def remove_taker(self, taker: Taker) -> None:
        """Hand it no more messages; what it has in hand it may still finish."""
        if taker in self._takers:
            self._takers.remove(taker)

    def put(self, message: Message) -> None:
        """Append a message."""
        if len(self._messages) >= MAX_MESSAGES:
            dropped = self._messages.popleft()
            _log.error("queue {queue} is full: {routing_key}, its oldest message, is dropped", queue=self.name, routing_key=dropped.routing_key)
        self._messages.append(message)
        self._wake()

    def resume(self) -> None:
        """Let messages flow."""
        self._flowing = True
        self._wake()

    def pause(self) -> None:
        """Let no more messages flow, and leave nothing to be called later."""
        self._flowing = False
        for call in (*self._delayed.values(), *([self._pump] if self._pump else [])):
            if call.active():
                call.cancel()
        self._delayed.clear()
        self._pump = None

    def _wake(self) -> None:
        if self._flowing and self._pump is None and self._messages and self._takers:
            self._pump = self._clock.callLater(0, self._deliver)

    def _deliver(self) -> None:
        self._pump = None
        while self._flowing and self._messages:
            taker = self._next_taker()
            if taker is None:
                return
            self._hand_over(self._messages.popleft(), taker)

    def _next_taker(self) -> Taker | None:
        for _ in range(len(self._takers)):
            self._takers.rotate(-1)
            if self._takers[-1].free:
                return self._takers[-1]
        return None

    def _hand_over(self, message: Message, taker: Taker) -> None:
        try:
            event = decode(message.exchange, message.routing_key, message.raw, message.content_encoding, message.redelivered)
        except Undecodable as error:
            _log.warn("message {routing_key} is rejected: {reason}", routing_key=message.routing_key, reason=error)
            return
        try:
            handled = taker.handler(event)
        except Exception:
            self._failed(message, Failure())
            return
        if isinstance(handled, Deferred):
            taker.in_hand += 1
            handled.addErrback(partial(self._failed, message))
            handled.addBoth(partial(self._freed, taker))

    def _freed(self, taker: Taker, _: object) -> None:
        taker.in_hand -= 1
        self._wake()

    def _failed(self, message: Message, failure: Failure) -> None:
        if failure.check(Unfinished):
            self._again_later(message)
        else:
            _log.failure("the handler of {routing_key} failed; the message is rejected", failure, routing_key=message.routing_key)

    def _again_later(self, message: Message) -> None:
        again = evolve(message, redelivered=True)
        if not self._flowing:
            self._messages.appendleft(again)
            return
        self._number += 1
        self._delayed[self._number] = self._clock.callLater(REDELIVERY_DELAY, self._put_back, self._number, again)

    def _put_back(self, number: int, message: Message) -> None:
        del self._delayed[number]
        self._messages.appendleft(message)
        self._wake()
