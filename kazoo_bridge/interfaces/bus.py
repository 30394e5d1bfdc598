"""The message bus: topics, queues, consumers, published messages, requests and their replies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from attrs import frozen
from zope.interface import Attribute, Interface

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from kazoo_bridge.kazoo import Event


@frozen
class Topic:
    """What to listen to: a routing-key pattern (AMQP's ``*`` and ``#``) on an exchange."""

    exchange: str
    pattern: str


@frozen
class Queue:
    """A queue as its consumer wants it.

    An empty ``name`` lets the bus choose one, which ends with the connection (exclusive). ``durable`` queues keep their
    messages while nobody consumes. ``prefetch`` bounds the unacknowledged deliveries (0: no bound).
    ``acknowledge`` false: a delivery counts as done when it is handed over.
    """

    name: str = ""
    topics: frozenset[Topic] = frozenset()
    durable: bool = False
    prefetch: int = 0
    acknowledge: bool = True


class Requeue(Exception):
    """A handler could not finish with an event; the bus shall hand it out again later."""


class Unroutable(Exception):
    """A mandatory message found no queue."""


class BusUnavailable(Exception):
    """The bus has no connection just now, or lost it before it confirmed."""


#: Called with each event. None, or a Deferred that fires: finished (acknowledged). A failure with
#: `Requeue`: handed out again. Any other failure: logged with the routing key, rejected, never seen again.
EventHandler = Callable[["Event"], "Deferred[None] | None"]


class IConsumer(Interface):
    """A running subscription to a queue."""

    start_count: int = Attribute(
        "How often it has begun to take deliveries. Between two beginnings, a queue that ends with the connection has missed messages."
    )

    def bind(topic: Topic) -> Deferred[None]:
        """Listen to `topic` too; fires once the bus has it (at once while disconnected: it is declared on connecting).

        Fails with `BusUnavailable` when the bus refuses it. While the bus does not answer it does not fire: cancel it to
        wait no longer, which does not undo it.
        """

    def unbind(topic: Topic) -> Deferred[None]:
        """Listen to `topic` no longer."""

    def when_running() -> Deferred[None]:
        """Fires as soon as deliveries are taken; fails with CancelledError if it is cancelled before."""

    def cancel() -> Deferred[None]:
        """Take no further deliveries; those already handed over may still finish and are acknowledged."""


class IBus(Interface):
    """Topics in, messages out, questions and their answers."""

    def consume(queue: Queue, handler: EventHandler) -> IConsumer:
        """Hand every message that reaches `queue` to `handler`, over every reconnection, until cancelled."""

    def publish(
        exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False
    ) -> Deferred[None]:
        """Send a message; fires when the broker has confirmed it.

        Fails with `BusUnavailable` without a connection and, when `mandatory`, with `Unroutable` if no queue took it.
        """

    def request(
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        *,
        timeout: float,
        done_when: Callable[[Sequence[Event]], bool] | None = None,
    ) -> Deferred[list[Event]]:
        """Send a request with a new ``Msg-ID`` and ``Server-ID``; fires with the replies that arrived.

        It fires when `done_when(replies)` is true, after `timeout` seconds, or when the connection is lost or the bus is
        stopped and there are replies already. Fails with `BusUnavailable` when the request could not be sent, and when
        the connection is lost or the bus is stopped before the first reply.
        """

    def unavailable_reason() -> str | None:
        """Why the bus is not working just now, in words for an operator; None while it is consuming."""
