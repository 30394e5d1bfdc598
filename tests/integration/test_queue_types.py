"""The durable queue on brokers that have no quorum queues, or have the queue already."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.threads import deferToThread
from twisted.logger import LogLevel

from kazoo_bridge.bus.amqp import AmqpBus
from kazoo_bridge.bus.amqp.connection.channel import BrokerChannel
from kazoo_bridge.bus.amqp.queue_arguments import QueueArguments, durable_queue_arguments
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel
from kazoo_bridge.config import Amqp, parse_uri
from kazoo_bridge.interfaces import Queue, Topic
from tests.integration.amqp_harness import (
    BrokerClient,
    CapturedLog,
    RecordingHandler,
    is_available,
    running_bus,
    until,
)
from tests.integration.rabbitmq import RabbitNode

QUORUM = durable_queue_arguments(Amqp(queue_type="quorum"))


@pytest.fixture
def old_rabbit() -> Iterator[RabbitNode]:
    node = RabbitNode(old=True)
    node.start()
    yield node
    node.stop()


def queue_name() -> str:
    return f"test.{os.urandom(6).hex()}"


async def check_queue(bus: AmqpBus, name: str) -> None:
    """Send a message through the queue."""
    seen = RecordingHandler()
    bus.consume(Queue(name, frozenset({Topic("callevt", "a.*")}), durable=True, prefetch=10), seen)
    await until(is_available(bus), f"the bus to be available ({bus.unavailable_reason()})")
    await bus.publish("callevt", "a.b", {"x": 1}, mandatory=True)
    await until(seen.has(1), "the message")


async def is_quorum(channel: BrokerChannel, name: str) -> bool:
    """Return whether it is a quorum queue: the broker refuses a declaration with another type."""
    try:
        await channel.queue_declare(queue=name, durable=True, arguments=dict(QUORUM))
    except BrokerClosedChannel:
        return False
    return True


@pytest_twisted.ensureDeferred
async def test_a_broker_without_quorum_queues_gets_a_classic_durable_one(old_rabbit: RabbitNode) -> None:
    name = queue_name()
    with CapturedLog() as log:
        async with running_bus(old_rabbit.uri, queue_arguments=QUORUM) as bus:
            await check_queue(bus, name)
    assert sum("becomes a classic durable one" in line for line in log.at_least(LogLevel.warn)) == 1
    assert f"{name}\tclassic\ttrue" in old_rabbit.ctl("list_queues", "name", "type", "durable")


@pytest_twisted.ensureDeferred
async def test_arguments_that_the_broker_does_not_know_are_left_out(vhost_uri: str) -> None:
    with CapturedLog() as log:
        async with running_bus(vhost_uri, queue_arguments={"x-queue-type": "from the future"}) as bus:
            await check_queue(bus, queue_name())
    assert sum("becomes a classic durable one" in line for line in log.at_least(LogLevel.warn)) == 1


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"x-max-length": 1000},
        {"x-queue-type": "quorum"},
        {"x-queue-type": "quorum", "x-delivery-limit": 3},
        {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000_000},
        {**QUORUM, "x-max-length-bytes": 5_000_000},
    ],
    ids=[
        "classic",
        "classic with a bound",
        "quorum without a limit",
        "quorum with another limit",
        "quorum without bounds",
        "quorum with another bound",
    ],
)
async def test_an_existing_queue_is_used_as_it_is(vhost_uri: str, arguments: dict[str, Any]) -> None:
    name = queue_name()
    client = await BrokerClient.connect(parse_uri(vhost_uri))
    await client.channel.queue_declare(queue=name, durable=True, arguments=arguments)
    with CapturedLog() as log:
        async with running_bus(vhost_uri, queue_arguments=QUORUM) as bus:
            await check_queue(bus, name)
    assert sum("used as it is" in line for line in log.at_least(LogLevel.warn)) == 1
    await client.close()


@pytest_twisted.ensureDeferred
async def test_a_new_queue_is_a_quorum_queue(vhost_uri: str) -> None:
    name = queue_name()
    client = await BrokerClient.connect(parse_uri(vhost_uri))
    async with running_bus(vhost_uri, queue_arguments=QUORUM) as bus:
        await check_queue(bus, name)
    assert await is_quorum(client.channel, name)
    await client.close()


async def publish(uri: str, exchange: str, key: str, count: int, padding: int = 480) -> None:
    """Publish numbered messages, each confirmed by the broker."""
    async with running_bus(uri) as publisher:
        await until(is_available(publisher), "the publisher to be available")
        for number in range(count):
            await publisher.publish(exchange, key, {"n": number, "pad": "x" * padding}, mandatory=True)


async def until_count(client: BrokerClient, name: str, limit: int) -> None:
    """Wait until at most `limit` messages are in the queue."""
    for _ in range(20_000):
        if await client.count(name) <= limit:
            return
    raise AssertionError(f"there are more than {limit} messages in the queue")


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
async def test_a_queue_without_a_node_drops_its_oldest_messages_at_its_bound(
    vhost_uri: str, queue_type: str
) -> None:
    """The publisher is neither refused nor blocked; the latest messages arrive."""
    name = queue_name()
    bounds = durable_queue_arguments(Amqp(queue_type=queue_type, queue_max_bytes=10_000))
    queue = Queue(name, frozenset({Topic("callevt", "a.*")}), durable=True, prefetch=10)
    async with running_bus(vhost_uri, queue_arguments=bounds) as bus:
        bus.consume(queue, RecordingHandler())
        await until(is_available(bus), "the bus to be available")
    await publish(vhost_uri, "callevt", "a.b", 50, padding=1000)
    seen = RecordingHandler()
    async with running_bus(vhost_uri, queue_arguments=bounds) as bus:
        bus.consume(queue, seen)
        await until(lambda: 49 in seen.numbers, "the latest message")
    assert seen.numbers == list(range(50 - len(seen.numbers), 50))
    assert 5 < len(seen.numbers) < 15


@pytest_twisted.ensureDeferred
async def test_messages_are_dropped_at_their_age(vhost_uri: str) -> None:
    name = queue_name()
    arguments = {**QUORUM, "x-message-ttl": 500}
    queue = Queue(name, frozenset({Topic("callevt", "a.*")}), durable=True, prefetch=10)
    async with running_bus(vhost_uri, queue_arguments=arguments) as bus:
        bus.consume(queue, RecordingHandler())
        await until(is_available(bus), "the bus to be available")
    await publish(vhost_uri, "callevt", "a.b", 1)
    client = await BrokerClient.connect(parse_uri(vhost_uri))
    await until_count(client, name, 0)
    await client.close()


@pytest_twisted.ensureDeferred
async def test_other_bounds_of_a_filled_queue_lose_nothing(vhost_uri: str) -> None:
    name = queue_name()
    queue = Queue(name, frozenset({Topic("callevt", "a.*")}), durable=True, prefetch=10)
    async with running_bus(vhost_uri, queue_arguments=QUORUM) as bus:
        bus.consume(queue, RecordingHandler())
        await until(is_available(bus), "the bus to be available")
    await publish(vhost_uri, "callevt", "a.b", 20)
    smaller = durable_queue_arguments(Amqp(queue_max_bytes=1, queue_max_age_s=1))
    seen = RecordingHandler()
    with CapturedLog() as log:
        async with running_bus(vhost_uri, queue_arguments=smaller) as bus:
            bus.consume(queue, seen)
            await until(seen.has(20), "all messages")
    assert seen.numbers == list(range(20))
    [warning] = log.at_least(LogLevel.warn)
    assert "used as it is" in warning
    assert f"set_policy --apply-to queues kazoo_bridge '^{name.replace('.', chr(92) + '.')}$' " in warning


@pytest_twisted.ensureDeferred
async def test_the_advised_policy_bounds_an_existing_queue(rabbit: RabbitNode, vhost_uri: str) -> None:
    name = queue_name()
    client = await BrokerClient.connect(parse_uri(vhost_uri))
    await client.channel.queue_declare(queue=name, durable=True, arguments={"x-queue-type": "quorum"})
    policy = QueueArguments(durable_queue_arguments(Amqp(queue_max_bytes=2000))).policy(name)
    assert policy is not None
    _, *arguments = shlex.split(policy)
    await deferToThread(rabbit.ctl, *arguments, "-p", vhost_uri.rpartition("/")[2])
    await publish(vhost_uri, "", name, 20)
    await until_count(client, name, 4)
    assert await client.count(name) > 0
    await client.close()
