"""A simulated switch with KAZOO's messages on the bus: makes calls, replies to queries, executes commands."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.demo import DemoOptions
from kazoo_bridge.demo.background_activity import BackgroundActivity
from kazoo_bridge.demo.call import Call
from kazoo_bridge.demo.commands import CommandExecutor
from kazoo_bridge.demo.event_publisher import EventPublisher
from kazoo_bridge.demo.front_desk import FrontDesk, PivotRoute
from kazoo_bridge.demo.live_calls import SimulatedCalls
from kazoo_bridge.demo.new_calls import NewCallExecutor
from kazoo_bridge.demo.notifications import NotificationPublisher
from kazoo_bridge.demo.presence import PresencePublisher
from kazoo_bridge.demo.queries import ChannelQueryResponder
from kazoo_bridge.demo.tenants import Tenant
from kazoo_bridge.demo.timer import Timer
from kazoo_bridge.interfaces import IBus, IConsumer, Queue, Topic
from kazoo_bridge.kazoo import Event

#: Calls per other activity, on average.
_CALLS_PER_ACTIVITY = 2.0

#: Calls per person who does not want to be disturbed for a while, on average.
_CALLS_PER_UNDISTURBED = 15.0

#: Calls per call to a front desk, on average, and the seconds that are between two of those at least.
_CALLS_PER_DESK_CALL, _MIN_DESK_INTERVAL = 8.0, 10.0


class Switchboard(Service):
    """The simulated switch of `tenants`. `on_message` receives a line about each command.

    `routes` are the numbers that Pivot routes.
    """

    def __init__(
        self,
        clock: IReactorTime,
        bus: IBus,
        tenants: Sequence[Tenant],
        options: DemoOptions,
        rng: random.Random,
        on_message: Callable[[str], None],
        routes: Sequence[PivotRoute] = (),
    ) -> None:
        self._bus = bus
        self._rng = rng
        self._interval = 60 / options.calls_per_minute
        publisher = EventPublisher(clock, bus, rng)
        notifications = NotificationPublisher(publisher, rng)
        self._presence = PresencePublisher(
            clock, rng, publisher, tenants, self._interval * _CALLS_PER_UNDISTURBED
        )
        self.calls = SimulatedCalls(
            clock, rng, publisher, tenants, notifications, options.max_calls, self._on_step
        )
        self._next_call = Timer(clock)
        self._background = BackgroundActivity(
            clock, rng, notifications, tenants, self._interval * _CALLS_PER_ACTIVITY
        )
        self._commands = CommandExecutor(self.calls, on_message)
        self._new_calls = NewCallExecutor(self.calls, publisher, rng, on_message)
        self._queries = ChannelQueryResponder(self.calls, publisher)
        # Their own, so that the times and callers of these calls depend on the seed alone.
        desk_rng = random.Random(None if options.seed is None else f"front desks {options.seed}")
        desk_interval = max(_MIN_DESK_INTERVAL, self._interval * _CALLS_PER_DESK_CALL)
        self._front_desks = [
            FrontDesk(clock, desk_rng, self.calls, route, desk_interval, on_message) for route in routes
        ]
        self._consumers: list[IConsumer] = []

    def startService(self) -> None:
        """Consume queries and commands, and start to make calls."""
        super().startService()
        parts = (self._commands, self._new_calls, self._queries)
        self._consumers = [self._consume(part.topics, part.handle) for part in parts]
        self._background.start()
        self._presence.start(self.calls)
        self._start_calls()
        for front_desk in self._front_desks:
            front_desk.start()

    def stopService(self) -> Any:
        """Drop all calls without events, and cancel all delayed calls."""
        self._next_call.clear()
        for front_desk in self._front_desks:
            front_desk.stop()
        self._background.stop()
        self._presence.stop()
        self.calls.drop_all()
        for consumer in self._consumers:
            consumer.cancel()
        self._consumers = []
        return super().stopService()

    def _on_step(self, call: Call) -> None:
        self._presence.on_step(call)
        for front_desk in self._front_desks:
            front_desk.on_step(call)

    def _consume(self, topics: frozenset[Topic], handle: Callable[[Event], None]) -> IConsumer:
        return self._bus.consume(Queue(topics=topics, acknowledge=False), handle)

    def _start_calls(self) -> None:
        self._next_call.set(self._rng.expovariate(1 / self._interval), self._start_calls)
        self.calls.start_call()
