"""The bus against a real RabbitMQ node."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_twisted
from attrs import frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import LogLevel
from zope.interface.verify import verifyObject

from kazoo_bridge import kazoo
from kazoo_bridge.bus.amqp import AmqpBus
from kazoo_bridge.bus.amqp.connection.connection import CAPABILITIES, BrokerConnection
from kazoo_bridge.bus.amqp.publisher import ConfirmingPublisher
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel, BrokerClosedConnection
from kazoo_bridge.bus.amqp.wire.field_table import Timestamp
from kazoo_bridge.config import parse_uri
from kazoo_bridge.interfaces import BusUnavailable, IBus, IConsumer, Queue, Requeue, Topic, Unroutable
from kazoo_bridge.kazoo import Event
from tests.integration.amqp_harness import (
    BrokerClient,
    CapturedLog,
    RecordingHandler,
    is_available,
    running_bus,
    until,
)
from tests.integration.rabbitmq import RabbitNode


@frozen
class Node:
    """A virtual host on the shared node, for this module."""

    uri: str


@pytest.fixture(scope="module")
def node(rabbit: RabbitNode) -> Node:
    return Node(rabbit.fresh_vhost())


@pytest_twisted.async_yield_fixture
async def client(node: Node) -> AsyncIterator[BrokerClient]:
    connected = await BrokerClient.connect(parse_uri(node.uri))
    yield connected
    await connected.close()


def name() -> str:
    """Return a new queue name."""
    return f"test.{os.urandom(6).hex()}"


async def start_consumer(bus: AmqpBus, queue: Queue, handler: Any) -> IConsumer:
    """Consume, and wait until the bus is available."""
    consumer = bus.consume(queue, handler)
    await until(is_available(bus), f"the bus to be available ({bus.unavailable_reason()})")
    return consumer


CALLS = Topic("callevt", "call.*.*")


@pytest_twisted.ensureDeferred
async def test_it_is_a_bus(node: Node) -> None:
    async with running_bus(node.uri) as bus:
        assert verifyObject(IBus, bus)
        assert verifyObject(IConsumer, bus.consume(Queue(), RecordingHandler()))


@pytest_twisted.ensureDeferred
async def test_the_unavailable_reason_names_what_is_missing(node: Node) -> None:
    bus = AmqpBus(reactor, [parse_uri(node.uri)])
    assert bus.unavailable_reason() == "the bus is not started"
    bus.startService()
    assert "no connection to amqp://127.0.0.1" in str(bus.unavailable_reason())
    await until(is_available(bus), "the bus to be available")
    bus.consume(Queue("test.trouble"), RecordingHandler())
    assert bus.unavailable_reason() == "consumer of queue test.trouble is not running yet"
    await until(is_available(bus), "the bus to be available")
    await bus.stopService()
    assert bus.unavailable_reason() == "the bus is not started"


@pytest_twisted.ensureDeferred
async def test_messages_of_every_shape(node: Node, client: BrokerClient) -> None:
    seen = RecordingHandler()
    async with running_bus(node.uri) as bus:
        await start_consumer(bus, Queue("", frozenset({Topic("callevt", "#")}), prefetch=3), seen)
        with CapturedLog() as log:
            big = {"Pad": "ü" * 3_000_000}
            client.send("callevt", "plain", b'{"a":1}')
            client.send("callevt", "not json", b"{]")
            client.send("callevt", "not an object", b"[1]")
            client.send("callevt", "not utf-8", b'{"a":"\xff"}')
            client.send("callevt", "empty", b"")
            client.send("callevt", "zipped", gzip.compress(b'{"z":1}'), {"content-encoding": "gzip"})
            client.send("callevt", "badly zipped", b"no gzip", {"content-encoding": "gzip"})
            client.send("callevt", "big", orjson.dumps(big))
            headers = {
                "x-received-from": [
                    {"uri": "amqp://größe", "hops": 2**40, "ok": True, "at": Timestamp(2**50), "none": None}
                ],
                "x-delivery-count": 2**40,
                "naïve ключ": "значение",
                "raw": b"\xff\x00",
                "real": 0.5,
            }
            client.send(
                "callevt",
                "schlüssel.ключ",
                '{"wort":"größe €"}'.encode(),
                {"headers": headers, "timestamp": 2**50},
            )
            await until(seen.has(5), "five good messages")
        assert seen.keys == ["plain", "not utf-8", "zipped", "big", "schlüssel.ключ"]
        bodies = [event.body for event in seen.events]
        assert bodies == [{"a": 1}, {"a": "\ufffd"}, {"z": 1}, big, {"wort": "größe €"}]
        # The first message of each reason is logged at once, others later: here the empty one.
        lines = [line for line in log.at_least(LogLevel.warn) if "messages" in line]
        assert [re.search("routing_key=(.*?):", line)[1] for line in lines] == [  # type: ignore[index]
            "not json",
            "not an object",
            "not utf-8",
            "badly zipped",
        ]


@pytest_twisted.ensureDeferred
async def test_an_oversized_message_is_rejected_and_harms_no_other(node: Node, client: BrokerClient) -> None:
    seen, queue = RecordingHandler(), name()
    async with running_bus(node.uri, max_body_bytes=100_000) as bus:
        await start_consumer(
            bus, Queue(queue, frozenset({Topic("callevt", "#")}), durable=True, prefetch=1), seen
        )
        with CapturedLog() as log:
            client.send("callevt", "huge", b'"' + b"x" * 400_000 + b'"')
            client.send("callevt", "small", b"{}")
            await until(seen.has(1), "the small message")
        assert seen.keys == ["small"]
        assert ["huge" in line and "400002" in line for line in log.at_least(LogLevel.warn)] == [True]
    assert await client.count(queue) == 0


@pytest_twisted.ensureDeferred
async def test_the_result_of_the_handler_settles_the_delivery(node: Node, client: BrokerClient) -> None:
    """Finished events are acknowledged, unfinished ones redelivered, failed ones logged and rejected."""
    later: Deferred[None] = Deferred()

    def handle(event: Event) -> Any:
        match event.routing_key:
            case "raises":
                raise RuntimeError("broken handler")
            case "fails":
                failing: Deferred[None] = Deferred()
                reactor.callLater(0, failing.errback, RuntimeError("broken later"))
                return failing
            case "again" if not event.redelivered:
                unfinished: Deferred[None] = Deferred()
                unfinished.errback(Requeue("not yet"))
                return unfinished
            case "later":
                return later
        return None

    seen, queue = RecordingHandler(handle), name()
    async with running_bus(node.uri) as bus:
        await start_consumer(
            bus, Queue(queue, frozenset({CALLS, Topic("callevt", "*")}), durable=True, prefetch=100), seen
        )
        with CapturedLog() as log:
            for key in ("done", "later", "raises", "fails", "again", "done"):
                client.send("callevt", key, b"{}")
            await until(seen.has(7), "the unfinished one to come again")
            assert seen.keys == ["done", "later", "raises", "fails", "again", "done", "again"]
            later.callback(None)
            await until(lambda: len(log.at_least(LogLevel.error)) >= 2, "two failures in the log")
        assert {line.split(" failed")[0] for line in log.at_least(LogLevel.error)} == {
            "handling an event with routing key raises",
            "handling an event with routing key fails",
        }
    assert await client.count(queue) == 0


@pytest_twisted.ensureDeferred
async def test_events_that_are_unfinished_when_the_bus_stops_stay_with_the_broker(
    node: Node, client: BrokerClient
) -> None:
    open_ones: list[Deferred[None]] = []

    def handle(event: Event) -> Deferred[None] | None:
        if event.body["n"] % 2:
            return None
        open_ones.append(Deferred())
        return open_ones[-1]

    seen, queue = RecordingHandler(handle), name()
    async with running_bus(node.uri) as bus:
        await start_consumer(bus, Queue(queue, frozenset({CALLS}), durable=True, prefetch=50), seen)
        for number in range(100):
            client.send("callevt", "call.X.y", orjson.dumps({"n": number}))
        await until(seen.has(99), "the prefetch to be used up")
    assert len(open_ones) == 50
    assert await client.count(queue) == 100 - len(seen.events) + len(open_ones)
    for one in open_ones:
        one.callback(None)


@pytest_twisted.ensureDeferred
async def test_after_cancelling_an_unfinished_event_is_still_acknowledged(
    node: Node, client: BrokerClient
) -> None:
    unfinished_one: Deferred[None] = Deferred()
    seen, queue = RecordingHandler(lambda _event: unfinished_one), name()
    async with running_bus(node.uri) as bus:
        consumer = await start_consumer(bus, Queue(queue, frozenset({CALLS}), durable=True, prefetch=1), seen)
        client.send("callevt", "call.one.x", b"{}")
        await until(seen.has(1), "the delivery")
        await consumer.cancel()
        client.send("callevt", "call.two.x", b"{}")
        unfinished_one.callback(None)
        again = RecordingHandler()
        await start_consumer(bus, Queue(queue, frozenset({CALLS}), durable=True, prefetch=1), again)
        await until(again.has(1), "the second message")
        assert again.keys == ["call.two.x"]
        assert not again.events[0].redelivered
        assert len(seen.events) == 1


@pytest_twisted.ensureDeferred
async def test_binding_and_unbinding_while_it_runs(node: Node, client: BrokerClient) -> None:
    seen = RecordingHandler()
    async with running_bus(node.uri) as bus:
        consumer = await start_consumer(bus, Queue("", frozenset({Topic("callevt", "a")})), seen)
        await consumer.bind(Topic("callevt", "b"))
        await consumer.unbind(Topic("callevt", "a"))
        for key in ("a", "b", "c"):
            client.send("callevt", key, b"{}")
        await consumer.bind(Topic("callevt", "end"))
        client.send("callevt", "end", b"{}")
        await until(lambda: "end" in seen.keys, "the last message")
        assert seen.keys == ["b", "end"]
        with pytest.raises(BusUnavailable, match="no exchange 'nowhere'"):
            await consumer.bind(Topic("nowhere", "x"))
        with pytest.raises(ValueError, match="255"):
            await consumer.bind(Topic("callevt", "ü" * 128))
        with pytest.raises(ValueError, match="255"):
            bus.consume(Queue("", frozenset({Topic("callevt", "x" * 256)})), seen)
        await consumer.bind(Topic("callevt", "still works"))
        assert bus.unavailable_reason() is None


@pytest_twisted.ensureDeferred
async def test_binding_before_there_is_a_connection(node: Node, client: BrokerClient) -> None:
    seen = RecordingHandler()
    bus = AmqpBus(reactor, [parse_uri(node.uri)])
    consumer = bus.consume(Queue("", frozenset({Topic("callevt", "a")})), seen)
    await consumer.bind(Topic("presence", "b"))
    await consumer.unbind(Topic("callevt", "a"))
    bus.startService()
    await until(is_available(bus), "the bus to be available")
    await client.channel.exchange_declare(exchange="callevt", type="topic")
    client.send("callevt", "a", b"{}")
    client.send("presence", "b", b"{}")
    await until(seen.has(1), "the message")
    assert seen.keys == ["b"]
    await bus.stopService()


@pytest_twisted.ensureDeferred
async def test_an_exchange_that_does_not_exist_is_reported_and_the_rest_works(
    node: Node, client: BrokerClient
) -> None:
    seen = RecordingHandler()
    async with running_bus(node.uri) as bus:
        bus.consume(
            Queue("", frozenset({Topic("nowhere", "x"), *(Topic("callevt", f"key{n}") for n in range(150))})),
            seen,
        )
        await until(lambda: "nowhere" in str(bus.missing_bindings()), "the problem to be reported")
        client.send("callevt", "key149", b"{}")
        await until(seen.has(1), "a message")


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("arguments", [{"type": "topic", "durable": True}, {"type": "fanout"}])
async def test_exchanges_with_other_arguments_are_used_as_they_are(
    node: Node, client: BrokerClient, arguments: dict[str, Any]
) -> None:
    await client.channel.exchange_delete(exchange="metaflow")
    await client.channel.exchange_declare(exchange="metaflow", **arguments)
    seen = RecordingHandler()
    with CapturedLog() as log:
        async with running_bus(node.uri) as bus:
            await start_consumer(bus, Queue("", frozenset({Topic("metaflow", "a.*")})), seen)
            await bus.publish("metaflow", "a.b", {"x": 1}, mandatory=True)
            await until(seen.has(1), "the message")
    lines = log.at_least(LogLevel.warn)
    # Once for each of the two connections.
    assert len(lines) == 2
    assert all("exchange metaflow cannot be declared and is used as it is" in line for line in lines)
    await client.channel.exchange_delete(exchange="metaflow")


@pytest_twisted.ensureDeferred
async def test_a_queue_with_other_arguments_is_used_as_it_is(node: Node, client: BrokerClient) -> None:
    queue = name()
    await client.channel.queue_declare(queue=queue, durable=True, arguments={"x-max-length": 1000})
    seen = RecordingHandler()
    with CapturedLog() as log:
        async with running_bus(node.uri) as bus:
            await start_consumer(bus, Queue(queue, frozenset({CALLS}), durable=True), seen)
            client.send("callevt", "call.A.b", b"{}")
            await until(seen.has(1), "the message")
    assert [queue in line for line in log.at_least(LogLevel.warn)] == [True]


@pytest_twisted.ensureDeferred
async def test_queue_arguments_are_given_to_durable_queues(node: Node, client: BrokerClient) -> None:
    queue = name()
    seen = RecordingHandler()
    async with running_bus(node.uri, queue_arguments={"x-queue-type": "quorum"}) as bus:
        await start_consumer(bus, Queue(queue, frozenset({CALLS}), durable=True, prefetch=5), seen)
        client.send("callevt", "call.A.b", b"{}")
        await until(seen.has(1), "the message")
    with pytest.raises(BrokerClosedChannel, match="x-queue-type"):
        await client.channel.queue_declare(queue=queue, durable=True)


@pytest_twisted.ensureDeferred
async def test_publishing_is_confirmed_and_mandatory_messages_are_returned(node: Node) -> None:
    seen = RecordingHandler()
    async with running_bus(node.uri) as bus:
        await start_consumer(bus, Queue("", frozenset({Topic("im", "to.somebody")})), seen)
        await bus.publish("im", "to.nobody", {"a": 1})
        with pytest.raises(Unroutable, match=r"to\.nobody"):
            await bus.publish("im", "to.nobody", {"a": 1}, mandatory=True)
        await bus.publish("im", "to.somebody", {"wört": "größe"}, mandatory=True)
        mixed = [
            bus.publish("im", f"to.{who}", {"n": n}, mandatory=True)
            for n in range(50)
            for who in ("nobody", "somebody")
        ]
        for number, one in enumerate(mixed):
            if number % 2 == 0:
                with pytest.raises(Unroutable):
                    await one
            else:
                await one
        await until(seen.has(51), "all messages")
        assert seen.events[0].body == {"wört": "größe"}
        assert [event.body["n"] for event in seen.events[1:]] == list(range(50))
        with pytest.raises(BusUnavailable, match="no exchange 'nowhere'"):
            await bus.publish("nowhere", "x", {})
        large = {"pad": "€" * 1_000_000}
        await bus.publish("im", "to.somebody", large, mandatory=True)
        await until(seen.has(52), "the large message")
        assert seen.events[-1].body == large


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("body", [{"a": "\ud800"}, {"a": object()}, {"\udfff": 1}, {"a": 2**70}])
async def test_a_message_that_json_cannot_hold_is_refused(node: Node, body: dict[str, Any]) -> None:
    async with running_bus(node.uri) as bus:
        await until(is_available(bus), "the bus to be available")
        with pytest.raises(ValueError, match="cannot be written as JSON"):
            await bus.publish("im", "x", body)
        with pytest.raises(ValueError, match="255"):
            await bus.publish("im", "x" * 256, {})
        await bus.publish("im", "x", {})


@pytest_twisted.ensureDeferred
async def test_publishing_without_a_connection_is_refused_at_once(node: Node) -> None:
    bus = AmqpBus(reactor, [parse_uri(node.uri)])
    with pytest.raises(BusUnavailable):
        await bus.publish("im", "x", {})


@pytest_twisted.ensureDeferred
async def test_a_consumer_whose_queue_is_deleted_starts_again_without_disturbing_others(
    node: Node, client: BrokerClient
) -> None:
    deleted, undisturbed, queue = RecordingHandler(), RecordingHandler(), name()
    async with running_bus(node.uri) as bus:
        bus.consume(Queue("", frozenset({Topic("callevt", "other")})), undisturbed)
        await start_consumer(bus, Queue(queue, frozenset({CALLS}), durable=True, prefetch=10), deleted)
        await client.channel.queue_delete(queue=queue)
        await until(lambda: bus.unavailable_reason() is not None, "the loss to be noticed")
        assert f"consumer of queue {queue} is not running" in str(bus.unavailable_reason())
        client.send("callevt", "other", b"{}")
        await until(undisturbed.has(1), "the other consumer's message")
        await until(is_available(bus), "the consumer to run again")
        client.send("callevt", "call.A.b", b"{}")
        await until(deleted.has(1), "a message in the new queue")


@pytest_twisted.ensureDeferred
async def test_a_consumer_that_waits_to_start_again_can_be_cancelled(
    node: Node, client: BrokerClient
) -> None:
    queue = name()
    async with running_bus(node.uri) as bus:
        consumer = await start_consumer(
            bus, Queue(queue, frozenset({CALLS}), durable=True), RecordingHandler()
        )
        before = set(map(id, reactor.getDelayedCalls()))
        await client.channel.queue_delete(queue=queue)
        await until(lambda: bus.unavailable_reason() is not None, "the loss to be noticed")
        await consumer.cancel()
        assert [
            call
            for call in reactor.getDelayedCalls()
            if id(call) not in before and "deferLater" in repr(call)
        ] == []
        assert bus.unavailable_reason() is None
    with pytest.raises(BrokerClosedChannel, match="NOT_FOUND"):
        await client.channel.queue_declare(queue=queue, passive=True)


@pytest_twisted.ensureDeferred
async def test_a_request_collects_its_replies(node: Node) -> None:
    async with running_bus(node.uri) as bus:

        def respond(event: Event) -> Any:
            reply = {
                "Msg-ID": event.message_id,
                "Event-Name": "reply",
                "App-Name": "x",
                "App-Version": "1",
                "Event-Category": "y",
            }
            return bus.publish(kazoo.TARGETED, event.body["Server-ID"], reply)

        bus.consume(Queue("", frozenset({Topic("sysconf", "question")})), respond)
        await start_consumer(bus, Queue("", frozenset({Topic("sysconf", "question")})), respond)
        question = {"App-Name": "x", "App-Version": "1", "Event-Category": "y", "Event-Name": "ask"}
        replies = await bus.request(
            "sysconf", "question", question, timeout=20, done_when=lambda found: len(found) == 2
        )
        assert [event.name for event in replies] == ["reply", "reply"]


@pytest_twisted.ensureDeferred
async def test_stopping_leaves_no_delayed_call_and_logs_no_warning(node: Node, client: BrokerClient) -> None:
    before = set(map(id, reactor.getDelayedCalls()))
    with CapturedLog() as log:
        async with running_bus(node.uri + "?heartbeat=5") as bus:
            await start_consumer(bus, Queue("", frozenset({CALLS}), prefetch=5), RecordingHandler())
        later = [call for call in reactor.getDelayedCalls() if id(call) not in before]
    assert log.at_least(LogLevel.warn) == []
    assert [call for call in later if "kazoo_bridge" in repr(call) or "txamqp" in repr(call)] == []
    # It may be started again.
    bus.startService()
    await until(is_available(bus), "the bus to be available again")
    await bus.stopService()


# -- the connection -----------------------------------------------------------------------------


@pytest_twisted.ensureDeferred
async def test_client_and_broker_exchange_capabilities(client: BrokerClient) -> None:
    assert client.connection.server_properties["capabilities"]["consumer_cancel_notify"] is True
    assert set(client.connection.client_properties["capabilities"]) == set(CAPABILITIES)


@pytest_twisted.ensureDeferred
async def test_the_end_of_a_channel_differs_from_that_of_the_connection(
    node: Node, client: BrokerClient
) -> None:
    with pytest.raises(BrokerClosedChannel) as channel:
        await client.channel.queue_declare(queue="größe €", passive=True)
    assert channel.value.code == 404
    assert "größe €" in channel.value.text
    await (await client.fresh_channel()).queue_declare(queue="größe €", exclusive=True)
    other = await BrokerClient.connect(parse_uri(node.uri))
    with pytest.raises(BrokerClosedConnection) as connection:
        await other.channel.channel_open()
    assert connection.value.code == 504
    await other.close()


@pytest_twisted.ensureDeferred
async def test_confirms_of_many_messages(client: BrokerClient) -> None:
    publisher = await ConfirmingPublisher.open(client.connection)
    await client.channel.queue_declare(queue="confirms", exclusive=True)
    confirmed = [publisher.publish("", "confirms", b"{}", mandatory=True) for _ in range(5000)]
    for one in confirmed:
        await one
    assert await client.count("confirms") == 5000


@pytest_twisted.ensureDeferred
async def test_a_closed_channel_frees_its_number(client: BrokerClient) -> None:
    connection: BrokerConnection = client.connection
    numbers = set()
    for _ in range(5):
        channel = await connection.open_channel()
        numbers.add(channel.id)
        await connection.close_channel(channel)
    assert len(numbers) == 1
