"""The bus when the broker forgets, freezes, or ends a consumer that takes too long."""

from __future__ import annotations

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import LogLevel

from kazoo_bridge.bus.amqp import AmqpBus, binding_probe
from kazoo_bridge.bus.amqp.queue_arguments import durable_queue_arguments
from kazoo_bridge.config import Amqp, parse_uri
from kazoo_bridge.interfaces import BusUnavailable, Queue, Topic
from kazoo_bridge.kazoo import TARGETED, Event
from tests.bus.harness import HoldingHandler
from tests.integration.amqp_harness import (
    BrokerClient,
    CapturedLog,
    RecordingHandler,
    is_available,
    running_bus,
    until,
)
from tests.integration.rabbitmq import RabbitNode

CALLS = Topic("callevt", "call.#")
DURABLE = Queue("test.webhooks", frozenset({CALLS}), durable=True, prefetch=5)
ARGUMENTS = durable_queue_arguments(Amqp())


async def publish_until_received(client: BrokerClient, *seen: RecordingHandler) -> None:
    """Publish an event again and again until every handler has got one more."""
    before = [len(one.events) for one in seen]

    def received() -> bool:
        client.send("callevt", "call.again.x", b'{"n":0}')
        return all(len(one.events) > count for one, count in zip(seen, before, strict=True))

    await until(received, "an event after the change")


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("declared_by", ["the switch", "the bus"])
async def test_an_exchange_that_was_deleted_gets_its_bindings_back(
    vhost_uri: str, monkeypatch: pytest.MonkeyPatch, declared_by: str
) -> None:
    monkeypatch.setattr(binding_probe, "PROBE_INTERVAL", 0.2)
    client = await BrokerClient.connect(parse_uri(vhost_uri))
    durable, sockets = RecordingHandler(), RecordingHandler()
    async with running_bus(vhost_uri, queue_arguments=ARGUMENTS) as bus:
        bus.consume(DURABLE, durable)
        consumer = bus.consume(Queue("", frozenset({Topic("im", "#")}), acknowledge=False), sockets)
        await until(is_available(bus), "the bus to be available")
        await consumer.bind(CALLS)
        await bus.publish("callevt", "call.first.x", {"n": 1}, mandatory=True)
        await until(lambda: durable.events and sockets.events, "the first event")
        with CapturedLog() as log:
            starts = consumer.start_count
            await client.channel.exchange_delete(exchange="callevt")
            if declared_by == "the switch":
                await client.channel.exchange_declare(exchange="callevt", type="topic")
            await until(lambda: consumer.start_count > starts, "the loss to be noticed")
            await publish_until_received(client, durable, sockets)
            await bus.publish("callevt", "call.last.x", {"n": 2}, mandatory=True)
        assert [line for line in log.at_least(LogLevel.warn) if "exchange callevt are lost" in line]
        assert bus.unavailable_reason() is None
    await client.close()


@pytest_twisted.ensureDeferred
async def test_replies_come_again_after_their_exchange_was_deleted(
    vhost_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binding_probe, "PROBE_INTERVAL", 0.2)
    client = await BrokerClient.connect(parse_uri(vhost_uri))
    async with running_bus(vhost_uri) as bus:

        def reply(request: Event) -> Deferred[None]:
            return bus.publish(TARGETED, request.body["Server-ID"], {"Msg-ID": request.message_id})

        bus.consume(Queue("", frozenset({Topic("sysconf", "question")})), reply)
        await until(is_available(bus), "the bus to be available")
        assert len(await bus.request("sysconf", "question", {}, timeout=20, done_when=bool)) == 1
        await client.channel.exchange_delete(exchange=TARGETED)
        await client.channel.exchange_declare(exchange=TARGETED, type="direct")
        replies: list[Event] = []
        for _ in range(30):
            replies = await bus.request("sysconf", "question", {}, timeout=1, done_when=bool)
            if replies:
                break
        assert len(replies) == 1
    await client.close()


