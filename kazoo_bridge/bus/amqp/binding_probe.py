"""Notices that an exchange was deleted and declared again, which the broker does not report to consumers.

The bindings of a deleted exchange are gone, and no request that a client could repeat shows it: binding
thousands of topics again all the time would be too much work for the broker. So a queue that keeps nothing
is bound to each exchange before any topic is, and a message is published to it every few seconds, with the
demand to return it if no queue takes it. It comes back exactly if the exchange has lost its bindings.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.bus.amqp.wire.errors import Closed
from kazoo_bridge.interfaces import BusUnavailable, Unroutable

#: Seconds between two probes of every exchange.
PROBE_INTERVAL = 10.0


def probe_queue_name() -> str:
    """Return the name of a new queue for probes, which is their routing key, too."""
    return f"kazoo_bridge-probe-{secrets.token_hex(8)}"


@define(eq=False)
class BindingProbe:
    """Probes the exchanges that a topology has declared, while there is a connection.

    `publish` declares an exchange if it is missing, publishes a mandatory message with a routing key, and
    fails like `IBus.publish`. `on_lost` is called with an exchange that has lost its bindings, after it was
    declared and its probe was bound again.
    """

    log = Logger()

    _clock: IReactorTime
    _publish: Callable[[str, str], Awaitable[None]]
    _on_lost: Callable[[str], None]
    _loop: LoopingCall | None = field(init=False, default=None)

    def connected(self, topology: Topology) -> None:
        """Probe the exchanges of a new connection."""
        self._loop = loop = LoopingCall(lambda: Deferred.fromCoroutine(self._probe_all(topology)))
        loop.clock = self._clock
        loop.start(PROBE_INTERVAL, now=False).addErrback(
            lambda failure: self.log.failure("probing of bindings has stopped", failure)
        )

    def disconnected(self) -> None:
        """Probe no more: the next connection binds everything anew."""
        loop, self._loop = self._loop, None
        if loop is not None and loop.running:
            loop.stop()

    async def _probe_all(self, topology: Topology) -> None:
        for exchange in sorted(topology.probed_exchanges):
            if topology.probe is None:
                return
            try:
                await self._publish(exchange, topology.probe)
            except Unroutable:
                await self._renew(topology, exchange)
            except BusUnavailable:
                # There is no connection to publish over, or the broker has blocked it: that says nothing.
                return

    async def _renew(self, topology: Topology, exchange: str) -> None:
        self.log.warn("the bindings of exchange {exchange} are lost, binding it again", exchange=exchange)
        try:
            await topology.redeclare(exchange)
        except Closed as error:
            self.log.warn(
                "exchange {exchange} cannot be declared again: {reason}", exchange=exchange, reason=str(error)
            )
            return
        self._on_lost(exchange)
        try:
            await self._publish(exchange, topology.probe or "")
        except Unroutable:
            # Publishing is connected to another broker than consuming, which is not in one cluster with it.
            topology.probe = None
            self.log.warn("lost bindings will not be noticed, because probes do not arrive")
        except BusUnavailable:
            return
