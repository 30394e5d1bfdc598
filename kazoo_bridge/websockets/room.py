"""The websockets of one node, put together."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort

from kazoo_bridge.config import Config
from kazoo_bridge.figures import Durations, Figure, counter, gauge
from kazoo_bridge.interfaces import IBus, ICalls, IDirectory, IEventCategory
from kazoo_bridge.websockets.actions import Actions
from kazoo_bridge.websockets.admission import Admission
from kazoo_bridge.websockets.asking import SocketAnswers, SocketQuestions
from kazoo_bridge.websockets.authority import Authority
from kazoo_bridge.websockets.catalogue import BindingCatalogue
from kazoo_bridge.websockets.index import SubscriptionIndex
from kazoo_bridge.websockets.listener import Listener
from kazoo_bridge.websockets.outbox import Flusher
from kazoo_bridge.websockets.protocol import CLOSING_TIMEOUT, Bounds, Doorway, make_factory
from kazoo_bridge.websockets.resuming import Resuming
from kazoo_bridge.websockets.sessions import SessionLimits, Sessions
from kazoo_bridge.websockets.streaming import EventStreams
from kazoo_bridge.websockets.subscribing import Subscriptions


@define(eq=False)
class WebsocketRoom:
    """Everything that brings events to lasting connections."""

    catalogue: BindingCatalogue
    sessions: Sessions
    questions: SocketQuestions
    streams: EventStreams
    listener: Listener
    doorway: Doorway
    _reactor: Any
    _endpoint: str
    _answers: SocketAnswers
    _port: IListeningPort | None = field(init=False, default=None)

    @classmethod
    def of(
        cls,
        reactor: Any,
        config: Config,
        bus: IBus,
        directory: IDirectory,
        categories: Sequence[IEventCategory],
        node: str,
        calls: ICalls | None = None,
    ) -> WebsocketRoom:
        """Put the parts together; nothing runs yet."""
        settings = config.websockets
        listener = Listener(reactor, bus, SubscriptionIndex(directory.owner_of))
        catalogue = BindingCatalogue.of(categories)
        subscriptions = Subscriptions(reactor, directory, catalogue, listener, settings.max_subscriptions, calls)
        authority = Authority(reactor, directory)
        limits = SessionLimits(
            burst=settings.rate_burst,
            per_second=settings.rate_per_second,
            per_account=settings.max_connections_per_account,
            authentication_timeout=settings.authentication_timeout_s,
            idle_timeout=settings.idle_timeout_s,
            resume_window=settings.resume_window_s,
            resume_events=settings.resume_events,
        )
        sessions = Sessions(reactor, socket.gethostname(), limits, authority, subscriptions)
        resuming = Resuming(sessions, listener)
        actions = Actions(reactor, sessions, authority, subscriptions, resuming, calls)
        origins, proxies = settings.allowed_origins, settings.trusted_proxies
        admission = Admission.of(settings.max_connections_per_ip, settings.max_connections, origins, proxies)
        bounds = Bounds(
            message_bytes=settings.max_message_bytes,
            send_buffer_bytes=settings.send_buffer_bytes,
            max_dropped=settings.max_dropped_events,
            handshake_timeout=settings.handshake_timeout_s,
            ping_interval=settings.ping_interval_s,
            ping_timeout=settings.ping_interval_s,
        )
        doorway = Doorway(sessions, actions, admission, Flusher(reactor), bounds)
        return cls(
            catalogue=catalogue,
            sessions=sessions,
            questions=SocketQuestions(bus),
            streams=EventStreams(doorway, authority, subscriptions, resuming),
            listener=listener,
            doorway=doorway,
            reactor=reactor,
            endpoint=settings.endpoint,
            answers=SocketAnswers(bus, node, sessions, directory),
        )

    def figures(self) -> list[Figure | Durations]:
        """What is going on."""
        sessions = list(self.sessions)
        closed = {str(code): count for code, count in self.sessions.ended.items()}
        return [
            gauge("sockets", "Clients that are connected, by websocket or stream", sum(one.connected for one in sessions)),
            gauge("sessions_waiting", "Sessions that wait for their clients to come back", sum(not one.connected for one in sessions)),
            gauge("subscriptions", "Subscriptions of all clients", sum(one.count for one in sessions)),
            gauge("topics", "Topics of the broker that subscriptions need", len(self.listener.index.topics)),
            counter("socket_events", "Events that somebody has subscribed to", self.listener.told),
            counter("socket_events_dropped", "Events that clients missed because they were too slow", self.doorway.flusher.dropped),
            Figure("sockets_closed", "Connections that this node has closed", "counter", closed, "code"),
        ]

    async def listen(self) -> None:
        """Take connections; raises `CannotListenError`."""
        self._port = await serverFromString(self._reactor, self._endpoint).listen(make_factory(self._reactor, self.doorway))

    def start(self) -> None:
        """Take events."""
        self.listener.start()
        self._answers.start()
        self.sessions.startService()

    @property
    def host(self) -> str:
        """Host and port on which websockets are served, as a URL has them."""
        address = self._port.getHost() if self._port is not None else None
        return f"{getattr(address, 'host', 'localhost')}:{self.port}"

    @property
    def port(self) -> int:
        """The port on which websockets are served; 0 while they are not, or for an endpoint that has no port."""
        address = self._port.getHost() if self._port is not None else None
        return int(getattr(address, "port", 0))

    async def stop(self) -> None:
        """Take no more connections, and close those that there are."""
        if self._port is not None:
            await _maybe(self._port.stopListening())
            self._port = None
        if self.sessions.running:
            await self.listener.stop()
            await self._answers.stop()
            self.sessions.stopService()
        self.doorway.flusher.stop()

    async def closed(self, hurry: Deferred[None]) -> None:
        """After `stop`: wait until clients have got their closing frames, no longer than they have to answer, or until `hurry` fires."""
        empty = self.doorway.empty()
        hurry.addCallback(lambda _: empty.cancel())
        with suppress(CancelledError, TimeoutError):
            await empty.addTimeout(CLOSING_TIMEOUT + 1, self._reactor)


async def _maybe(result: Any) -> None:
    if result is not None:
        await result
