"""Injects faults under load, and accounts for every event: none may be lost.

Run it with ``python -m benchmarks.fault_load --faults all``. Needs RabbitMQ and PostgreSQL, and root for the
full disk. The nodes have the default configuration.

In the first phase two nodes on one database and one broker, both private, get events at a steady rate, while
one fault after another is injected. In the second there are no more faults, and everything must drain. Then
every event that the broker has confirmed must have arrived at each hook that wanted it, repetitions with the
same webhook-id; nothing is dead or missed; hooks of sound receivers have never been disabled, and those of
receivers that were away are enabled again; and no log has a traceback.

A broker that is reset forgets events that it has confirmed, which no consumer can help. So the publisher
pauses before, until a node has every event; what is lost then, the nodes have lost.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from benchmarks.fault_traffic import ReceiverOfHook, Requests, SteadyPublisher, account
from tests.integration.fault_harness import ACCOUNT
from tests.integration.node_process import NodeProcess, eventually
from tests.integration.postgresql import Cluster
from tests.integration.rabbitmq import RabbitNode

_QUEUE = "kazoo_bridge.webhooks"
_READY_TIMEOUT = 120.0
_CONSUMER_TIMEOUT_MS = 1000


class Load:
    """Nodes with hooks, their receivers, and a publisher."""

    def __init__(self, folder: Path, rabbit: RabbitNode, storage_uri: str, nodes: int, rate: float) -> None:
        self.rabbit = rabbit
        self.nodes = []
        for number in range(nodes):
            (folder / f"node{number}").mkdir()
            self.nodes.append(NodeProcess(folder / f"node{number}", rabbit.uri, "", storage_uri))
        self.nodes[0].command("account", "create", "--id", ACCOUNT)
        self.token = self.nodes[0].command("token", "create", "--account", ACCOUNT)
        for node in self.nodes:
            node.start()
        self.receivers = {
            "sound": ReceiverOfHook(lambda number: "ok"),
            "slow": ReceiverOfHook(lambda number: "slow"),
            "ends": ReceiverOfHook(lambda number: "ok"),
            "failing": ReceiverOfHook(lambda number: "500" if number % 50 == 7 else "ok"),
            "away": ReceiverOfHook(lambda number: "ok"),
        }
        self.hook_ids = {name: self._make_hook(name) for name in self.receivers}
        self.publisher = SteadyPublisher(rabbit.uri, rate)

    def _make_hook(self, name: str) -> str:
        kind = "channel_destroy" if name == "ends" else "channel_create"
        document = {"name": name, "uri": self.receivers[name].url, "hook": kind, "format": "json"}
        made = self.nodes[0].rest("PUT", f"/v2/accounts/{ACCOUNT}/webhooks", self.token, document)
        assert made.status_code == 201, made.text
        return str(made.json()["data"]["id"])

    @property
    def logs(self) -> str:
        """What the nodes have logged so far."""
        return "\n".join(node.log_text() for node in self.nodes)

    def hook(self, name: str) -> Any:
        """Read a hook with its health."""
        path = f"/v2/accounts/{ACCOUNT}/webhooks/{self.hook_ids[name]}"
        return self.nodes[0].rest("GET", path, self.token).json()["data"]

    def ready(self) -> None:
        """Wait until all nodes are ready."""
        for node in self.nodes:
            eventually(node.is_ready, "ready again", _READY_TIMEOUT)

    def results(self) -> tuple[list[Any], list[str]]:
        """Account for all events; returns a result for each fault, in their order, and what is wrong."""
        wanted = [
            Requests(name, "CHANNEL_DESTROY" if name == "ends" else "CHANNEL_CREATE", receiver.requests)
            for name, receiver in self.receivers.items()
        ]
        found, wrong = account(dict(self.publisher.confirmed), wanted)
        return list(found.values()), wrong

    def drain(self, patience: float) -> None:
        """Wait until everything has arrived, or nothing more has arrived for `patience` seconds."""
        self.publisher.stop()
        for receiver in self.receivers.values():
            receiver.healed = True
            receiver.come_back()
        self.ready()
        least, deadline = sys.maxsize, time.monotonic() + patience
        while least and time.monotonic() < deadline:
            lost = sum(one.lost for one in self.results()[0])
            if lost < least:
                least, deadline = lost, time.monotonic() + patience
            time.sleep(1)

    def verify_end(self) -> list[str]:
        """Return what is wrong with the hooks and in the logs."""
        wrong = []
        for name, hook_id in self.hook_ids.items():
            with suppress(AssertionError):
                eventually(lambda name=name: self.hook(name)["enabled"], "enabled", 60)
                eventually(lambda name=name: not self.hook(name)["health"]["deliveries_waiting"], "none", 60)
            hook = self.hook(name)
            if not hook["enabled"]:
                wrong.append(f"hook {name} is disabled: {hook.get('disable_reason')}")
            wrong += [
                f"hook {name} has {key}: {hook['health'][key]}"
                for key in ("deliveries_waiting", "deliveries_dead", "events_missed")
                if hook["health"][key]
            ]
            if name in ("sound", "slow", "ends") and f"hook disabled hook_id={hook_id}" in self.logs:
                wrong.append(f"hook {name}, whose receiver is sound, was disabled meanwhile")
        if count := self.logs.count("Traceback (most recent call last)"):
            wrong.append(f"{count} tracebacks in the logs")
        return wrong

    def stop(self) -> None:
        """Kill the nodes."""
        for node in self.nodes:
            node.stop()


class Faults:
    """Each public method is a fault; it returns when the fault is over."""

    def __init__(self, load: Load, cluster: Cluster, hold: float) -> None:
        self._load = load
        self._cluster = cluster
        self._hold = hold

    def nodes_killed(self) -> None:
        """Kill one node, the other, and both, at any moment of their work."""
        for victims in (self._load.nodes[:1], self._load.nodes[1:], self._load.nodes):
            for node in victims:
                node.signal(signal.SIGKILL)
                node.ended()
            time.sleep(self._hold / 8)
            for node in victims:
                node.start(wait=False)
            self._load.ready()

    def nodes_stopped(self) -> None:
        """Stop and start one node after the other, as an upgrade does."""
        for node in self._load.nodes:
            node.signal(signal.SIGTERM)
            assert node.ended() == 0, node.log_text()[-2000:]
            node.start()

    def broker_killed(self) -> None:
        """Kill the broker, and start it on the same data."""
        self._load.rabbit.settle()
        self._load.rabbit.kill()
        time.sleep(self._hold / 4)
        self._load.rabbit.start()

    def broker_reset(self) -> None:
        """Make the broker forget everything, while nodes have events that are not delivered yet."""
        slow = self._load.receivers["slow"]
        slow.delay_s = 3.0
        time.sleep(2)
        self._load.publisher.pause()
        waiting = self._load.publisher.waiting_in
        eventually(lambda: waiting(_QUEUE) == 0, "every event is with a node", _READY_TIMEOUT)
        for command in ("stop_app", "reset", "start_app"):
            self._load.rabbit.ctl(command)
        self._load.publisher.resume()
        slow.delay_s = 0.0

    def broker_frozen(self) -> None:
        """Make the broker answer nothing."""
        self._load.rabbit.freeze()
        time.sleep(self._hold)
        self._load.rabbit.thaw()

    def consumer_timeout(self) -> None:
        """Let the broker lose patience with consumers that have a slow receiver."""
        self._set_patience(_CONSUMER_TIMEOUT_MS, 200)
        self._load.receivers["slow"].delay_s = 3.0
        time.sleep(self._hold)
        assert "restarting it" in self._load.logs, "no consumer was ended"
        self._load.receivers["slow"].delay_s = 0.0
        self._set_patience(1_800_000, 60_000)

    def _set_patience(self, timeout_ms: int, interval_ms: int) -> None:
        for key, value in (("consumer_timeout", timeout_ms), ("channel_tick_interval", interval_ms)):
            self._load.rabbit.ctl("eval", f"application:set_env(rabbit, {key}, {value}).")
        # Channels have the values from when they were opened.
        self._load.rabbit.ctl("close_all_connections", "for new limits")

    def database_frozen(self) -> None:
        """Make the database answer nothing, neither old nor new sessions."""
        self._cluster.freeze(whole=True)
        time.sleep(self._hold)
        self._cluster.thaw()

    def database_killed(self) -> None:
        """Kill the database, and start it again."""
        self._cluster.stop()
        time.sleep(self._hold / 2)
        self._cluster.start()

    def receiver_away(self) -> None:
        """Only let a receiver be away, until its hook is suspended."""
        time.sleep(self._hold)


FAULTS = [name for name in vars(Faults) if not name.startswith("_")]
DISK_FULL = "disk_full"


def inject(load: Load, name: str, fault: Callable[[], None], events: int) -> float:
    """Publish `events` at least while there is a fault, and return its duration in seconds."""
    before = len(load.publisher.confirmed)
    load.publisher.fault = name
    load.receivers["away"].leave()
    began = time.monotonic()
    fault()
    load.ready()
    took = time.monotonic() - began
    load.receivers["away"].come_back()
    eventually(lambda: len(load.publisher.confirmed) >= before + events, "the events", 60 + events)
    return took


def report(load: Load, durations: dict[str, float], patience: float) -> int:
    """Drain, verify and print; returns how many things are wrong."""
    began = time.monotonic()
    load.drain(patience)
    print(f"drained in {time.monotonic() - began:.0f} s", flush=True)
    results, wrong = load.results()
    wrong += load.verify_end()
    head = ("fault", "seconds", "confirmed", "wanted", "arrived", "lost", "duplicates", "longest delay, s")
    print("| " + " | ".join(head) + " |\n|" + "---|" * len(head))
    for one in results:
        cells: tuple[object, ...] = (
            one.fault,
            f"{durations.get(one.fault, 0):.0f}",
            one.confirmed,
            one.wanted,
            one.arrived,
        )
        cells += (one.lost, one.duplicates.total(), f"{one.longest_delay_s:.1f}")
        print("|", " | ".join(map(str, cells)), "|")
        wrong += [
            f"{hook} lost {len(names)} events during {one.fault}: {', '.join(names[:10])}"
            for hook, names in one.missing.items()
        ]
    duplicates = sum((one.duplicates for one in results), Counter[str]())
    print(f"duplicates by hook: {dict(duplicates)}")
    print(f"published again, because they were not confirmed: {load.publisher.repeated}")
    for line in wrong:
        print(f"WRONG: {line}")
    return len(wrong)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a small file system."""
    disk = folder / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(disk)], check=True)
    try:
        yield disk
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def fill_and_free(disk: Path, hold: float) -> None:
    """Let the disk be full for a while."""
    filler = disk / "filler"
    began = time.monotonic()
    while time.monotonic() < began + hold:
        with filler.open("ab", buffering=0) as out, suppress(OSError):
            while True:
                out.write(b"x" * 4096)
        time.sleep(0.1)
    filler.unlink()


