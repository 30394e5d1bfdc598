"""Which connections are used again: those that the receiver keeps open, and no others."""

from __future__ import annotations

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

from kazoo_bridge.webhooks.egress import EgressPolicy, guarded_agent
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Sender


class Answering(Protocol):
    """Answers every request, and closes nothing itself."""

    def __init__(self, receiver: Keeper) -> None:
        self.receiver = receiver

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(self.receiver.answer)  # type: ignore[union-attr]


@define(eq=False)
class Keeper(Factory):
    """Gives all requests the same answer, and counts connections."""

    answer: bytes
    connections: int = 0
    noisy = False

    def buildProtocol(self, addr: Any) -> Answering:
        self.connections += 1
        return Answering(self)


@pytest_twisted.async_yield_fixture
async def sender() -> AsyncIterator[Sender]:
    agent, pool = guarded_agent(reactor, EgressPolicy.from_config([], []), 5)
    yield Sender(reactor, agent, 5)  # type: ignore[arg-type]
    await pool.closeCachedConnections()


def request(url: str) -> HookRequest:
    return HookRequest("POST", url, {}, b"a=1")


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
async def test_a_connection_is_used_again_if_the_receiver_says_that_it_stays(
    sender: Sender, head: bytes, connections: int
) -> None:
    keeper = Keeper(head + b"Content-Length: 0\r\n\r\n")
    port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(keeper)
    for _ in range(3):
        outcome = await sender.send(request(f"http://127.0.0.1:{port.getHost().port}/"))
        assert outcome.status in (200, 204)
    assert keeper.connections == connections
    await port.stopListening()


class OldServer(BaseHTTPRequestHandler):
    """As it comes with Python: HTTP/1.0, which closes the connection without saying so."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest_twisted.ensureDeferred
async def test_no_attempt_is_lost_to_a_server_that_closes_after_each_answer(sender: Sender) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), OldServer)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        for _ in range(100):
            outcome = await sender.send(request(f"http://127.0.0.1:{server.server_port}/"))
            assert outcome.success, outcome
    finally:
        server.shutdown()
        server.server_close()
