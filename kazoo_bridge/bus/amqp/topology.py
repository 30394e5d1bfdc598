"""Declares exchanges, queues and bindings, anew on every connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.logger import Logger
from twisted.python.failure import Failure

from kazoo_bridge import kazoo
from kazoo_bridge.bus.amqp.connection.channel import BrokerChannel
from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.queue_arguments import QueueArguments
from kazoo_bridge.bus.amqp.wire.errors import (
    NOT_FOUND,
    PRECONDITION_FAILED,
    BrokerClosedChannel,
    BrokerClosedConnection,
    Closed,
    closed_as_result,
    lacks_queue_type,
)
from kazoo_bridge.interfaces import Queue, Topic

#: Bindings that are requested before the broker's responses are awaited.
BATCH_SIZE = 100

T = TypeVar("T")


class Topology:
    """Declares on one connection, over its own channel: the broker closes it when it refuses a request.

    `queue_arguments` apply to durable queues and are shared by all connections. `exchanges` are the types of
    exchanges to declare; all others must exist. `probe` names a queue
    that is bound to each exchange before any other is, see `binding_probe`; None: none, or the broker has
    refused it.
    """

    log = Logger()

    def __init__(
        self,
        connection: BrokerConnection,
        queue_arguments: QueueArguments | None = None,
        probe: str | None = None,
        exchanges: Mapping[str, str] = kazoo.EXCHANGES,
    ) -> None:
        self.probe = probe
        self.probed_exchanges: set[str] = set()
        self._connection = connection
        self._types = exchanges
        self._queue_arguments = queue_arguments or QueueArguments()
        self._channel: BrokerChannel | None = None
        self._actions: deque[tuple[Callable[[], Awaitable[Any]], Deferred[Any]]] = deque()
        self._working = False
        self._exchanges: set[str] = set()
        #: Exchanges that exist with other arguments.
        self._foreign: set[str] = set()
        self._exchange_waiters: dict[str, list[Deferred[None]]] = {}

    async def exchange(self, name: str) -> None:
        """Declare an exchange unless this connection has done so.

        Raises BrokerClosedChannel when the broker refuses it.
        """
        if name in self._exchanges:
            return
        # One declaration for any number of callers.
        waiter: Deferred[None] = Deferred()
        self._exchange_waiters.setdefault(name, []).append(waiter)
        if len(self._exchange_waiters[name]) == 1:
            self._exclusively(lambda: self._declare_exchange(name)).addBoth(self._on_exchange_declared, name)
        await waiter

    def _on_exchange_declared(self, result: Failure | None, name: str) -> None:
        for waiter in self._exchange_waiters.pop(name):
            if not waiter.called:
                waiter.callback(result)

    def abort(self, reason: str) -> None:
        """Drop the connection, whose broker does not answer."""
        self._connection.abort(reason)

    async def redeclare(self, name: str) -> None:
        """Declare an exchange, and bind the probe to it, again: it may have been deleted meanwhile.

        Raises BrokerClosedChannel when the broker refuses it.
        """
        await self._exclusively(lambda: self._redeclare(name))

    def forget_exchanges(self) -> None:
        """Declare each exchange anew before it is used next."""
        self._exchanges.clear()

    def knows(self, exchange: str) -> bool:
        """Return whether the exchange was declared on this connection."""
        return exchange in self._exchanges

    async def queue(self, queue: Queue) -> str:
        """Declare the queue; return its name. Raises BrokerClosedChannel when the broker refuses it."""
        return await self._exclusively(lambda: self._queue(queue))

    async def message_count(self, queue: str) -> int | None:
        """Return how many messages wait in a queue; None if it does not exist."""
        return await self._exclusively(lambda: self._message_count(queue))

    async def bind(self, queue: str, topics: Iterable[Topic]) -> dict[Topic, BrokerClosedChannel]:
        """Bind the queue to each topic; return the topics that the broker refused, with its reason."""
        return await self._exclusively(
            lambda: self._apply_batched(sorted(topics, key=_sort_key), lambda topic: self._bind(queue, topic))
        )

    async def unbind(self, queue: str, topics: Iterable[Topic]) -> dict[Topic, BrokerClosedChannel]:
        """Remove the bindings; return the topics that the broker refused to unbind, with its reason."""
        return await self._exclusively(
            lambda: self._apply_batched(
                sorted(topics, key=_sort_key), lambda topic: self._unbind(queue, topic)
            )
        )

    # -- actions, one at a time: a refusal closes the channel for everything in progress on it

    def _exclusively(self, action: Callable[[], Awaitable[T]]) -> Deferred[T]:
        """Run `action` after all earlier ones; fires with its result."""
        result: Deferred[T] = Deferred()
        self._actions.append((action, result))
        if not self._working:
            self._working = True
            Deferred.fromCoroutine(self._work()).addErrback(
                lambda failure: self.log.failure("declaring on the broker has stopped", failure)
            )
        return result

    async def _work(self) -> None:
        # One loop fires the results of all callers one after another. With a lock each caller would continue
        # inside the call of the previous one, and hundreds of them would reach the recursion limit.
        while self._actions:
            action, result = self._actions.popleft()
            if result.called:  # cancelled
                continue
            try:
                outcome: Any = await action()
            except Exception:
                outcome = Failure()
            if not result.called:
                result.callback(outcome)
        self._working = False

    async def _open(self) -> BrokerChannel:
        if self._channel is None or self._channel.closed:
            self._channel = await self._connection.open_channel()
        return self._channel

    async def _redeclare(self, name: str) -> None:
        self._exchanges.discard(name)
        await self._declare_exchange(name)

    async def _declare_exchange(self, name: str) -> None:
        if name in self._exchanges or name == "":
            return
        kind = self._types.get(name) if name not in self._foreign else None
        refused: BrokerClosedChannel | None = None
        if kind is not None:
            try:
                await (await self._open()).exchange_declare(exchange=name, type=kind)
            except BrokerClosedChannel as error:
                # Other arguments; or a user that may only read an exchange that is not KAZOO's.
                if error.code != PRECONDITION_FAILED and name in kazoo.EXCHANGES:
                    raise
                refused = error
        if kind is None or refused is not None:
            await (await self._open()).exchange_declare(exchange=name, passive=True)
        if refused is not None:
            self._foreign.add(name)
            self.log.warn(
                "exchange {exchange} cannot be declared and is used as it is: {reason}",
                exchange=name,
                reason=refused.text,
            )
        self._exchanges.add(name)
        await self._bind_probe(name)

    async def _bind_probe(self, exchange: str) -> None:
        if self.probe is None:
            return
        try:
            channel = await self._open()
            await channel.queue_declare(
                queue=self.probe, exclusive=True, auto_delete=True, arguments={"x-max-length": 0}
            )
            await channel.queue_bind(queue=self.probe, exchange=exchange, routing_key=self.probe)
        except BrokerClosedChannel as error:
            self.probe = None
            self.log.warn(
                "lost bindings will not be noticed, because the broker refuses the queue for that: {reason}",
                reason=error.text,
            )
        else:
            self.probed_exchanges.add(exchange)

    async def _queue(self, queue: Queue) -> str:
        if queue.durable:
            self._queue_arguments.effective = {}
        refused: BrokerClosedChannel | None = None
        while True:
            try:
                return await self._declare_queue(queue)
            except BrokerClosedConnection as error:
                wanted = self._queue_arguments.wanted
                if queue.durable and "x-queue-type" in wanted and lacks_queue_type(error):
                    self._simplify(queue, error.text, without_type=True)  # on the next connection
                raise
            except BrokerClosedChannel as error:
                if error.code != PRECONDITION_FAILED:
                    raise
                refused = error
            try:
                response = await (await self._open()).queue_declare(queue=queue.name, passive=True)
            except BrokerClosedChannel as error:
                # If the queue does not exist, the arguments themselves were refused.
                if error.code != NOT_FOUND or not queue.durable or not self._simplify(queue, refused.text):
                    raise
            else:
                self._log_other_arguments(queue, refused.text)
                name: str = response.queue
                return name

    async def _declare_queue(self, queue: Queue) -> str:
        arguments = dict(self._queue_arguments.wanted) if queue.durable else {}
        response = await (await self._open()).queue_declare(
            queue=queue.name,
            durable=queue.durable,
            exclusive=not queue.name,
            auto_delete=not queue.durable,
            arguments=arguments,
        )
        if queue.durable:
            self._queue_arguments.effective = arguments
        name: str = response.queue
        return name

    async def _message_count(self, queue: str) -> int | None:
        try:
            response = await (await self._open()).queue_declare(queue=queue, passive=True)
        except BrokerClosedChannel:
            return None
        return int(response.message_count)

    def _simplify(self, queue: Queue, reason: str, *, without_type: bool = False) -> bool:
        """Want simpler arguments from now on; returns False when there are none."""
        refused = dict(self._queue_arguments.wanted)
        if not self._queue_arguments.simplify(without_type=without_type):
            return False
        wanted = dict(self._queue_arguments.wanted)
        self.log.warn(
            "the broker does not support queues with {refused}, so {queue} becomes {kind} with {wanted}: "
            "{reason}",
            refused=refused,
            wanted=wanted or "no arguments",
            kind="a quorum queue" if "x-queue-type" in wanted else "a classic durable one",
            queue=queue.name,
            reason=reason,
        )
        return True

    def _log_other_arguments(self, queue: Queue, reason: str) -> None:
        policy = self._queue_arguments.policy(queue.name) if queue.durable else None
        self.log.warn(
            "queue {queue} exists on the broker with other arguments and is used as it is: {reason}{advice}",
            queue=queue.name,
            reason=reason,
            advice=""
            if policy is None
            else "; its bounds may differ from the configured ones. To set them without losing a message, "
            f"run on the broker (with -p VHOST if it has one): {policy}",
        )

    async def _apply_batched(
        self, topics: list[Topic], act: Callable[[Topic], Awaitable[Deferred[Any]]]
    ) -> dict[Topic, BrokerClosedChannel]:
        """Act on all topics, a batch at a time; after a refusal one by one, to find the refused ones."""
        refused: dict[Topic, BrokerClosedChannel] = {}
        for start in range(0, len(topics), BATCH_SIZE):
            batch = topics[start : start + BATCH_SIZE]
            try:
                await self._pipelined(batch, act)
            except BrokerClosedChannel:
                refused.update(await self._one_by_one(batch, act))
        return refused

    async def _pipelined(self, topics: list[Topic], act: Callable[[Topic], Awaitable[Deferred[Any]]]) -> None:
        sent: list[Deferred[Any]] = []
        try:
            for topic in topics:
                sent.append(await act(topic))  # noqa: PERF401
        finally:
            results = gatherResults([call.addErrback(closed_as_result) for call in sent], consumeErrors=True)
            try:
                outcomes = await results
            except FirstError as error:
                error.subFailure.raiseException()
        for outcome in outcomes:
            if isinstance(outcome, Closed):
                raise outcome

    async def _one_by_one(
        self, topics: list[Topic], act: Callable[[Topic], Awaitable[Deferred[Any]]]
    ) -> dict[Topic, BrokerClosedChannel]:
        refused = {}
        for topic in topics:
            try:
                await (await act(topic))
            except BrokerClosedChannel as error:
                refused[topic] = error
        return refused

    async def _bind(self, queue: str, topic: Topic) -> Deferred[Any]:
        await self._declare_exchange(topic.exchange)
        channel = await self._open()
        call: Deferred[Any] = channel.queue_bind(
            queue=queue, exchange=topic.exchange, routing_key=topic.pattern
        )
        return call

    async def _unbind(self, queue: str, topic: Topic) -> Deferred[Any]:
        channel = await self._open()
        call: Deferred[Any] = channel.queue_unbind(
            queue=queue, exchange=topic.exchange, routing_key=topic.pattern
        )
        return call


def _sort_key(topic: Topic) -> tuple[str, str]:
    return topic.exchange, topic.pattern
