"""Broker to receiver: the delay of events that are published at a steady rate, ours and the peers in turn.

Run it with ``python -m benchmarks.latency``. It starts a private broker and publishes to it like KAZOO, at
1 000 events a second; the delay is that from publishing to the arrival of the complete request, on one
clock. With ``--hanging 1000`` there are as many further hooks, each of an account and with a receiver of its
own, which accepts requests and answers nothing; their accounts have events of their own meanwhile.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness import report
from benchmarks.harness.broker import BenchmarkBroker
from benchmarks.harness.contenders import (
    Contender,
    OurContender,
    WantedHook,
    make_contender,
    trees_of,
)
from benchmarks.harness.events import EventPublisher, account_id, make_event
from benchmarks.harness.folders import ROOT
from benchmarks.harness.processes import cpu_seconds, exit_on_sigterm
from benchmarks.harness.receiver import Receiver, ReceiverOptions
from tests.integration.rabbitmq import free_port

_STEP = 0.001
_START_TIMEOUT = 120.0

#: Published before the others, until they have arrived.
_WARM_UP = 500


class LoadOptions(NamedTuple):
    """`rate` and `hanging_rate` in events a second, `seconds` of publishing, `hanging` hooks, `patience` in
    seconds, after which an event is late.
    """

    rate: float
    seconds: float
    patience: float = 10.0
    hanging: int = 0
    hanging_rate: float = 0.0


class Delays(NamedTuple):
    """One round; delays in milliseconds, processor time as a share of a core, `late`: not arrived in time."""

    p50: float
    p90: float
    p99: float
    longest: float
    cpu: float
    late: int


class SteadyLoad:
    """A broker, the hooks, their receivers' ports, and the events of a round."""

    def __init__(self, broker: BenchmarkBroker, options: LoadOptions) -> None:
        self.uri = broker.fresh_vhost()
        self._options = options
        self._count = int(options.rate * options.seconds) + _WARM_UP
        ports: set[int] = set()
        while len(ports) < options.hanging + 1:
            ports.add(free_port())
        self._ports = sorted(ports)
        self._accounts = [account_id(number) for number in range(len(ports))]

    @property
    def hooks(self) -> list[WantedHook]:
        """The first is the hook whose delays are measured."""
        return [
            WantedHook(account, f"http://127.0.0.1:{port}/hook")
            for account, port in zip(self._accounts, self._ports, strict=True)
        ]

    def measure(self, contender: Contender) -> Delays:
        """Run one round."""
        publisher = EventPublisher(self.uri)
        publisher.fill(0, self._event)
        receiver = Receiver(self._ports[:1], self._count, ReceiverOptions())
        hanging = Receiver(self._ports[1:], 1, ReceiverOptions(hang=True))
        started: list[Receiver] = []
        try:
            for one in (receiver, hanging) if self._options.hanging else (receiver,):
                one.start()
                started.append(one)
            contender.start()
            try:
                return self._run(contender, publisher, receiver)
            finally:
                contender.stop()
        finally:
            for one in started:
                one.stop()
            publisher.close()

    def _event(self, number: int) -> tuple[str, bytes]:
        return make_event(number, self._accounts[:1])

    def _run(self, contender: Contender, publisher: EventPublisher, receiver: Receiver) -> Delays:
        for number in range(_WARM_UP):
            publisher.publish(self._event(number))
        _wait(publisher, receiver, _WARM_UP, _START_TIMEOUT)
        if receiver.delivered < _WARM_UP:
            raise RuntimeError(f"{contender.name} delivers nothing")
        cpu, began = cpu_seconds(contender.pids()), time.monotonic()
        sent = self._publish(publisher)
        share = (cpu_seconds(contender.pids()) - cpu) / (time.monotonic() - began)
        _wait(publisher, receiver, self._count, self._options.patience)
        arrived: dict[int, float] = {}
        for one in receiver.arrivals():
            arrived.setdefault(one.event, one.at)
        delays = sorted((arrived[number] - at) * 1000 for number, at in sent.items() if number in arrived)
        late = len(sent) - len(delays)
        p50, p90, p99, longest = (_at(delays, part) for part in (0.5, 0.9, 0.99, 1.0))
        return Delays(p50, p90, p99, longest, share, late)

    def _publish(self, publisher: EventPublisher) -> dict[int, float]:
        """Publish at the rate, as steadily as this process may run; return when each event was published."""
        sent: dict[int, float] = {}
        began, number, others = time.monotonic(), _WARM_UP, 0
        while number < self._count:
            passed = time.monotonic() - began
            while number < self._count and number - _WARM_UP <= passed * self._options.rate:
                sent[number] = time.monotonic()
                publisher.publish(self._event(number))
                number += 1
            while self._options.hanging and others <= passed * self._options.hanging_rate:
                account = self._accounts[1 + others % self._options.hanging]
                publisher.publish(make_event(self._count + others, [account]))
                others += 1
            publisher.pause(_STEP)
        return sent


