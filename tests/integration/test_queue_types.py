"""The durable queue on brokers that have no quorum queues, or have the queue already."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.logger import LogLevel

from kazoo_bridge.bus.amqp import AmqpBus
from kazoo_bridge.bus.amqp.connection.channel import BrokerChannel
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel
from kazoo_bridge.config import parse_uri
from kazoo_bridge.interfaces import Queue, Topic
from kazoo_bridge.node.node import QUEUE_ARGUMENTS
from tests.integration.amqp_harness import (
    BrokerClient,
    CapturedLog,
    RecordingHandler,
    is_available,
    running_bus,
    until,
)
from tests.integration.rabbitmq import RabbitNode

QUORUM = QUEUE_ARGUMENTS["quorum"]


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
    ],
    ids=["classic", "classic with a bound", "quorum without a limit", "quorum with another limit"],
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
