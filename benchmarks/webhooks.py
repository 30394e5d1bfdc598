"""Broker to webhook: events a second and processor time per event, ours and the peers in turn.

Run it with ``python -m benchmarks.webhooks``; needs RabbitMQ, a C compiler, Node.js with npm. It starts a
private broker. For each round and contender it fills the durable queue that our node declares, starts the
contender, and lets it deliver to a receiver on loopback that answers at once. Counted is what happens between
10 % and 90 % of the events. All contenders have the same hooks, prefetch and connections per receiver, and
our node has its default configuration. Afterwards every event is accounted for.

The contenders are ours, node and asyncio, with a digit for several processes (ours2), and
ours@/path/to/tree for the node of another tree, such as one before a change.
"""

from __future__ import annotations

import argparse
import os
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
from benchmarks.harness.processes import busy_seconds, cpu_seconds, exit_on_sigterm, resident_bytes
from benchmarks.harness.receiver import Arrival, Receiver, ReceiverOptions, account_for, delivery_times
from tests.integration.rabbitmq import free_port

_POLL_INTERVAL = 0.002
_SETTLE_TIME = 1.0


class Variant(NamedTuple):
    """What differs from one hook, form POST, and a receiver that answers at once.

    `share`: of the events that an ordinary run has, where a variant is slow.
    """

    hooks: int = 1
    verb: str = "post"
    format: str = "form-data"
    signed: bool = False
    ordered: bool = False
    events_per_call: int = 1
    receiver: ReceiverOptions = ReceiverOptions()
    share: float = 1.0


VARIANTS = {
    "form": Variant(),
    "json": Variant(format="json"),
    "signed": Variant(signed=True),
    "get": Variant(verb="get"),
    "put": Variant(verb="put"),
    "ordered": Variant(ordered=True, events_per_call=4),
    "hooks": Variant(hooks=100),
    "failures": Variant(receiver=ReceiverOptions(fail_percent=5)),
    "slow": Variant(receiver=ReceiverOptions(delay_ms=50), share=0.25),
}


class Measurement(NamedTuple):
    """One round of one contender. Times are in seconds, `others` in cores: what other programs took."""

    rate: float
    cpu_per_event: float
    broker_per_event: float
    resident: int
    connections: int
    losses: int
    duplicates: int
    changed_ids: int
    out_of_order: int
    left: int
    others: float


class _Sample(NamedTuple):
    at: float
    delivered: int
    contender: float
    broker: float
    known: float
    busy: float


