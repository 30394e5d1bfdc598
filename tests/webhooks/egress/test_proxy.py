from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.endpoints import SSL4ServerEndpoint, TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.server import Site

from kazoo_bridge.webhooks.egress import EgressPolicy, Proxy, TlsClient, guarded_agent
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from tests.webhooks.authority import Authority
from tests.webhooks.hostile_receiver import HostileConnection, HostileReceiver, assert_nothing_left
from tests.webhooks.receiving import Receiver

LOOPBACK_OPEN = EgressPolicy.from_config(["0.0.0.0/0", "::/0"], ["127.0.0.0/8"])


class Onward(Protocol):
    """The proxy's connection to the target."""

    def __init__(self, connection: HostileConnection) -> None:
        self.connection = connection

    def dataReceived(self, data: bytes) -> None:
        self.connection.send(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.connection.close()


def tunnel(connection: HostileConnection) -> None:
    """An honest proxy."""
    head = connection.received
    address, _, port = head.split()[1].decode().rpartition(":")
    connected = connectProtocol(TCP4ClientEndpoint(reactor, address, int(port)), Onward(connection))

    def relay(onward: Onward) -> None:
        connection.send(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        connection.dataReceived = onward.transport.write  # type: ignore[method-assign, union-attr]
        ended = connection.connectionLost

        def lost(reason: Failure = connectionDone) -> None:
            onward.transport.loseConnection()  # type: ignore[union-attr]
            ended(reason)

        connection.connectionLost = lost  # type: ignore[method-assign]

    connected.addCallback(relay)


class Harness:
    """A proxy that behaves as told."""

    def __init__(self) -> None:
        self.proxy = HostileReceiver(tunnel)
        self.pools: list[object] = []
        self.asked: list[bytes] = []

    async def send(
        self, url: str, behave: Callable[[HostileConnection], None] = tunnel, *, tls: TlsClient | None = None
    ) -> Outcome:
        def asked(connection: HostileConnection) -> None:
            self.asked.append(connection.received)
            behave(connection)

        self.proxy.behave = asked
        proxy = Proxy.from_config(f"http://kb:s%65cret@127.0.0.1:{self.proxy.port}")
        agent, pool = guarded_agent(reactor, LOOPBACK_OPEN, 0.5, proxy=proxy, tls=tls)
        outcome = await Sender(reactor, agent, 5).send(HookRequest("POST", url, {"X-Hook-ID": "h"}, b"a=1"))  # type: ignore[arg-type]
        await pool.closeCachedConnections()
        await self.proxy.all_closed()
        return outcome


@pytest_twisted.async_yield_fixture
async def harness() -> AsyncIterator[Harness]:
    before = set(reactor.getDelayedCalls())  # type: ignore[attr-defined]
    harness = Harness()
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
    # The credentials are the proxy's affair alone.
    assert "proxy-authorization" not in received.headers
    credentials = base64.b64encode(b"kb:secret").decode()
    lines = harness.asked[0].decode().split("\r\n")
    assert lines[:3] == [
        f"CONNECT 127.0.0.1:{port} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Proxy-Authorization: Basic {credentials}",
    ]
    await receiver.stop()


@pytest_twisted.ensureDeferred
async def test_tls_goes_through_the_tunnel_to_the_name(harness: Harness, tmp_path: Path) -> None:
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
async def test_what_is_denied_is_not_asked_for(harness: Harness, url: str) -> None:
    outcome = await harness.send(url)
    assert outcome.status is None
    assert not harness.asked


def sends(data: bytes) -> Callable[[HostileConnection], None]:
    return lambda connection: connection.send(data)


@pytest.mark.parametrize(
    ("behave", "words"),
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
            lambda connection: connection.send_forever(b"HTTP/1.1 200 OK\r\n"),
            "the proxy's answer is too long",
        ),
        (lambda connection: None, "the proxy does not answer"),
        (lambda connection: connection.trickle(b"HTTP/1.1 200 OK\r\nX: "), "the proxy does not answer"),
        (lambda connection: connection.close(), "the proxy closed the connection"),
        (lambda connection: connection.reset(), "the proxy closed the connection"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_proxy_that_does_not_do_it(
    harness: Harness, behave: Callable[[HostileConnection], None], words: str
) -> None:
    outcome = await harness.send("http://127.0.0.1:9/", behave)
    assert (outcome.status, outcome.error) == (None, f"ProxyFailed: {words}")


@pytest_twisted.ensureDeferred
async def test_a_proxy_that_is_not_there(harness: Harness) -> None:
    agent, _ = guarded_agent(
        reactor, LOOPBACK_OPEN, 0.5, proxy=Proxy.from_config("http://kb:secret@127.0.0.1:1")
    )
    outcome = await Sender(reactor, agent, 5).send(HookRequest("POST", "http://127.0.0.1:9/", {}, b"a=1"))  # type: ignore[arg-type]
    assert outcome.error == "ProxyFailed: the proxy cannot be reached"


def test_credentials_are_in_no_representation() -> None:
    assert "c2VjcmV0" not in repr(Proxy.from_config("http://kb:secret@proxy:3128"))
    assert "secret" not in repr(Proxy.from_config("http://kb:secret@proxy:3128"))
    assert Proxy.from_config("") is None
