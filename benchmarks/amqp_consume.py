"""Messages a second of one process: plain txAMQP, pika's Twisted adapter, this project's reader and bus.

Run it with ``python -m benchmarks.amqp_consume``. It starts a private RabbitMQ node; ``--uri`` uses a running
one instead. Every client reads the same messages (1 kB of JSON) with the same prefetch and acknowledges them
in batches of 100. The clients take turns for several rounds in one process; the best round of each counts.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pika
from pika.adapters.twisted_connection import TwistedProtocolConnection
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import ClientCreator
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure
from txamqp.client import TwistedDelegate
from txamqp.protocol import AMQClient

from kazoo_bridge.bus.amqp import AmqpBus
from kazoo_bridge.bus.amqp.connection.connection import BrokerConnection
from kazoo_bridge.bus.amqp.publisher import ConfirmingPublisher
from kazoo_bridge.bus.amqp.wire import frame_writer
from kazoo_bridge.bus.amqp.wire.frame_reader import RawDelivery
from kazoo_bridge.bus.amqp.wire.spec import amqp_0_9_1
from kazoo_bridge.bus.message_codec import decode
from kazoo_bridge.config import AmqpUri, parse_uri
from kazoo_bridge.interfaces import Queue
from kazoo_bridge.kazoo import Event

PREFETCH = 500
BATCH_SIZE = 100
QUEUE = "benchmark.amqp_consume"


def message(size: int) -> bytes:
    """Return a JSON object of `size` bytes that looks like a call event."""
    body = {
        "App-Name": "benchmark",
        "App-Version": "1",
        "Event-Category": "call_event",
        "Event-Name": "CHANNEL_CREATE",
        "Msg-ID": "0123456789abcdef",
        "Call-ID": "b1946ac9-2d4f-4b6e@10.0.0.1",
        "Custom-Channel-Vars": {
            "Account-ID": "0123456789abcdef0123456789abcdef",
            "Authorizing-ID": "fedcba9876543210",
        },
        "Padding": "",
    }
    body["Padding"] = "x" * max(0, size - len(orjson.dumps(body)))
    return orjson.dumps(body)


async def connect(uri: AmqpUri) -> BrokerConnection:
    """Return our connection, logged in."""
    connection = BrokerConnection(reactor, uri.vhost)
    await connectProtocol(TCP4ClientEndpoint(reactor, uri.host, uri.port), connection)
    await connection.login(uri.user, uri.password)
    return connection


async def fill(uri: AmqpUri, count: int, body: bytes) -> None:
    """Make a new queue with `count` messages in it."""
    connection = await connect(uri)
    channel = await connection.open_channel()
    await channel.queue_delete(queue=QUEUE)
    await channel.queue_declare(queue=QUEUE, auto_delete=True)
    publisher = await ConfirmingPublisher.open(connection)
    for start in range(0, count, 1000):
        confirmed = [
            publisher.publish("", QUEUE, body, mandatory=False) for _ in range(min(1000, count - start))
        ]
        for one in confirmed:
            await one
    await connection.close_gracefully(5)


async def plain_txamqp(uri: AmqpUri, count: int) -> float:
    """txAMQP as it comes, given a protocol description."""
    creator = ClientCreator(
        reactor, AMQClient, delegate=TwistedDelegate(), vhost=uri.vhost, spec=amqp_0_9_1()
    )
    client = await creator.connectTCP(uri.host, uri.port)
    await client.start("\0" + uri.user + "\0" + uri.password, "PLAIN")
    channel = await client.channel(1)
    await channel.channel_open()
    await channel.basic_qos(prefetch_count=PREFETCH)
    queue = await client.queue("bench")
    begin = time.perf_counter()
    await channel.basic_consume(queue=QUEUE, consumer_tag="bench")
    for number in range(1, count + 1):
        got = await queue.get()
        assert len(got.content.body) > 0
        if number % BATCH_SIZE == 0:
            channel.basic_ack(delivery_tag=got.delivery_tag, multiple=True)
    took = time.perf_counter() - begin
    await client.close(within=5)
    return took


async def pika_twisted(uri: AmqpUri, count: int) -> float:
    """pika's adapter for Twisted."""
    parameters = pika.ConnectionParameters(
        virtual_host=uri.vhost, credentials=pika.PlainCredentials(uri.user, uri.password)
    )
    connection = TwistedProtocolConnection(parameters)
    await connectProtocol(TCP4ClientEndpoint(reactor, uri.host, uri.port), connection)
    await connection.ready
    channel = await connection.channel()
    await channel.basic_qos(prefetch_count=PREFETCH)
    begin = time.perf_counter()
    queue, _tag = await channel.basic_consume(queue=QUEUE)
    for number in range(1, count + 1):
        _channel, method, _properties, body = await queue.get()
        assert len(body) > 0
        if number % BATCH_SIZE == 0:
            channel.basic_ack(delivery_tag=method.delivery_tag, multiple=True)
    took = time.perf_counter() - begin
    closed = connection.closed
    connection.close()
    await closed.addErrback(lambda _failure: None)
    return took


