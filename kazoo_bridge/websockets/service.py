"""The websockets of one node: builds the parts, and starts and stops them."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from attrs import define, evolve, field
from prometheus_client import CollectorRegistry
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint

from kazoo_bridge.config import Config, Websockets
from kazoo_bridge.event_traces import EventTraces
from kazoo_bridge.interfaces import IBus, ICalls, IDirectory, IEventCategory, IPivotClients, IPivots
from kazoo_bridge.metrics import register_counter, register_gauge, register_labelled_counter
from kazoo_bridge.websockets.actions import Actions
from kazoo_bridge.websockets.api import WebsocketApi
from kazoo_bridge.websockets.cluster_sockets import SocketQueryClient, SocketQueryResponder
from kazoo_bridge.websockets.pivot_clients import PivotClients
from kazoo_bridge.websockets.server.connection import ConnectionLimits
from kazoo_bridge.websockets.server.connection_limits import AdmissionControl
from kazoo_bridge.websockets.server.context import ServerContext
from kazoo_bridge.websockets.server.factory import WebsocketFactory
from kazoo_bridge.websockets.server.flusher import Flusher
from kazoo_bridge.websockets.server.reading_turns import CLIENT_UNITS, NEWCOMER_UNITS, ReadingTurns
from kazoo_bridge.websockets.server_sent_events import EventStreams
from kazoo_bridge.websockets.sessions.authorization import Authorizer
from kazoo_bridge.websockets.sessions.resume import SessionResumer
from kazoo_bridge.websockets.sessions.session import Session
from kazoo_bridge.websockets.sessions.session_registry import SessionLimits, SessionRegistry
from kazoo_bridge.websockets.subscriptions.binding_catalogue import BindingCatalogue
from kazoo_bridge.websockets.subscriptions.fanout import EventFanout
from kazoo_bridge.websockets.subscriptions.subscription_budget import SubscriptionBudget
from kazoo_bridge.websockets.subscriptions.subscription_index import SubscriptionIndex
from kazoo_bridge.websockets.subscriptions.subscriptions import Subscriptions

#: Seconds to wait, when the service stops, for clients to answer the close frame.
CLOSE_TIMEOUT_ON_STOP = 3


#: Connections that the kernel keeps until they are accepted; it may have a smaller bound. With the 50 of
#: Twisted, clients that all connect again at once wait for seconds until they try anew.
LISTEN_BACKLOG = 4096

#: The keys of ``[websockets]`` that `WebsocketService.configure` applies.
RELOADABLE = (
    "max_connections",
    "max_connections_per_ip",
    "max_connections_per_account",
    "rate_per_second",
    "rate_burst",
    "handshake_timeout_s",
    "authentication_timeout_s",
    "ping_interval_s",
    "idle_timeout_s",
    "send_buffer_bytes",
    "max_dropped_events",
    "resume_window_s",
    "resume_events",
    "allowed_origins",
    "trusted_proxies",
)


def with_backlog(endpoint: str) -> str:
    """Add `LISTEN_BACKLOG` to an endpoint string of TCP or TLS that names no backlog."""
    if "backlog=" in endpoint or not re.match(r"(haproxy:)?(tcp|tcp6|ssl):", endpoint):
        return endpoint
    return f"{endpoint}:backlog={LISTEN_BACKLOG}"


@define(eq=False)
class WebsocketService:
    """The websockets and event streams of one node."""

    catalogue: BindingCatalogue
    sessions: SessionRegistry
    queries: SocketQueryClient
    streams: EventStreams
    fanout: EventFanout
    server: ServerContext
    resumer: SessionResumer
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
        pivots: IPivots | None = None,
    ) -> WebsocketService:
        """Build the parts; nothing is started.

        `node` names this node in replies to other nodes. Without `calls`, live calls and commands are not
        available; without `pivots`, answers to pivot requests.
        """
        settings = config.websockets
        index: SubscriptionIndex[Session] = SubscriptionIndex(directory.account_for_number)
        traces = EventTraces(reactor.seconds, config.trace.events)
        fanout = EventFanout(reactor, bus, index, directory.look_up_number, traces)
        catalogue = BindingCatalogue.from_categories(categories)
        subscriptions = Subscriptions(
            reactor,
            directory,
            catalogue,
            fanout,
            settings.max_subscriptions,
            SubscriptionBudget(reactor, settings.max_subscriptions_per_account),
            calls,
        )
        authorizer = Authorizer(reactor, directory, settings.close_on_expiry)
        sessions = SessionRegistry(
            reactor, socket.gethostname(), SessionLimits.from_config(settings), authorizer, subscriptions
        )
        resumer = SessionResumer(sessions, fanout)
        context = ServerContext(
            sessions=sessions,
            actions=Actions(reactor, sessions, authorizer, subscriptions, resumer, calls, pivots),
            admission=AdmissionControl.from_config(reactor, settings),
            flusher=Flusher(reactor),
            limits=ConnectionLimits.from_config(settings),
            clients=ReadingTurns(reactor, CLIENT_UNITS),
            newcomers=ReadingTurns(reactor, NEWCOMER_UNITS),
        )
        return cls(
            catalogue=catalogue,
            sessions=sessions,
            queries=SocketQueryClient(bus),
            streams=EventStreams(context, subscriptions, resumer),
            fanout=fanout,
            server=context,
            resumer=resumer,
            reactor=reactor,
            endpoint=settings.endpoint,
            responder=SocketQueryResponder(bus, node, sessions, directory),
        )

    @property
    def api(self) -> WebsocketApi:
        """The operations that REST offers (`IWebsockets`)."""
        return WebsocketApi(self.catalogue, self.queries, self.streams)

    @property
    def pivot_clients(self) -> IPivotClients:
        """This node's clients of pivot points."""
        return PivotClients(self.fanout)

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
            lambda: sum(session.subscription_count for session in sessions),
        )
        register_gauge(
            registry,
            "topics",
            "Topics of the broker that subscriptions need",
            lambda: len(self.fanout.index.topics),
        )
        register_gauge(
            registry,
            "replay_bytes",
            "Bytes of the events that are kept for clients that resume",
            lambda: sessions.replay_memory.bytes_total,
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
            "socket_resumes",
            "Clients that have continued a session",
            "result",
            lambda: self.resumer.results,
        )
        admission = self.server.admission
        register_gauge(
            registry,
            "sockets_unauthenticated",
            "Connections to the websocket port that have not authenticated",
            lambda: len(admission.unauthenticated),
        )
        register_labelled_counter(
            registry,
            "sockets_refused",
            "Connections to the websocket port that a limit has refused or dropped",
            "reason",
            lambda: {"unauthenticated": admission.unauthenticated.dropped, **admission.refused},
        )
        register_labelled_counter(
            registry,
            "sockets_closed",
            "Connections closed by this node",
            "code",
            lambda: {str(code): count for code, count in sessions.closed_by_code.items()},
        )

    def configure(self, settings: Websockets) -> None:
        """Use the limits `RELOADABLE` of the configuration; those of a connection apply to new ones."""
        self.sessions.limits = SessionLimits.from_config(settings)
        self.server.limits = evolve(
            self.server.limits,
            send_buffer_bytes=settings.send_buffer_bytes,
            max_dropped=settings.max_dropped_events,
            handshake_timeout=settings.handshake_timeout_s,
            ping_interval=settings.ping_interval_s,
        )
        self.server.admission.configure(settings)

    async def listen(
        self, make_endpoint: Callable[[Any, str], IStreamServerEndpoint] = serverFromString
    ) -> None:
        """Accept connections; raises `CannotListenError`.

        `make_endpoint` makes the endpoint from the reactor and its description.
        """
        endpoint = make_endpoint(self._reactor, with_backlog(self._endpoint))
        factory = WebsocketFactory(self._reactor, self.server)
        self._port = factory.listening_port = await endpoint.listen(factory)
        factory.limit_accepts()

    def start(self) -> None:
        """Consume events and queries, and check the sessions periodically."""
        self.fanout.start()
        self._responder.start()
        self.sessions.startService()

    @property
    def host(self) -> str:
        """Host and port of the websocket endpoint, as in a URL."""
        address = self._port.getHost() if self._port is not None else None
        return f"{getattr(address, 'host', 'localhost')}:{self.port}"

    @property
    def port(self) -> int:
        """The TCP port of the websocket endpoint; 0 before `listen`, or if it has none."""
        address = self._port.getHost() if self._port is not None else None
        return int(getattr(address, "port", 0))

    async def stop(self) -> None:
        """Accept no more connections, consume no more events, and close all connections."""
        if self._port is not None:
            await maybeDeferred(self._port.stopListening)
            self._port = None
        if self.sessions.running:
            await self.fanout.stop()
            await self._responder.stop()
            self.sessions.stopService()
        self.server.actions.stop()
        self.server.flusher.stop()

    async def when_closed(self, force: Deferred[None]) -> None:
        """Wait, after `stop`, until all clients have answered the close frame.

        Returns after `CLOSE_TIMEOUT_ON_STOP` at the latest, or when `force` fires; then aborts the
        connections of the others.
        """
        idle = self.server.when_idle()
        force.addCallback(lambda _: idle.cancel())
        with suppress(CancelledError, TimeoutError):
            await idle.addTimeout(CLOSE_TIMEOUT_ON_STOP, self._reactor)
        self.server.abort_all()
        self.server.admission.stop()
