from __future__ import annotations

import socket
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater

from kazoo_bridge.websockets.server.transport_writer import write_now
from tests.websockets.fakes import FakeTransport

pytestmark = pytest.mark.timeout(30)


class Accepted(Protocol):
    """The server's side of a connection."""

    def __init__(self) -> None:
        self.made: Deferred[None] = Deferred()
        self.lost: Deferred[None] = Deferred()

    def connectionMade(self) -> None:
        self.made.callback(None)

    def connectionLost(self, reason: Any = None) -> None:
        self.lost.callback(None)


class Pair:
    """A TCP connection: the server's transport, and a socket that reads only when `read` is called."""

    @classmethod
    async def connect(cls) -> Pair:
        pair, server = cls(), Accepted()
        port = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(
            Factory.forProtocol(lambda: server)
        )
        pair.client = socket.create_connection(("127.0.0.1", port.getHost().port))
        pair.client.setblocking(False)
        await server.made
        await port.stopListening()
        pair.server = server
        pair.transport = server.transport
        return pair

    client: socket.socket
    server: Accepted
    transport: Any

    def read(self) -> bytes:
        try:
            return self.client.recv(1 << 20)
        except BlockingIOError:
            return b""

    async def read_all(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            data += self.read()
            await deferLater(reactor, 0)
        return data

    async def close(self) -> None:
        self.client.close()
        self.transport.abortConnection()
        await self.server.lost


def test_other_transports_write_as_they_do() -> None:
    transport = FakeTransport()
    write_now(transport, b"1")
    assert transport.written == [b"1"]


@pytest_twisted.ensureDeferred
async def test_it_writes_before_it_returns() -> None:
    pair = await Pair.connect()
    write_now(pair.transport, b"1")
    assert pair.read() == b"1"
    await pair.close()


@pytest_twisted.ensureDeferred
async def test_data_that_waits_goes_first() -> None:
    pair = await Pair.connect()
    pair.transport.write(b"1")
    write_now(pair.transport, b"2")
    assert pair.read() == b""
    assert await pair.read_all(2) == b"12"
    write_now(pair.transport, b"3")
    assert pair.read() == b"3"
    await pair.close()


@pytest_twisted.ensureDeferred
async def test_what_the_system_does_not_take_is_written_later_and_pauses_the_producer() -> None:
    pair = await Pair.connect()
    paused: list[bool] = []

    class Producer:
        def pauseProducing(self) -> None:
            paused.append(True)

        def resumeProducing(self) -> None:
            paused.append(False)

        def stopProducing(self) -> None:
            """The connection is lost."""

    pair.transport.registerProducer(Producer(), True)
    data = bytes(range(256)) * 65_536
    write_now(pair.transport, data)
    assert paused == [True]
    write_now(pair.transport, b"the end")
    assert await pair.read_all(len(data) + 7) == data + b"the end"
    await deferLater(reactor, 0)
    assert paused[-1] is False
    await pair.close()


@pytest_twisted.ensureDeferred
async def test_a_connection_that_is_lost_meanwhile_ends_as_usual() -> None:
    pair = await Pair.connect()
    pair.transport.getHandle().shutdown(socket.SHUT_RDWR)
    write_now(pair.transport, b"1")
    await pair.server.lost
    write_now(pair.transport, b"2")
    pair.client.close()


@pytest_twisted.ensureDeferred
async def test_a_connection_that_closes_still_sends_in_order() -> None:
    pair = await Pair.connect()
    pair.transport.write(b"1")
    pair.transport.loseConnection()
    write_now(pair.transport, b"2")
    assert await pair.read_all(2) == b"12"
    await pair.server.lost
    pair.client.close()
