from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted
from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, TimeoutError, gatherResults
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.web.client import RequestTransmissionFailed, ResponseFailed, ResponseNeverReceived

from kazoo_bridge.webhooks.egress import EgressPolicy, guarded_agent
from kazoo_bridge.webhooks.egress.connection_pool import (
    CLOSE_TIMEOUT,
    MAX_CONNECTION_AGE,
    STALE_TIMEOUT,
    TICK_INTERVAL,
)
from kazoo_bridge.webhooks.egress.own_faults import OwnWaitCancelled, WaitTimedOut
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from tests.webhooks.doors import Door
from tests.webhooks.egress.memory_connections import OK, REQUEST, MemoryPool, RecordingExchange
from tests.webhooks.harness import results_of
from tests.webhooks.hostile_receiver import HostileConnection, HostileReceiver


def test_as_many_connections_are_kept_as_were_in_use() -> None:
    harness = MemoryPool()
    harness.open(80)
    assert (len(harness.connections), harness.pool.idle_count) == (80, 80)
    for _ in range(80):
        harness.begin()
    assert (len(harness.connections), harness.pool.idle_count) == (80, 0)


def test_a_request_is_one_write_before_start_returns() -> None:
    harness = MemoryPool()
    for number in range(3):
        exchange = harness.begin()
        assert harness.transport(0).value() == REQUEST * (number + 1)
        harness.connections[0].dataReceived(OK)
        assert [one.status for one in exchange.results] == [200]
    assert harness.pool.open_count == 1


def test_origins_share_no_connections() -> None:
    harness = MemoryPool()
    harness.open(1, "a")
    harness.begin("b")
    assert len(harness.connections) == 2


def test_idle_connections_are_closed_after_their_time() -> None:
    harness = MemoryPool(idle_timeout=15)
    harness.open(2)
    harness.clock.advance(10)
    harness.begin()
    harness.connections[1].dataReceived(OK)
    harness.clock.advance(5)
    assert harness.states == ["lost", "idle"]
    harness.clock.advance(10)
    assert harness.states == ["lost"] * 2
    assert harness.clock.getDelayedCalls() == []
    assert harness.pool.idle_count == 0


def test_all_origins_together_are_bounded() -> None:
    harness = MemoryPool(max_idle=3)
    for host in "abcde":
        harness.open(1, host)
        harness.clock.advance(1)
    assert harness.states == ["lost"] * 2 + ["idle"] * 3


def test_the_connection_used_last_is_used_first() -> None:
    harness = MemoryPool()
    harness.open(2)
    harness.begin()
    assert harness.states == ["idle", "busy"]


def test_a_connection_that_is_closed_while_idle_is_forgotten() -> None:
    harness = MemoryPool()
    harness.open(1)
    harness.lose(0)
    assert (harness.pool.idle_count, harness.pool.open_count) == (0, 0)
    assert harness.clock.getDelayedCalls() == []
    harness.begin()
    assert len(harness.connections) == 2


def test_an_old_connection_is_used_no_more() -> None:
    harness = MemoryPool(idle_timeout=1000)
    harness.open(2)
    harness.begin()
    harness.clock.advance(MAX_CONNECTION_AGE)
    assert harness.states == ["lost", "busy"]
    harness.connections[1].dataReceived(OK)
    assert (harness.states, harness.pool.idle_count) == (["lost", "lost"], 0)


def test_without_a_time_no_connection_is_kept() -> None:
    harness = MemoryPool(idle_timeout=0)
    harness.open(1)
    assert (harness.pool.persistent, harness.pool.idle_count) == (False, 0)


def test_a_closed_pool_keeps_nothing() -> None:
    harness = MemoryPool()
    harness.open(2)
    harness.begin()
    closed = results_of(harness.pool.close())
    assert closed == []
    harness.connections[1].dataReceived(OK)
    assert harness.states == ["lost"] * 2
    assert closed == [None]
    assert harness.clock.getDelayedCalls() == []
    assert results_of(harness.pool.close()) == [None]


# -- time


def test_a_request_that_takes_too_long_fails_and_closes_its_connection() -> None:
    harness = MemoryPool()
    slow, fast = harness.begin(timeout=7.5), harness.begin(timeout=1.0)
    harness.connections[0].dataReceived(b"HTTP/1.1 200 OK\r\n")
    harness.clock.advance(1.0 + TICK_INTERVAL)
    assert isinstance(fast.results[0], TimeoutError)
    harness.clock.advance(6.4)
    assert slow.results == []
    harness.clock.advance(0.1 + TICK_INTERVAL)
    assert isinstance(slow.results[0], TimeoutError)
    assert harness.states == ["lost", "lost"]
    assert harness.clock.getDelayedCalls() == []


