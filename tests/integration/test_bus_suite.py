"""The bus suite on a real RabbitMQ, and the topic rules against RabbitMQ's own."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pika
import pytest_twisted
from twisted.internet import reactor

from kazoo_bridge.bus.amqp import AmqpBus
from kazoo_bridge.config import parse_uri
from kazoo_bridge.topics import TopicTable
from tests.bus.ibus_suite import BusAtWork, IBusSuite, complaints, until
from tests.integration.amqp_harness import BrokerClient

__all__ = ["TestAmqpBus", "complaints"]


@pytest_twisted.async_yield_fixture
async def at_work(vhost_uri: str) -> AsyncIterator[BusAtWork]:
    uri = parse_uri(vhost_uri)
    bus = AmqpBus(reactor, [uri])
    client = await BrokerClient.connect(uri)

    def send_raw(exchange: str, routing_key: str, raw: bytes, content_encoding: str | None) -> None:
        client.send(
            exchange, routing_key, raw, {"content-encoding": content_encoding} if content_encoding else {}
        )

    bus.startService()
    await until(lambda: bus.unavailable_reason() is None, "the bus to connect")
    yield BusAtWork(bus, send_raw)
    await bus.stopService()
    await client.close()


class TestAmqpBus(IBusSuite):
    pass


def test_topics_are_those_of_the_broker(vhost_uri: str) -> None:
    """Each pattern is bound to a queue of its own; random keys must reach the same queues as they find in the table."""
    chance = random.Random(20261)
    words = ["", "a", "b", "ab", "*", "#", "größe"]

    def patterns_or_keys(number: int, words: list[str]) -> list[str]:
        made = {".".join(chance.choices(words, k=length)) for length in range(6) for _ in range(number)}
        return sorted(made)

    patterns = patterns_or_keys(40, [*words, "*", "#"])
    keys = patterns_or_keys(80, words)
    table: TopicTable[str] = TopicTable()
    reached: dict[str, set[str]] = {key: set() for key in keys}
    with pika.BlockingConnection(pika.URLParameters(vhost_uri)) as connection:
        channel = connection.channel()
        channel.exchange_declare("topics", "topic", auto_delete=True)
        for pattern in patterns:
            queue = f"q {pattern}"
            channel.queue_declare(queue, exclusive=True)
            channel.queue_bind(queue, "topics", pattern)
            table.add(pattern, pattern)
        channel.confirm_delivery()
        for key in keys:
            channel.basic_publish("topics", key, key.encode())
        for pattern in patterns:
            while (got := channel.basic_get(f"q {pattern}", auto_ack=True))[0] is not None:
                reached[got[2].decode()].add(pattern)
    assert len(patterns) > 100
    assert len(keys) > 200
    assert reached == {key: set(table.match(key)) for key in keys}