class _CountingReceiver:
    """Acknowledges deliveries in batches; `done` fires after `count` of them."""

    def __init__(
        self, connection: BrokerConnection, channel: int, count: int, read: Callable[[RawDelivery], object]
    ) -> None:
        self.done: Deferred[None] = Deferred()
        self._connection = connection
        self._channel = channel
        self._count = count
        self._read = read

    def on_delivery(self, delivery: RawDelivery) -> None:
        self._read(delivery)
        tag = delivery.delivery_tag
        if tag % BATCH_SIZE == 0:
            self._connection.write(frame_writer.acknowledge(self._channel, tag, True))
        if tag == self._count:
            self.done.callback(None)

    def on_oversized(self, *_args: object) -> None:
        raise AssertionError("no message is too large")

    def on_cancelled(self) -> None:
        raise AssertionError("the queue is not deleted")

    def on_read_end(self) -> None:
        """Do nothing: each delivery has been read."""


def decode_delivery(delivery: RawDelivery) -> Event:
    """Decode a message like the bus does."""
    _tag, redelivered, exchange, routing_key, content_encoding, body = delivery
    return decode(exchange, routing_key, body, content_encoding, redelivered)


def our_reader(read: Callable[[RawDelivery], object]) -> Callable[[AmqpUri, int], Awaitable[float]]:
    """Return a client that calls `read` with each delivery of our connection."""

    async def run(uri: AmqpUri, count: int) -> float:
        connection = await connect(uri)
        channel = await connection.open_channel()
        await channel.basic_qos(prefetch_count=PREFETCH)
        receiver = _CountingReceiver(connection, channel.id, count, read)
        connection.reader.add_receiver(channel.id, receiver)
        begin = time.perf_counter()
        await channel.basic_consume(queue=QUEUE)
        await receiver.done
        took = time.perf_counter() - begin
        await connection.close_gracefully(5)
        return took

    return run


async def our_bus(uri: AmqpUri, count: int) -> float:
    """Everything: AmqpBus, events, a handler, acknowledgements."""
    done: Deferred[None] = Deferred()
    bus = AmqpBus(reactor, [uri])
    handled = 0
    begin = 0.0

    def handler(_event: Event) -> None:
        nonlocal handled, begin
        handled += 1
        # Like with the other clients, connecting is not measured.
        if handled == 1:
            begin = time.perf_counter()
        if handled == count:
            done.callback(None)

    bus.consume(Queue(QUEUE, prefetch=PREFETCH), handler)
    bus.startService()
    await done
    took = time.perf_counter() - begin
    await bus.stopService()
    return took


CLIENTS: dict[str, Callable[[AmqpUri, int], Awaitable[float]]] = {
    "txAMQP 0.8.2, plain": plain_txamqp,
    f"pika {pika.__version__}, Twisted adapter": pika_twisted,
    "kazoo_bridge, deliveries": our_reader(lambda _delivery: None),
    "kazoo_bridge, decoded to Event": our_reader(decode_delivery),
    "kazoo_bridge, AmqpBus to handler": our_bus,
}


async def measure(uri: AmqpUri, count: int, rounds: int, size: int, only: str) -> dict[str, float]:
    """Return the messages a second of every client whose name contains `only`, in its best round."""
    body = message(size)
    best: dict[str, float] = {}
    for number in range(rounds):
        for name, client in CLIENTS.items():
            if only not in name:
                continue
            await fill(uri, count, body)
            rate = count / await client(uri, count)
            best[name] = max(best.get(name, 0.0), rate)
            print(f"round {number + 1}: {name}: {rate:,.0f}/s", file=sys.stderr)
    return best


def table(rates: dict[str, float]) -> str:
    """Return the results as text."""
    first = next(iter(rates.values()))
    lines = [f"{'client':<36}{'messages/s':>12}{'x first':>9}"]
    lines += [f"{name:<36}{rate:>12,.0f}{rate / first:>9.1f}" for name, rate in rates.items()]
    return "\n".join(lines)


async def main(options: argparse.Namespace) -> None:
    """Measure, print, and write the results if asked to."""
    node = None
    if options.uri is None:
        from tests.integration.rabbitmq import RabbitNode

        node = RabbitNode()
        await deferToThread(node.start)
        options.uri = node.uri
    try:
        rates = await measure(
            parse_uri(options.uri), options.messages, options.rounds, options.size, options.only
        )
    finally:
        if node is not None:
            await deferToThread(node.stop)
    print(table(rates))
    if options.write:
        results = Path(__file__).parent / "results"
        results.mkdir(exist_ok=True)
        record = {
            "benchmark": "amqp_consume",
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "messages": options.messages,
            "bytes": options.size,
            "prefetch": PREFETCH,
            "rounds": options.rounds,
            "messages_per_second": {name: round(rate) for name, rate in rates.items()},
        }
        (results / "amqp_consume.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--uri", help="a running broker; a private one is started without it")
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=1000, help="bytes of a message")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="run only the clients whose name contains this")
    parser.add_argument("--write", action="store_true", help="write the result to benchmarks/results/")
    arguments = parser.parse_args()
    failed: list[Failure] = []

    def report(failure: Failure) -> None:
        failure.printTraceback(sys.stderr)
        failed.append(failure)

    running = Deferred.fromCoroutine(main(arguments))
    running.addErrback(report)
    running.addBoth(lambda _: reactor.callLater(0, reactor.stop))
    reactor.run()
    sys.exit(1 if failed else 0)