def run_with_two_nodes(arguments: argparse.Namespace, folder: Path, names: list[str]) -> int:
    """Inject the faults of broker, database, nodes and receivers."""
    with ExitStack() as stack:
        cluster, rabbit = Cluster(), RabbitNode()
        cluster.create()
        stack.callback(cluster.remove)
        rabbit.start()
        stack.callback(rabbit.stop)
        load = Load(folder, rabbit, cluster.uri(cluster.new_database()), 2, arguments.rate)
        stack.callback(load.stop)
        load.publisher.resume()
        faults = Faults(load, cluster, arguments.hold)
        durations = {}
        for name in names:
            durations[name] = inject(load, name, getattr(faults, name), arguments.events)
            print(f"{name}: {durations[name]:.0f} s", flush=True)
        return report(load, durations, arguments.patience)


def run_on_a_small_disk(arguments: argparse.Namespace, folder: Path) -> int:
    """Fill the disk of a node with SQLite."""
    with ExitStack() as stack:
        disk = stack.enter_context(small_disk(folder))
        rabbit = RabbitNode()
        rabbit.start()
        stack.callback(rabbit.stop)
        load = Load(folder, rabbit, f"sqlite:///{disk}/bridge.sqlite3", 1, arguments.rate)
        stack.callback(load.stop)
        load.publisher.resume()
        took = inject(load, DISK_FULL, lambda: fill_and_free(disk, arguments.hold), arguments.events)
        assert "full" in load.logs, "the disk was not full"
        return report(load, {DISK_FULL: took}, arguments.patience)