def test_a_request_in_time_leaves_nothing_behind() -> None:
    harness = MemoryPool()
    exchange = harness.begin(timeout=1.0)
    harness.connections[0].dataReceived(OK)
    harness.clock.pump([TICK_INTERVAL] * 50)
    assert len(exchange.results) == 1
    assert harness.states == ["idle"]


def test_there_is_one_delayed_call_for_everything() -> None:
    harness = MemoryPool()
    for number in range(50):
        harness.begin(timeout=1.0 + number)
    assert len(harness.clock.getDelayedCalls()) == 1


@pytest.mark.parametrize(
    ("error", "expected"), [(OwnWaitCancelled(), WaitTimedOut), (ValueError(), TimeoutError)]
)
def test_the_time_covers_connecting(error: Exception, expected: type[Exception]) -> None:
    harness = MemoryPool()
    connecting: Deferred[Any] = Deferred(lambda one: one.errback(error))
    harness.endpoint.opening = connecting
    exchange = harness.begin(timeout=1.0)
    harness.clock.advance(1.0 + TICK_INTERVAL)
    assert [type(one) for one in exchange.results] == [expected]
    assert harness.clock.getDelayedCalls() == []


def test_a_connection_that_comes_too_late_is_closed() -> None:
    harness = MemoryPool()
    harness.endpoint.waiting = []
    exchange = harness.begin(timeout=1.0)
    exchange._connecting = None
    harness.clock.advance(1.0 + TICK_INTERVAL)
    harness.endpoint.waiting[0].callback(harness.connections[0])
    assert isinstance(exchange.results[0], TimeoutError)
    assert harness.states == ["lost"]


