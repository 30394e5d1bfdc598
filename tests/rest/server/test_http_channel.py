"""Slow clients, many clients, and the limits of their connections, on a clock."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import define, evolve, field
from klein import Klein
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import ISSLTransport
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.python.failure import Failure
from zope.interface import directlyProvides

from kazoo_bridge.config import Http
from kazoo_bridge.rest.server.http_channel import ChannelLimits
from kazoo_bridge.rest.server.site import make_site

GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
SLOW = GET.replace(b"/x", b"/slow")
TIMEOUTS = Http(request_timeout_s=30, idle_timeout_s=60)
PUT = b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


@define(eq=False)
class SlowResource:
    """A resource that answers when a test fires one of `waiting`."""

    waiting: list[Deferred[bytes]] = field(factory=list)

    def route(self, app: Klein) -> None:
        def wait(request: Any) -> Deferred[bytes]:
            self.waiting.append(Deferred())
            return self.waiting[-1]

        app.route("/slow", methods=["GET"])(wait)


class FakeTransport(StringTransport):
    """A transport with what HTTP needs beyond `StringTransport`."""

    def unregisterProducer(self) -> None:
        self.producer = None

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass


class ClientConnection:
    """The client's end of a connection."""

    def __init__(self, factory: Any, host: str = "192.0.2.1", tls: bool = False) -> None:
        peer = IPv4Address("TCP", host, 40_000)
        self.transport = FakeTransport(peerAddress=peer)
        if tls:
            directlyProvides(self.transport, ISSLTransport)
        self.protocol = factory.buildProtocol(peer)
        self.protocol.makeConnection(self.transport)

    def send(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def disconnect(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def codes(self) -> list[int]:
        return [int(part[:3]) for part in self.transport.value().split(b"HTTP/1.1 ")[1:]]

    @property
    def is_open(self) -> bool:
        return not self.transport.disconnecting

    @property
    def aborted(self) -> bool:
        return bool(self.transport.disconnected)


class SiteHarness:
    """A site on a clock."""

    def __init__(self, **http: Any) -> None:
        self.clock, self.slow = Clock(), SlowResource()
        limits: dict[str, Any] = {"max_connections": 3, "max_connections_per_ip": 2} | http
        self.site: Any = make_site(self.clock, [self.slow], "node", evolve(TIMEOUTS, **limits))

    def connect(self, host: str = "192.0.2.1", tls: bool = False) -> ClientConnection:
        return ClientConnection(self.site, host, tls)

    def advance(self, seconds: int) -> None:
        self.clock.pump([1] * seconds)


@pytest.fixture
def server() -> SiteHarness:
    return SiteHarness()


@pytest.mark.parametrize("beginning", [b"", b"GET /x HTTP/1.1\r\nX-Long: ", PUT])
def test_a_slow_request_times_out(server: SiteHarness, beginning: bytes) -> None:
    client = server.connect()
    client.send(beginning or b"G")
    for _ in range(29):
        client.send(b"x")
        server.advance(1)
    assert client.is_open
    assert client.codes == []
    server.advance(1)
    assert client.codes == [408]
    assert (
        json.loads(client.transport.value().rpartition(b"\r\n")[2])["message"]
        == "the request did not arrive within 30 seconds"
    )
    assert not client.is_open
    client.send(b"x" * 100)
    assert client.codes == [408]
    client.disconnect()
    assert server.clock.getDelayedCalls() == []


def test_each_request_has_its_own_time_out(server: SiteHarness) -> None:
    client = server.connect()
    for number in range(5):
        client.send(GET[:10])
        server.advance(25)
        client.send(GET[10:])
        assert client.codes == [404] * (number + 1)
        server.advance(25)
    client.send(GET + GET[:10])
    server.advance(29)
    client.send(b"x")
    assert client.is_open
    server.advance(30)
    assert client.codes[-1] == 408


def test_a_response_has_no_time_out(server: SiteHarness) -> None:
    client = server.connect()
    client.send(b"GET /slow HTTP/1.1\r\n\r\n")
    server.advance(500)
    assert client.is_open
    client.send(GET[:10])
    server.advance(500)
    server.slow.waiting.pop().callback(b"at last")
    assert client.codes == [200]
    server.advance(20)
    client.send(GET[10:])
    assert client.codes == [200, 404]


@pytest.mark.parametrize("sent", [b"", GET])
def test_an_idle_connection_is_closed(server: SiteHarness, sent: bytes) -> None:
    client = server.connect()
    if sent:
        client.send(sent)
    server.advance(59)
    assert client.is_open
    server.advance(1)
    assert not client.is_open
    assert not client.aborted
    server.advance(15)
    assert client.aborted


def test_a_client_that_does_not_read_is_disconnected(server: SiteHarness) -> None:
    client = server.connect()
    client.send(b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert client.codes == [404]
    assert not client.aborted
    server.advance(75)
    assert client.aborted


def test_a_client_that_does_not_read_has_one_response_waiting(server: SiteHarness) -> None:
    client = server.connect()
    client.send(GET + SLOW * 3)
    for number in range(3):
        client.protocol.pauseProducing()  # the transport has more to send than it likes
        assert client.transport.producerState == "paused"
        server.slow.waiting[number].callback(b"large")
        assert len(server.slow.waiting) == number + 1
        client.protocol.resumeProducing()
        assert client.transport.producerState == "producing"
    assert client.codes == [404, 200, 200, 200]


def test_a_client_that_sends_on_and_does_not_read_is_disconnected(server: SiteHarness) -> None:
    client = server.connect()
    client.send(SLOW * 3)
    client.protocol.pauseProducing()
    server.slow.waiting[0].callback(b"large")
    server.advance(59)
    assert client.is_open
    server.advance(1)
    assert not client.is_open
    server.advance(15)
    assert client.aborted
    client.disconnect()
    assert len(server.slow.waiting) == 1
    assert server.clock.getDelayedCalls() == []


def test_surplus_connections_are_refused(server: SiteHarness) -> None:
    first, second, surplus = (server.connect() for _ in range(3))
    assert surplus.codes == [503]
    assert not surplus.is_open
    surplus.send(GET)
    assert surplus.codes == [503]
    other, beyond = server.connect("192.0.2.2"), server.connect("192.0.2.3")
    assert beyond.codes == [503]
    for client in (surplus, beyond, first):
        client.disconnect()
    again = server.connect("192.0.2.3")
    for client in (second, other, again):
        client.send(GET)
        assert client.codes == [404]


def test_surplus_tls_connections_are_aborted() -> None:
    server = SiteHarness(max_connections=1)
    server.connect(tls=True)
    surplus = server.connect(tls=True)
    assert surplus.aborted
    assert surplus.codes == []


def test_refused_connections_count_until_they_are_closed(server: SiteHarness) -> None:
    client = server.connect()
    client.send(b"no HTTP\r\n\r\n")
    assert client.codes == [400]
    server.connect()
    assert server.connect().codes == [503]
    client.disconnect()
    assert server.connect().codes == []


def test_behind_a_proxy_the_addresses_of_its_clients_count() -> None:
    server = SiteHarness(max_connections=10)
    proxy = HAProxyWrappingFactory(server.site)

    def connect(host: str) -> ClientConnection:
        client = ClientConnection(proxy, "198.51.100.1")
        client.send(f"PROXY TCP4 {host} 198.51.100.1 40000 80\r\n".encode() + GET)
        return client

    clients = [connect(f"192.0.2.{number // 2}") for number in range(6)]
    assert [client.codes for client in clients] == [[404]] * 6
    surplus = connect("192.0.2.1")
    assert surplus.codes == [503]
    surplus.disconnect()
    clients[2].disconnect()
    assert connect("192.0.2.1").codes == [404]


def make_limits(clock: Clock, **http: Any) -> ChannelLimits:
    return ChannelLimits.from_config(clock, evolve(Http(), **http))


def test_connections_are_limited_in_total_and_by_address() -> None:
    limits = make_limits(Clock(), max_connections=3, max_connections_per_ip=2)
    assert [limits.opened("a") for _ in range(3)] == [True, True, False]
    assert [limits.opened("b") for _ in range(2)] == [True, False]
    limits.closed("a")
    assert [limits.opened("b") for _ in range(2)] == [True, False]


def test_a_connection_moves_to_another_address() -> None:
    limits = make_limits(Clock(), max_connections=10, max_connections_per_ip=2)
    assert limits.opened("proxy")
    assert limits.moved("proxy", "a")
    assert [limits.opened("proxy") for _ in range(3)] == [True, True, False]
    assert limits.moved("proxy", "a")
    assert not limits.moved("proxy", "a")
    limits.closed("proxy")
    assert limits.opened("proxy")


def test_refused_connections_are_logged_at_most_every_minute() -> None:
    clock = Clock()
    limits = make_limits(clock, max_connections=1)
    with capturedLogs() as logs:
        assert limits.opened("a")
        for _ in range(5):
            assert not limits.opened("a")
        assert [(event["count"], event["open"]) for event in logs] == [(1, 1)]
        clock.advance(60)
    assert [(event["count"], event["open"]) for event in logs] == [(1, 1), (4, 1)]
    limits.stop()
    assert clock.getDelayedCalls() == []