def main() -> None:
    """Inject, verify, print; ends with 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--faults", default="all", help=f"all, or of: {','.join([*FAULTS, DISK_FULL])}")
    parser.add_argument("--events", type=int, default=1000, help="published at least during each fault")
    parser.add_argument("--rate", type=float, default=50, help="events a second")
    parser.add_argument("--hold", type=float, default=25, help="seconds that a fault lasts")
    parser.add_argument("--patience", type=float, default=700, help="seconds without an arrival: lost")
    parser.add_argument("--keep", type=Path, help="a new folder for the logs; removed without it")
    arguments = parser.parse_args()
    names = [*FAULTS, DISK_FULL] if arguments.faults == "all" else arguments.faults.split(",")
    if unknown := set(names) - {*FAULTS, DISK_FULL}:
        parser.error(f"unknown faults: {', '.join(sorted(unknown))}")
    wrong = 0
    with tempfile.TemporaryDirectory() as temporary:
        base = arguments.keep or Path(temporary)
        for part in ("nodes", "disk"):
            (base / part).mkdir(parents=True)
        if others := [name for name in names if name != DISK_FULL]:
            wrong += run_with_two_nodes(arguments, base / "nodes", others)
        if DISK_FULL in names and os.getuid() != 0:
            print("only root can make a small file system to fill: disk_full is left out")
        elif DISK_FULL in names:
            wrong += run_on_a_small_disk(arguments, base / "disk")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