class Course:
    """A broker, the hooks of a variant, and receivers on ports that stay the same over all rounds."""

    def __init__(self, broker: BenchmarkBroker, variant: Variant, events: int, patience: float) -> None:
        self._broker = broker
        self._variant = variant
        self._events = events
        self._patience = patience
        self.uri = broker.fresh_vhost()
        self._accounts = [account_id(number) for number in range(variant.hooks)]
        self._ports: list[int] = []
        while len(self._ports) < variant.hooks:
            if (port := free_port()) not in self._ports:
                self._ports.append(port)

    @property
    def hooks(self) -> list[WantedHook]:
        """The hooks that each contender must have."""
        one = self._variant
        return [
            WantedHook(
                account, f"http://127.0.0.1:{port}/hook", one.verb, one.format, one.signed, one.ordered
            )
            for account, port in zip(self._accounts, self._ports, strict=True)
        ]

    def measure(self, contender: Contender) -> Measurement:
        """Let a contender deliver all events, and account for them."""
        publisher = EventPublisher(self.uri)
        publisher.fill(
            self._events, lambda number: make_event(number, self._accounts, self._variant.events_per_call)
        )
        publisher.close()
        receiver = Receiver(self._ports, self._events, self._variant.receiver)
        receiver.start()
        try:
            contender.start()
            try:
                first, last, resident = self._watch(contender, receiver)
            finally:
                contender.stop()
            arrivals, connections = list(receiver.arrivals()), receiver.connections
            if receiver.unreadable:
                raise RuntimeError(f"{contender.name} sent {receiver.unreadable} unreadable requests")
        finally:
            receiver.stop()
        return self._result(arrivals, first, last)._replace(resident=resident, connections=connections)

    def _watch(self, contender: Contender, receiver: Receiver) -> tuple[_Sample, _Sample, int]:
        """Wait until all is delivered or nothing more comes; return the begin and the end of the window."""
        first = last = None
        delivered, deadline = 0, time.monotonic() + self._patience
        while (count := receiver.delivered) < self._events and time.monotonic() < deadline:
            if count > delivered:
                delivered, deadline = count, time.monotonic() + self._patience
            if first is None and count >= self._events * 0.1:
                first = self._sample(contender, receiver)
            if last is None and count >= self._events * 0.9:
                last = self._sample(contender, receiver)
            time.sleep(_POLL_INTERVAL)
        resident = resident_bytes(contender.pids())
        if first is None or last is None:
            raise RuntimeError(f"{contender.name} delivered {receiver.delivered} of {self._events} events")
        # Duplicates may come later, and so do the last acknowledgements.
        time.sleep(_SETTLE_TIME)
        return first, last, resident

    def _sample(self, contender: Contender, receiver: Receiver) -> _Sample:
        own, broker = cpu_seconds(contender.pids()), self._broker.cpu_seconds()
        known = own + broker + cpu_seconds([receiver.pid, os.getpid()])
        return _Sample(time.monotonic(), receiver.delivered, own, broker, known, busy_seconds())

    def _result(self, arrivals: list[Arrival], first: _Sample, last: _Sample) -> Measurement:
        times = delivery_times(arrivals)
        begin, end = int(self._events * 0.1), int(self._events * 0.9) - 1
        account = account_for(arrivals, self._events)
        counted, took = last.delivered - first.delivered, last.at - first.at
        publisher = EventPublisher(self.uri)
        left = publisher.waiting()
        publisher.close()
        return Measurement(
            rate=(end - begin) / (times[end] - times[begin]),
            cpu_per_event=(last.contender - first.contender) / counted,
            broker_per_event=(last.broker - first.broker) / counted,
            resident=0,
            connections=0,
            losses=account.losses,
            duplicates=account.duplicates,
            changed_ids=account.changed_ids,
            out_of_order=_out_of_order(arrivals, self._variant),
            left=left,
            others=max(0.0, (last.busy - first.busy) - (last.known - first.known)) / took,
        )


def _out_of_order(arrivals: list[Arrival], variant: Variant) -> int:
    """Return how many events of a call arrived after a later one; 0 where order is not asked for."""
    if not variant.ordered:
        return 0
    latest: dict[int, int] = {}
    count = 0
    for one in arrivals:
        call = one.event // variant.events_per_call
        count += one.event < latest.get(call, -1)
        latest[call] = max(one.event, latest.get(call, -1))
    return count


def run_variant(
    broker: BenchmarkBroker, name: str, options: argparse.Namespace, folder: Path
) -> dict[str, list[Measurement]]:
    """Run all rounds of a variant; the contenders begin in turn."""
    variant = VARIANTS[name]
    course = Course(broker, variant, max(100, int(options.events * variant.share)), options.patience)
    contenders = [make_contender(text, folder, _more_config(options)) for text in options.contenders]
    declaring: list[Contender] = [one for one in contenders if isinstance(one, OurContender)]
    if not declaring:
        # Our node declares the queue, also when only peers are measured.
        declaring = [OurContender("ours", folder / "declaring", ROOT, 1, _more_config(options))]
    for contender in [*declaring, *(one for one in contenders if one not in declaring)]:
        contender.prepare(course.uri, course.hooks)
    found: dict[str, list[Measurement]] = defaultdict(list)
    for number in range(options.rounds):
        shift = number % len(contenders)
        for contender in contenders[shift:] + contenders[:shift]:
            one = course.measure(contender)
            found[contender.name].append(one)
            print(f"{name}, round {number + 1}: {contender.name}: {_line(one)}", file=sys.stderr, flush=True)
    return {contender.name: found[contender.name] for contender in contenders}


