"""A small simulated telephone exchange that speaks KAZOO's messages on the bus: it makes calls, answers queries, obeys commands."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.demo.background_activity import BackgroundActivity
from kazoo_bridge.demo.commands import CommandExecutor
from kazoo_bridge.demo.event_publisher import EventPublisher
from kazoo_bridge.demo.live_calls import SimulatedCalls
from kazoo_bridge.demo.notifications import NotificationPublisher
from kazoo_bridge.demo.options import DemoOptions
from kazoo_bridge.demo.queries import ChannelQueryResponder
from kazoo_bridge.demo.tenants import Tenant
from kazoo_bridge.demo.timer import Timer
from kazoo_bridge.interfaces import IBus, IConsumer, Queue, Topic
from kazoo_bridge.kazoo import Event

#: Calls for each thing that happens besides.
_CALLS_PER_HAPPENING = 2.0


class Switchboard(Service):
    """Everything that the simulated exchange does, from start to stop. `say` is called with lines for whoever watches."""

    def __init__(
        self,
        clock: IReactorTime,
        bus: IBus,
        tenants: Sequence[Tenant],
        options: DemoOptions,
        chance: random.Random,
        say: Callable[[str], None],
    ) -> None:
        self._bus = bus
        self._chance = chance
        self._every = 60 / options.calls_per_minute
        teller = EventPublisher(clock, bus, chance)
        self.live = SimulatedCalls(clock, chance, teller, tenants, options.max_calls)
        self._next_call = Timer(clock)
        self._office = BackgroundActivity(
            clock, chance, NotificationPublisher(teller, chance), tenants, self._every * _CALLS_PER_HAPPENING
        )
        self._commands = CommandExecutor(self.live, say)
        self._queries = ChannelQueryResponder(self.live, teller)
        self._consumers: list[IConsumer] = []

    def startService(self) -> None:
        """Begin to listen and to make calls."""
        super().startService()
        self._consumers = [self._listen(part.topics, part.handle) for part in (self._commands, self._queries)]
        self._office.open()
        self._call()

    def stopService(self) -> Any:
        """Drop every call where it stands; nothing is left to be called later."""
        self._next_call.clear()
        self._office.close()
        self.live.drop_all()
        for consumer in self._consumers:
            consumer.cancel()
        self._consumers = []
        return super().stopService()

    def _listen(self, topics: frozenset[Topic], take: Callable[[Event], None]) -> IConsumer:
        return self._bus.consume(Queue(topics=topics, acknowledge=False), take)

    def _call(self) -> None:
        self._next_call.set(self._chance.expovariate(1 / self._every), self._call)
        self.live.begin()
