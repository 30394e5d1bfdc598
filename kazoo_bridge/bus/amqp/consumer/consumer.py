"""A consumer that continues over new channels and connections."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.connection.reconnecting import RETRY_DELAY
from kazoo_bridge.bus.amqp.consumer.bindings import RETRY_INTERVAL, QueueBindings
from kazoo_bridge.bus.amqp.consumer.channel_consumer import ChannelConsumer
from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.bus.amqp.wire.errors import Closed
from kazoo_bridge.bus.amqp.wire.field_table import short_string
from kazoo_bridge.bus.message_decoder import MessageDecoder
from kazoo_bridge.bus.queue_metrics import BodySizes
from kazoo_bridge.interfaces import EventHandler, IConsumer, Queue, Topic

#: A consumer that ends after so many seconds is started again after the shortest delay.
HEALTHY_AFTER = 60.0


@implementer(IConsumer)
class AmqpConsumer:
    """Declares its queue and consumes from it on every connection that it receives, until cancelled.

    `sizes` counts the received messages.

    Raises ValueError for a topic that AMQP cannot carry. `retry_delay` gives the seconds before restart
    number n (from 0) on one connection.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        queue: Queue,
        handler: EventHandler,
        decoder: MessageDecoder,
        retry_delay: Callable[[int], float] = RETRY_DELAY,
    ) -> None:
        for topic in queue.topics:
            _check_topic(topic)
        self.cancelled = False
        self.start_count = 0
        self.sizes = BodySizes()
        self._clock = clock
        self._queue = queue
        self._handler = handler
        self._decoder = decoder
        self._retry_delay = retry_delay
        self._bindings = QueueBindings(clock, self._label, dict.fromkeys(queue.topics), retry_delay)
        self._current: ChannelConsumer | None = None
        self._cancelled_one: ChannelConsumer | None = None
        self._task: Deferred[None] | None = None
        self._pause: Deferred[None] | None = None
        self._unavailable_reason: str | None = f"consumer of {self._label} is not running yet"
        self._start_waiters: list[Deferred[None]] = []

    @property
    def queue(self) -> Queue:
        """The queue, as its consumer needs it."""
        return self._queue

    @property
    def topics(self) -> frozenset[Topic]:
        """The topics that its queue is bound to, or will be once connected."""
        return frozenset(self._bindings.wanted)

    @property
    def unacknowledged(self) -> int:
        """The number of received messages about whose end the broker knows nothing yet."""
        known = (self._current, self._cancelled_one)
        return sum(one.unacknowledged for one in known if one is not None)

    def unavailable_reason(self) -> str | None:
        """Return why it does not consume, or not from every topic of KAZOO's; None when all is well."""
        return self._unavailable_reason or self._bindings.problem()

    def missing_bindings(self) -> list[str]:
        """Return why topics of exchanges that are not KAZOO's are not bound, one line each."""
        return [] if self._unavailable_reason else self._bindings.missing()

    # -- called by the bus ----------------------------------------------------------------------

    def connected(self, connection: BrokerConnection, topology: Topology) -> None:
        """Consume over this connection."""
        if self.cancelled:
            return
        self._bindings.connected()
        self._task = Deferred.fromCoroutine(self._keep_running(connection, topology))
        self._task.addErrback(self._on_task_failed)

    def disconnected(self) -> None:
        """Forget the connection, which is lost."""
        self._current = None
        self._unavailable_reason = f"consumer of {self._label} is not running yet"
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        self._bindings.disconnected()

    def rebind(self, exchange: str) -> None:
        """Bind the topics of an exchange again, because it has lost all bindings: events were missed."""
        if any(topic.exchange == exchange for topic in self._bindings.wanted):
            self.start_count += 1
            self._bindings.rebind(exchange)

    def suspend(self) -> Deferred[None]:
        """Receive no further deliveries on this connection, and send the finished acknowledgements."""
        current = self._current
        return Deferred.fromCoroutine(current.stop()) if current is not None else succeed(None)

    def flush(self) -> None:
        """Send the finished acknowledgements, also after `cancel`."""
        for one in (self._current, self._cancelled_one):
            if one is not None:
                one.flush()

    # -- IConsumer ------------------------------------------------------------------------------

    def bind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`.

        Fails with `BusUnavailable` when the broker refuses it, and then forgets the topic unless it was
        wanted before; with ValueError when it is longer than AMQP allows (255 bytes). Does not fire as long
        as a connected broker does not answer; cancel it to wait no longer.
        """
        try:
            _check_topic(topic)
        except ValueError as error:
            return fail(error)
        return self._bindings.bind(topic)

    def unbind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`."""
        return self._bindings.unbind(topic)

    def when_running(self) -> Deferred[None]:
        """See `IConsumer`."""
        if self.cancelled:
            return fail(CancelledError())
        if self._unavailable_reason is None:
            return succeed(None)
        waiter: Deferred[None] = Deferred(self._forget_waiter)
        self._start_waiters.append(waiter)
        return waiter

    def cancel(self) -> Deferred[None]:
        """See `IConsumer`.

        Fires when the broker sends nothing more; the handler may still work on deliveries.
        """
        self.cancelled = True
        self._bindings.disconnected()
        for waiter in list(self._start_waiters):
            waiter.cancel()
        if self._pause is not None:
            self._pause.cancel()
        current, self._current = self._current, None
        self._cancelled_one = current
        # A start that is under way ends itself when it finds that the consumer is cancelled.
        return Deferred.fromCoroutine(current.stop()) if current is not None else succeed(None)

    def _forget_waiter(self, waiter: Deferred[None]) -> None:
        if waiter in self._start_waiters:
            self._start_waiters.remove(waiter)

    # -- running --------------------------------------------------------------------------------

    @property
    def _label(self) -> str:
        return f"queue {self._queue.name}" if self._queue.name else "an unnamed queue"

    async def _keep_running(self, connection: BrokerConnection, topology: Topology) -> None:
        attempt = 0
        while connection.close_reason is None and not self.cancelled:
            started_at = self._clock.seconds()
            reason = await self._run_once(connection, topology)
            self._current = None
            self._bindings.detach()
            if reason is None or connection.close_reason is not None or self.cancelled:
                return
            self._unavailable_reason = f"consumer of {self._label} is not running: {reason}"
            if self._clock.seconds() - started_at > HEALTHY_AFTER:
                attempt = 0
            delay = self._retry_delay(attempt)
            attempt += 1
            self.log.warn(
                "consumer of {queue} ended, restarting it in {delay:.1f} s: {reason}",
                queue=self._label,
                delay=delay,
                reason=reason,
            )
            self._pause = deferLater(self._clock, delay)
            await self._pause

    async def _run_once(self, connection: BrokerConnection, topology: Topology) -> str | None:
        """Consume until that ends; returns the reason, None if this side has ended it."""
        try:
            name = await topology.queue(self._queue)
            await self._bindings.attach(topology, name)
            started = ChannelConsumer(
                self._clock,
                connection,
                await connection.open_channel(),
                self._queue,
                self._handler,
                self._decoder,
                self.sizes,
            )
            await started.start(name)
        except Closed as error:
            return str(error)
        except CancelledError:
            raise
        except Exception as error:
            self.log.failure("starting the consumer of {queue} failed", queue=self._label)
            return f"{type(error).__name__}: {error}"
        if self.cancelled:
            await started.stop()
            return None
        self._current = started
        self._on_started()
        return await started.ended

    def _on_started(self) -> None:
        self.start_count += 1
        self._unavailable_reason = None
        if self._bindings.refused:
            self.log.error(
                "{problem}; trying again every {delay} s",
                problem="; ".join(filter(None, (self._bindings.problem(), *self._bindings.missing()))),
                delay=RETRY_INTERVAL,
            )
        waiters, self._start_waiters = self._start_waiters, []
        for waiter in waiters:
            if not waiter.called:
                waiter.callback(None)

    def _on_task_failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._unavailable_reason = (
                f"consumer of {self._label} is not running: {failure.getErrorMessage()}"
            )
            self.log.failure("consumer of {queue} has stopped for good", failure, queue=self._label)


def _check_topic(topic: Topic) -> None:
    """Raise ValueError for a topic that AMQP cannot carry: found later, it would block the other bindings."""
    short_string(topic.exchange)
    short_string(topic.pattern)
