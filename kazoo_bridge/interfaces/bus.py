"""The message bus: topics, queues, consumers, published messages, requests and their replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from attrs import frozen
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred
    from twisted.python.failure import Failure

    from kazoo_bridge.kazoo import Event


@frozen
class Topic:
    """The messages on one exchange whose routing keys match a pattern.

    `exchange`: one of KAZOO's exchanges (`kazoo_bridge.kazoo.EXCHANGES`), such as ``callevt``, or one that a
    category declares (see `IEventCategory`).

    `pattern`: an AMQP pattern of at most 255 bytes. Its segments are separated by dots; ``*`` matches one
    segment, ``#`` any number of segments.

    Example: ``Topic("callevt", "call.CHANNEL_CREATE.*")``.
    """

    exchange: str
    pattern: str


@frozen
class Queue:
    """A queue as its consumer needs it.

    `name`: empty: the bus chooses a name, and deletes the queue when the connection ends.

    `topics`: what the queue is bound to from the start.

    `durable`: the queue keeps its messages while it has no consumer.

    `prefetch`: the largest number of unacknowledged deliveries; 0: no limit.

    `acknowledge`: False: a message counts as done as soon as it is delivered.

    `federated`: the consumer also receives what is published in the other zones, like a binding with
    KAZOO's option ``federate`` (``gen_listener``). Only for queues without a name.

    Example: ``Queue("kazoo_bridge.webhooks", frozenset({topic}), durable=True, prefetch=500)``.

    Raises ValueError for a federated queue that has a name or is durable.
    """

    name: str = ""
    topics: frozenset[Topic] = frozenset()
    durable: bool = False
    prefetch: int = 0
    acknowledge: bool = True
    federated: bool = False

    def __attrs_post_init__(self) -> None:
        if self.federated and (self.name or self.durable):
            raise ValueError(f"queue {self.name!r}: a federated queue has no name and is not durable")


class Requeue(Exception):
    """The handler could not finish with an event: the bus delivers it again later."""


class InvalidMessage(Exception):
    """The handler cannot use a message. The text names the key, the value in short, and what was expected.

    The bus counts the message, logs such messages at most once a minute, and drops it.
    """


class Unroutable(Exception):
    """No queue took a mandatory message."""


class BusUnavailable(Exception):
    """The bus is not connected, lost its connection before it confirmed, or refused the operation."""


class Completion(Protocol):
    """The handling of an event that goes on: like a Deferred, with less work for each event."""

    def when_done(self, done: Callable[[Failure | None], None]) -> None:
        """Call `done` once when it has ended, perhaps at once: with None, or with the reason of its failure.

        This is called at most once.
        """


#: Receives each event of a queue. It returns None; or a Deferred or `Completion`: when that ends, the event
#: is acknowledged. A failure with `Requeue` delivers the event again, one with `InvalidMessage` counts and
#: drops it. Any other failure is logged, and the event is rejected.
EventHandler = Callable[["Event"], "Deferred[None] | Completion | None"]


class IConsumer(Interface):
    """A running subscription to a queue; `IBus.consume` returns it."""

    start_count: int = Attribute(
        "How often the consumer has started. Between two starts, a queue without a name misses messages."
    )

    def bind(topic: Topic) -> Deferred[None]:
        """Bind the queue to one more topic.

        Fires when the bus has bound it; at once while the bus is disconnected, because it binds all topics
        when it connects. Fails with `BusUnavailable` if the bus refuses. It has no time limit; cancelling
        stops the waiting and does not undo the binding.
        """

    def unbind(topic: Topic) -> Deferred[None]:
        """Remove the binding to a topic. Fires when the bus has removed it."""

    def when_running() -> Deferred[None]:
        """Fire as soon as the consumer gets deliveries; fail with CancelledError if it is cancelled first."""

    def cancel() -> Deferred[None]:
        """Take no more deliveries.

        Deliveries that a handler has already received may still finish and are acknowledged.
        """


class IBus(Interface):
    """Delivers messages of topics, publishes messages, and sends requests."""

    def consume(queue: Queue, handler: EventHandler) -> IConsumer:
        """Call `handler` with every message that reaches `queue`, until the consumer is cancelled.

        The consumer survives reconnections.
        """

    def publish(
        exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False
    ) -> Deferred[None]:
        """Publish a message; fire when the broker has confirmed it.

        `body` is a JSON object with KAZOO's envelope (`kazoo_bridge.kazoo.build_envelope`). `mandatory`: a
        queue must take the message, otherwise the Deferred fails with `Unroutable`. Fails with
        `BusUnavailable` without a connection.
        """

    def reply(request: Event, body: Mapping[str, Any]) -> Deferred[None]:
        """Publish the reply to a request that a consumer has received, through the broker that it came from.

        `body` is like that of `publish`. Fails like `publish`, and with ValueError for a request without a
        queue that replies go to (`Event.server_id`).
        """

    def request(
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        *,
        timeout: float,
        done_when: Callable[[Sequence[Event]], bool] | None = None,
        mandatory: bool = False,
    ) -> Deferred[list[Event]]:
        """Publish a request and collect its replies.

        `body` contains ``Event-Category`` and ``Event-Name``; the bus adds the rest of the envelope, with a
        fresh ``Msg-ID`` and the ``Server-ID`` that replies go to. `timeout` is in seconds. `done_when`
        receives the replies so far; if it returns True, no further replies are waited for. `mandatory`: a
        queue must take the request, otherwise the Deferred fails with `Unroutable`.

        Fires with the replies that have come, perhaps none. If the connection is lost or the bus is stopped,
        it fires at once with the replies so far; without any it fails with `BusUnavailable`. A request
        without a connection is sent as soon as there is one, and fails with `BusUnavailable` after `timeout`.
        """

    def unavailable_reason() -> str | None:
        """Return why the bus does not work at present, as text for an operator; None: it works."""