def _wait(publisher: EventPublisher, receiver: Receiver, count: int, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while receiver.delivered < count and time.monotonic() < deadline:
        publisher.pause(0.02)


def _at(delays: Sequence[float], share: float) -> float:
    return delays[min(int(len(delays) * share), len(delays) - 1)] if delays else float("inf")


def results_table(found: dict[str, list[Delays]]) -> str:
    """Return the results as Markdown."""
    head = ("contender", "p50 ms", "p90 ms", "p99 ms", "longest ms", "CPU, share of a core", "late or lost")
    return report.table(
        head,
        [
            (
                name,
                *(report.spread(values, ".1f") for values in list(zip(*rounds, strict=True))[:4]),
                report.spread([one.cpu for one in rounds], ".2f"),
                sum(one.late for one in rounds),
            )
            for name, rounds in found.items()
        ],
    )


def run(broker: BenchmarkBroker, options: argparse.Namespace, folder: Path) -> dict[str, list[Delays]]:
    """Run all rounds; the contenders begin in turn."""
    load = SteadyLoad(
        broker,
        LoadOptions(options.rate, options.seconds, options.patience, options.hanging, options.hanging_rate),
    )
    config = {"amqp": f'queue_type = "{options.queue_type}"'}
    contenders = [make_contender(text, folder, config) for text in options.contenders]
    if not any(isinstance(one, OurContender) for one in contenders):
        # Our node declares the queue, also when only peers are measured.
        OurContender("ours", folder / "declaring", ROOT, 1, config).prepare(load.uri, load.hooks[:1])
    for contender in sorted(contenders, key=lambda one: not isinstance(one, OurContender)):
        contender.prepare(load.uri, load.hooks)
    found: dict[str, list[Delays]] = defaultdict(list)
    for number in range(options.rounds):
        shift = number % len(contenders)
        for contender in contenders[shift:] + contenders[:shift]:
            one = load.measure(contender)
            found[contender.name].append(one)
            texts = ", ".join(f"{name} {value:.2f}" for name, value in one._asdict().items())
            print(f"round {number + 1}: {contender.name}: {texts}", file=sys.stderr, flush=True)
    return {contender.name: found[contender.name] for contender in contenders}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    exit_on_sigterm()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--contenders", default="ours,node,asyncio", help="as of benchmarks.webhooks")
    parser.add_argument("--rate", type=float, default=1000, help="events a second")
    parser.add_argument("--seconds", type=float, default=15, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--hanging", type=int, default=0, help="further hooks whose receivers hang")
    parser.add_argument("--hanging-rate", type=float, default=50, help="events a second of all of them")
    parser.add_argument("--queue-type", choices=("quorum", "classic"), default="quorum")
    parser.add_argument("--patience", type=float, default=10, help="seconds after which an event is late")
    parser.add_argument("--write", action="store_true", help="write the results to benchmarks/results/")
    options = parser.parse_args(arguments)
    options.contenders = options.contenders.split(",")
    head = report.heading("Webhooks: delay from broker to receiver", trees_of(options.contenders))
    print(head, flush=True)
    with BenchmarkBroker() as broker, tempfile.TemporaryDirectory(prefix="kazoo-bridge-benchmark-") as folder:
        found = run(broker, options, Path(folder))
    title = f"## {options.rate:g} events a second, {options.rounds} rounds of {options.seconds:g} s"
    if options.hanging:
        title += f", {options.hanging} other hooks hang at {options.hanging_rate:g} events a second"
    text = f"{title}\n\n{results_table(found)}"
    print(f"\n{text}", flush=True)
    if options.write:
        report.write("latency-hanging" if options.hanging else "latency", f"{head}\n\n{text}")


if __name__ == "__main__":
    main()
