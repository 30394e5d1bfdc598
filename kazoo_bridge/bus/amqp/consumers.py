"""A consumer that outlives channels and connections."""

from __future__ import annotations

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, DeferredLock, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.bus.amqp.backoff import Backoff
from kazoo_bridge.bus.amqp.errors import BrokerClosedChannel, Closed
from kazoo_bridge.bus.amqp.fields import short_string
from kazoo_bridge.bus.amqp.protocol import BrokerConnection
from kazoo_bridge.bus.amqp.runs import Run
from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.interfaces import BusUnavailable, EventHandler, IConsumer, Queue, Topic

#: Seconds until bindings that the broker refused are tried again.
RETRY_BINDINGS = 30.0
#: A consumer that ran this many seconds counts as sound: should it end, it is started again after the shortest delay.
SOUND_AFTER = 60.0


@define(eq=False)
class _Bindings:
    """What the queue is bound to on the broker, as far as known."""

    topology: Topology
    queue_name: str
    bound: set[Topic] = field(factory=set)
    refused: dict[Topic, BrokerClosedChannel] = field(factory=dict)
    lock: DeferredLock = field(factory=DeferredLock)

    async def adapt(self, wanted: set[Topic]) -> None:
        """Bind and unbind until the broker has what is wanted, which may change meanwhile. Raises Closed."""
        await self.lock.acquire()
        try:
            tried: set[Topic] = set()
            while (missing := wanted - self.bound - tried) or self.bound - wanted:
                tried |= missing
                self.refused = {topic: why for topic, why in self.refused.items() if topic in wanted}
                for topic in missing:
                    self.refused.pop(topic, None)
                refused = await self.topology.bind(self.queue_name, missing) if missing else {}
                self.refused.update(refused)
                self.bound |= missing - refused.keys()
                superfluous = self.bound - wanted
                if superfluous:
                    await self.topology.unbind(self.queue_name, superfluous)
                    self.bound -= superfluous
        finally:
            self.lock.release()


