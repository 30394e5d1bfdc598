from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ClientEndpoint, connectProtocol
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.server import Site
from zope.interface.verify import verifyObject

from kazoo_bridge.webhooks.egress import EgressPolicy, Proxy, TlsClient, guarded_agent
from kazoo_bridge.webhooks.egress.proxy import ProxyFailed, TunnelEndpoint
from kazoo_bridge.webhooks.http.faults import Fault, fault_of
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from tests.webhooks.authority import Authority
from tests.webhooks.doors import Door
from tests.webhooks.harness import results_of
from tests.webhooks.hostile_receiver import HostileConnection, HostileReceiver, assert_nothing_left
from tests.webhooks.memory_agent import FakeNameResolver, RecordingReactor
from tests.webhooks.receiving import Receiver

LOOPBACK_OPEN = EgressPolicy.from_config(["0.0.0.0/0", "::/0"], ["127.0.0.0/8"])


class TargetConnection(Protocol):
    """The proxy's connection to the target."""

    def __init__(self, connection: HostileConnection) -> None:
        self.connection = connection

    def dataReceived(self, data: bytes) -> None:
        self.connection.send(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connection.close()


def tunnel(connection: HostileConnection) -> None:
    """Open the requested tunnel, and relay bytes in both directions."""
    address, _, port = connection.received.split()[1].decode().rpartition(":")
    connected = connectProtocol(TCP4ClientEndpoint(reactor, address, int(port)), TargetConnection(connection))

    def relay(target: TargetConnection) -> None:
        connection.send(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        # Both are connected.
        connection.dataReceived = target.transport.write  # type: ignore[method-assign, union-attr]
        ended = connection.connectionLost

        def lost(reason: Failure = connectionDone) -> None:
            target.transport.loseConnection()  # type: ignore[union-attr] # connected
            ended(reason)

        connection.connectionLost = lost  # type: ignore[method-assign] # replaced for the test

    connected.addCallback(relay)


class Harness:
    """A proxy, and a sender that uses it. `connect_requests` are the requests that the proxy has received."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.proxy = HostileReceiver(tunnel)
        self.connect_requests: list[bytes] = []

    async def send(
        self,
        url: str,
        behave: Callable[[HostileConnection], None] = tunnel,
        *,
        tls: TlsClient | None = None,
        connect_timeout: float = 20,
    ) -> Outcome:
        def record_and_behave(connection: HostileConnection) -> None:
            self.connect_requests.append(connection.received)
            behave(connection)

        self.proxy.behave = record_and_behave
        proxy = Proxy.from_config(f"http://kb:s%65cret@127.0.0.1:{self.proxy.port}")
        agent, pool = guarded_agent(reactor, LOOPBACK_OPEN, connect_timeout, proxy=proxy, tls=tls)
        sender = Sender(reactor, agent, 30, pool=pool)
        outcome = await self.door(sender, HookRequest("POST", url, {"X-Hook-ID": "h"}, b"a=1"))
        await pool.close()
        await self.proxy.all_closed()
        return outcome


@pytest_twisted.async_yield_fixture
async def harness(door: Door) -> AsyncIterator[Harness]:
    before = set(reactor.getDelayedCalls())
    harness = Harness(door)
    await harness.proxy.start()
    yield harness
    await harness.proxy.stop()
    await assert_nothing_left(before)


@pytest_twisted.ensureDeferred
async def test_the_proxy_is_asked_for_the_judged_address(harness: Harness) -> None:
    receiver = Receiver()
    port = int((await receiver.start()).rpartition(":")[2])
    outcome = await harness.send(f"http://localhost:{port}/x")
    assert outcome.success
    (received,) = receiver.received
    assert (received.method, received.uri, received.body) == ("POST", b"/x", b"a=1")
    assert received.headers["host"] == f"localhost:{port}"
    assert "proxy-authorization" not in received.headers
    credentials = base64.b64encode(b"kb:secret").decode()
    lines = harness.connect_requests[0].decode().split("\r\n")
    assert lines[:3] == [
        f"CONNECT 127.0.0.1:{port} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Proxy-Authorization: Basic {credentials}",
    ]
    await receiver.stop()


@pytest_twisted.ensureDeferred
async def test_tls_inside_the_tunnel_is_verified_against_the_name(harness: Harness, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    receiver = Receiver()
    port = await SSL4ServerEndpoint(reactor, 0, authority.server("localhost"), interface="127.0.0.1").listen(
        Site(receiver)
    )
    outcome = await harness.send(
        f"https://localhost:{port.getHost().port}/x", tls=TlsClient.from_config(authority.bundle)
    )
    assert outcome.success
    assert len(receiver.received) == 1
    await port.stopListening()


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "https://10.0.0.1/", "http://[::1]/", "http://2130706433/"]
)
@pytest_twisted.ensureDeferred
async def test_a_denied_address_is_not_requested_from_the_proxy(harness: Harness, url: str) -> None:
    outcome = await harness.send(url)
    assert outcome.status is None
    assert not harness.connect_requests


def sends(data: bytes) -> Callable[[HostileConnection], None]:
    return lambda connection: connection.send(data)


@pytest.mark.parametrize(
    ("behave", "reason"),
    [
        (
            sends(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"),
            "the proxy wants other credentials",
        ),
        (sends(b"HTTP/1.1 403 Forbidden\r\n\r\n"), "the proxy forbids it"),
        (sends(b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>inside</html>"), "the proxy answers 502"),
        (sends(b"SSH-2.0-inside\r\n\r\n"), "the proxy does not speak HTTP"),
        (sends(b"HTTP/1.1 2000 OK\r\n\r\n"), "the proxy does not speak HTTP"),
        (
            lambda connection: connection.send_forever(b"HTTP/1.1 200 OK\r\n" * 100),
            "the proxy's answer is too long",
        ),
        (lambda connection: connection.close(), "the proxy closed the connection"),
        (lambda connection: connection.reset(), "the proxy closed the connection"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_proxy_that_opens_no_tunnel_is_described_without_its_name(
    harness: Harness, behave: Callable[[HostileConnection], None], reason: str
) -> None:
    outcome = await harness.send("http://127.0.0.1:9/", behave)
    is_receivers = reason == "the proxy answers 502"
    assert outcome.fault is (Fault.RECEIVER if is_receivers else Fault.OURS)
    name = "ProxyFailed" if is_receivers else "ProxyUnavailable"
    assert (outcome.status, outcome.error) == (None, f"{name}: {reason}")


@pytest.mark.parametrize(
    "behave",
    [lambda connection: None, lambda connection: connection.trickle(b"HTTP/1.1 200 OK\r\nX: ")],
    ids=["silent", "slow"],
)
@pytest_twisted.ensureDeferred
async def test_a_proxy_that_does_not_answer_in_time(
    harness: Harness, behave: Callable[[HostileConnection], None]
) -> None:
    outcome = await harness.send("http://127.0.0.1:9/", behave, connect_timeout=0.5)
    assert (outcome.status, outcome.error) == (None, "ProxyUnavailable: the proxy does not answer")
    assert outcome.fault is Fault.OURS


@pytest_twisted.ensureDeferred
async def test_a_proxy_that_cannot_be_reached(door: Door) -> None:
    agent, pool = guarded_agent(
        reactor, LOOPBACK_OPEN, 0.5, proxy=Proxy.from_config("http://kb:secret@127.0.0.1:1")
    )
    sender = Sender(reactor, agent, 5, pool=pool)
    outcome = await door(sender, HookRequest("POST", "http://127.0.0.1:9/", {}, b"a=1"))
    assert outcome.error == "ProxyUnavailable: the proxy cannot be reached"
    assert not outcome.counts_against_hook


@pytest_twisted.ensureDeferred
async def test_a_tunnel_that_is_not_opened_while_others_are_is_the_receivers_fault(harness: Harness) -> None:
    proxy = Proxy.from_config(f"http://127.0.0.1:{harness.proxy.port}")
    assert proxy is not None

    def answer_others(_: HostileConnection) -> None:
        proxy.answers.count += 1

    harness.proxy.behave = answer_others
    endpoint = TunnelEndpoint(reactor, proxy, "127.0.0.1", 9, 0.2)
    with pytest.raises(ProxyFailed) as failed:
        await endpoint.connect(Factory.forProtocol(Protocol))
    assert fault_of(failed.value) is Fault.RECEIVER
    await harness.proxy.all_closed()


def test_credentials_are_not_in_the_repr() -> None:
    assert "c2VjcmV0" not in repr(Proxy.from_config("http://kb:secret@proxy:3128"))
    assert "secret" not in repr(Proxy.from_config("http://kb:secret@proxy:3128"))


def test_no_proxy_is_configured_by_an_empty_text() -> None:
    assert Proxy.from_config("") is None


@pytest.mark.parametrize(
    ("address", "target"), [("8.8.8.8", "8.8.8.8:443"), ("2606:4700::1111", "[2606:4700::1111]:443")]
)
def test_the_connect_request_of_an_address(address: str, target: str) -> None:
    proxy = Proxy.from_config("http://proxy.example:3128")
    assert proxy is not None
    assert proxy.connect_request(address, 443).decode() == (
        f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"
    )


def test_the_endpoint_implements_its_interface() -> None:
    proxy = Proxy("proxy.example", 3128, None)
    verifyObject(IStreamClientEndpoint, TunnelEndpoint(reactor, proxy, "8.8.8.8", 443, 1.0))


def test_a_cancelled_connection_is_no_failure_of_the_proxy() -> None:
    memory = RecordingReactor(FakeNameResolver(["127.0.0.1"]))
    endpoint = TunnelEndpoint(memory, Proxy("127.0.0.1", 3128, None), "8.8.8.8", 443, 5.0)
    connecting = endpoint.connect(Factory.forProtocol(Protocol))
    results = results_of(connecting)
    connecting.cancel()
    assert not results[0].check(ProxyFailed)
    assert results[0].check(CancelledError, ConnectingCancelledError)
