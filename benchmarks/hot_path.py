"""Processor time and instructions per event between the broker's frames and the receivers' sockets.

Run it with ``python -m benchmarks.hot_path``. The frame reader, the consumer and all of the webhooks are
real; the sockets, the stores and the clock are not, so that nothing but this program's own work is measured,
and the same work each time. A turn brings the responses to the requests of the turn before, and as many
events as the consumer has acknowledged. The least time of many short blocks is printed: that is what other
programs on the machine disturb least.

With ``--count-calls`` it prints how often each Python function is called per event. With ``--instructions``
it runs itself under valgrind, whose counts depend neither on other programs nor on the machine: instructions
per event, and how often what is needed is not in a cache of the first level, and of the second (512 KiB).
"""

from __future__ import annotations

import argparse
import ctypes
import re
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from operator import attrgetter
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectionDone
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from benchmarks.harness.events import EXCHANGE, account_id, make_event
from kazoo_bridge.bus.amqp.consumer.channel_consumer import ChannelConsumer
from kazoo_bridge.bus.amqp.wire.frame_reader import FrameReader
from kazoo_bridge.bus.amqp.wire.frame_writer import BODY, HEADER, METHOD, frame
from kazoo_bridge.bus.message_decoder import MessageDecoder
from kazoo_bridge.bus.queue_metrics import BodySizes
from kazoo_bridge.config import Config, Egress
from kazoo_bridge.interfaces import IBus, IDirectory, Queue
from kazoo_bridge.node.garbage_collection import exempt_loaded
from kazoo_bridge.plugins.discovery import built_in_categories
from kazoo_bridge.webhooks.service import WebhookService, WebhookStores
from tests.webhooks.fakes import (
    FakeAttemptStore,
    FakeBus,
    FakeDeliveryStore,
    FakeDirectory,
    FakeHookStore,
    FakeLimitStore,
    FakeMissedEventStore,
)

PREFETCH = 500
_CHANNEL = 1
_SETTLE = struct.Struct("!BHIHHQBB")
_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok"
#: Seconds that pass in a turn.
_TURN = 0.002
#: Bytes that the reactor reads at once.
_READ_BYTES = 65_536
_BLOCK = 1000

_MARKS = """
#include <valgrind/callgrind.h>
void start(void) { CALLGRIND_START_INSTRUMENTATION; }
void stop(void) { CALLGRIND_STOP_INSTRUMENTATION; }
"""


