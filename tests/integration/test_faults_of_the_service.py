"""No event is lost when the service is killed or stopped under load."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.fault_harness import SHORT_WAITS, FaultyReceiver, Publisher, start_node
from tests.integration.node_process import NodeProcess
from tests.integration.postgresql import Cluster

pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def receiver() -> Iterator[FaultyReceiver]:
    made = FaultyReceiver()
    yield made
    made.stop()


def start_thread(work: threading.Thread) -> threading.Thread:
    work.start()
    return work


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_any_moment(tmp_path: Path, vhost_uri: str, receiver: FaultyReceiver, seed: int) -> None:
    rng = random.Random(seed)
    receiver.behaviour = lambda number: "500" if number % 7 == 3 else "slow" if number % 5 == 0 else "ok"
    node = start_node(tmp_path, vhost_uri, receiver.url, more=SHORT_WAITS)
    publisher = Publisher(vhost_uri)
    load = start_thread(threading.Thread(target=publisher.publish, args=(500,), kwargs={"pause": 0.01}))
    for _ in range(3):
        seen = len(receiver.requests) + rng.randrange(5, 60)
        while len(receiver.requests) < seen and load.is_alive():
            time.sleep(0.001)
        node.signal(signal.SIGKILL)
        node.ended()
        node.start()
    load.join()
    receiver.verify(publisher.confirmed)
    publisher.close()
    node.stop()


def test_stopped_under_load(tmp_path: Path, vhost_uri: str, receiver: FaultyReceiver) -> None:
    receiver.behaviour = lambda number: "slow" if number % 2 else "ok"
    node = start_node(tmp_path, vhost_uri, receiver.url)
    publisher = Publisher(vhost_uri)
    load = start_thread(threading.Thread(target=publisher.publish, args=(400,), kwargs={"pause": 0.005}))
    while len(receiver.requests) < 50:
        time.sleep(0.001)
    began = time.monotonic()
    node.signal(signal.SIGTERM)
    assert node.ended() == 0
    assert time.monotonic() - began < 10
    node.start()
    load.join()
    receiver.verify(publisher.confirmed)
    publisher.close()
    node.stop()


def test_a_forced_stop_waits_for_nothing(tmp_path: Path, vhost_uri: str, receiver: FaultyReceiver) -> None:
    receiver.behaviour = lambda number: "silent"
    node = start_node(tmp_path, vhost_uri, receiver.url)
    publisher = Publisher(vhost_uri)
    publisher.publish(20)
    while len(receiver.requests) < 10:
        time.sleep(0.001)
    node.signal(signal.SIGTERM)
    began = time.monotonic()
    while "stopping" not in node.log_text() and "SIGTERM" not in node.log_text():
        time.sleep(0.01)
    node.signal(signal.SIGTERM)
    assert node.ended() == 0
    assert time.monotonic() - began < 5
    receiver.behaviour = lambda number: "ok"
    node.start()
    receiver.verify(publisher.confirmed)
    publisher.close()
    node.stop()


def test_one_of_two_nodes_dies_with_claimed_deliveries(
    tmp_path: Path, vhost_uri: str, receiver: FaultyReceiver
) -> None:
    cluster = Cluster()
    cluster.create()
    try:
        storage = cluster.uri(cluster.new_database())
        receiver.behaviour = lambda number: "silent"
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
        first = start_node(folders[0], vhost_uri, receiver.url, storage_uri=storage, more=SHORT_WAITS)
        second = NodeProcess(folders[1], vhost_uri, SHORT_WAITS, storage)
        second.start()
        publisher = Publisher(vhost_uri)
        publisher.publish(100)
        while len(receiver.requests) < 30:  # both wait for responses now
            time.sleep(0.001)
        first.signal(signal.SIGKILL)
        first.ended()
        receiver.behaviour = lambda number: "ok"
        receiver.verify(publisher.confirmed)
        publisher.close()
        second.stop()
    finally:
        cluster.remove()
