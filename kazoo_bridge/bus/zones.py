"""The bus of a cluster with several zones, each of which has its own broker.

Like KAZOO's listeners, a federated consumer is bound at the broker of every zone. Everything else stays in
the home zone: durable queues, what is published, requests. Parts of the other zones that answer requests
receive them in the home zone, because they are bound there. The sources are ``gen_listener`` and
``listener_federator`` of KAZOO.

A zone whose broker is away or slow harms no other: nothing waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import define, field, frozen
from prometheus_client import CollectorRegistry
from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.bus.amqp.bus import AmqpBus
from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.bus.request_reply import DoneWhen
from kazoo_bridge.interfaces import BusUnavailable, Completion, EventHandler, IBus, IConsumer, Queue, Topic
from kazoo_bridge.kazoo import Event
from kazoo_bridge.log_throttle import LogThrottle
from kazoo_bridge.metrics import register_counters, register_labelled_gauge

#: The bus of one zone.
ZoneBus = AmqpBus | EmbeddedBus

_log = Logger()


@define(eq=False)
class Zone:
    """Another zone. `number` is its place in ``amqp.zones``, from 1."""

    _clock: IReactorTime
    number: int
    bus: ZoneBus
    _refusals: LogThrottle = field(init=False)

    @_refusals.default
    def _make_refusals(self) -> LogThrottle:
        return LogThrottle(self._clock, self._log_refusals)

    def watch(self, changing: Deferred[None], topic: Topic) -> None:
        """Log if a change of a binding fails, at most once a minute; nothing waits for it."""
        changing.addErrback(self._on_refused, topic)

    def stop(self) -> None:
        """Leave no delayed call."""
        self._refusals.stop()

    def _on_refused(self, failure: Failure, topic: Topic) -> None:
        failure.trap(BusUnavailable, ValueError)
        self._refusals.count(f"{topic.pattern} on exchange {topic.exchange}: {failure.getErrorMessage()}")

    def _log_refusals(self, count: int, latest: str) -> None:
        _log.warn(
            "bindings refused in zone {zone} count={count} latest: {latest}",
            zone=self.number,
            count=count,
            latest=latest,
        )


@frozen(slots=True)
class _RequestFromZone(Event):
    """A request that came from another zone, and the bus that its reply goes over."""

    bus: IBus = field(kw_only=True, repr=False, eq=False)


@define(eq=False)
class _ZoneConsumer:
    """The part of a federated consumer that is in one of the other zones."""

    zone: Zone
    _handler: EventHandler
    _queue: Queue
    consumer: IConsumer = field(init=False)
    _cancelled: bool = field(init=False, default=False)

    def __attrs_post_init__(self) -> None:
        self.consumer = self.zone.bus.consume(self._queue, self._handle)

    def cancel(self) -> None:
        """Handle no more events. The queue goes as soon as the broker is there to cancel it."""
        self._cancelled = True
        self.consumer.cancel().addErrback(
            lambda failure: _log.failure(
                "cancelling a consumer in zone {zone} failed", failure, zone=self.zone.number
            )
        )

    def _handle(self, event: Event) -> Deferred[None] | Completion | None:
        if self._cancelled:
            return None
        if event.server_id is not None:
            event = _RequestFromZone(
                event.exchange,
                event.routing_key,
                event.body,
                event.raw,
                event.redelivered,
                bus=self.zone.bus,
            )
        return self._handler(event)


@implementer(IConsumer)
@frozen(eq=False)
class FederatedConsumer:
    """A consumer that receives from every zone. Its Deferreds are those of the home zone."""

    _home: IConsumer
    _others: Sequence[_ZoneConsumer]

    @property
    def start_count(self) -> int:
        """See `IConsumer`. A zone that comes back is a start, too: its events were missed."""
        return self._home.start_count + sum(one.consumer.start_count for one in self._others)

    def bind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`. Other zones bind it when they can; a refusal there is logged."""
        for one in self._others:
            one.zone.watch(one.consumer.bind(topic), topic)
        return self._home.bind(topic)

    def unbind(self, topic: Topic) -> Deferred[None]:
        """See `IConsumer`."""
        for one in self._others:
            one.zone.watch(one.consumer.unbind(topic), topic)
        return self._home.unbind(topic)

    def when_running(self) -> Deferred[None]:
        """See `IConsumer`."""
        return self._home.when_running()

    def cancel(self) -> Deferred[None]:
        """See `IConsumer`."""
        for one in self._others:
            one.cancel()
        return self._home.cancel()


