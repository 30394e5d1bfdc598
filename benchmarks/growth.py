"""What an event costs among many hooks, subscriptions and sockets that do not concern it.

Run it with ``python -m benchmarks.growth``. For each number of foreign hooks it puts as many rows into the
SQLite database of a node, starts the node, and publishes to its one own hook through a private broker at a
steady rate. It prints the seconds until the node is ready, its memory, the processor time of an event, and
its delay; the longest delay shows pauses, such as those of the garbage collector. The same is measured with
foreign subscriptions, of sockets with 1 000 each, and with idle sockets that have one subscription each; then
a socket of the own account gets every event, too, and must have read all of them.
"""

from __future__ import annotations

import argparse
import json
import resource
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from socket import SHUT_RDWR
from threading import Thread
from typing import Any, NamedTuple

from benchmarks.harness import report
from benchmarks.harness.broker import BenchmarkBroker
from benchmarks.harness.contenders import OurContender, trees_of
from benchmarks.harness.events import account_id
from benchmarks.harness.folders import ROOT
from benchmarks.harness.processes import cpu_seconds, exit_on_sigterm, resident_bytes
from benchmarks.latency import Delays, LoadOptions, SteadyLoad
from benchmarks.websocket_fanout import Socket

_SUBSCRIPTIONS_PER_SOCKET = 1000
_BINDINGS_PER_MESSAGE = 50
_HOOKS_PER_ACCOUNT = 5
_FIRST_FOREIGN = 1 << 64
_BINDING = "call.CHANNEL_CREATE"

#: What the sockets of one client need beside the default configuration.
_WEBSOCKETS = """
rate_burst = 1000000
max_connections_per_ip = 0
max_unauthenticated_per_ip = 0
max_connections_per_account = 0
max_subscriptions_per_account = 0
"""


class Size(NamedTuple):
    """A row: `kind` and number of what is foreign, seconds until all of it is there and the processor time
    that they took, bytes of the process, the events that the own socket has received."""

    kind: str
    foreign: int
    seconds: float
    cpu: float
    resident: int
    delays: Delays
    frames: int | None = None


class FrameCounter(Thread):
    """Reads the frames of a socket until it is closed."""

    def __init__(self, client: Socket) -> None:
        super().__init__(daemon=True)
        self._client = client
        self.count = 0

    def run(self) -> None:
        """Read, in this thread."""
        with suppress(OSError):
            while data := self._client.socket.recv(1 << 18):
                self._client.data += data
                self.count += len(self._client.frames())


