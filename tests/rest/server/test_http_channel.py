"""Slow clients, many clients, and the limits of their connections, on a clock."""

from __future__ import annotations

import json
from pathlib import Path
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
from twisted.protocols.haproxy._wrapper import HAProxyWrappingFactory
from twisted.python.failure import Failure
from zope.interface import directlyProvides

from kazoo_bridge.config import Http
from kazoo_bridge.rest.server.site import make_site
from tests.config.files import make_certificate
from tests.rest.fakes import FakeDirectory

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
        self.site: Any = make_site(
            self.clock, [self.slow], "node", FakeDirectory({}, {}), evolve(TIMEOUTS, **limits)
        )

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
    server.clock.advance(0)
    for number in range(3):
        client.protocol.pauseProducing()  # the transport has more to send than it likes
        assert client.transport.producerState == "paused"
        server.slow.waiting[number].callback(b"large")
        assert len(server.slow.waiting) == number + 1
        client.protocol.resumeProducing()
        server.clock.advance(0)
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


def keep_busy(client: ClientConnection) -> ClientConnection:
    client.send(b"GET /slow HTTP/1.1\r\n\r\n")
    return client


def test_surplus_connections_are_refused_while_all_others_are_busy() -> None:
    server = SiteHarness(max_connections=30)
    first, second = (keep_busy(server.connect()) for _ in range(2))
    surplus = server.connect()
    assert surplus.codes == [503]
    assert not surplus.is_open
    surplus.send(GET)
    assert surplus.codes == [503]
    other = server.connect("192.0.2.2")
    for client in (surplus, first):
        client.disconnect()
    again = server.connect()
    server.slow.waiting[1].callback(b"")
    for client in (second, other, again):
        client.send(GET)
        assert client.codes[-1] == 404


def test_a_new_connection_takes_the_place_of_the_one_that_waits_longest(server: SiteHarness) -> None:
    oldest, older = server.connect(), server.connect()
    oldest.send(GET)  # waits for its next request from now on
    server.advance(1)
    newest = server.connect()
    assert [client.is_open for client in (oldest, older, newest)] == [True, False, True]
    assert older.codes == []
    older.disconnect()
    for client in (oldest, newest):
        client.send(GET)
        assert client.codes[-1] == 404
        client.disconnect()
    server.site.stopFactory()
    assert server.clock.getDelayedCalls() == []


def test_the_address_with_most_waiting_connections_makes_room() -> None:
    server = SiteHarness(max_connections=6, max_connections_per_ip=5)
    good = server.connect("192.0.2.9")
    idle = [server.connect() for _ in range(5)]
    more = [server.connect("192.0.2.2") for _ in range(2)]
    assert good.is_open
    assert [client.is_open for client in (*idle, *more)] == [False] * 2 + [True] * 5


def test_a_client_that_does_not_read_is_aborted_to_make_room(server: SiteHarness) -> None:
    slow = server.connect()
    slow.send(GET)
    slow.protocol.pauseProducing()
    server.connect(), server.connect()
    assert slow.aborted


def test_one_connection_in_ten_is_never_busy() -> None:
    server = SiteHarness(max_connections=10, max_connections_per_ip=0)
    busy = [keep_busy(server.connect()) for _ in range(9)]
    surplus = keep_busy(server.connect())
    assert [client.codes for client in busy] == [[]] * 9
    assert surplus.codes == [503]
    assert b"Retry-After: 5" in surplus.transport.value()
    server.slow.waiting[0].callback(b"")
    assert keep_busy(server.connect()).codes == []


def test_surplus_tls_connections_are_aborted() -> None:
    server = SiteHarness(max_connections=1)
    keep_busy(server.connect(tls=True))
    surplus = server.connect(tls=True)
    assert surplus.aborted
    assert surplus.codes == []


def test_refused_connections_count_until_they_make_room(server: SiteHarness) -> None:
    client = server.connect()
    client.send(b"no HTTP\r\n\r\n")
    assert client.codes == [400]
    keep_busy(server.connect())
    keep_busy(server.connect())
    assert server.connect().codes == [503]
    assert client.codes == [400]


