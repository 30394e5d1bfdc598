from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted
from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults, succeed
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web._newclient import Request
from twisted.web.client import ResponseNeverReceived
from twisted.web.http_headers import Headers

from kazoo_bridge.webhooks.egress import ConnectionPool, EgressPolicy, guarded_agent
from kazoo_bridge.webhooks.egress.connection_pool import MAX_CONNECTION_AGE, STALE_TIMEOUT
from kazoo_bridge.webhooks.egress.http_connection import BoundedClient
from kazoo_bridge.webhooks.http.body_producer import BytesProducer
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from tests.webhooks.harness import results_of

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class AbortableTransport(StringTransport):
    """Closes soon when it is aborted or closed."""

    def __init__(self, clock: Clock, protocol: BoundedClient) -> None:
        super().__init__()
        self.clock = clock
        self.protocol: BoundedClient | None = protocol

    def loseConnection(self) -> None:
        super().loseConnection()
        client, self.protocol = self.protocol, None
        if client is not None:
            self.clock.callLater(0, client.connectionLost, Failure(ConnectionDone()))

    abortConnection = loseConnection


class MemoryEndpoint:
    """Connects at once, to nothing; `clients` are the connections."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.clients: list[BoundedClient] = []

    def connect(self, factory: Any) -> Deferred[Any]:
        client = factory.buildProtocol(None)
        client.makeConnection(AbortableTransport(self.clock, client))
        self.clients.append(client)
        return succeed(client)


class Harness:
    """A pool of connections to nowhere."""

    def __init__(self, idle_timeout: float = 15.0, max_idle: int = 100) -> None:
        self.clock = Clock()
        self.pool = ConnectionPool(self.clock, idle_timeout, max_idle)
        self.endpoint = MemoryEndpoint(self.clock)

    @property
    def clients(self) -> list[BoundedClient]:
        return self.endpoint.clients

    @property
    def states(self) -> list[str]:
        """The states of all connections, once the closing ones are closed."""
        self.clock.advance(0)
        return [client.state for client in self.clients]

    def request(self, key: str = "a") -> list[Any]:
        """Send a request to the destination `key`."""
        request = Request(
            b"POST", b"/", Headers({b"Host": [b"hook.example"]}), BytesProducer(b"a=1"), persistent=True
        )
        endpoint: Any = self.endpoint
        (connection,) = results_of(self.pool.getConnection(key, endpoint))
        return results_of(connection.request(request))

    def open(self, count: int, key: str = "a") -> None:
        """Use so many connections at once."""
        before = len(self.clients)
        for _ in range(count):
            self.request(key)
        for client in self.clients[before:]:
            client.dataReceived(OK)

    def close(self, client: BoundedClient) -> None:
        client.connectionLost(Failure(ConnectionDone()))


def test_as_many_connections_are_kept_as_were_in_use() -> None:
    harness = Harness()
    harness.open(80)
    assert (len(harness.clients), harness.pool.idle_count) == (80, 80)
    for _ in range(80):
        harness.request()
    assert (len(harness.clients), harness.pool.idle_count) == (80, 0)


def test_destinations_share_no_connections() -> None:
    harness = Harness()
    harness.open(1, "a")
    harness.request("b")
    assert len(harness.clients) == 2


def test_idle_connections_are_closed_after_their_time() -> None:
    harness = Harness(idle_timeout=15)
    harness.open(2)
    harness.clock.advance(10)
    harness.request()
    harness.clients[1].dataReceived(OK)
    harness.clock.advance(5)
    assert harness.states == ["CONNECTION_LOST", "QUIESCENT"]
    harness.clock.advance(10)
    assert harness.states == ["CONNECTION_LOST"] * 2
    assert harness.clock.getDelayedCalls() == []
    assert harness.pool.idle_count == 0


def test_all_destinations_together_are_bounded() -> None:
    harness = Harness(max_idle=3)
    for key in "abcde":
        harness.open(1, key)
        harness.clock.advance(1)
    assert harness.states == ["CONNECTION_LOST"] * 2 + ["QUIESCENT"] * 3


def test_the_connection_used_last_is_used_first() -> None:
    harness = Harness()
    harness.open(2)
    harness.request()
    assert harness.states == ["QUIESCENT", "WAITING"]


def test_a_connection_that_is_closed_while_idle_is_forgotten() -> None:
    harness = Harness()
    harness.open(1)
    harness.close(harness.clients[0])
    assert harness.pool.idle_count == 0
    harness.request()
    assert len(harness.clients) == 2


def test_an_old_connection_is_used_no_more() -> None:
    harness = Harness(idle_timeout=1000)
    harness.open(1)
    harness.clock.advance(MAX_CONNECTION_AGE)
    harness.request()
    harness.clients[0].dataReceived(OK)
    assert (harness.states[0], harness.pool.idle_count) == ("CONNECTION_LOST", 0)


def test_without_a_time_no_connection_is_kept() -> None:
    harness = Harness(idle_timeout=0)
    harness.open(1)
    assert (harness.pool.persistent, harness.pool.idle_count) == (False, 0)


def test_a_closed_pool_keeps_nothing() -> None:
    harness = Harness()
    harness.open(2)
    harness.request()
    closed = results_of(harness.pool.close())
    harness.clients[1].dataReceived(OK)
    assert harness.states == ["CONNECTION_LOST"] * 2
    assert closed == [None]
    assert harness.clock.getDelayedCalls() == []


# -- connections that the receiver closes when a request is sent


def test_a_request_on_a_connection_that_was_just_closed_is_sent_once_more() -> None:
    harness = Harness()
    harness.open(1)
    results = harness.request()
    harness.close(harness.clients[0])
    assert results == []
    repeated: Any = harness.clients[1].transport
    assert repeated.value().endswith(b"\r\n\r\na=1")
    harness.clients[1].dataReceived(OK)
    assert results[0].code == 200


def test_a_request_is_repeated_once_only() -> None:
    harness = Harness()
    harness.open(1)
    results = harness.request()
    harness.close(harness.clients[0])
    harness.close(harness.clients[1])
    assert results[0].check(ResponseNeverReceived)
    assert len(harness.clients) == 2


def test_a_request_on_a_new_connection_is_not_repeated() -> None:
    harness = Harness()
    results = harness.request()
    harness.close(harness.clients[0])
    assert results[0].check(ResponseNeverReceived)
    assert len(harness.clients) == 1


@pytest.mark.parametrize("seconds_or_bytes", [STALE_TIMEOUT + 0.1, b"H"])
def test_a_request_that_may_have_been_processed_is_not_repeated(seconds_or_bytes: float | bytes) -> None:
    harness = Harness()
    harness.open(1)
    results = harness.request()
    if isinstance(seconds_or_bytes, bytes):
        harness.clients[0].dataReceived(seconds_or_bytes)
    else:
        harness.clock.advance(seconds_or_bytes)
    harness.close(harness.clients[0])
    assert isinstance(results[0], Failure)
    assert len(harness.clients) == 1


def test_a_cancelled_request_is_not_repeated() -> None:
    harness = Harness()
    harness.open(1)
    endpoint: Any = harness.endpoint
    (connection,) = results_of(harness.pool.getConnection("a", endpoint))
    sending = connection.request(Request(b"GET", b"/", Headers({b"Host": [b"h"]}), None, persistent=True))
    results = results_of(sending)
    sending.cancel()
    harness.clock.advance(0)
    assert isinstance(results[0], Failure)
    assert len(harness.clients) == 1


# -- real receivers


@define(eq=False)
class ClosingServer(Factory):
    """Answers the first `answers` requests of each connection, and closes it when another one arrives."""

    answers: int
    connections: int = 0
    answered: list[bytes] = field(factory=list)
    noisy = False

    def buildProtocol(self, addr: Any) -> ClosingProtocol:
        self.connections += 1
        return ClosingProtocol(self)


class ClosingProtocol(Protocol):
    def __init__(self, server: ClosingServer) -> None:
        self.server, self.left = server, server.answers

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        if not self.left:
            transport.abortConnection()
            return
        self.left -= 1
        self.server.answered.append(data)
        transport.write(OK)


Send = Callable[[str], Deferred[Outcome]]


@pytest_twisted.async_yield_fixture
async def closing() -> AsyncIterator[tuple[ClosingServer, Send]]:
    server = ClosingServer(answers=1)
    port: Any = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(server)
    agent, pool = guarded_agent(reactor, EgressPolicy.from_config([], []), 5)
    sender = Sender(reactor, agent, 5)

    def send(method: str) -> Deferred[Outcome]:
        body = b"" if method == "GET" else b"a=1"
        request = HookRequest(method, f"http://127.0.0.1:{port.getHost().port}/x", {}, body)
        return Deferred.fromCoroutine(sender.send(request))

    yield server, send
    await pool.close()
    await port.stopListening()
    await deferLater(reactor, 0)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
@pytest_twisted.ensureDeferred
async def test_no_attempt_fails_at_a_receiver_that_closes_idle_connections(
    closing: tuple[ClosingServer, Send], method: str
) -> None:
    server, send = closing
    outcomes = [await send(method) for _ in range(20)]
    assert all(outcome.success for outcome in outcomes)
    assert (server.connections, len(server.answered)) == (20, 20)


@pytest_twisted.ensureDeferred
async def test_many_hooks_of_one_host_share_as_many_connections_as_they_use(
    closing: tuple[ClosingServer, Send],
) -> None:
    server, send = closing
    server.answers = 1_000_000
    for _ in range(20):
        await gatherResults([send("POST") for _ in range(60)])
    assert (server.connections, len(server.answered)) == (60, 1200)