@implementer(IConsumer)
class AmqpConsumer:
    """Declares its queue and consumes from it on every connection that it is given, until cancelled."""

    log = Logger()

    def __init__(self, clock: IReactorTime, queue: Queue, handler: EventHandler) -> None:
        for topic in queue.topics:
            _check(topic)
        self.cancelled = False
        self.starts = 0
        self._clock = clock
        self._queue = queue
        self._handler = handler
        self._wanted = set(queue.topics)
        self._bindings: _Bindings | None = None
        self._run: Run | None = None
        self._ending: Run | None = None
        self._task: Deferred[None] | None = None
        self._pause: Deferred[None] | None = None
        self._retry: IDelayedCall | None = None
        self._trouble: str | None = f"consumer of {self._label} is not running yet"
        self._running: list[Deferred[None]] = []

    @property
    def topics(self) -> frozenset[Topic]:
        """What it listens to, or will once connected."""
        return frozenset(self._wanted)

    def trouble(self) -> str | None:
        """Why it does not consume, or not all that it should; None when all is well."""
        if self._trouble is None and self._bindings is not None and self._bindings.refused:
            topic, why = next(iter(self._bindings.refused.items()))
            return f"{self._label} is not bound to {topic.pattern} on exchange {topic.exchange}: {why.text}"
        return self._trouble

    def when_running(self) -> Deferred[None]:
        """Fires as soon as it consumes; fails with CancelledError if it is cancelled before."""
        waiter: Deferred[None] = Deferred()
        if self._trouble is None:
            waiter.callback(None)
        else:
            self._running.append(waiter)
        return waiter

    # -- told by the bus ------------------------------------------------------------------------

    def connected(self, connection: BrokerConnection, topology: Topology) -> None:
        """Consume over this connection."""
        if self.cancelled:
            return
        self._task = Deferred.fromCoroutine(self._keep_running(connection, topology))
        self._task.addErrback(self._task_failed)

    def disconnected(self) -> None:
        """The connection is gone, and everything with it."""
        self._bindings = self._run = None
        self._trouble = f"consumer of {self._label} is not running yet"
        self._stop_retrying()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()

    def suspend(self) -> Deferred[None]:
        """Take no further deliveries on this connection, and tell the broker at once what has finished."""
        run = self._run
        return Deferred.fromCoroutine(run.stop()) if run is not None else succeed(None)

    def flush(self) -> None:
        """Tell the broker now what has finished, cancelled or not."""
        for run in (self._run, self._ending):
            if run is not None:
                run.flush()

    # -- IConsumer ------------------------------------------------------------------------------

    def bind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`. Fails, and forgets the topic, when it cannot be: with BusUnavailable when the broker refuses it, with
        ValueError when it is longer than AMQP allows (255 bytes)."""
        try:
            _check(topic)
        except ValueError as error:
            return fail(error)
        self._wanted.add(topic)
        return Deferred.fromCoroutine(self._bound(topic))

    def unbind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`."""
        self._wanted.discard(topic)
        return Deferred.fromCoroutine(self._adapt())

    def cancel(self) -> Deferred[None]:
        """See `IConsumer`. Fires when the broker sends nothing more; what was handed over may still be unfinished."""
        self.cancelled = True
        self._stop_retrying()
        waiting, self._running = self._running, []
        for waiter in waiting:
            waiter.cancel()
        if self._pause is not None:
            self._pause.cancel()
        run, self._run = self._run, None
        self._ending = run
        # What is starting just now ends itself when it sees that it was cancelled.
        return Deferred.fromCoroutine(run.stop()) if run is not None else succeed(None)

    # -- at work --------------------------------------------------------------------------------

    @property
    def _label(self) -> str:
        return f"queue {self._queue.name}" if self._queue.name else "an unnamed queue"

    async def _bound(self, topic: Topic) -> None:
        await self._adapt()
        bindings = self._bindings
        if bindings is not None and topic in bindings.refused:
            self._wanted.discard(topic)
            why = bindings.refused.pop(topic)
            raise BusUnavailable(f"{self._label} cannot be bound to {topic.pattern} on exchange {topic.exchange}: {why.text}")

    async def _adapt(self) -> None:
        if self._bindings is not None:
            try:
                await self._bindings.adapt(self._wanted)
            except Closed:
                # The next connection declares everything anew.
                return

    async def _keep_running(self, connection: BrokerConnection, topology: Topology) -> None:
        backoff = Backoff()
        while connection.end is None and not self.cancelled:
            since = self._clock.seconds()
            reason = await self._run_once(connection, topology)
            self._bindings = self._run = None
            self._stop_retrying()
            if connection.end is not None or self.cancelled:
                return
            self._trouble = f"consumer of {self._label} is not running: {reason}"
            if self._clock.seconds() - since > SOUND_AFTER:
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
            self._bindings = _Bindings(topology, name)
            await self._bindings.adapt(self._wanted)
            run = Run(self._clock, connection, await connection.open_channel(), self._queue, self._handler)
            await run.start(name)
        except Closed as error:
            return str(error)
        if self.cancelled:
            await run.stop()
            return None
        self._run = run
        self._started()
        return await run.ended

    def _started(self) -> None:
        self.starts += 1
        self._trouble = None
        if self._bindings is not None and self._bindings.refused:
            self.log.error("{trouble}; trying again every {delay} s", trouble=self.trouble(), delay=RETRY_BINDINGS)
            self._retry = self._clock.callLater(RETRY_BINDINGS, self._retry_bindings)
        waiting, self._running = self._running, []
        for waiter in waiting:
            waiter.callback(None)

    def _retry_bindings(self) -> None:
        self._retry = None
        Deferred.fromCoroutine(self._adapt()).addCallbacks(self._retried, self._task_failed)

    def _retried(self, _result: None) -> None:
        if self._bindings is not None and self._bindings.refused and self._run is not None and self._retry is None:
            self._retry = self._clock.callLater(RETRY_BINDINGS, self._retry_bindings)

    def _stop_retrying(self) -> None:
        retry, self._retry = self._retry, None
        if retry is not None:
            retry.cancel()

    def _task_failed(self, failure: Failure) -> None:
        if not failure.check(CancelledError):
            self._trouble = f"consumer of {self._label} is not running: {failure.getErrorMessage()}"
            self.log.failure("the consumer of {queue} has stopped for good", failure, queue=self._label)


def _check(topic: Topic) -> None:
    """Raises ValueError for a topic that cannot be written: found late, it would stand in the way of the others."""
    short_string(topic.exchange)
    short_string(topic.pattern)