@implementer(IBus)
class ZonedBus(MultiService):
    """The home zone's bus, and one bus for each of the other zones, in the order of ``amqp.zones``.

    It is available while the home zone is; `degraded` says which other zones are not.
    """

    def __init__(self, clock: IReactorTime, home: ZoneBus, others: Sequence[ZoneBus]) -> None:
        super().__init__()
        self._home = home
        self._zones = [Zone(clock, number, bus) for number, bus in enumerate(others, 1)]
        for bus in (home, *others):
            bus.setServiceParent(self)

    # -- IBus -----------------------------------------------------------------------------------

    def consume(self, queue: Queue, handler: EventHandler) -> IConsumer:
        """See `IBus`. A consumer whose queue is not federated is that of the home zone alone."""
        home = self._home.consume(queue, handler)
        if not queue.federated:
            return home
        return FederatedConsumer(home, [_ZoneConsumer(zone, handler, queue) for zone in self._zones])

    def publish(
        self, exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False
    ) -> Deferred[None]:
        """See `IBus`. Publishes in the home zone."""
        return self._home.publish(exchange, routing_key, body, mandatory=mandatory)

    def reply(self, request: Event, body: Mapping[str, Any]) -> Deferred[None]:
        """See `IBus`."""
        bus = request.bus if isinstance(request, _RequestFromZone) else self._home
        return bus.reply(request, body)

    def request(
        self,
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        *,
        timeout: float,
        done_when: DoneWhen | None = None,
        mandatory: bool = False,
    ) -> Deferred[list[Event]]:
        """See `IBus`. Publishes in the home zone, where its replies arrive, too."""
        return self._home.request(
            exchange, routing_key, body, timeout=timeout, done_when=done_when, mandatory=mandatory
        )

    def unavailable_reason(self) -> str | None:
        """See `IBus`. Says nothing of the other zones."""
        return self._home.unavailable_reason()

    # -- operation ------------------------------------------------------------------------------

    def degraded(self) -> list[str]:
        """Return why zones are away, and which topics of plugins are not bound there, one line each."""
        lines = []
        for zone in self._zones:
            away = zone.bus.unavailable_reason()
            reasons = zone.bus.missing_bindings() if away is None else [away]
            lines += [f"zone {zone.number}: {reason}" for reason in reasons]
        return lines

    def missing_bindings(self) -> list[str]:
        """Return why topics of exchanges that are not KAZOO's are not bound in the home zone."""
        return self._home.missing_bindings()

    def add_exchanges(self, exchanges: Mapping[str, str]) -> None:
        """Declare these exchanges in every zone; types by name. Call it before topics on them are used."""
        for bus in (self._home, *(zone.bus for zone in self._zones)):
            bus.add_exchanges(exchanges)

    def register_metrics(self, registry: CollectorRegistry) -> None:
        """Register the metrics of the home zone's bus, and how the other zones are."""
        self._home.register_metrics(registry)
        register_labelled_gauge(
            registry,
            "zone_up",
            "1 while the node consumes the events of another zone, by its place in amqp.zones",
            "zone",
            lambda: {str(zone.number): float(zone.bus.unavailable_reason() is None) for zone in self._zones},
        )
        register_labelled_gauge(
            registry,
            "zone_bindings_missing",
            "Topics of event categories not bound in another zone, because their exchange is missing",
            "zone",
            lambda: {str(zone.number): len(zone.bus.missing_bindings()) for zone in self._zones},
        )
        register_counters(
            registry,
            "zone_connects",
            "Connections to the brokers of other zones that were established",
            ("zone", "connection"),
            lambda: {
                (str(zone.number), connection): count
                for zone in self._zones
                for connection, count in zone.bus.connects().items()
            },
        )

    def stopService(self) -> Deferred[None]:
        """Disconnect from all zones, at the same time."""
        stopping: Deferred[Any] = super().stopService()
        return stopping.addBoth(self._on_stopped)

    def _on_stopped(self, _results: object) -> None:
        for zone in self._zones:
            zone.stop()
