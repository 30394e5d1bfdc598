"""Measures the memory of idle sockets, and the delay of events to many subscribers of one binding.

Run it with ``python -m benchmarks.websocket_fanout``. It starts a node in a process of its own, with an
embedded bus, so that the results are those of websockets alone, and publishes in that process. The sockets
are connected from this process. With ``--rabbitmq`` a third process publishes through a private RabbitMQ
node. Every event has a number, and every socket must receive all of them in order. The time from
publishing to reading is measured on one clock, and includes the delay of this process.
"""

from __future__ import annotations

import argparse
import base64
import json
import multiprocessing
import os
import resource
import socket
import struct
import sys
import tempfile
import time
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from attrs import evolve

ACCOUNT = "a" * 32
BINDING = "call.CHANNEL_CREATE.*"


def event(number: int) -> dict[str, Any]:
    """Return a call event of about 900 bytes, with the time of its creation."""
    return {
        "Event-Category": "call_event",
        "Event-Name": "CHANNEL_CREATE",
        "Call-ID": f"call-{number}",
        "Number": number,
        "Sent": time.monotonic(),
        "Custom-Channel-Vars": {"Account-ID": ACCOUNT},
        "Padding": "x" * 600,
    }


def publish_from_outside(uri: str, rate: int, seconds: int) -> None:
    """Publish through the broker, in a process of its own."""
    import pika

    connection = pika.BlockingConnection(pika.URLParameters(uri))
    channel = connection.channel()
    channel.exchange_declare("callevt", "topic")
    started = time.monotonic()
    for number in range(rate * seconds):
        connection.sleep(max(0.0, started + number / rate - time.monotonic()))
        channel.basic_publish(
            "callevt", f"call.CHANNEL_CREATE.call-{number}", json.dumps(event(number)).encode()
        )
    connection.close()


def publish_within(reactor: Any, bus: Any, rate: int, seconds: int) -> None:
    """Publish on the node's own bus, in its process."""
    started, sent = time.monotonic(), 0

    def step() -> None:
        nonlocal sent
        due = min(int((time.monotonic() - started) * rate), rate * seconds)
        while sent < due:
            bus.publish("callevt", f"call.CHANNEL_CREATE.call-{sent}", event(sent))
            sent += 1
        if sent < rate * seconds:
            reactor.callLater(0.002, step)

    step()


def serve(folder: str, amqp_uri: str, pipe: Connection) -> None:
    """Run a node in a process of its own; publishes on command."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    from twisted.internet import reactor as installed_reactor
    from twisted.internet.defer import Deferred
    from twisted.internet.task import deferLater

    from kazoo_bridge.config import Amqp, Config, Http, Storage, Websockets
    from kazoo_bridge.node.assembly import build_node

    reactor: Any = installed_reactor
    config = evolve(
        Config(),
        amqp=Amqp(amqp_uri),
        storage=Storage(f"sqlite:///{folder}/b.sqlite3"),
        http=Http("tcp:0:interface=127.0.0.1"),
        websockets=evolve(
            Websockets(),
            endpoint="tcp:0:backlog=1024:interface=127.0.0.1",
            rate_burst=1_000_000,
            max_connections=0,
            max_connections_per_ip=0,
            max_unauthenticated=0,
        ),
    )
    node = build_node(reactor, config)

    def commands() -> None:
        if pipe.poll():
            command = pipe.recv()
            if command[0] == "publish":
                publish_within(reactor, node.bus, *command[1:])
            elif command[0] == "memory":
                pipe.send(memory())
            elif command[0] == "cpu":
                pipe.send(time.process_time())
            else:
                Deferred.fromCoroutine(node.stop(Deferred())).addBoth(lambda _: reactor.stop())
                return
        reactor.callLater(0.05, commands)

    async def start() -> None:
        await node.start()
        await node.accounts.create(ACCOUNT)
        await node.directory.load()
        while node.bus.unavailable_reason() is not None:
            await deferLater(reactor, 0.1)
        pipe.send((node.websockets.host, (await node.tokens.create(ACCOUNT)).token))
        commands()

    def fail(failure: Any) -> None:
        failure.printTraceback()
        reactor.stop()

    Deferred.fromCoroutine(start()).addErrback(fail)
    reactor.run()


def memory() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Socket:
    """A minimal client, which reads frames and checks the numbers in them."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        key = base64.b64encode(os.urandom(16)).decode()
        fields = (
            f"Host: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        )
        head = f"GET / HTTP/1.1\r\n{fields}Sec-WebSocket-Key: {key}\r\n\r\n"
        self.socket.sendall(head.encode())
        self.data = b""
        while b"\r\n\r\n" not in self.data:
            self.data += self.socket.recv(4096)
        assert self.data.startswith(b"HTTP/1.1 101"), self.data
        self.data = self.data.partition(b"\r\n\r\n")[2]
        self.next = 0
        self.latest = 0.0

    def send(self, message: Any) -> None:
        payload, mask = json.dumps(message).encode(), os.urandom(4)
        masked = bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))
        length = (
            struct.pack("!B", 0x80 | len(payload))
            if len(payload) < 126
            else struct.pack("!BH", 0x80 | 126, len(payload))
        )
        self.socket.sendall(b"\x81" + length + mask + masked)

    def frames(self) -> list[bytes]:
        """Return the complete frames that have been read."""
        found, position, data = [], 0, self.data
        while len(data) - position >= 2:
            length, start = data[position + 1] & 127, position + 2
            if length == 126:
                if len(data) - position < 4:
                    break
                length, start = int.from_bytes(data[position + 2 : position + 4], "big"), position + 4
            if len(data) < start + length:
                break
            if data[position] & 15 == 1:
                found.append(data[start : start + length])
            elif data[position] & 15 == 9:
                self.socket.sendall(
                    struct.pack("!BB", 0x8A, 0x80 | length) + b"\0\0\0\0" + data[start : start + length]
                )
            elif data[position] & 15 == 8:
                raise AssertionError(f"the server closed a socket: {data[start : start + length]!r}")
            position = start + length
        self.data = data[position:]
        return found

    def reply(self) -> Any:
        while not (frames := self.frames()):
            self.data += self.socket.recv(65536)
        return json.loads(frames[0])

    def take(self, now: float) -> float:
        """Read what has arrived, and check it; returns the greatest delay."""
        data = self.socket.recv(1 << 18)
        assert data, "the server closed a socket"
        self.data += data
        frames = self.frames()
        worst = 0.0
        for frame in frames:
            at = frame.index(b'"number":') + 9
            number = int(frame[at : frame.index(b",", at)])
            assert number == self.next, f"expected event {self.next}, got {number}"
            self.next += 1
            at = frame.index(b'"sent":') + 7
            worst = max(worst, now - float(frame[at : frame.index(b",", at)]))
        return worst


