"""The websockets of one node, put together."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from attrs import define, field
from prometheus_client import CollectorRegistry
from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort

from kazoo_bridge.config import Config
from kazoo_bridge.interfaces import IBus, ICalls, IDirectory, IEventCategory
from kazoo_bridge.metrics import register_counter, register_gauge, register_labelled_counter
from kazoo_bridge.websockets.actions import Actions
from kazoo_bridge.websockets.api import WebsocketApi
from kazoo_bridge.websockets.cluster_sockets import SocketQueryClient, SocketQueryResponder
from kazoo_bridge.websockets.server.connection_limits import AdmissionControl
from kazoo_bridge.websockets.server.protocol import (
    CLOSING_TIMEOUT,
    ConnectionLimits,
    ServerContext,
    make_factory,
)
from kazoo_bridge.websockets.server.send_buffer import Flusher
from kazoo_bridge.websockets.server_sent_events import EventStreams
from kazoo_bridge.websockets.sessions.authorization import Authorizer
from kazoo_bridge.websockets.sessions.resume import SessionResumer
from kazoo_bridge.websockets.sessions.session_registry import SessionLimits, SessionRegistry
from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue
from kazoo_bridge.websockets.subscriptions.fanout import EventFanout
from kazoo_bridge.websockets.subscriptions.subscription_index import SubscriptionIndex
from kazoo_bridge.websockets.subscriptions.subscriptions import Subscriptions


@define(eq=False)
class WebsocketService:
    """Everything that brings events to lasting connections."""

    catalogue: BindingCatalogue
    sessions: SessionRegistry
    queries: SocketQueryClient
    streams: EventStreams
    fanout: EventFanout
    server: ServerContext
    _reactor: Any
    _endpoint: str
    _responder: SocketQueryResponder
    _port: IListeningPort | None = field(init=False, default=None)

    @classmethod
    def from_config(
        cls,
        reactor: Any,
        config: Config,
        bus: IBus,
        directory: IDirectory,
        categories: Sequence[IEventCategory],
        node: str,
        calls: ICalls | None = None,
    ) -> WebsocketService:
        """Put the parts together; nothing runs yet."""
        settings = config.websockets
        listener = EventFanout(reactor, bus, SubscriptionIndex(directory.account_for_number))
        catalogue = BindingCatalogue.from_categories(categories)
        subscriptions = Subscriptions(
            reactor, directory, catalogue, listener, settings.max_subscriptions, calls
        )
        authority = Authorizer(reactor, directory)
        limits = SessionLimits(
            burst=settings.rate_burst,
            per_second=settings.rate_per_second,
            per_account=settings.max_connections_per_account,
            authentication_timeout=settings.authentication_timeout_s,
            idle_timeout=settings.idle_timeout_s,
            resume_window=settings.resume_window_s,
            resume_events=settings.resume_events,
        )
        sessions = SessionRegistry(reactor, socket.gethostname(), limits, authority, subscriptions)
        resuming = SessionResumer(sessions, listener)
        actions = Actions(reactor, sessions, authority, subscriptions, resuming, calls)
        origins, proxies = settings.allowed_origins, settings.trusted_proxies
        admission = AdmissionControl.from_config(
            settings.max_connections_per_ip, settings.max_connections, origins, proxies
        )
        bounds = ConnectionLimits(
            message_bytes=settings.max_message_bytes,
            send_buffer_bytes=settings.send_buffer_bytes,
            max_dropped=settings.max_dropped_events,
            handshake_timeout=settings.handshake_timeout_s,
            ping_interval=settings.ping_interval_s,
            ping_timeout=settings.ping_interval_s,
        )
        context = ServerContext(sessions, actions, admission, Flusher(reactor), bounds)
        return cls(
            catalogue=catalogue,
            sessions=sessions,
            queries=SocketQueryClient(bus),
            streams=EventStreams(context, authority, subscriptions, resuming),
            fanout=listener,
            server=context,
            reactor=reactor,
            endpoint=settings.endpoint,
            responder=SocketQueryResponder(bus, node, sessions, directory),
        )

    @property
    def api(self) -> WebsocketApi:
        """The operations that REST offers (`IWebsockets`)."""
        return WebsocketApi(self.catalogue, self.queries, self.streams)

    def register_metrics(self, registry: CollectorRegistry) -> None:
        """Export the metrics of this node's websockets in `registry`."""
        sessions = self.sessions
        register_gauge(
            registry,
            "sockets",
            "Connected clients, by websocket or event stream",
            lambda: sum(session.is_connected for session in sessions),
        )
        register_gauge(
            registry,
            "sessions_waiting",
            "Resumable sessions whose clients are disconnected",
            lambda: sum(not session.is_connected for session in sessions),
        )
        register_gauge(
            registry,
            "subscriptions",
            "Subscriptions of all clients",
            lambda: sum(session.count for session in sessions),
        )
        register_gauge(
            registry,
            "topics",
            "Topics of the broker that subscriptions need",
            lambda: len(self.fanout.index.topics),
        )
        register_counter(
            registry, "socket_events", "Events that matched a subscription", lambda: self.fanout.events_sent
        )
        register_counter(
            registry,
            "socket_events_dropped",
            "Events dropped because a client read too slowly",
            lambda: self.server.flusher.dropped,
        )
        register_labelled_counter(
            registry,
            "sockets_closed",
            "Connections closed by this node",
            "code",
            lambda: {str(code): count for code, count in sessions.ended.items()},
        )

    async def listen(self) -> None:
        """Take connections; raises `CannotListenError`."""
        self._port = await serverFromString(self._reactor, self._endpoint).listen(
            make_factory(self._reactor, self.server)
        )

    def start(self) -> None:
        """Take events."""
        self.fanout.start()
        self._responder.start()
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
            await self.fanout.stop()
            await self._responder.stop()
            self.sessions.stopService()
        self.server.flusher.stop()

    async def when_closed(self, hurry: Deferred[None]) -> None:
        """After `stop`: wait until clients have got their closing frames, no longer than they have to answer, or until `hurry` fires."""
        empty = self.server.when_idle()
        hurry.addCallback(lambda _: empty.cancel())
        with suppress(CancelledError, TimeoutError):
            await empty.addTimeout(CLOSING_TIMEOUT + 1, self._reactor)


async def _maybe(result: Any) -> None:
    if result is not None:
        await result
