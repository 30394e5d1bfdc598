"""How many sockets one process carries: memory of idle ones, and events to many subscribers of one binding.

Run it with ``python -m benchmarks.websocket_fanout``. It starts the service as a process with an embedded bus, so that the figures are the
websockets' own, and publishes in that process; the sockets are connected from this one. Every event has a number, and every socket must see
all of them in order. The time from publishing to reading is measured on one clock, and holds this process's own slowness.
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


def serve(folder: str, pipe: Connection) -> None:
    """The service, in a process of its own; publishes on command."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    from twisted.internet import reactor
    from twisted.internet.defer import Deferred

    from kazoo_bridge.bridge import Bridge
    from kazoo_bridge.config import Config, Http, Storage, Websockets

    config = evolve(
        Config(),
        storage=Storage(f"sqlite:///{folder}/b.sqlite3"),
        http=Http("tcp:0:interface=127.0.0.1"),
        websockets=evolve(Websockets(), endpoint="tcp:0:backlog=1024:interface=127.0.0.1", rate_burst=1_000_000, max_connections=0),
    )
    bridge = Bridge.of(reactor, config)

    def publish(rate: int, seconds: int) -> None:
        started, sent, every = time.monotonic(), 0, 1 / rate

        def step() -> None:
            nonlocal sent
            due = min(int((time.monotonic() - started) / every), rate * seconds)
            while sent < due:
                body = {
                    "Event-Category": "call_event",
                    "Event-Name": "CHANNEL_CREATE",
                    "Call-ID": f"call-{sent}",
                    "Number": sent,
                    "Sent": time.monotonic(),
                    "Custom-Channel-Vars": {"Account-ID": ACCOUNT},
                    "Padding": "x" * 600,
                }
                bridge.bus.publish("callevt", f"call.CHANNEL_CREATE.call-{sent}", body)
                sent += 1
            if sent < rate * seconds:
                reactor.callLater(0.002, step)  # type: ignore[attr-defined]
            else:
                pipe.send({"published": sent, "cpu": time.process_time() - cpu})

        cpu = time.process_time()
        step()

    def commands() -> None:
        if pipe.poll():
            command = pipe.recv()
            if command[0] == "publish":
                publish(*command[1:])
            elif command[0] == "memory":
                pipe.send(memory())
            else:
                Deferred.fromCoroutine(bridge.stop(Deferred())).addBoth(lambda _: reactor.stop())  # type: ignore[attr-defined]
                return
        reactor.callLater(0.05, commands)  # type: ignore[attr-defined]

    async def start() -> None:
        await bridge.start()
        await bridge.accounts.create(ACCOUNT)
        await bridge.directory.load()
        pipe.send((bridge.websockets.host, (await bridge.tokens.create(ACCOUNT)).token))
        commands()

    Deferred.fromCoroutine(start()).addErrback(lambda failure: (failure.printTraceback(), reactor.stop()))  # type: ignore[attr-defined]
    reactor.run()  # type: ignore[attr-defined]


def memory() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Socket:
    """A client that does no more than it must: it reads frames and checks the numbers in them."""

    def __init__(self, address: str) -> None:
        host, port = address.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)))
        key = base64.b64encode(os.urandom(16)).decode()
        fields = f"Host: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
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
        length = struct.pack("!B", 0x80 | len(payload)) if len(payload) < 126 else struct.pack("!BH", 0x80 | 126, len(payload))
        self.socket.sendall(b"\x81" + length + mask + masked)

    def frames(self) -> list[bytes]:
        """The whole frames that have been read."""
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
                self.socket.sendall(struct.pack("!BB", 0x8A, 0x80 | length) + b"\0\0\0\0" + data[start : start + length])
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
        """Read what there is, check it; the greatest delay seen."""
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
        one.send({"action": "subscribe", "auth_token": token, "data": {"account_id": ACCOUNT, "binding": BINDING}})
    for one in sockets:
        assert one.reply()["status"] == "success"


def receive(sockets: list[Socket], count: int, patience: float) -> list[float]:
    """Read until every socket has seen all events; the worst delay of each read."""
    import select

    poll = select.epoll()
    by_number = {}
    for one in sockets:
        one.socket.setblocking(False)
        one.next = 0
        poll.register(one.socket.fileno(), select.EPOLLIN)
        by_number[one.socket.fileno()] = one
    left, worst, deadline = len(sockets), [], time.monotonic() + patience
    while left:
        assert time.monotonic() < deadline, f"{left} sockets have not seen all events"
        for number, _ in poll.poll(1):
            one = by_number[number]
            worst.append(one.take(time.monotonic()))
            left -= one.next == count
    poll.close()
    return worst


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=5000, help="open sockets of which the memory is measured")
    parser.add_argument("--subscribers", type=int, default=1000)
    parser.add_argument("--rate", type=int, default=200, help="events a second")
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    ours, theirs = multiprocessing.Pipe()
    with tempfile.TemporaryDirectory() as folder:
        service = multiprocessing.get_context("spawn").Process(target=serve, args=(folder, theirs))
        service.start()
        address, token = ours.recv()
        figures: dict[str, Any] = {"when": datetime.now(UTC).isoformat(timespec="seconds"), "python": sys.version.split()[0]}

        def memory_of_service() -> int:
            ours.send(("memory",))
            return int(ours.recv())

        empty = memory_of_service()
        started = time.monotonic()
        sockets = [Socket(address) for _ in range(arguments.idle)]
        subscribe(sockets, token)
        figures["open sockets"] = len(sockets)
        figures["seconds to connect and subscribe them"] = round(time.monotonic() - started, 1)
        figures["service's memory before, MB"] = round(empty / 1e6, 1)
        figures["service's memory with them, MB"] = round(memory_of_service() / 1e6, 1)
        for one in sockets[arguments.subscribers :]:
            one.send({"action": "unsubscribe"})
        for one in sockets[arguments.subscribers :]:
            one.reply()
        subscribers = sockets[: arguments.subscribers]
        ours.send(("publish", arguments.rate, arguments.seconds))
        worst = sorted(receive(subscribers, arguments.rate * arguments.seconds, arguments.seconds * 3 + 30))
        done = ours.recv()
        figures["subscribers"] = len(subscribers)
        figures["events a second"] = arguments.rate
        figures["events, all seen in order by all"] = done["published"]
        figures["share of a core that the service took"] = round(done["cpu"] / arguments.seconds, 2)
        figures["delay until read, ms: half, 99 %, worst"] = [
            round(1000 * worst[int(len(worst) * part)], 1) for part in (0.5, 0.99, 0.99999)
        ]
        figures["service's memory after, MB"] = round(memory_of_service() / 1e6, 1)
        ours.send(("stop",))
        service.join(20)
    for name, value in figures.items():
        print(f"{name:45} {value}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")


if __name__ == "__main__":
    main()
