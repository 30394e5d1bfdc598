from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest
import pytest_twisted
from attrs import define
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.web.client import readBody
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent
from zope.interface.verify import verifyObject

from kazoo_bridge.config import NON_PUBLIC_NETWORKS
from kazoo_bridge.webhooks.egress import (
    BadDestination,
    ConnectionPool,
    EgressDenied,
    EgressPolicy,
    guarded_agent,
)
from tests.webhooks.harness import results_of
from tests.webhooks.hostile_uris import MALFORMED
from tests.webhooks.memory_agent import DEFAULT_POLICY, make_memory_agent
from tests.webhooks.receiving import Receiver

OPEN = EgressPolicy.from_config([], [])
LOOPBACK_OPEN = EgressPolicy.from_config(NON_PUBLIC_NETWORKS, ["127.0.0.0/8"])


@pytest_twisted.async_yield_fixture
async def agent_and_pool() -> AsyncIterator[tuple[IAgent, ConnectionPool]]:
    agent, pool = guarded_agent(reactor, LOOPBACK_OPEN, 5)
    yield agent, pool
    await pool.close()


@pytest.fixture
def agent(agent_and_pool: tuple[IAgent, ConnectionPool]) -> IAgent:
    return agent_and_pool[0]


@pytest_twisted.async_yield_fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    await receiver.start()
    yield receiver
    await receiver.stop()


def test_the_agent_implements_its_interface() -> None:
    _, agent = make_memory_agent(["8.8.8.8"])
    verifyObject(IAgent, agent)


@pytest.mark.parametrize("uri", [uri for uri in MALFORMED if uri.isascii()])
def test_malformed_uris_fail_before_a_name_is_looked_up(uri: str) -> None:
    clock, agent = make_memory_agent(["8.8.8.8"])
    assert results_of(agent.request(b"POST", uri.encode()))[0].check(BadDestination)
    assert not clock.names.names
    assert not clock.connected_to


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "[::1]", "[::ffff:127.0.0.1]"],
)
@pytest_twisted.ensureDeferred
async def test_no_spelling_of_loopback_reaches_a_receiver(receiver: Receiver, host: str) -> None:
    agent, _ = guarded_agent(reactor, DEFAULT_POLICY, 5)
    with pytest.raises((EgressDenied, BadDestination)):
        await agent.request(b"GET", f"http://{host}:{receiver.port}/".encode())
    assert not receiver.received


@pytest_twisted.ensureDeferred
async def test_a_permitted_receiver_is_reached(agent: IAgent, receiver: Receiver) -> None:
    response: Any = await agent.request(b"GET", f"{receiver.url}/x".encode())
    assert response.code == 200
    assert await readBody(response) == b"ok"


@pytest_twisted.ensureDeferred
async def test_credentials_are_sent_as_a_header_unless_there_is_one(
    agent: IAgent, receiver: Receiver
) -> None:
    uri = f"http://me:secret@127.0.0.1:{receiver.port}/x".encode()
    given = Headers({b"Authorization": [b"Bearer token"]})
    for headers in (None, given):
        await readBody(await agent.request(b"GET", uri, headers))
    basic = base64.b64encode(b"me:secret").decode()
    assert [one.headers["authorization"] for one in receiver.received] == [f"Basic {basic}", "Bearer token"]
    assert [one.uri for one in receiver.received] == [b"/x", b"/x"]
    assert all("secret" not in one.headers["host"] for one in receiver.received)


# -- reuse of connections


class FixedResponseProtocol(Protocol):
    """Answers every request with the factory's response, and closes nothing itself."""

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(self.factory.response)  # type: ignore[union-attr] # connected


@define(eq=False)
class FixedResponseServer(Factory):
    """Counts connections."""

    response: bytes
    connections: int = 0
    noisy = False

    def buildProtocol(self, addr: Any) -> FixedResponseProtocol:
        self.connections += 1
        protocol = FixedResponseProtocol()
        protocol.factory = self
        return protocol


@pytest.mark.parametrize(
    ("head", "connections"),
    [
        (b"HTTP/1.1 200 OK\r\n", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n", 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n", 3),
        (b"HTTP/1.1 200 OK\r\nConnection: Close\r\n", 3),
        (b"HTTP/1.1 200 OK\r\nConnection: x-y, close\r\n", 3),
        (b"HTTP/1.0 200 OK\r\n", 3),
        (b"HTTP/1.0 200 OK\r\nConnection: Keep-Alive\r\n", 1),
        (b"HTTP/1.1 204 No Content\r\nConnection: CLOSE\r\n", 3),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_connection_is_reused_if_the_receiver_keeps_it(
    agent: IAgent, head: bytes, connections: int
) -> None:
    server = FixedResponseServer(head + b"Content-Length: 0\r\n\r\n")
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(server)
    for _ in range(3):
        response: Any = await agent.request(b"POST", f"http://127.0.0.1:{port.getHost().port}/".encode())
        assert response.code == int(head.split()[1])
        await readBody(response)
    assert server.connections == connections
    await port.stopListening()


class ClosingRequestHandler(BaseHTTPRequestHandler):
    """Like every server of Python's http.server: HTTP/1.0, which closes the connection without a header."""

    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest_twisted.ensureDeferred
async def test_no_request_is_lost_to_a_server_that_closes_after_each_response(agent: IAgent) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), ClosingRequestHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        for _ in range(100):
            response: Any = await agent.request(b"POST", f"http://127.0.0.1:{server.server_port}/".encode())
            assert response.code == 200
            await readBody(response)
    finally:
        server.shutdown()
        server.server_close()