class _Reactor(MemoryReactorClock):
    """A reactor whose connections are in memory. Its `seconds` is no Python function, like the reactor's."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = partial(attrgetter("rightNow"), self)  # type: ignore[method-assign] # see above

    def getThreadPool(self) -> Any:
        raise NotImplementedError


class _Socket:
    """Takes everything at once."""

    def __init__(self, on_sent: Callable[[], None]) -> None:
        self._on_sent = on_sent

    def send(self, data: bytes) -> int:
        self._on_sent()
        return len(data)


class _Transport(Connection):
    """A connection without a file descriptor. `on_sent` is called with its protocol for each request."""

    def __init__(self, on_sent: Callable[[Any], None], protocol: Any) -> None:
        self.protocol = protocol
        self.socket = cast(Any, _Socket(partial(on_sent, protocol)))

    def setTcpNoDelay(self, enabled: bool) -> None:
        pass

    def loseConnection(self) -> None:
        self.protocol.connectionLost(Failure(ConnectionDone()))

    abortConnection = loseConnection


class _Broker:
    """The connection to the broker: delivers as many events as the prefetch allows."""

    def __init__(self, frames: Sequence[bytes]) -> None:
        self.reader = FrameReader(lambda _frame: None)
        self._frames = deque(frames)
        self._free, self._acknowledged, self._single = PREFETCH, 0, 0
        self.settled = 0

    def write(self, data: bytes) -> None:
        for position in range(0, len(data), _SETTLE.size):
            *_, tag, multiple, _end = _SETTLE.unpack_from(data, position)
            if multiple:
                count = tag - self._acknowledged - self._single
                self._acknowledged, self._single = tag, 0
            else:
                count = 1
                self._single += 1
            self._free += count
            self.settled += count

    def deliver(self) -> None:
        """Pass on what the prefetch allows, as it is read from a socket."""
        count = min(self._free, len(self._frames))
        self._free -= count
        data = b"".join(self._frames.popleft() for _ in range(count))
        for position in range(0, len(data), _READ_BYTES):
            self.reader.feed(data[position : position + _READ_BYTES])


def _frames(number: int, accounts: Sequence[str]) -> bytes:
    """Return the frames that deliver an event."""
    key, body = make_event(number, accounts)
    words = [b"consumer-tag", EXCHANGE.encode(), key.encode()]
    tag, exchange, routing_key = (bytes([len(word)]) + word for word in words)
    method = b"\0\x3c\0\x3c" + tag + struct.pack("!QB", number + 1, 0) + exchange + routing_key
    properties = struct.pack("!HHQHB", 60, 0, len(body), 0x9000, 16) + b"application/json\x01"
    return frame(METHOD, _CHANNEL, method) + frame(HEADER, _CHANNEL, properties) + frame(BODY, _CHANNEL, body)


class HotPath:
    """The parts, and the world around them. `hooks`: hooks of as many accounts and receivers."""

    def __init__(self, events: int, hooks: int, document: dict[str, Any]) -> None:
        self.clock = _Reactor()
        self.requests = 0
        self._sent: deque[Any] = deque()
        accounts = [account_id(number) for number in range(hooks)]
        config = Config(egress=Egress(denied_networks=()))
        self.service = WebhookService.from_config(
            self.clock,
            config,
            cast(IBus, FakeBus()),
            cast(IDirectory, FakeDirectory(dict.fromkeys(accounts, ()))),
            WebhookStores(
                cast(Any, FakeHookStore()),
                cast(Any, FakeAttemptStore()),
                cast(Any, FakeDeliveryStore()),
                cast(Any, FakeMissedEventStore()),
                cast(Any, FakeLimitStore()),
                cluster_id=lambda: succeed("0123456789abcdef0123456789abcdef"),
            ),
            built_in_categories(),
            "node@host",
            on_account_deleted=lambda _account: succeed(None),
        )
        Deferred.fromCoroutine(self.service.load())
        self.service.recorder.startService()
        for number, account in enumerate(accounts):
            uri = f"http://127.0.0.1:{8000 + number}/hook"
            whole = {"name": "n", "uri": uri, "hook": "channel_create", **document}
            Deferred.fromCoroutine(self.service.hooks.create(account, whole))
        if len(self.service.registry) != hooks:
            raise RuntimeError("the hooks could not be created")
        self.broker = _Broker([_frames(number, accounts) for number in range(events)])
        queue = Queue("kazoo_bridge.webhooks", frozenset(), durable=True, prefetch=PREFETCH)
        channel: Any = type("Channel", (), {"id": _CHANNEL})
        consumer = ChannelConsumer(
            self.clock,
            cast(Any, self.broker),
            channel,
            queue,
            self.service.event_handler.handle,
            MessageDecoder(self.clock),
            BodySizes(),
        )
        self.broker.reader.add_receiver(_CHANNEL, consumer)

    def turn(self) -> None:
        """Let a turn of the reactor happen."""
        answered, self._sent = self._sent, deque()
        self._connect_all()
        for protocol in answered:
            protocol.dataReceived(_RESPONSE)
        self.broker.deliver()
        self.clock.advance(_TURN)

    def _connect_all(self) -> None:
        waiting = self.clock.tcpClients[:]
        self.clock.tcpClients.clear()
        for _host, _port, factory, _timeout, _bind in waiting:
            protocol: Any = factory.buildProtocol(cast(Any, None))
            protocol.makeConnection(_Transport(self._on_sent, protocol))

    def _on_sent(self, protocol: Any) -> None:
        """Note a request; it is answered in the next turn."""
        self._sent.append(protocol)
        self.requests += 1

    def run_until(self, settled: int) -> None:
        """Run until so many events are acknowledged."""
        idle = 0
        while self.broker.settled < settled:
            before = self.broker.settled
            self.turn()
            idle = idle + 1 if self.broker.settled == before else 0
            if idle > 1000:
                raise RuntimeError(f"stuck after {self.broker.settled} events")


def _documents(variant: str) -> dict[str, Any]:
    return {
        "form": {"http_verb": "post", "format": "form-data"},
        "json": {"http_verb": "post", "format": "json"},
        "get": {"http_verb": "get"},
    }[variant]


def _least_time(path: HotPath, events: int) -> float:
    """Return the microseconds of an event, in the fastest block."""
    times = []
    for end in range(2 * _BLOCK, events + 1, _BLOCK):
        before, began = path.broker.settled, time.process_time()
        path.run_until(min(end, events - PREFETCH))
        count = path.broker.settled - before
        if count > _BLOCK // 2:
            times.append((time.process_time() - began) / count)
    return min(times) * 1e6


def _count_calls(path: HotPath, events: int) -> None:
    counts: Counter[CodeType] = Counter()
    in_c: Counter[str] = Counter()

    def profile(called: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            counts[called.f_code] += 1
        elif event == "c_call":
            in_c[getattr(argument, "__qualname__", repr(argument))] += 1

    before = path.broker.settled
    sys.setprofile(profile)
    path.run_until(events - PREFETCH)
    sys.setprofile(None)
    done = path.broker.settled - before
    print(f"{sum(counts.values()) / done:.1f} Python calls an event, {sum(in_c.values()) / done:.1f} in C")
    for code, count in counts.most_common():
        if count / done > 0.05:
            print(f"{count / done:6.2f} {code.co_qualname} {Path(code.co_filename).name}")
    for name, count in in_c.most_common():
        if count / done > 0.2:
            print(f"{count / done:6.2f} C {name}")


def _run_under_valgrind(arguments: Sequence[str], events: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, marks, out = (Path(folder) / name for name in ("marks.c", "marks.so", "out"))
        source.write_text(_MARKS)
        subprocess.run(["gcc", "-shared", "-fPIC", "-o", marks, source], check=True)
        command = [
            "valgrind", "--tool=callgrind", "--instr-atstart=no", "--cache-sim=yes",
            "--I1=32768,8,64", "--D1=32768,8,64", "--LL=524288,8,64", f"--callgrind-out-file={out}",
            sys.executable, "-m", "benchmarks.hot_path", *arguments, "--marks", str(marks),
        ]  # fmt: skip
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        counted = events - PREFETCH - _BLOCK
        names = re.search(r"^events: (.*)$", out.read_text(), re.M)
        totals = re.search(r"^totals: (.*)$", out.read_text(), re.M)
        if names is None or totals is None:
            raise RuntimeError(done.stderr)
        of = Counter(dict(zip(names[1].split(), map(int, totals[1].split()), strict=False)))
        level1 = of["I1mr"] + of["D1mr"] + of["D1mw"]
        level2 = of["ILmr"] + of["DLmr"] + of["DLmw"]
        print(
            f"{of['Ir'] / counted:,.0f} instructions an event, "
            f"{level1 / counted:,.0f} misses of the first-level caches, {level2 / counted:,.0f} of the second"
        )
        if "--keep" in arguments:
            Path("/tmp/callgrind.out").write_bytes(out.read_bytes())


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--variant", choices=("form", "json", "get"), default="form")
    parser.add_argument("--events", type=int, default=20_000)
    parser.add_argument("--hooks", type=int, default=1)
    parser.add_argument("--count-calls", action="store_true")
    parser.add_argument("--instructions", action="store_true")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--marks", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.instructions:
        own = sys.argv[1:] if arguments is None else arguments
        _run_under_valgrind([one for one in own if one != "--instructions"], options.events)
        return
    with exempt_loaded():
        path = HotPath(options.events, options.hooks, _documents(options.variant))
    path.run_until(_BLOCK)
    if options.marks:
        marks = ctypes.CDLL(options.marks)
        marks.start()
        path.run_until(options.events - PREFETCH)
        marks.stop()
    elif options.count_calls:
        _count_calls(path, options.events)
    else:
        print(f"{_least_time(path, options.events):.1f} µs an event in the fastest block")


if __name__ == "__main__":
    main()
