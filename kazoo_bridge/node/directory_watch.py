"""Lets the directory follow KAZOO's messages, and ends the sockets whose rights have ended."""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.internet import TimerService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.interfaces import IBus, IConsumer, Queue
from kazoo_bridge.kazoo import Event

#: Seconds between two looks at the directory's revision.
INTERVAL = 1.0


class DirectoryWatch(TimerService):
    """Brings the messages of the exchange ``configuration`` to the directory.

    `on_rights_changed` is called soon after rights may have ended. If the broker was away, messages may have
    been missed; the directory learns that, too.
    """

    def __init__(
        self, clock: IReactorTime, bus: IBus, directory: BaseDirectory, on_rights_changed: Callable[[], None]
    ) -> None:
        super().__init__(INTERVAL, self.look)
        self.clock = clock
        self._bus = bus
        self._directory = directory
        self._on_rights_changed = on_rights_changed
        self._revision = directory.rights_revision
        self._consumer: IConsumer | None = None
        self._start_count = 0

    def startService(self) -> None:
        """Consume the messages that the directory names, if any."""
        topics = self._directory.configuration_topics
        if topics:
            self._consumer = self._bus.consume(Queue(topics=topics, acknowledge=False), self._on_event)
            self._start_count = self._consumer.start_count
        super().startService()

    def stopService(self) -> Deferred[None]:
        """Consume no more; fires when the broker has confirmed it."""
        return Deferred.fromCoroutine(self._stop(super().stopService()))

    def look(self) -> None:
        """Call `on_rights_changed` if rights may have ended since the last look."""
        if self._consumer is not None and self._consumer.start_count != self._start_count:
            missed, self._start_count = self._start_count > 0, self._consumer.start_count
            if missed:
                self._directory.on_configuration_missed()
        revision = self._directory.rights_revision
        if revision != self._revision:
            self._revision = revision
            self._on_rights_changed()

    def _on_event(self, event: Event) -> None:
        self._directory.on_configuration_event(event)
        self.look()

    async def _stop(self, stopped: Deferred[None] | None) -> None:
        if stopped is not None:
            await stopped
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            await consumer.cancel()
