"""Watches how much waits in the durable queue.

AMQP reports the number of messages only, so their bytes are estimated by the mean size of those received.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import nan

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from kazoo_bridge.bus.amqp.queue_arguments import QueueArguments
from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.bus.amqp.wire.errors import Closed
from kazoo_bridge.bus.queue_metrics import BodySizes, QueueLevel

#: Seconds between two requests for the length of the queue.
POLL_INTERVAL = 15.0


@define(eq=False)
class QueueMonitor:
    """Asks the broker for the length of the durable queues while there is a connection.

    `durable_queues` returns the name of each, and the sizes of the messages that were received from it.
    """

    log = Logger()

    _clock: IReactorTime
    _arguments: QueueArguments
    _durable_queues: Callable[[], Iterable[tuple[str, BodySizes]]]
    _messages: float = field(init=False, default=nan)
    _bytes: float = field(init=False, default=nan)
    _loop: LoopingCall | None = field(init=False, default=None)

    def connected(self, topology: Topology) -> None:
        """Ask over a new connection."""
        self._loop = loop = LoopingCall(lambda: Deferred.fromCoroutine(self._poll(topology)))
        loop.clock = self._clock
        loop.start(POLL_INTERVAL, now=False).addErrback(
            lambda failure: self.log.failure("watching the durable queue has stopped", failure)
        )

    def disconnected(self) -> None:
        """Ask no more; nothing is known about the queue."""
        loop, self._loop = self._loop, None
        if loop is not None and loop.running:
            loop.stop()
        self._messages = self._bytes = nan

    def level(self) -> QueueLevel:
        """Return what was found last."""
        return QueueLevel(self._messages, self._bytes, self._arguments.max_bytes)

    async def _poll(self, topology: Topology) -> None:
        messages = size = 0.0
        for name, sizes in self._durable_queues():
            try:
                count = await topology.message_count(name)
            except Closed:
                count = None
            if count is None:
                messages = size = nan
            else:
                messages += count
                size += count * sizes.mean
            sizes.forget_half()
        if self._loop is not None and self._loop.running:
            self._messages, self._bytes = messages, size
