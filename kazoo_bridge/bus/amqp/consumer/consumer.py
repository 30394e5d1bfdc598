"""A consumer that outlives channels and connections."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.consumer.backoff import Backoff
from kazoo_bridge.bus.amqp.consumer.bindings import RETRY_INTERVAL, QueueBindings
from kazoo_bridge.bus.amqp.consumer.channel_consumer import ChannelConsumer
from kazoo_bridge.bus.amqp.consumer.topology import Topology
from kazoo_bridge.bus.amqp.wire.errors import Closed
from kazoo_bridge.bus.amqp.wire.field_table import short_string
from kazoo_bridge.interfaces import EventHandler, IConsumer, Queue, Topic

#: A consumer that ran this many seconds counts as sound: should it end, it is started again after the shortest delay.
HEALTHY_AFTER = 60.0


@implementer(IConsumer)
class AmqpConsumer:
    """Declares its queue and consumes from it on every connection that it is given, until cancelled."""

    log = Logger()

    def __init__(self, clock: IReactorTime, queue: Queue, handler: EventHandler) -> None:
        for topic in queue.topics:
            _check_topic(topic)
        self.cancelled = False
        self.start_count = 0
        self._clock = clock
        self._queue = queue
        self._handler = handler
        self._bindings = QueueBindings(clock, self._label, dict.fromkeys(queue.topics))
        self._run: ChannelConsumer | None = None
        self._cancelled_run: ChannelConsumer | None = None
        self._task: Deferred[None] | None = None
        self._pause: Deferred[None] | None = None
        self._unavailable_reason: str | None = f"consumer of {self._label} is not running yet"
        self._waiting_for_start: list[Deferred[None]] = []

    @property
    def topics(self) -> frozenset[Topic]:
        """What it listens to, or will once connected."""
        return frozenset(self._bindings.wanted)

    def unavailable_reason(self) -> str | None:
        """Why it does not consume, or not all that it should; None when all is well."""
        return self._unavailable_reason or self._bindings.problem()

    def when_running(self) -> Deferred[None]:
        """Fires as soon as it consumes; fails with CancelledError if it is cancelled before."""
        waiter: Deferred[None] = Deferred()
        if self._unavailable_reason is None:
            waiter.callback(None)
        else:
            self._waiting_for_start.append(waiter)
        return waiter

    # -- told by the bus ------------------------------------------------------------------------

    def connected(self, connection: BrokerConnection, topology: Topology) -> None:
        """Consume over this connection."""
        if self.cancelled:
            return
        self._bindings.connected()
        self._task = Deferred.fromCoroutine(self._keep_running(connection, topology))
        self._task.addErrback(self._task_failed)

    def disconnected(self) -> None:
        """The connection is gone, and everything with it."""
        self._run = None
        self._unavailable_reason = f"consumer of {self._label} is not running yet"
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        self._bindings.disconnected()

    def suspend(self) -> Deferred[None]:
        """Take no further deliveries on this connection, and tell the broker at once what has finished."""
        run = self._run
        return Deferred.fromCoroutine(run.stop()) if run is not None else succeed(None)

    def flush(self) -> None:
        """Tell the broker now what has finished, cancelled or not."""
        for run in (self._run, self._cancelled_run):
            if run is not None:
                run.flush()

    # -- IConsumer ------------------------------------------------------------------------------

    def bind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`.

        Fails with `BusUnavailable` when the broker refuses it, and then forgets the topic unless it was wanted before;
        with ValueError when it is longer than AMQP allows (255 bytes). Does not fire as long as a connected broker
        does not answer; cancel it to wait no longer.
        """
        try:
            _check_topic(topic)
        except ValueError as error:
            return fail(error)
        return self._bindings.bind(topic)

    def unbind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`."""
        return self._bindings.unbind(topic)

    def cancel(self) -> Deferred[None]:
        """See `IConsumer`. Fires when the broker sends nothing more; what was handed over may still be unfinished."""
        self.cancelled = True
        self._bindings.disconnected()
        waiting, self._waiting_for_start = self._waiting_for_start, []
        for waiter in waiting:
            waiter.cancel()
        if self._pause is not None:
            self._pause.cancel()
        run, self._run = self._run, None
        self._cancelled_run = run
        # What is starting just now ends itself when it sees that it was cancelled.
        return Deferred.fromCoroutine(run.stop()) if run is not None else succeed(None)

    # -- at work --------------------------------------------------------------------------------

    @property
    def _label(self) -> str:
        return f"queue {self._queue.name}" if self._queue.name else "an unnamed queue"

    async def _keep_running(self, connection: BrokerConnection, topology: Topology) -> None:
        backoff = Backoff()
        while connection.close_reason is None and not self.cancelled:
            since = self._clock.seconds()
            reason = await self._run_once(connection, topology)
            self._run = None
            self._bindings.detach()
            if connection.close_reason is not None or self.cancelled:
                return
            self._unavailable_reason = f"consumer of {self._label} is not running: {reason}"
            if self._clock.seconds() - since > HEALTHY_AFTER:
                backoff.reset()
            delay = backoff.delay()
            self.log.warn(
                "the consumer of {queue} has ended and is started again in {delay:.1f} s: {reason}",
                queue=self._label,
                delay=delay,
                reason=reason,
            )
            self._pause = deferLater(self._clock, delay)
            await self._pause

    async def _run_once(self, connection: BrokerConnection, topology: Topology) -> str | None:
        """Consume as long as it goes; returns why it ended."""
        try:
            name = await topology.queue(self._queue)
            await self._bindings.attach(topology, name)
            run = ChannelConsumer(
                self._clock, connection, await connection.open_channel(), self._queue, self._handler
            )
            await run.start(name)
        except Closed as error:
            return str(error)
        except CancelledError:
            raise
        except Exception as error:
            self.log.failure("starting the consumer of {queue} failed", queue=self._label)
            return f"{type(error).__name__}: {error}"
        if self.cancelled:
            await run.stop()
            return None
        self._run = run
        self._on_started()
        return await run.ended

    def _on_started(self) -> None:
        self.start_count += 1
        self._unavailable_reason = None
        if self._bindings.refused:
            self.log.error(
                "{trouble}; trying again every {delay} s",
                trouble=self.unavailable_reason(),
                delay=RETRY_INTERVAL,
            )
        waiting, self._waiting_for_start = self._waiting_for_start, []
        for waiter in waiting:
            waiter.callback(None)

    def _task_failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._unavailable_reason = (
                f"consumer of {self._label} is not running: {failure.getErrorMessage()}"
            )
            self.log.failure("the consumer of {queue} has stopped for good", failure, queue=self._label)


def _check_topic(topic: Topic) -> None:
    """Raises ValueError for a topic that cannot be written: found late, it would stand in the way of the others."""
    short_string(topic.exchange)
    short_string(topic.pattern)