@pytest.mark.parametrize("sent", [b"", GET[:10], PUT, GET])
def test_a_client_that_ends_without_a_request_under_way_is_disconnected(
    server: SiteHarness, sent: bytes
) -> None:
    client = server.connect()
    client.send(sent)
    client.protocol.readConnectionLost()
    assert not client.is_open
    assert client.codes == ([404] if sent == GET else [])


def test_a_client_that_ends_after_its_requests_gets_the_responses(server: SiteHarness) -> None:
    client = keep_busy(server.connect())
    client.send(GET * 3 + GET[:10])
    client.protocol.readConnectionLost()
    assert client.is_open
    server.slow.waiting[0].callback(b"")
    server.clock.pump([0] * 4)  # requests that were sent together take turns with other clients
    assert client.codes == [200, 404, 404, 404]
    assert not client.is_open
    client.disconnect()


def test_a_streamed_response_ends_when_the_client_ends(server: SiteHarness) -> None:
    client = keep_busy(server.connect())
    client.protocol.requests[0].write(b"begun")
    client.protocol.readConnectionLost()
    assert not client.is_open


def test_behind_a_proxy_the_addresses_of_its_clients_count() -> None:
    server = SiteHarness(max_connections=10)
    proxy = HAProxyWrappingFactory(server.site)

    def connect(host: str) -> ClientConnection:
        client = ClientConnection(proxy, "198.51.100.1")
        client.send(f"PROXY TCP4 {host} 198.51.100.1 40000 80\r\n".encode() + GET)
        return client

    clients = [connect(f"192.0.2.{number // 2}") for number in range(6)]
    assert [client.codes for client in clients] == [[404]] * 6
    newest = connect("192.0.2.1")
    assert newest.codes == [404]
    assert [client.is_open for client in clients] == [True, True, False, True, True, True]


def test_a_connection_that_is_closing_already_is_aborted_to_make_room() -> None:
    server = SiteHarness(max_connections=1)
    closing = server.connect()
    server.advance(60)
    assert not closing.is_open
    assert not closing.aborted
    server.connect().disconnect()
    assert closing.aborted
    closing.disconnect()
    server.site.stopFactory()
    assert server.clock.getDelayedCalls() == []


def test_no_channel_is_built_for_connections_beyond_the_rate_of_an_address() -> None:
    server = SiteHarness(connection_burst=2)
    peer = IPv4Address("TCP", "192.0.2.1", 40_000)
    for _ in range(2):
        server.connect().disconnect()
    assert server.site.buildProtocol(peer) is None
    assert server.connect("192.0.2.2").is_open
    server.advance(1)
    assert server.connect().is_open
    server.site.budget.stop()


def test_endpoints_that_need_a_protocol_get_one_that_aborts(tmp_path: Path) -> None:
    certificate, key = make_certificate(tmp_path, "here")
    endpoint = f"ssl:8443:certKey={certificate}:privateKey={key}"
    server = SiteHarness(connection_burst=1, endpoint=endpoint)
    server.connect(tls=True).disconnect()
    refused = server.connect(tls=True)
    assert refused.aborted
    assert refused.codes == []
    server.site.budget.stop()


def test_behind_a_proxy_only_the_client_beyond_its_rate_is_refused() -> None:
    server = SiteHarness(connection_burst=2, endpoint="haproxy:tcp:8000", max_connections=50)
    factory = HAProxyWrappingFactory(server.site)

    def request_from(host: bytes) -> ClientConnection:
        client = ClientConnection(factory, "192.0.2.9")
        client.send(b"PROXY TCP4 " + host + b" 192.0.2.9 1 2\r\n" + GET)
        return client

    assert [request_from(b"198.51.100.1").codes for _ in range(3)] == [[404], [404], []]
    assert request_from(b"198.51.100.2").codes == [404]
    server.site.budget.stop()
