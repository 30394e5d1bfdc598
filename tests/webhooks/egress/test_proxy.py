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
from tests.webhooks.hostile_receiver import HostileReceiver, Malice, nothing_left
from tests.webhooks.receiving import Receiver

LOOPBACK_OPEN = EgressPolicy.from_config(["0.0.0.0/0", "::/0"], ["127.0.0.0/8"])


class Onward(Protocol):
    """The proxy's connection to the target."""

    def __init__(self, malice: Malice) -> None:
        self.malice = malice

    def dataReceived(self, data: bytes) -> None:
        self.malice.say(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.malice.close()


def tunnel(malice: Malice) -> None:
    """An honest proxy."""
    head = malice.heard
    address, _, port = head.split()[1].decode().rpartition(":")
    connected = connectProtocol(TCP4ClientEndpoint(reactor, address, int(port)), Onward(malice))

    def relay(onward: Onward) -> None:
        malice.say(b"HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n")
        malice.dataReceived = onward.transport.write  # type: ignore[method-assign, union-attr]
        ended = malice.connectionLost

        def lost(reason: Failure = connectionDone) -> None:
            onward.transport.loseConnection()  # type: ignore[union-attr]
            ended(reason)

        malice.connectionLost = lost  # type: ignore[method-assign]

    connected.addCallback(relay)


class World:
    """A proxy that behaves as told."""

    def __init__(self) -> None:
        self.proxy = HostileReceiver(tunnel)
        self.pools: list[object] = []
        self.asked: list[bytes] = []

    async def send(
        self, url: str, behave: Callable[[Malice], None] = tunnel, *, tls: TlsClient | None = None
    ) -> Outcome:
        def asked(malice: Malice) -> None:
            self.asked.append(malice.heard)
            behave(malice)

        self.proxy.behave = asked
        proxy = Proxy.from_config(f"http://kb:s%65cret@127.0.0.1:{self.proxy.port}")
        agent, pool = guarded_agent(reactor, LOOPBACK_OPEN, 0.5, proxy=proxy, tls=tls)
        outcome = await Sender(reactor, agent, 5).send(HookRequest("POST", url, {"X-Hook-ID": "h"}, b"a=1"))  # type: ignore[arg-type]
        await pool.closeCachedConnections()
        await self.proxy.all_gone()
        return outcome


@pytest_twisted.async_yield_fixture
async def world() -> AsyncIterator[World]:
    before = set(reactor.getDelayedCalls())  # type: ignore[attr-defined]
    world = World()
    await world.proxy.start()
    yield world
    await world.proxy.stop()
    await nothing_left(before)


@pytest_twisted.ensureDeferred
async def test_the_proxy_is_asked_for_the_judged_address(world: World) -> None:
    receiver = Receiver()
    port = int((await receiver.start()).rpartition(":")[2])
    outcome = await world.send(f"http://localhost:{port}/x")
    assert outcome.success
    (received,) = receiver.received
    assert (received.method, received.uri, received.body) == ("POST", b"/x", b"a=1")
    assert received.headers["host"] == f"localhost:{port}"
    # The credentials are the proxy's affair alone.
    assert "proxy-authorization" not in received.headers
    credentials = base64.b64encode(b"kb:secret").decode()
    lines = world.asked[0].decode().split("\r\n")
    assert lines[:3] == [
        f"CONNECT 127.0.0.1:{port} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Proxy-Authorization: Basic {credentials}",
    ]
    await receiver.stop()


@pytest_twisted.ensureDeferred
async def test_tls_goes_through_the_tunnel_to_the_name(world: World, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    receiver = Receiver()
    port = await SSL4ServerEndpoint(reactor, 0, authority.server("localhost"), interface="127.0.0.1").listen(
        Site(receiver)
    )
    outcome = await world.send(
        f"https://localhost:{port.getHost().port}/x", tls=TlsClient.from_config(authority.bundle)
    )
    assert outcome.success
    assert len(receiver.received) == 1
    await port.stopListening()


@pytest.mark.parametrize(
    "url", ["http://10.0.0.1/", "https://10.0.0.1/", "http://[::1]/", "http://2130706433/"]
)
@pytest_twisted.ensureDeferred
async def test_what_is_denied_is_not_asked_for(world: World, url: str) -> None:
    outcome = await world.send(url)
    assert outcome.status is None
    assert not world.asked


def says(data: bytes) -> Callable[[Malice], None]:
    return lambda malice: malice.say(data)


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (
            says(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"),
            "the proxy wants other credentials",
        ),
        (says(b"HTTP/1.1 403 Forbidden\r\n\r\n"), "the proxy forbids it"),
        (says(b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>inside</html>"), "the proxy answers 502"),
        (says(b"SSH-2.0-inside\r\n\r\n"), "the proxy does not speak HTTP"),
        (says(b"HTTP/1.1 2000 OK\r\n\r\n"), "the proxy does not speak HTTP"),
        (lambda malice: malice.say_for_ever(b"HTTP/1.1 200 OK\r\n"), "the proxy's answer is too long"),
        (lambda malice: None, "the proxy does not answer"),
        (lambda malice: malice.trickle(b"HTTP/1.1 200 OK\r\nX: "), "the proxy does not answer"),
        (lambda malice: malice.close(), "the proxy closed the connection"),
        (lambda malice: malice.reset(), "the proxy closed the connection"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_proxy_that_does_not_do_it(
    world: World, behave: Callable[[Malice], None], words: str
) -> None:
    outcome = await world.send("http://127.0.0.1:9/", behave)
    assert (outcome.status, outcome.error) == (None, f"ProxyFailed: {words}")


@pytest_twisted.ensureDeferred
async def test_a_proxy_that_is_not_there(world: World) -> None:
    agent, _ = guarded_agent(
        reactor, LOOPBACK_OPEN, 0.5, proxy=Proxy.from_config("http://kb:secret@127.0.0.1:1")
    )
    outcome = await Sender(reactor, agent, 5).send(HookRequest("POST", "http://127.0.0.1:9/", {}, b"a=1"))  # type: ignore[arg-type]
    assert outcome.error == "ProxyFailed: the proxy cannot be reached"


def test_credentials_are_in_no_representation() -> None:
    assert "c2VjcmV0" not in repr(Proxy.from_config("http://kb:secret@proxy:3128"))
    assert "secret" not in repr(Proxy.from_config("http://kb:secret@proxy:3128"))
    assert Proxy.from_config("") is None
