"""A long run at half of the greatest rate: memory, descriptors and timers of the node stay as they are.

Run it with ``python -m benchmarks.steady``; it takes an hour, or ``--minutes``. It starts a private broker
and a node, finds out by a burst how many events a second the node makes webhooks of, and publishes at half of
that rate. A receiver gets every event as a webhook, sockets get every event as a frame, and further sockets
connect, subscribe and leave all the time. It reads the node's memory, descriptors and timers, and compares
the first third of the run with the last; the beginning, in which caches fill, does not count. The exit code
is 1 if anything has grown, or if an event has not arrived.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import report
from benchmarks.harness.broker import BenchmarkBroker
from benchmarks.harness.contenders import OurContender, WantedHook, trees_of
from benchmarks.harness.events import EventPublisher, account_id, make_event
from benchmarks.harness.folders import ROOT
from benchmarks.harness.processes import exit_on_sigterm
from benchmarks.harness.receiver import Receiver, ReceiverOptions
from benchmarks.harness.steadiness import Growth, Reading, Tolerance, growths, read
from benchmarks.websocket_fanout import Socket
from tests.integration.rabbitmq import free_port

_BINDING = "call.CHANNEL_CREATE.*"
_BURST = 5000
_STEP = 0.005
_READ_INTERVAL = 5.0
_CHURN_INTERVAL = 1.0
_PATIENCE = 60.0

#: The share of the run that does not count: caches and pools fill.
_WARM_UP = 0.2

#: The allocator keeps some freed memory, and connections come and go.
TOLERANCE = Tolerance(resident=2_000_000, descriptors=8, delayed_calls=8)

_WEBSOCKETS = "rate_burst = 1000000\nmax_connections_per_ip = 0\nmax_unauthenticated_per_ip = 0"


class SteadyRun(NamedTuple):
    """What a run has shown. `delivered` is of `published` events, `frames` are those of all `sockets`."""

    rate: float
    seconds: float
    published: int
    delivered: int
    frames: int
    sockets: int
    readings: list[Reading]

    @property
    def problems(self) -> list[str]:
        """What is not as it should be."""
        found = [
            f"{one.name} has grown from {one.first:,.0f} to {one.last:,.0f}"
            for one in self.growths()
            if not one.is_steady
        ]
        if self.delivered != self.published:
            found.append(f"{self.delivered} of {self.published} events were delivered")
        if self.frames != self.published * self.sockets:
            found.append(f"{self.frames} of {self.published * self.sockets} frames were read")
        return found

    def growths(self) -> list[Growth]:
        """Compare the readings after the beginning."""
        return growths(self.readings[int(len(self.readings) * _WARM_UP) :], TOLERANCE)


class SteadyNode:
    """A node under load, with its receiver and its sockets."""

    def __init__(self, contender: OurContender, publisher: EventPublisher, receiver: Receiver) -> None:
        self._contender = contender
        self._node = contender.nodes[0]
        self._publisher = publisher
        self._receiver = receiver
        self._sockets: list[Socket] = []
        self._published = self._frames = 0

    def burst(self) -> float:
        """Publish many events at once, and return how many a second are delivered."""
        began = time.monotonic()
        for _ in range(_BURST):
            self._publish()
        self._wait()
        return _BURST / (time.monotonic() - began)

    def run(self, rate: float, seconds: float, sockets: int) -> SteadyRun:
        """Publish at a rate in events a second."""
        self._sockets = [self._connect() for _ in range(sockets)]
        readings: list[Reading] = []
        earlier, began = self._published, time.monotonic()
        next_reading = next_churn = 0.0
        visitor = self._connect()
        while (passed := time.monotonic() - began) < seconds:
            while self._published - earlier < passed * rate:
                self._publish()
            self._publisher.pause(_STEP)
            self._read_frames()
            if passed >= next_churn:
                visitor.socket.close()
                visitor, next_churn = self._connect(), passed + _CHURN_INTERVAL
            if passed >= next_reading:
                readings.append(read(self._node.pid, self._node.port))
                print(f"{passed:.0f} s: {readings[-1]}", file=sys.stderr, flush=True)
                next_reading = passed + _READ_INTERVAL
        self._wait()
        published = self._published - earlier
        visitor.socket.close()
        for one in self._sockets:
            one.socket.close()
        delivered = self._receiver.delivered - earlier
        return SteadyRun(rate, seconds, published, delivered, self._frames, sockets, readings)

    def _publish(self) -> None:
        self._publisher.publish(make_event(self._published, [account_id(0)]))
        self._published += 1

    def _wait(self) -> None:
        deadline, frames = time.monotonic() + _PATIENCE, -1
        while time.monotonic() < deadline:
            self._publisher.pause(0.05)
            self._read_frames()
            if self._receiver.delivered >= self._published and frames == self._frames:
                return
            frames = self._frames

    def _connect(self) -> Socket:
        client = Socket(f"127.0.0.1:{self._node.websocket_port}")
        data = {"account_id": account_id(0), "binding": _BINDING}
        client.send({"action": "subscribe", "auth_token": self._node.token, "data": data})
        answer = client.reply()
        if answer["status"] != "success":
            raise RuntimeError(f"subscribing failed: {answer}")
        client.socket.setblocking(False)
        return client

    def _read_frames(self) -> None:
        for client in self._sockets:
            try:
                data = client.socket.recv(1 << 20)
            except BlockingIOError:
                continue
            if not data:
                raise RuntimeError("the node has closed a socket")
            client.data += data
            self._frames += len(client.frames())


def measure(broker: BenchmarkBroker, options: argparse.Namespace) -> SteadyRun:
    """Run it."""
    uri, port, seconds = broker.fresh_vhost(), free_port(), options.minutes * 60
    most = int((options.rate or options.max_rate) * seconds) + 2 * _BURST
    with tempfile.TemporaryDirectory(prefix="kazoo-bridge-benchmark-") as folder:
        contender = OurContender("ours", Path(folder), ROOT, 1, {"websockets": _WEBSOCKETS})
        contender.prepare(uri, [WantedHook(account_id(0), f"http://127.0.0.1:{port}/hook")])
        receiver = Receiver([port], most, ReceiverOptions())
        publisher = EventPublisher(uri)
        receiver.start()
        try:
            contender.nodes[0].start()
            try:
                node = SteadyNode(contender, publisher, receiver)
                greatest = node.burst()
                print(f"{greatest:,.0f} events a second in a burst", file=sys.stderr, flush=True)
                rate = options.rate or min(greatest / 2, options.max_rate)
                return node.run(rate, seconds, options.sockets)
            finally:
                contender.stop()
        finally:
            receiver.stop()
            publisher.close()


def results_table(run: SteadyRun) -> str:
    """Return the result as Markdown."""
    cpu = (run.readings[-1].cpu - run.readings[0].cpu) / max(run.published, 1) * 1000
    lines = [
        f"{run.rate:,.0f} events a second for {run.seconds / 60:g} minutes; {run.sockets} sockets, and one"
        " more that connects and leaves every second.",
        f"Of {run.published:,} events {run.delivered:,} were delivered and {run.frames:,} frames were read;"
        f" {cpu:.3f} ms of the processor for each event with all of its frames.",
    ]
    rows = [
        (
            one.name.replace("_", " ") + (", MB" if one.name == "resident" else ""),
            *(f"{value / 1e6:.1f}" if one.name == "resident" else f"{value:.0f}" for value in one[1:3]),
            "yes" if one.is_steady else "no",
        )
        for one in run.growths()
    ]
    table = report.table(("", "first third", "last third", "steady"), rows)
    return "\n\n".join([*lines, table])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print, and exit with 1 if the node was not steady."""
    exit_on_sigterm()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--sockets", type=int, default=5, help="that stay connected")
    parser.add_argument("--rate", type=float, default=0, help="events a second; 0: half of the greatest")
    parser.add_argument("--max-rate", type=float, default=3000, help="of what is found by the burst")
    parser.add_argument("--write", action="store_true", help="write the results to benchmarks/results/")
    options = parser.parse_args(arguments)
    head = report.heading("A long run at half of the greatest rate", trees_of(["ours"]))
    print(head, flush=True)
    with BenchmarkBroker() as broker:
        run = measure(broker, options)
    text = results_table(run)
    print(f"\n{text}", flush=True)
    if options.write:
        report.write("steady", f"{head}\n\n{text}")
    if run.problems:
        sys.exit("\n".join(run.problems))


if __name__ == "__main__":
    main()
