"""Takes events from the node's queue, bound to subscribed topics only, to the subscribed sessions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import count
from typing import Any

import orjson
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredList, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge.event_traces import EventTraces
from kazoo_bridge.interfaces import BusUnavailable, IBus, IConsumer, Queue, StorageUnavailable, Topic
from kazoo_bridge.kazoo import Event, public_form
from kazoo_bridge.websockets.server.frames import EventFrame, encode_json, event_content
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.subscriptions.bind_queue import ANSWER_TIMEOUT, BindQueue, Unanswered
from kazoo_bridge.websockets.subscriptions.subscription_index import Match, SubscriptionIndex

_log = Logger()

#: Seconds for which an event waits for the owner of its number, and events that wait at the same time.
OWNER_TIMEOUT, MAX_WAITING = 2.0, 1000

#: Why a topic is not bound, for the client.
REFUSED = "the message bus has refused it"
UNANSWERED = f"the message bus has not answered within {ANSWER_TIMEOUT:g} seconds"


@define(eq=False)
class EventFanout:
    """Delivers events from the bus to the sessions whose subscriptions they match.

    `events_sent` counts the events that matched at least one subscription. `look_up_number` is that of
    `IDirectory`. `traces` keep such events, each with the number of sessions that received it.
    """

    _clock: IReactorTime
    _bus: IBus
    index: SubscriptionIndex[Session]
    _look_up_number: Callable[[str], Deferred[Any] | None] = lambda _number: None
    traces: EventTraces = field(factory=EventTraces)
    #: What events wait for.
    _waiting: set[Deferred[Any]] = field(init=False, factory=set)
    events_sent: int = field(init=False, default=0)
    _sequences: count[int] = field(init=False)
    _consumer: IConsumer | None = field(init=False, default=None)
    _bind_queue: BindQueue | None = field(init=False, default=None)

    @_sequences.default
    def _sequences_since_epoch(self) -> count[int]:
        # Microseconds: a restarted node continues with greater numbers, which JavaScript represents exactly.
        return count(int(self._clock.seconds() * 1_000_000))

    def start(self) -> None:
        """Start to consume, with the topics of the subscriptions so far, in every zone.

        The sources in KAZOO are the ``bh_*`` modules, and for call events ``kz_hooks_listener``.
        """
        queue = Queue(topics=frozenset(self.index.topics), acknowledge=False, federated=True)
        self._consumer = self._bus.consume(queue, self.handle)
        self._bind_queue = BindQueue(self._clock, self._consumer, self.index.topics)

    async def stop(self) -> None:
        """Stop to consume. Events that wait for the owner of a number are dropped."""
        for asking in tuple(self._waiting):
            asking.cancel()
        if self._consumer is not None:
            consumer, self._consumer = self._consumer, None
            if self._bind_queue is not None:
                self._bind_queue.stop()
                self._bind_queue = None
            await consumer.cancel()

    async def bind(self, topics: Iterable[Topic], account_id: str = "") -> dict[Topic, str]:
        """Bind the topics for a client of the account, unless they are unsubscribed by now.

        Returns the topics that the broker has refused, or has not answered about within `ANSWER_TIMEOUT`,
        each with the reason for the client. Without a connection to the broker it returns at once: the topics
        are bound when there is one.
        """
        queue = self._bind_queue
        if queue is None:
            return {}
        problems: dict[Topic, str] = {}
        waiting = [
            queue.bind(topic, account_id).addErrback(_add_problem, topic, problems)
            for topic in topics
            if topic in self.index.topics
        ]
        if not all(bound.called for bound in waiting):
            await DeferredList(waiting)
        return problems

    def unbind(self, topics: Iterable[Topic], account_id: str = "") -> None:
        """Unbind the topics, unless they are subscribed to again; for the account of their last client."""
        if self._bind_queue is not None:
            for topic in topics:
                if topic not in self.index.topics:
                    self._bind_queue.unbind(topic, account_id)

    @property
    def interruptions(self) -> int:
        """A number that increases whenever events may have been missed, because the broker was away."""
        return 0 if self._consumer is None else self._consumer.start_count

    def next_sequence(self) -> int:
        """Return the sequence for the next frame."""
        return next(self._sequences)

    def handle(self, event: Event) -> None:
        """Deliver an event to the sessions that it matches.

        Its content is encoded once for each routing key that is shown to clients, usually one; a frame
        once for each group of subscriptions.
        """
        self._deliver(event, self.index.match(event, self._wait_for_owner))

    def _wait_for_owner(
        self, event: Event, number: str, match: Callable[[], Iterator[Match[Session]]]
    ) -> bool:
        """Deliver what `match` yields when the owner of a number has been asked for.

        Returns False if the answer in memory is final, or too many events wait.
        """
        if len(self._waiting) >= MAX_WAITING:
            return False
        asking = self._look_up_number(number)
        if asking is None:
            return False
        self._waiting.add(asking)
        asking.addTimeout(OWNER_TIMEOUT, self._clock)
        asking.addErrback(lambda failure: failure.trap(StorageUnavailable, TimeoutError) and None)
        asking.addBoth(self._asked, asking)
        asking.addCallback(lambda _: self._deliver(event, match()))
        asking.addErrback(_log_unless_cancelled, event)
        return True

    def _asked(self, result: Any, asking: Deferred[Any]) -> Any:
        self._waiting.discard(asking)
        return result

    def _deliver(self, event: Event, matches: Iterable[Match[Session]]) -> None:
        contents: dict[str, bytes] = {}
        data: orjson.Fragment | None = None
        receivers = 0
        for subscriber_event, group in matches:
            routing_key = subscriber_event.routing_key
            content = contents.get(routing_key)
            if content is None:
                if data is None:
                    data = orjson.Fragment(encode_json(public_form(event.body)))
                content = contents[routing_key] = event_content(event.name, routing_key, data)
            frame = EventFrame(
                group.subscribed_key, group.prefix(subscriber_event.key), content, next(self._sequences)
            )
            receivers += len(group.subscribers)
            group.deliver(frame)
            if frame.holders:
                frame.forget_encodings()
        if data is not None:
            self.events_sent += 1
            self.traces.add(event, "", receivers)


def _log_unless_cancelled(failure: Failure, event: Event) -> None:
    if not failure.check(CancelledError):
        _log.failure("event not delivered routing_key={routing_key}", failure, routing_key=event.routing_key)


def _add_problem(failure: Failure, topic: Topic, problems: dict[Topic, str]) -> None:
    if failure.check(Unanswered):
        problems[topic] = UNANSWERED
        return
    failure.trap(BusUnavailable)
    # The broker's own text names its users and virtual hosts: it is for the log, not for clients.
    problems[topic] = REFUSED
    _log.warn(
        "binding refused exchange={exchange} pattern={pattern} reason={reason}",
        exchange=topic.exchange,
        pattern=topic.pattern,
        reason=failure.value,
    )
