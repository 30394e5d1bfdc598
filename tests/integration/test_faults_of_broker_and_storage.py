"""No event is lost when the broker is killed, or the storage is locked, full or killed."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pika.exceptions import AMQPError

from tests.integration.fault_harness import SHORT_WAITS, FaultyReceiver, Publisher, start_node
from tests.integration.node_process import NodeProcess, eventually
from tests.integration.postgresql import Cluster
from tests.integration.rabbitmq import RabbitNode

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def receiver() -> Iterator[FaultyReceiver]:
    made = FaultyReceiver()
    yield made
    made.stop()


def test_the_broker_is_killed_under_load(
    tmp_path: Path, disposable_rabbit: RabbitNode, receiver: FaultyReceiver
) -> None:
    uri = disposable_rabbit.fresh_vhost()
    receiver.behaviour = lambda number: "500" if number % 6 == 1 else "slow" if number % 3 else "ok"
    node = start_node(tmp_path, uri, receiver.url, more=SHORT_WAITS)
    publisher = Publisher(uri)
    publisher.publish(20)
    disposable_rabbit.settle()

    def load() -> None:
        # The broker is killed meanwhile; what it has confirmed by then must arrive.
        with contextlib.suppress(AMQPError):
            publisher.publish(2000, pause=0.002)

    loading = threading.Thread(target=load)
    loading.start()
    while len(receiver.requests) < 60:
        time.sleep(0.001)
    disposable_rabbit.kill()
    loading.join()
    disposable_rabbit.start()
    publisher.reconnect()
    eventually(node.is_ready, "ready again", 60)
    receiver.behaviour = lambda number: "ok"
    publisher.publish(20)
    receiver.verify(publisher.confirmed, 90)
    publisher.close()
    node.stop()


def test_the_database_is_locked(tmp_path: Path, vhost_uri: str, receiver: FaultyReceiver) -> None:
    receiver.behaviour = lambda number: "500" if number < 12 else "ok"
    node = start_node(tmp_path, vhost_uri, receiver.url, more=SHORT_WAITS)
    publisher = Publisher(vhost_uri)
    locker = sqlite3.connect(tmp_path / "bridge.sqlite3", isolation_level=None, timeout=20)
    locker.execute("BEGIN EXCLUSIVE")
    publisher.publish(60)
    # Locked until writes time out: the first attempts fail, and failed deliveries cannot be stored.
    eventually(
        lambda: "bridge.sqlite3" in node.log_text() or "locked" in node.log_text(),
        "a log line about the lock",
        60,
    )
    locker.execute("ROLLBACK")
    locker.close()
    receiver.verify(publisher.confirmed)
    publisher.close()
    node.stop()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a small file system to fill")
def test_the_disk_is_full(tmp_path: Path, vhost_uri: str, receiver: FaultyReceiver) -> None:
    disk = tmp_path / "disk"
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
        receiver.behaviour = lambda number: "500" if number < 12 else "ok"
        node = start_node(tmp_path, vhost_uri, receiver.url, storage_uri=f"sqlite:///{disk}/bridge.sqlite3")
        publisher = Publisher(vhost_uri)
        filler = disk / "filler"
        with filler.open("wb", buffering=0) as out, contextlib.suppress(OSError):
            while True:
                out.write(b"x" * 4096)
        publisher.publish(80)
        eventually(lambda: "full" in node.log_text(), "a log line about the disk", 60)
        filler.unlink()
        receiver.verify(publisher.confirmed)
        publisher.close()
        node.stop()
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    made.create()
    yield made
    made.remove()


def test_postgresql_is_killed_under_load(
    tmp_path: Path, vhost_uri: str, receiver: FaultyReceiver, cluster: Cluster
) -> None:
    receiver.behaviour = lambda number: "500" if number % 3 else "ok"
    node = start_node(
        tmp_path, vhost_uri, receiver.url, storage_uri=cluster.uri(cluster.new_database()), more=SHORT_WAITS
    )
    publisher = Publisher(vhost_uri)
    loading = threading.Thread(target=publisher.publish, args=(200,), kwargs={"pause": 0.02})
    loading.start()
    while len(receiver.requests) < 50:
        time.sleep(0.001)
    cluster.stop()  # immediately, without a shutdown
    eventually(
        lambda: "refused" in node.log_text() or "cannot be written" in node.log_text(),
        "a log line about the database",
    )
    cluster.start()
    loading.join()
    receiver.behaviour = lambda number: "ok"
    receiver.verify(publisher.confirmed)
    publisher.close()
    node.stop()


@pytest.mark.parametrize("forced", [False, True])
def test_stopping_while_the_broker_answers_nothing(
    tmp_path: Path, disposable_rabbit: RabbitNode, receiver: FaultyReceiver, forced: bool
) -> None:
    uri = disposable_rabbit.fresh_vhost()
    receiver.behaviour = lambda number: "silent"
    node = start_node(tmp_path, uri, receiver.url)
    publisher = Publisher(uri)
    publisher.publish(40)
    while len(receiver.requests) < 10:
        time.sleep(0.001)
    disposable_rabbit.freeze()
    try:
        assert_stops_within(node, 20, forced)
    finally:
        disposable_rabbit.thaw()
    receiver.behaviour = lambda number: "ok"
    node.start()
    receiver.verify(publisher.confirmed)
    publisher.close()
    node.stop()


@pytest.mark.parametrize("forced", [False, True])
def test_stopping_while_the_database_answers_nothing(
    tmp_path: Path, vhost_uri: str, receiver: FaultyReceiver, cluster: Cluster, forced: bool
) -> None:
    receiver.behaviour = lambda number: "500"
    node = start_node(
        tmp_path, vhost_uri, receiver.url, storage_uri=cluster.uri(cluster.new_database()), more=SHORT_WAITS
    )
    publisher = Publisher(vhost_uri)
    cluster.freeze()
    try:
        publisher.publish(40)
        while len(receiver.requests) < 5:  # after five failures the circuit is open
            time.sleep(0.001)
        assert_stops_within(node, 30, forced)
    finally:
        cluster.thaw()
    receiver.behaviour = lambda number: "ok"
    node.start()
    receiver.verify(publisher.confirmed)
    publisher.close()
    node.stop()


def assert_stops_within(node: NodeProcess, seconds: float, forced: bool) -> None:
    """Check that the node exits with 0 in time after SIGTERM; after a second SIGTERM in half of the time."""
    began = time.monotonic()
    node.signal(signal.SIGTERM)
    if forced:
        eventually(lambda: "SIGTERM" in node.log_text(), "a log line about the signal")
        node.signal(signal.SIGTERM)
    assert node.ended() == 0, node.log_text()[-3000:]
    assert time.monotonic() - began < (seconds / 2 if forced else seconds)
