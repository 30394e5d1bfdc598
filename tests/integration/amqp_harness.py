"""What the tests over a real broker share: a plain client of the broker, and a running bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from txamqp.content import Content

from kazoo_bridge.bus.amqp import AmqpBus
from kazoo_bridge.bus.amqp.connection.channel import BrokerChannel
from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.config import AmqpUri, parse_uri
from tests.bus.harness import CapturedLog, RecordingHandler, until

__all__ = ["BrokerClient", "CapturedLog", "RecordingHandler", "is_available", "running_bus", "until"]


class BrokerClient:
    """A connection of the test to the broker, with one channel."""

    def __init__(self, connection: BrokerConnection, channel: BrokerChannel) -> None:
        self.connection = connection
        self.channel = channel

    @classmethod
    async def connect(cls, uri: AmqpUri) -> BrokerClient:
        """Connect and log in."""
        connection = BrokerConnection(reactor, uri.vhost, connection_name="tester")
        await connectProtocol(TCP4ClientEndpoint(reactor, uri.host, uri.port), connection)
        await connection.login(uri.user, uri.password)
        return cls(connection, await connection.open_channel())

    def send(self, exchange: str, key: str, body: bytes, properties: Mapping[str, Any] | None = None) -> None:
        """Publish raw bytes."""
        content = Content(body, properties=dict(properties or {}))
        self.channel.basic_publish(exchange=exchange, routing_key=key, content=content)

    async def fresh_channel(self) -> BrokerChannel:
        """Open another channel, for instance because the broker has closed the previous one."""
        self.channel = await self.connection.open_channel()
        return self.channel

    async def count(self, queue: str) -> int:
        """Return the number of messages that are ready in the queue."""
        response = await self.channel.queue_declare(queue=queue, passive=True)
        return int(response.message_count)

    async def close(self) -> None:
        """Close the connection with the handshake."""
        await self.connection.close_gracefully(5)


@asynccontextmanager
async def running_bus(*uris: str, **options: Any) -> AsyncIterator[AmqpBus]:
    """A started bus, which is stopped at the end."""
    bus = AmqpBus(reactor, [parse_uri(uri) for uri in uris], **options)
    bus.startService()
    try:
        yield bus
    finally:
        await bus.stopService()


def is_available(bus: AmqpBus) -> Callable[[], bool]:
    """Return a condition for `until`: the bus has no reason to be unavailable."""
    return lambda: bus.unavailable_reason() is None