def subscribe(sockets: list[Socket], token: str) -> None:
    for one in sockets:
        one.send(
            {"action": "subscribe", "auth_token": token, "data": {"account_id": ACCOUNT, "binding": BINDING}}
        )
    for one in sockets:
        assert one.reply()["status"] == "success"


def receive(sockets: list[Socket], count: int, timeout: float) -> list[float]:
    """Read until every socket has received all events; returns the greatest delay of each read."""
    import select

    poll = select.epoll()
    by_number = {}
    for one in sockets:
        one.socket.setblocking(False)
        one.next = 0
        poll.register(one.socket.fileno(), select.EPOLLIN)
        by_number[one.socket.fileno()] = one
    left, worst, deadline = len(sockets), [], time.monotonic() + timeout
    while left:
        assert time.monotonic() < deadline, f"{left} sockets have not seen all events"
        for number, _ in poll.poll(1):
            one = by_number[number]
            worst.append(one.take(time.monotonic()))
            left -= one.next == count
    poll.close()
    return worst


def measure(arguments: argparse.Namespace, folder: str, amqp_uri: str) -> dict[str, Any]:
    """Run the benchmark; returns the results."""
    ours, theirs = multiprocessing.Pipe()
    apart = multiprocessing.get_context("spawn")
    service = apart.Process(target=serve, args=(folder, amqp_uri, theirs))
    service.start()
    address, token = ours.recv()

    def ask(*command: Any) -> Any:
        ours.send(command)
        return ours.recv()

    empty, started = ask("memory"), time.monotonic()
    sockets = [Socket(address) for _ in range(arguments.idle)]
    subscribe(sockets, token)
    connecting = time.monotonic() - started
    full = ask("memory")
    for one in sockets[arguments.subscribers :]:
        one.send({"action": "unsubscribe"})
    for one in sockets[arguments.subscribers :]:
        one.reply()
    subscribers, cpu, rate = (
        sockets[: arguments.subscribers],
        ask("cpu"),
        (arguments.rate, arguments.seconds),
    )
    publisher = (
        apart.Process(target=publish_from_outside, args=(amqp_uri, *rate)) if arguments.rabbitmq else None
    )
    if publisher is None:
        ours.send(("publish", *rate))
    else:
        publisher.start()
    worst = sorted(receive(subscribers, arguments.rate * arguments.seconds, arguments.seconds * 3 + 30))
    if publisher is not None:
        publisher.join()
    used, after = ask("cpu") - cpu, ask("memory")
    ours.send(("stop",))
    service.join(20)
    return {
        "open sockets": len(sockets),
        "seconds to connect and subscribe them": round(connecting, 1),
        "service's memory before, MB": round(empty / 1e6, 1),
        "service's memory with them, MB": round(full / 1e6, 1),
        "subscribers": len(subscribers),
        "events a second": arguments.rate,
        "events, all seen in order by all": arguments.rate * arguments.seconds,
        "share of a core that the service took": round(used / arguments.seconds, 2),
        "delay until read, ms: half, 99 %, worst": [
            round(1000 * worst[int(len(worst) * part)], 1) for part in (0.5, 0.99, 0.99999)
        ],
        "service's memory after, MB": round(after / 1e6, 1),
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=5000, help="open sockets of which the memory is measured")
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=200, help="events a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument(
        "--rabbitmq",
        action="store_true",
        help="events come from another process through a private RabbitMQ node",
    )
    parser.add_argument(
        "--beside", default="nothing known", help="what else ran on the machine, for the record"
    )
    parser.add_argument("--json", type=Path, help="write the results to this file")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    node = None
    if arguments.rabbitmq:
        from tests.integration.rabbitmq import RabbitNode

        node = RabbitNode()
        node.start()
    results: dict[str, Any] = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "bus": "RabbitMQ, published by another process" if node else "embedded",
        "cores": os.cpu_count(),
        "load average before": round(os.getloadavg()[0], 1),
        "beside it ran": arguments.beside,
    }
    try:
        with tempfile.TemporaryDirectory() as folder:
            results |= measure(arguments, folder, node.fresh_vhost() if node else "embedded:")
    finally:
        if node is not None:
            node.stop()
    for name, value in results.items():
        print(f"{name:45} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