def test_a_connection_that_the_peer_does_not_close_is_aborted() -> None:
    harness = MemoryPool()
    harness.begin()
    harness.transport(0).peer_closes = False
    harness.connections[0].dataReceived(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert harness.transport(0).disconnecting
    harness.clock.advance(CLOSE_TIMEOUT - 0.01)
    assert not harness.transport(0).aborted
    harness.clock.advance(0.01 + TICK_INTERVAL)
    assert harness.transport(0).aborted
    assert harness.states == ["lost"]
    assert harness.clock.getDelayedCalls() == []


def test_a_connection_that_the_peer_closes_is_not_aborted() -> None:
    harness = MemoryPool(idle_timeout=0)
    harness.open(1)
    harness.clock.advance(CLOSE_TIMEOUT * 2)
    assert not harness.transport(0).aborted


# -- failures and cancelling


def test_a_failed_connection_is_reported_after_start_has_returned() -> None:
    harness = MemoryPool()
    harness.endpoint.error = OSError("refused")
    exchange = harness.begin(timeout=5.0)
    assert exchange.results == []
    harness.clock.advance(0)
    assert exchange.results == [harness.endpoint.error]
    assert harness.clock.getDelayedCalls() == []


def test_a_cancelled_exchange_reports_nothing() -> None:
    harness = MemoryPool()
    busy = harness.begin(timeout=1.0)
    harness.endpoint.waiting = []
    connecting = harness.begin(timeout=1.0)
    harness.endpoint.error = OSError("refused")
    failed = harness.begin(timeout=1.0)
    for exchange in (busy, connecting, failed):
        exchange.cancel()
        exchange.cancel()
    harness.clock.advance(5)
    assert [*busy.results, *connecting.results, *failed.results] == []
    assert harness.transport(0).aborted
    assert harness.clock.getDelayedCalls() == []


def test_an_exchange_that_is_over_cannot_close_the_connection_of_the_next_one() -> None:
    harness = MemoryPool()
    first = harness.begin(timeout=1.0)
    harness.connections[0].dataReceived(OK)
    second = harness.begin(timeout=1.0)
    first.cancel()
    harness.connections[0].dataReceived(OK)
    assert second.results[0].status == 200


def test_an_interrupted_exchange_fails() -> None:
    harness = MemoryPool()
    exchange = harness.begin()
    exchange.interrupt()
    assert isinstance(exchange.results[0], CancelledError)
    assert harness.states == ["lost"]


def test_thousands_of_requests_that_begin_when_another_ends_do_not_recurse() -> None:
    harness, count = MemoryPool(), 0

    class Repeating(RecordingExchange):
        def on_response(self, response: Any) -> None:
            nonlocal count
            count += 1
            if count < 5000:
                harness.pool.start(Repeating(harness.pool, self.origin, REQUEST, 5.0))

    harness.pool.start(Repeating(harness.pool, harness.begin().origin, REQUEST, 5.0))
    for _ in range(5000):
        harness.connections[1].dataReceived(OK)
    assert count == 5000
    assert len(harness.connections) == 2


# -- connections that the receiver closes when a request is sent


def test_a_request_on_a_connection_that_was_just_closed_is_sent_once_more() -> None:
    harness = MemoryPool()
    harness.open(1)
    exchange = harness.begin(timeout=30.0)
    harness.lose(0)
    assert exchange.results == []
    assert harness.transport(1).value() == REQUEST
    harness.connections[1].dataReceived(OK)
    assert exchange.results[0].status == 200


def test_a_request_is_repeated_once_only() -> None:
    harness = MemoryPool()
    harness.open(1)
    exchange = harness.begin()
    harness.lose(0)
    harness.lose(1)
    assert isinstance(exchange.results[0], ResponseNeverReceived)
    assert len(harness.connections) == 2


def test_a_request_on_a_new_connection_is_not_repeated() -> None:
    harness = MemoryPool()
    exchange = harness.begin()
    harness.lose(0)
    assert isinstance(exchange.results[0], ResponseNeverReceived)
    assert len(harness.connections) == 1


@pytest.mark.parametrize(
    ("seconds_or_bytes", "error"), [(STALE_TIMEOUT + 0.1, ResponseNeverReceived), (b"H", ResponseFailed)]
)
def test_a_request_that_may_have_been_processed_is_not_repeated(
    seconds_or_bytes: float | bytes, error: type[Exception]
) -> None:
    harness = MemoryPool()
    harness.open(1)
    exchange = harness.begin()
    if isinstance(seconds_or_bytes, bytes):
        harness.connections[0].dataReceived(seconds_or_bytes)
    else:
        harness.clock.advance(seconds_or_bytes)
    harness.lose(0)
    assert type(exchange.results[0]) is error
    assert len(harness.connections) == 1


@pytest.mark.parametrize("was_idle", [True, False])
def test_a_request_that_was_not_sent_completely_is_repeated_at_any_time(was_idle: bool) -> None:
    harness = MemoryPool()
    if was_idle:
        harness.open(1)
    exchange = harness.begin(data=REQUEST + b"x" * 1_000_000)
    harness.clock.advance(STALE_TIMEOUT + 10)
    harness.lose(0)
    if was_idle:
        assert exchange.results == []
        assert len(harness.connections) == 2
    else:
        assert isinstance(exchange.results[0], RequestTransmissionFailed)


def test_a_cancelled_request_is_not_repeated() -> None:
    harness = MemoryPool()
    harness.open(1)
    exchange = harness.begin()
    exchange.interrupt()
    harness.clock.advance(0)
    assert isinstance(exchange.results[0], CancelledError)
    assert len(harness.connections) == 1


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
async def closing(door: Door) -> AsyncIterator[tuple[ClosingServer, Send]]:
    server = ClosingServer(answers=1)
    port: Any = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(server)
    agent, pool = guarded_agent(reactor, EgressPolicy.from_config([], []), 5)
    sender = Sender(reactor, agent, 5, pool=pool)

    def send(method: str) -> Deferred[Outcome]:
        body = b"" if method == "GET" else b"a=1"
        request = HookRequest(method, f"http://127.0.0.1:{port.getHost().port}/x", {}, body)
        return door(sender, request)

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


@pytest_twisted.ensureDeferred
async def test_a_long_request_waits_while_its_receiver_does_not_read(door: Door) -> None:
    def behave(connection: HostileConnection) -> None:
        transport: Any = connection.transport
        transport.pauseProducing()
        reactor.callLater(0.2, transport.resumeProducing)

    class Reading(HostileReceiver):
        def buildProtocol(self, addr: Any) -> HostileConnection:
            connection = super().buildProtocol(addr)
            connection.dataReceived = lambda data: read(connection, data)  # type: ignore[method-assign]
            return connection

    def read(connection: HostileConnection, data: bytes) -> None:
        connection.received += data
        if connection.received.endswith(b"the end"):
            connection.send(OK)

    receiver = Reading(behave, on_connect=True)
    url = await receiver.start()
    agent, pool = guarded_agent(reactor, EgressPolicy.from_config([], []), 5)
    sender = Sender(reactor, agent, 30, pool=pool)
    for size in (20_000_000, 10, 5_000_000):
        body = b"x" * size + b"the end"
        outcome = await door(sender, HookRequest("POST", url, {}, body))
        assert outcome.success
        (connection,) = receiver.open_connections
        assert connection.received.endswith(b"\r\n\r\n" + body)
        connection.received = b""
    assert receiver.connections == 1
    await pool.close()
    await receiver.all_closed()
    await receiver.stop()
