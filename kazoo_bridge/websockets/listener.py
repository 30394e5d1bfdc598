"""The node's own queue: bound to what somebody listens to, and to nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import orjson
from attrs import define, field
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import BusUnavailable, IBus, IConsumer, Queue, Topic
from kazoo_bridge.kazoo import Event, public_form
from kazoo_bridge.websockets.frames import EventFrame, encode, event_content
from kazoo_bridge.websockets.index import SubscriptionIndex
from kazoo_bridge.websockets.session import Session

_log = Logger()

#: Seconds that a subscriber waits for the broker's word that a topic is bound.
_PATIENCE = 5.0


@define(eq=False)
class Listener:
    """Takes events from the bus and hands them to the sessions that want them."""

    _clock: IReactorTime
    _bus: IBus
    index: SubscriptionIndex[Session]
    told: int = field(init=False, default=0)
    _numbers: count[int] = field(init=False)
    _consumer: IConsumer | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        # Later processes have higher numbers, and a browser can still count that far.
        self._numbers = count(int(self._clock.seconds() * 1_000_000))

    def start(self) -> None:
        """Begin to listen."""
        self._consumer = self._bus.consume(Queue(topics=frozenset(self.index.topics), acknowledge=False), self.handle)

    async def stop(self) -> None:
        """Listen no more."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.cancel()

    async def bind(self, topics: Iterable[Topic]) -> None:
        """Listen to these too; ends when the broker has them, or will have as soon as it is there again."""
        consumer = self._consumer
        if consumer is None:
            return
        waiting = [consumer.bind(topic).addErrback(_refused, topic) for topic in topics if topic in self.index.topics]
        if waiting:
            # Who waits may give up; what is waited for goes on.
            waiter: Deferred[None] = Deferred()
            DeferredList(waiting).addCallback(_over, waiter)
            await waiter.addTimeout(_PATIENCE, self._clock, lambda _, __: None)

    def unbind(self, topics: Iterable[Topic]) -> None:
        """Listen to these no longer, unless somebody needs them again."""
        if self._consumer is not None:
            for topic in topics:
                if topic not in self.index.topics:
                    self._consumer.unbind(topic).addErrback(_refused, topic)

    @property
    def interruptions(self) -> int:
        """How often events may have been missed, because the broker was away."""
        return 0 if self._consumer is None else self._consumer.starts

    def next_sequence(self) -> int:
        """The number of the next frame."""
        return next(self._numbers)

    def handle(self, event: Event) -> None:
        """Tell of an event: encoded once, and once for each subscription that differs."""
        contents: dict[str, bytes] = {}
        data: orjson.Fragment | None = None
        for telling, stream in self.index.match(event):
            content = contents.get(telling.routing_key)
            if content is None:
                if data is None:
                    data = orjson.Fragment(encode(public_form(event.body)))
                content = contents[telling.routing_key] = event_content(event.name, telling.routing_key, data)
            frame = EventFrame(stream.subscribed_key, stream.prefix, content, next(self._numbers))
            for session in list(stream.subscribers):
                session.deliver(frame)
        if data is not None:
            self.told += 1


def _over(_results: object, waiter: Deferred[None]) -> None:
    if not waiter.called:
        waiter.callback(None)


def _refused(failure: Failure, topic: Topic) -> None:
    failure.trap(BusUnavailable)
    _log.warn(
        "events of {pattern} on {exchange} cannot be had: {reason}", pattern=topic.pattern, exchange=topic.exchange, reason=failure.value
    )
