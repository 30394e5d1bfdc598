"""No event is lost when the broker is killed or frozen, or the storage is locked, full, killed or frozen."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
from pika.exceptions import AMQPError

from tests.integration.fault_harness import (
    FaultyReceiver,
    Publisher,
    Scenarios,
    private_rabbit,
    receiving,
    start_node,
)
from tests.integration.node_process import NodeProcess, eventually
from tests.integration.postgresql import Cluster
from tests.integration.rabbitmq import RabbitNode

pytestmark = pytest.mark.timeout(420)

#: Seconds that a stop takes at most while the broker or the database answers nothing, as documented: twice
#: the time-out of requests, and some twenty; after a second SIGTERM less than ten.
STOP_TIMEOUT, FORCED_STOP_TIMEOUT = 2 * 10 + 25, 10


@contextlib.contextmanager
def private_cluster() -> Iterator[Cluster]:
    cluster = Cluster()
    cluster.create()
    try:
        yield cluster
    finally:
        cluster.remove()


def the_broker_is_killed_under_load(folder: Path, rabbit: RabbitNode) -> Iterator[None]:
    """While requests are made and some fail, too few to suspend the hook."""
    with receiving() as receiver:
        receiver.behaviour = lambda number: "500" if number in range(1, 50, 10) else "slow"
        uri = rabbit.fresh_vhost()
        node = start_node(folder, uri, receiver.url)
        publisher = Publisher(uri)
        publisher.publish(20)
        rabbit.settle()

        def load() -> None:
            # The broker is killed meanwhile; what it has confirmed by then must arrive.
            with contextlib.suppress(AMQPError):
                publisher.publish(2000, pause=0.002)

        loading = threading.Thread(target=load)
        loading.start()
        eventually(lambda: len(receiver.requests) >= 60, "requests under way")
        rabbit.kill()
        loading.join()
        rabbit.start()
        publisher.reconnect()
        eventually(node.is_ready, "ready again", 60)
        receiver.behaviour = lambda number: "ok"
        publisher.publish(20)
        publisher.close()
        yield
        receiver.verify(publisher.confirmed, 90)
        node.stop()


def the_database_is_locked(folder: Path, rabbit: RabbitNode) -> Iterator[None]:
    uri = rabbit.fresh_vhost()
    with receiving(lambda number: "500" if number < 12 else "ok") as receiver:
        node = start_node(folder, uri, receiver.url)
        publisher = Publisher(uri)
        locker = sqlite3.connect(folder / "bridge.sqlite3", isolation_level=None, timeout=20)
        locker.execute("BEGIN EXCLUSIVE")
        publisher.publish(60)
        publisher.close()
        # Locked until writes time out: the first attempts fail, and failed deliveries cannot be stored.
        eventually(
            lambda: "bridge.sqlite3" in node.log_text() or "locked" in node.log_text(),
            "a log line about the lock",
            60,
        )
        locker.execute("ROLLBACK")
        locker.close()
        yield
        receiver.verify(publisher.confirmed, 90)
        node.stop()


def the_disk_is_full(folder: Path, rabbit: RabbitNode) -> Iterator[None]:
    if os.getuid() != 0:
        pytest.skip("only root can make a small file system to fill")
    uri = rabbit.fresh_vhost()
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)],
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"this environment does not let root mount a file system: {mounted.stderr.strip()}")
    try:
        with receiving(lambda number: "500" if number < 12 else "ok") as receiver:
            node = start_node(folder, uri, receiver.url, f"sqlite:///{disk}/bridge.sqlite3")
            publisher = Publisher(uri)
            filler = disk / "filler"
            with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
                while True:
                    out.write(b"x" * 4096)
            publisher.publish(80)
            publisher.close()
            eventually(lambda: "full" in node.log_text(), "a log line about the disk", 60)
            filler.unlink()
            yield
            receiver.verify(publisher.confirmed, 90)
            node.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def postgresql_is_killed_under_load(folder: Path, rabbit: RabbitNode) -> Iterator[None]:
    """While every event goes to the storage, because the hook is suspended."""
    with private_cluster() as cluster, receiving(lambda number: "500") as receiver:
        uri = rabbit.fresh_vhost()
        node = start_node(folder, uri, receiver.url, cluster.uri(cluster.new_database()))
        publisher = Publisher(uri)
        loading = threading.Thread(target=publisher.publish, args=(200,), kwargs={"pause": 0.02})
        loading.start()
        eventually(lambda: not node.hook()["enabled"], "the hook suspended")
        cluster.stop()  # immediately, without a shutdown
        eventually(
            lambda: "refused" in node.log_text() or "cannot be written" in node.log_text(),
            "a log line about the database",
        )
        cluster.start()
        loading.join()
        publisher.close()
        receiver.behaviour = lambda number: "ok"
        yield
        receiver.verify(publisher.confirmed, 90)
        node.stop()


class StoppedNodes:
    """Two nodes that share a receiver only. Both are stopped, and one of them receives a second SIGTERM."""

    def __init__(self, folder: Path, uris: Sequence[str], storage_uris: Sequence[str], url: str) -> None:
        self.nodes: list[NodeProcess] = []
        self.publishers: list[Publisher] = []
        #: The exit codes, and the seconds from the first signal to the exit.
        self._ended: dict[NodeProcess, tuple[int, float]] = {}
        for name, uri, storage_uri in zip(("patient", "forced"), uris, storage_uris, strict=True):
            (folder / name).mkdir()
            self.nodes.append(start_node(folder / name, uri, url, storage_uri))
            self.publishers.append(Publisher(uri, prefix=name))

    def publish(self, count: int) -> None:
        for publisher in self.publishers:
            publisher.publish(count)
            publisher.close()

    def begin_stop(self) -> None:
        """Send the signals, and note when the processes end."""
        self._began = time.monotonic()
        for node in self.nodes:
            node.signal(signal.SIGTERM)
        eventually(lambda: "SIGTERM" in self.nodes[1].log_text(), "a log line about the signal")
        self.nodes[1].signal(signal.SIGTERM)
        for node in self.nodes:
            threading.Thread(target=self._wait_for, args=(node,), daemon=True).start()

    def _wait_for(self, node: NodeProcess) -> None:
        code = node.ended(2 * STOP_TIMEOUT)
        self._ended[node] = code, time.monotonic() - self._began

    def verify_stop(self) -> None:
        """Check that both have exited with 0 in time."""
        eventually(lambda: len(self._ended) == 2, "the exit of both nodes", STOP_TIMEOUT)
        for node, timeout in zip(self.nodes, (STOP_TIMEOUT, FORCED_STOP_TIMEOUT), strict=True):
            code, seconds = self._ended[node]
            assert code == 0
            assert seconds < timeout, node.log_text()[-3000:]

    def start(self, receiver: FaultyReceiver) -> None:
        """Start both and check that nothing is lost."""
        receiver.behaviour = lambda number: "ok"
        for node in self.nodes:
            node.start()
        receiver.verify(set.union(*(publisher.confirmed for publisher in self.publishers)))
        for node in self.nodes:
            node.stop()


def stopping_while_the_broker_answers_nothing(folder: Path, _rabbit: RabbitNode) -> Iterator[None]:
    with private_rabbit() as rabbit, receiving(lambda number: "silent") as receiver:
        uris = [rabbit.fresh_vhost() for _ in range(2)]
        stopped = StoppedNodes(folder, uris, ["", ""], receiver.url)
        stopped.publish(40)
        eventually(lambda: len(receiver.requests) >= 50, "requests of both nodes")
        rabbit.freeze()
        try:
            stopped.begin_stop()
            yield
            stopped.verify_stop()
        finally:
            rabbit.thaw()
        stopped.start(receiver)


def stopping_while_the_database_answers_nothing(folder: Path, rabbit: RabbitNode) -> Iterator[None]:
    with private_cluster() as cluster, receiving(lambda number: "500") as receiver:
        uris = [rabbit.fresh_vhost() for _ in range(2)]
        storage_uris = [cluster.uri(cluster.new_database()) for _ in range(2)]
        stopped = StoppedNodes(folder, uris, storage_uris, receiver.url)
        cluster.freeze()
        try:
            stopped.publish(40)
            for publisher in stopped.publishers:
                # After five failures the circuit is open.
                eventually(lambda one=publisher: failures(receiver, one) >= 5, "failures of both nodes")
            stopped.begin_stop()
            yield
            stopped.verify_stop()
        finally:
            cluster.thaw()
        stopped.start(receiver)


def failures(receiver: FaultyReceiver, publisher: Publisher) -> int:
    return len([one for one in list(receiver.requests) if one.call_id in publisher.confirmed])


SCENARIOS = [
    stopping_while_the_database_answers_nothing,
    postgresql_is_killed_under_load,
    the_database_is_locked,
    the_broker_is_killed_under_load,
    stopping_while_the_broker_answers_nothing,
    the_disk_is_full,
]


@pytest.fixture(scope="module")
def scenarios(
    tmp_path_factory: pytest.TempPathFactory, rabbit: RabbitNode, session_mortal_rabbit: RabbitNode
) -> Scenarios:
    """All scenarios, begun, each with its own nodes."""
    scenarios = Scenarios()
    for scenario in SCENARIOS:
        broker = session_mortal_rabbit if scenario is the_broker_is_killed_under_load else rabbit
        scenarios.begin(scenario, tmp_path_factory.mktemp(scenario.__name__), broker)
    return scenarios


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_no_event_is_lost(scenarios: Scenarios, scenario: Callable[..., Iterator[None]]) -> None:
    scenarios.end(scenario)
