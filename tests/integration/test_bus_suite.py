"""The bus suite on a real RabbitMQ."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_twisted
from twisted.internet import reactor

from kazoo_bridge.bus.amqp import AmqpBus
from kazoo_bridge.config import parse_uri
from tests.bus.ibus_suite import BusHarness, IBusSuite, captured_log
from tests.integration.amqp_harness import BrokerClient, until

__all__ = ["TestAmqpBus", "captured_log"]


@pytest_twisted.async_yield_fixture
async def harness(vhost_uri: str) -> AsyncIterator[BusHarness]:
    uri = parse_uri(vhost_uri)
    bus = AmqpBus(reactor, [uri])
    client = await BrokerClient.connect(uri)

    def send_raw(exchange: str, routing_key: str, raw: bytes, content_encoding: str | None) -> None:
        client.send(
            exchange, routing_key, raw, {"content-encoding": content_encoding} if content_encoding else {}
        )

    bus.startService()
    await until(lambda: bus.unavailable_reason() is None, "the bus to connect")
    yield BusHarness(bus, send_raw, bus.stopService)
    await bus.stopService()
    await client.close()


class TestAmqpBus(IBusSuite):
    pass