def _more_config(options: argparse.Namespace) -> dict[str, str]:
    return {"amqp": f'queue_type = "{options.queue_type}"', "webhooks": options.webhooks_config}


def _line(one: Measurement) -> str:
    return (
        f"{one.rate:,.0f}/s, {one.cpu_per_event * 1000:.3f} ms/event, lost {one.losses}, "
        f"duplicates {one.duplicates}, connections {one.connections}, others {one.others:.2f} cores"
    )


def results_table(found: dict[str, list[Measurement]], baseline: str) -> str:
    """Return the results as Markdown, with the ratios of the medians to the `baseline`."""
    base = found.get(baseline) or next(iter(found.values()))
    base_name = baseline if baseline in found else next(iter(found))
    head = (
        "contender", "events/s", f"x {base_name}", "CPU ms/event", f"x {base_name}", "broker ms/event",
        "MB", "connections", "lost", "duplicates", "other programs, cores",
    )  # fmt: skip
    rows = []
    for name, rounds in found.items():
        rates, costs = [one.rate for one in rounds], [one.cpu_per_event * 1000 for one in rounds]
        rows.append(
            (
                name,
                report.spread(rates),
                report.ratio(rates, [one.rate for one in base]),
                report.spread(costs, ".3f"),
                report.ratio(costs, [one.cpu_per_event * 1000 for one in base]),
                report.spread([one.broker_per_event * 1000 for one in rounds], ".3f"),
                report.spread([one.resident / 1e6 for one in rounds]),
                report.spread([one.connections for one in rounds]),
                sum(one.losses for one in rounds),
                sum(one.duplicates for one in rounds),
                report.spread([one.others for one in rounds], ".2f"),
            )
        )
    return "\n".join([report.table(head, rows), *_remarks(found)])


def _remarks(found: dict[str, list[Measurement]]) -> list[str]:
    lines = []
    for name, rounds in found.items():
        for what, count in (
            ("events stayed in the queue", sum(one.left for one in rounds)),
            ("events had no stable webhook-id", sum(one.changed_ids for one in rounds)),
            ("events came out of order", sum(one.out_of_order for one in rounds)),
            (
                "rounds were disturbed by other programs",
                sum(one.others > report.MAX_OTHERS for one in rounds),
            ),
        ):
            if count:
                lines.append(f"\n**{name}**: {count} {what}")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    exit_on_sigterm()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--contenders", default="ours,node", help="separated by commas")
    parser.add_argument("--variants", default="form", help=f"all, or of: {','.join(VARIANTS)}")
    parser.add_argument("--events", type=int, default=40_000, help="in the queue for each round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--baseline", default="node", help="the contender that the ratios refer to")
    parser.add_argument("--queue-type", choices=("quorum", "classic"), default="quorum")
    parser.add_argument(
        "--patience", type=float, default=60, help="seconds without progress that end a round"
    )
    parser.add_argument(
        "--webhooks-config", default="", help="keys of [webhooks] for ours, TOML; to try things"
    )
    parser.add_argument("--write", action="store_true", help="write the results to benchmarks/results/")
    options = parser.parse_args(arguments)
    options.contenders = options.contenders.split(",")
    variants = list(VARIANTS) if options.variants == "all" else options.variants.split(",")
    if unknown := set(variants) - set(VARIANTS):
        parser.error(f"unknown variants: {', '.join(sorted(unknown))}")
    parts = [report.heading("Webhooks: broker to receiver", trees_of(options.contenders))]
    print(parts[0], flush=True)
    with BenchmarkBroker() as broker, tempfile.TemporaryDirectory(prefix="kazoo-bridge-benchmark-") as folder:
        for name in variants:
            found = run_variant(broker, name, options, Path(folder) / name)
            share = VARIANTS[name].share
            counts = f"{int(options.events * share)} events, {options.rounds} rounds"
            title = f"## {name}: {counts}, {options.queue_type} queue"
            parts.append(f"{title}\n\n{results_table(found, options.baseline)}")
            print(f"\n{parts[-1]}", flush=True)
    if options.write:
        report.write("webhooks", "\n\n".join(parts))


if __name__ == "__main__":
    main()
