"""Slow and many clients, on a clock."""

from __future__ import annotations

import json
from typing import Any

import pytest
from attrs import define, field
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

GET = b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n"
PUT = b"PUT /x HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"


@define(eq=False)
class Slow:
    """A resource that answers when it is told to."""

    waiting: list[Deferred[bytes]] = field(factory=list)

    def route(self, app: Klein) -> None:
        def wait(request: Any) -> Deferred[bytes]:
            self.waiting.append(Deferred())
            return self.waiting[-1]

        app.route("/slow", methods=["GET"])(wait)


class Wire(StringTransport):
    """As patient as the real one."""

    def unregisterProducer(self) -> None:
        self.producer = None

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass


class Client:
    """A client's end of a connection."""

    def __init__(self, factory: Any, host: str = "192.0.2.1", tls: bool = False) -> None:
        peer = IPv4Address("TCP", host, 40_000)
        self.wire = Wire(peerAddress=peer)
        if tls:
            directlyProvides(self.wire, ISSLTransport)
        self.protocol = factory.buildProtocol(peer)
        self.protocol.makeConnection(self.wire)

    def send(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def gone(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))

    @property
    def codes(self) -> list[int]:
        return [int(part[:3]) for part in self.wire.value().split(b"HTTP/1.1 ")[1:]]

    @property
    def is_open(self) -> bool:
        return not self.wire.disconnecting

    @property
    def aborted(self) -> bool:
        return bool(self.wire.disconnected)


class Server:
    """The site on a clock."""

    def __init__(self, **http: int) -> None:
        self.clock, self.slow = Clock(), Slow()
        settings = {
            "request_timeout_s": 30,
            "idle_timeout_s": 60,
            "max_connections": 3,
            "max_connections_per_ip": 2,
        }
        self.site: Any = make_site(self.clock, [self.slow], "node", Http(**{**settings, **http}))

    def connect(self, host: str = "192.0.2.1", tls: bool = False) -> Client:
        return Client(self.site, host, tls)

    def pass_time(self, seconds: int) -> None:
        self.clock.pump([1] * seconds)


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.mark.parametrize("beginning", [b"", b"GET /x HTTP/1.1\r\nX-Long: ", PUT])
def test_a_request_that_drips(server: Server, beginning: bytes) -> None:
    client = server.connect()
    client.send(beginning or b"G")
    for _ in range(29):
        client.send(b"x")
        server.pass_time(1)
    assert client.is_open
    assert client.codes == []
    server.pass_time(1)
    assert client.codes == [408]
    assert (
        json.loads(client.wire.value().rpartition(b"\r\n")[2])["message"]
        == "the request did not arrive within 30 seconds"
    )
    assert not client.is_open
    client.send(b"x" * 100)
    assert client.codes == [408]
    client.gone()
    assert server.clock.getDelayedCalls() == []


def test_time_begins_anew_with_each_request(server: Server) -> None:
    client = server.connect()
    for number in range(5):
        client.send(GET[:10])
        server.pass_time(25)
        client.send(GET[10:])
        assert client.codes == [404] * (number + 1)
        server.pass_time(25)
    client.send(GET + GET[:10])
    server.pass_time(29)
    client.send(b"x")
    assert client.is_open
    server.pass_time(30)
    assert client.codes[-1] == 408


def test_an_answer_may_take_longer_than_a_request(server: Server) -> None:
    client = server.connect()
    client.send(b"GET /slow HTTP/1.1\r\n\r\n")
    server.pass_time(500)
    assert client.is_open
    client.send(GET[:10])
    server.pass_time(500)
    server.slow.waiting.pop().callback(b"at last")
    assert client.codes == [200]
    server.pass_time(20)
    client.send(GET[10:])
    assert client.codes == [200, 404]


@pytest.mark.parametrize("sent", [b"", GET])
def test_silence(server: Server, sent: bytes) -> None:
    client = server.connect()
    if sent:
        client.send(sent)
    server.pass_time(59)
    assert client.is_open
    server.pass_time(1)
    assert not client.is_open
    assert not client.aborted
    server.pass_time(15)
    assert client.aborted


def test_an_answer_that_nobody_takes(server: Server) -> None:
    client = server.connect()
    client.send(b"GET /x HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert client.codes == [404]
    assert not client.aborted
    server.pass_time(75)
    assert client.aborted


def test_connections_that_are_too_many(server: Server) -> None:
    first, second, surplus = (server.connect() for _ in range(3))
    assert surplus.codes == [503]
    assert not surplus.is_open
    surplus.send(GET)
    assert surplus.codes == [503]
    other, beyond = server.connect("192.0.2.2"), server.connect("192.0.2.3")
    assert beyond.codes == [503]
    for client in (surplus, beyond, first):
        client.gone()
    again = server.connect("192.0.2.3")
    for client in (second, other, again):
        client.send(GET)
        assert client.codes == [404]


def test_over_tls_they_are_closed_without_a_word() -> None:
    server = Server(max_connections=1)
    server.connect(tls=True)
    surplus = server.connect(tls=True)
    assert surplus.aborted
    assert surplus.codes == []


def test_refused_connections_count_until_they_are_closed(server: Server) -> None:
    client = server.connect()
    client.send(b"no HTTP\r\n\r\n")
    assert client.codes == [400]
    server.connect()
    assert server.connect().codes == [503]
    client.gone()
    assert server.connect().codes == []


def test_behind_a_proxy_the_clients_addresses_count() -> None:
    server = Server(max_connections=10)
    proxy = HAProxyWrappingFactory(server.site)

    def connect(host: str) -> Client:
        client = Client(proxy, "198.51.100.1")
        client.send(f"PROXY TCP4 {host} 198.51.100.1 40000 80\r\n".encode() + GET)
        return client

    clients = [connect(f"192.0.2.{number // 2}") for number in range(6)]
    assert [client.codes for client in clients] == [[404]] * 6
    surplus = connect("192.0.2.1")
    assert surplus.codes == [503]
    surplus.gone()
    clients[2].gone()
    assert connect("192.0.2.1").codes == [404]
