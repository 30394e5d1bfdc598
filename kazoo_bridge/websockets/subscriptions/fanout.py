"""The node's own queue: bound to what somebody listens to, and to nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

import orjson
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredList
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import BusUnavailable, IBus, IConsumer, Queue, Topic
from kazoo_bridge.kazoo import Event, public_form
from kazoo_bridge.websockets.server.frames import EventFrame, encode, event_content
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions.subscription_index import SubscriptionIndex

_log = Logger()

#: Seconds that a subscriber waits for the broker's next answer about one of its topics.
BIND_TIMEOUT = 5.0


@define(eq=False)
class EventFanout:
    """Takes events from the bus and hands them to the sessions that want them."""

    _clock: IReactorTime
    _bus: IBus
    index: SubscriptionIndex[Session]
    events_sent: int = field(init=False, default=0)
    _numbers: count[int] = field(init=False)
    _consumer: IConsumer | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        # Later processes have higher numbers, and a browser can still count that far.
        self._numbers = count(int(self._clock.seconds() * 1_000_000))

    def start(self) -> None:
        """Begin to listen."""
        self._consumer = self._bus.consume(
            Queue(topics=frozenset(self.index.topics), acknowledge=False), self.handle
        )

    async def stop(self) -> None:
        """Listen no more."""
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            await consumer.cancel()

    async def bind(self, topics: Iterable[Topic]) -> dict[Topic, str]:
        """Listen to these too; returns those that the broker has refused, or not answered about in time, each with the reason.

        While the broker is away it does not wait: the topics are bound as soon as it is there again.
        """
        consumer = self._consumer
        if consumer is None:
            return {}
        problems: dict[Topic, str] = {}
        waiting = {topic: consumer.bind(topic) for topic in topics if topic in self.index.topics}
        for topic, bound in waiting.items():
            bound.addErrback(_note_problem, topic, problems)
        if not all(bound.called for bound in waiting.values()):
            timer = self._clock.callLater(BIND_TIMEOUT, _give_up, list(waiting.values()))
            for bound in waiting.values():
                # Thousands of topics take their time: what counts is that the broker goes on answering.
                bound.addCallback(lambda _: timer.reset(BIND_TIMEOUT) if timer.active() else None)
            await DeferredList(waiting.values())
            if timer.active():
                timer.cancel()
        return problems

    def unbind(self, topics: Iterable[Topic]) -> None:
        """Listen to these no longer, unless somebody needs them again."""
        if self._consumer is not None:
            for topic in topics:
                if topic not in self.index.topics:
                    self._consumer.unbind(topic).addErrback(_refused, topic)

    @property
    def interruptions(self) -> int:
        """How often events may have been missed, because the broker was away."""
        return 0 if self._consumer is None else self._consumer.start_count

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
            self.events_sent += 1


def _give_up(waiting: Iterable[Deferred[None]]) -> None:
    for bound in waiting:
        bound.cancel()


def _note_problem(failure: Failure, topic: Topic, problems: dict[Topic, str]) -> None:
    if failure.check(CancelledError):
        problems[topic] = f"the message bus has not answered within {BIND_TIMEOUT:g} seconds"
        return
    failure.trap(BusUnavailable)
    # The broker's own words name its users and virtual hosts: they are for the operator.
    problems[topic] = "the message bus has refused it"
    _log.warn(
        "{pattern} on exchange {exchange} is refused: {reason}",
        pattern=topic.pattern,
        exchange=topic.exchange,
        reason=failure.value,
    )


def _refused(failure: Failure, topic: Topic) -> None:
    failure.trap(BusUnavailable)
    _log.warn(
        "{pattern} on exchange {exchange} cannot be unbound: {reason}",
        pattern=topic.pattern,
        exchange=topic.exchange,
        reason=failure.value,
    )