@pytest_twisted.ensureDeferred
async def test_probes_disturb_nothing(vhost_uri: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding_probe, "PROBE_INTERVAL", 0.05)
    seen = RecordingHandler()
    with CapturedLog() as log:
        async with running_bus(vhost_uri, queue_arguments=ARGUMENTS) as bus:
            consumer = bus.consume(DURABLE, seen)
            everything = bus.consume(Queue("", frozenset({Topic("callevt", "call.#")})), RecordingHandler())
            await until(is_available(bus), "the bus to be available")
            began = reactor.seconds()
            await until(lambda: reactor.seconds() - began > 1, "some probes")
            await bus.publish("callevt", "call.x.y", {"n": 1}, mandatory=True)
            await until(seen.has(1), "the event")
            assert (consumer.start_count, everything.start_count) == (1, 1)
    assert log.at_least(LogLevel.warn) == []


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("arguments", [ARGUMENTS, {}], ids=["quorum", "classic"])
async def test_a_consumer_that_the_broker_ends_for_being_slow_continues(
    impatient_rabbit: RabbitNode, arguments: dict[str, object]
) -> None:
    """Its unfinished events are delivered again; results that come too late are dropped silently."""
    seen, queue, uri = HoldingHandler(), evolve(DURABLE, name="test.slow"), impatient_rabbit.fresh_vhost()
    async with running_bus(uri, queue_arguments=arguments) as bus:
        consumer = bus.consume(queue, seen)
        await until(is_available(bus), "the bus to be available")
        with CapturedLog() as log:
            for number in range(3):
                await bus.publish("callevt", "call.x.y", {"n": number}, mandatory=True)
            await until(seen.has(3), "the events")
            await until(lambda: consumer.start_count == 2, "the consumer to start again")
            seen.finish()
            seen.finish()
            seen.finish()
            await until(seen.has(6), "the events again")
            while seen.held:
                seen.finish()
            await until(is_available(bus), "the bus to be available again")
        assert sorted(seen.numbers) == [0, 0, 1, 1, 2, 2]
        assert [event.redelivered for event in seen.events] == [False] * 3 + [True] * 3
        assert log.at_least(LogLevel.error) == []
        [line] = [line for line in log.at_least(LogLevel.warn) if "restarting it" in line]
        assert "406 PRECONDITION_FAILED" in line
        assert "timed out" in line
    client = await BrokerClient.connect(parse_uri(uri))
    assert await client.count(queue.name) == 0
    await client.close()


async def publish_when_possible(bus: AmqpBus, number: int) -> None:
    """Publish an event as soon as the broker confirms it."""

    async def published() -> bool:
        try:
            await bus.publish("callevt", "call.x.y", {"n": number}, mandatory=True)
        except BusUnavailable:
            return False
        return True

    while not await published():
        await until(is_available(bus), "the bus to be available")


@pytest_twisted.ensureDeferred
async def test_a_broker_that_was_reset_gets_everything_declared_again(mortal_rabbit: RabbitNode) -> None:
    """Queues, exchanges and bindings are gone, not only the connection."""
    durable, sockets = RecordingHandler(), RecordingHandler()
    async with running_bus(mortal_rabbit.uri, queue_arguments=ARGUMENTS) as bus:
        bus.consume(DURABLE, durable)
        consumer = bus.consume(Queue("", frozenset({Topic("im", "#")}), acknowledge=False), sockets)
        await until(is_available(bus), "the bus to be available")
        await consumer.bind(CALLS)
        await deferToThread(mortal_rabbit.reset)
        await until(lambda: consumer.start_count >= 2, "the consumer to start again", 60)
        await until(is_available(bus), "the bus to be available again", 60)
        await publish_when_possible(bus, 1)
        await until(lambda: 1 in durable.numbers and 1 in sockets.numbers, "the event")
    kind, arguments = "quorum", '{"x-max-length-bytes",1073741824}'
    listed = await deferToThread(mortal_rabbit.ctl, "list_queues", "name", "type", "arguments")
    [line] = [line for line in listed.splitlines() if line.startswith(DURABLE.name)]
    assert kind in line
    assert arguments in line


@pytest_twisted.ensureDeferred
async def test_a_frozen_broker_is_noticed_and_nothing_that_it_has_confirmed_is_lost(
    mortal_rabbit: RabbitNode,
) -> None:
    seen = HoldingHandler()
    async with running_bus(mortal_rabbit.fresh_vhost() + "?heartbeat=1", queue_arguments=ARGUMENTS) as bus:
        consumer = bus.consume(DURABLE, seen)
        await until(is_available(bus), "the bus to be available")
        for number in range(8):  # more than the prefetch
            await bus.publish("callevt", "call.x.y", {"n": number}, mandatory=True)
        await until(seen.has(5), "the first events")
        await deferToThread(mortal_rabbit.settle)
        with CapturedLog() as log:

            def losses() -> int:
                return len([line for line in log.at_least(LogLevel.warn) if "gave no sign of life" in line])

            mortal_rabbit.freeze()
            unconfirmed = bus.publish("callevt", "call.x.y", {"n": 99})
            try:
                # One connection notices it before the other, which would live on if the broker thawed then.
                await until(lambda: losses() == 2, "the silence to be noticed on both connections")
                with pytest.raises(BusUnavailable):
                    await unconfirmed
            finally:
                mortal_rabbit.thaw()
        await until(lambda: consumer.start_count >= 2, "the consumer to start again", 60)

        def all_finished() -> bool:
            while seen.held:
                seen.finish()
            return set(range(8)) <= set(seen.numbers)

        await until(all_finished, "every confirmed event", 60)
        await until(is_available(bus), "the bus to be available again")