class GrowingContender(OurContender):
    """Our node with foreign hooks in its storage, and foreign sockets after its start."""

    def __init__(self, folder: Path, kind: str, count: int) -> None:
        config = {"websockets": _WEBSOCKETS} if kind != "hooks" else {}
        super().__init__("ours", folder, ROOT, 1, config)
        self._kind = kind
        self._count = count
        self._sockets: list[Socket] = []
        self._own: FrameCounter | None = None
        self.seconds = self.cpu = 0.0
        self.resident = 0

    def insert_hooks(self) -> None:
        """Put foreign hooks into the storage: copies of the own one with other ids, accounts and URIs."""
        with sqlite3.connect(self.nodes[0].storage) as database:
            database.row_factory = sqlite3.Row
            row = dict(database.execute("SELECT * FROM hooks").fetchone())
            row.pop("sequence", None)  # which SQLite counts
            names, marks = ", ".join(row), ", ".join("?" * len(row))
            database.executemany(f"INSERT INTO hooks ({names}) VALUES ({marks})", self._copies(row))
        database.close()

    def _copies(self, row: dict[str, Any]) -> Iterator[tuple[Any, ...]]:
        document = json.loads(row["document"])
        for number in range(self._count):
            copy = document | {
                "name": f"hook {number}",
                "uri": f"https://hooks.customer{number % 1000}.example.com/kazoo/{number}",
            }
            changed = {
                "id": account_id(_FIRST_FOREIGN + number),
                "account_id": account_id(_FIRST_FOREIGN + number // _HOOKS_PER_ACCOUNT),
                "document": json.dumps(copy),
            }
            yield tuple((row | changed).values())

    def start(self) -> None:
        """Start the node, and measure it when it is ready and has its sockets."""
        began, cpu = time.monotonic(), 0.0
        self.nodes[0].start()
        if self._kind != "hooks":
            began, cpu = time.monotonic(), cpu_seconds(self.pids())
            self._subscribe()
        self.seconds, self.cpu = time.monotonic() - began, cpu_seconds(self.pids()) - cpu
        self.resident = resident_bytes(self.pids())
        if self._kind != "hooks":
            client = self._connect()
            self._subscribe_to(client, [f"{_BINDING}.*"])
            self._own = FrameCounter(client)
            self._own.start()

    @property
    def frames(self) -> int | None:
        """The events that the own socket has received; None without one."""
        return None if self._own is None else self._own.count

    def _connect(self) -> Socket:
        client = Socket(f"127.0.0.1:{self.nodes[0].websocket_port}")
        self._sockets.append(client)
        return client

    def _subscribe(self) -> None:
        each = _SUBSCRIPTIONS_PER_SOCKET if self._kind == "subscriptions" else 1
        for first in range(0, self._count, each):
            client = self._connect()
            bindings = [
                f"{_BINDING}.foreign-{number}" for number in range(first, min(first + each, self._count))
            ]
            for begin in range(0, len(bindings), _BINDINGS_PER_MESSAGE):
                self._subscribe_to(client, bindings[begin : begin + _BINDINGS_PER_MESSAGE])

    def _subscribe_to(self, client: Socket, bindings: Sequence[str]) -> None:
        data = {"account_id": account_id(0), "bindings": bindings}
        client.send({"action": "subscribe", "auth_token": self.nodes[0].token, "data": data})
        answer = client.reply()
        if answer["status"] != "success":
            raise RuntimeError(f"subscribing failed: {answer}")

    def stop(self) -> None:
        """Close the sockets and stop the node."""
        for client in self._sockets:
            # The thread of a `FrameCounter` does not notice that its socket is closed.
            with suppress(OSError):
                client.socket.shutdown(SHUT_RDWR)
            client.socket.close()
        self._sockets = []
        super().stop()


def measure(broker: BenchmarkBroker, options: argparse.Namespace, kind: str, count: int) -> Size:
    """Measure one size."""
    load = SteadyLoad(broker, LoadOptions(options.rate, options.seconds, patience=60))
    with tempfile.TemporaryDirectory(prefix="kazoo-bridge-benchmark-") as folder:
        contender = GrowingContender(Path(folder), kind, count)
        contender.prepare(load.uri, load.hooks)
        if kind == "hooks":
            contender.insert_hooks()
        delays = load.measure(contender)
    found = Size(kind, count, contender.seconds, contender.cpu, contender.resident, delays, contender.frames)
    print(f"{count} {kind}: {found}", file=sys.stderr, flush=True)
    return found


def results_table(sizes: Sequence[Size], rate: float) -> str:
    """Return a table; memory for each foreign thing is compared with the first row."""
    first = sizes[0]
    head = (
        *(f"foreign {first.kind}", "seconds until there", "CPU s", "MB", "bytes for each", "CPU ms/event"),
        *("p50 ms", "p99 ms", "longest ms", "late", "frames"),
    )
    rows = []
    for one in sizes:
        more = one.foreign - first.foreign
        rows.append(
            (
                f"{one.foreign:,}",
                f"{one.seconds:.1f}",
                f"{one.cpu:.1f}",
                f"{one.resident / 1e6:,.0f}",
                f"{(one.resident - first.resident) / more:,.0f}" if more else "",
                f"{one.delays.cpu / rate * 1000:.3f}",
                *(f"{value:.1f}" for value in (one.delays.p50, one.delays.p99, one.delays.longest)),
                one.delays.late,
                "" if one.frames is None else f"{one.frames:,}",
            )
        )
    return report.table(head, rows)


def _counts(text: str) -> list[int]:
    return [int(part) for part in text.split(",") if part]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    exit_on_sigterm()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--hooks", type=_counts, default="10,10000,100000,1000000", help="numbers; empty: none"
    )
    parser.add_argument("--subscriptions", type=_counts, default="10,1000,10000,100000")
    parser.add_argument("--sockets", type=_counts, default="10,1000,5000", help="of idle sockets")
    parser.add_argument("--rate", type=float, default=200, help="events a second")
    parser.add_argument("--seconds", type=float, default=20, help="of publishing, for each row")
    parser.add_argument("--write", action="store_true", help="write the results to benchmarks/results/")
    options = parser.parse_args(arguments)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    parts = [report.heading("Growth: what does not concern an event", trees_of(["ours"]))]
    print(parts[0], flush=True)
    with BenchmarkBroker() as broker:
        for kind in ("hooks", "subscriptions", "sockets"):
            if counts := getattr(options, kind):
                sizes = [measure(broker, options, kind, count) for count in counts]
                parts.append(f"## {kind}\n\n{results_table(sizes, options.rate)}")
                print(f"\n{parts[-1]}\n", flush=True)
    if options.write:
        report.write("growth", "\n\n".join(parts))


if __name__ == "__main__":
    main()
