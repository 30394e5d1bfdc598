"""A pool whose connections lead nowhere: the test plays the receiver."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.connection_pool import ConnectionPool, PooledExchange
from kazoo_bridge.webhooks.egress.destination import Origin
from kazoo_bridge.webhooks.egress.receiver_connection import ReceiverConnection
from kazoo_bridge.webhooks.egress.receiver_response import ReceiverResponse

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
REQUEST = b"POST / HTTP/1.1\r\nContent-Length: 3\r\nHost: hook.example\r\n\r\na=1"


class MemoryTransport(StringTransport):
    """Closes in the next turn of the clock, unless its peer does not close."""

    def __init__(self, clock: Clock, protocol: ReceiverConnection) -> None:
        super().__init__()
        self.clock = clock
        self.protocol: ReceiverConnection | None = protocol
        self.peer_closes = True
        self.aborted = False

    def loseConnection(self) -> None:
        super().loseConnection()
        if self.peer_closes:
            self.lose(ConnectionDone())

    def abortConnection(self) -> None:
        self.aborted = True
        super().loseConnection()
        self.lose(ConnectionAborted())

    def lose(self, error: Exception) -> None:
        protocol, self.protocol = self.protocol, None
        if protocol is not None:
            self.clock.callLater(0, protocol.connectionLost, Failure(error))


@implementer(IStreamClientEndpoint)
class MemoryEndpoint:
    """Connects at once.

    Unless it has an `error` to fail with, an `opening` to return, or `waiting` is a list of the attempts that
    the test ends.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.connections: list[ReceiverConnection] = []
        self.error: Exception | None = None
        self.opening: Deferred[Any] | None = None
        self.waiting: list[Deferred[Any]] | None = None

    def connect(self, protocolFactory: Any) -> Deferred[Any]:
        if self.error is not None:
            return fail(self.error)
        if self.opening is not None:
            return self.opening
        connection = protocolFactory.buildProtocol(None)
        connection.makeConnection(MemoryTransport(self.clock, connection))
        self.connections.append(connection)
        if self.waiting is None:
            return succeed(connection)
        connecting: Deferred[Any] = Deferred()
        self.waiting.append(connecting)
        return connecting


class MemoryEndpoints:
    """One endpoint for all origins."""

    def __init__(self, endpoint: MemoryEndpoint) -> None:
        self.endpoint = endpoint

    def endpoint_for(self, origin: Origin) -> IStreamClientEndpoint:
        return self.endpoint


class RecordingExchange(PooledExchange):
    """`results` are the responses and errors: one, once it is over."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.results: list[Any] = []

    def on_response(self, response: ReceiverResponse) -> None:
        self.results.append(response)

    def on_failure(self, error: BaseException) -> None:
        self.results.append(error)


class MemoryPool:
    """A pool of connections to nowhere."""

    def __init__(self, idle_timeout: float = 15.0, max_idle: int = 100) -> None:
        self.clock = Clock()
        self.endpoint = MemoryEndpoint(self.clock)
        self.pool = ConnectionPool(self.clock, MemoryEndpoints(self.endpoint), idle_timeout, max_idle)

    @property
    def connections(self) -> list[ReceiverConnection]:
        """All connections there have been."""
        return self.endpoint.connections

    def transport(self, number: int) -> MemoryTransport:
        transport = self.connections[number].transport
        assert isinstance(transport, MemoryTransport)
        return transport

    def _state(self, number: int) -> str:
        connection = self.connections[number]
        if connection.is_lost:
            return "lost"
        if connection.is_busy:
            return "busy"
        return "closing" if self.transport(number).disconnecting else "idle"

    @property
    def states(self) -> list[str]:
        """The states of all connections, once the closing ones are closed."""
        self.clock.advance(0)
        return [self._state(number) for number in range(len(self.connections))]

    def begin(
        self, host: str = "a", data: bytes = REQUEST, timeout: float | None = None, head_only: bool = False
    ) -> RecordingExchange:
        """Start a request to `host`."""
        exchange = RecordingExchange(self.pool, Origin("http", host, 80), data, timeout, head_only)
        self.pool.start(exchange)
        return exchange

    def open(self, count: int, host: str = "a") -> None:
        """Use so many connections at once."""
        before = len(self.connections)
        for _ in range(count):
            self.begin(host)
        for connection in self.connections[before:]:
            connection.dataReceived(OK)

    def lose(self, number: int, error: Exception | None = None) -> None:
        self.transport(number).protocol = None
        self.connections[number].connectionLost(Failure(error or ConnectionDone()))
