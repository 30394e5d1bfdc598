"""No event is lost when the service is killed or stopped under load."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.fault_harness import (
    DefaultNode,
    FaultyReceiver,
    Publisher,
    Scenarios,
    start_node,
)
from tests.integration.node_process import eventually
from tests.integration.postgresql import Cluster
from tests.integration.rabbitmq import RabbitNode

pytestmark = pytest.mark.timeout(420)


@pytest.fixture
def receiver() -> Iterator[FaultyReceiver]:
    made = FaultyReceiver()
    yield made
    made.stop()


def start_load(publisher: Publisher, count: int, pause: float) -> threading.Thread:
    load = threading.Thread(target=publisher.publish, args=(count,), kwargs={"pause": pause})
    load.start()
    return load


def killed_while_requests_are_made(folder: Path, rabbit: RabbitNode) -> Iterator[None]:
    """Some requests fail, too few to suspend the hook."""
    uri = rabbit.fresh_vhost()
    receiver = FaultyReceiver(
        lambda number: "500" if number in range(3, 350, 70) else "slow" if number % 5 == 0 else "ok"
    )
    node = start_node(folder, uri, receiver.url)
    publisher = Publisher(uri)
    yield from kill_under_load(node, publisher, receiver, lambda: len(receiver.requests))


def killed_while_the_hook_is_suspended(folder: Path, rabbit: RabbitNode) -> Iterator[None]:
    """Every event goes to the storage; the receiver is sound again when its first probe comes."""
    uri = rabbit.fresh_vhost()
    receiver = FaultyReceiver(lambda _: "500")
    node = start_node(folder, uri, receiver.url)
    publisher = Publisher(uri)
    publisher.publish(10)
    eventually(lambda: not node.hook()["enabled"], "the hook suspended")
    yield from kill_under_load(node, publisher, receiver, lambda: len(publisher.confirmed))


def kill_under_load(
    node: DefaultNode, publisher: Publisher, receiver: FaultyReceiver, progress: Callable[[], int]
) -> Iterator[None]:
    """Kill and start the node three times, each time after some more `progress`; nothing is lost."""
    rng = random.Random(1)
    load = start_load(publisher, 500, 0.01)
    for _ in range(3):
        reached = progress() + rng.randrange(5, 60)
        while progress() < reached and load.is_alive():
            time.sleep(0.001)
        node.signal(signal.SIGKILL)
        node.ended()
        node.start()
    load.join()
    publisher.close()
    receiver.behaviour = lambda _: "ok"
    yield
    receiver.verify(publisher.confirmed)
    node.stop()
    receiver.stop()


def one_of_two_nodes_dies_with_claimed_deliveries(folder: Path, rabbit: RabbitNode) -> Iterator[None]:
    """Its requests, and those of the other node, are not answered until their time-out."""
    uri = rabbit.fresh_vhost()
    cluster = Cluster()
    cluster.create()
    receiver = FaultyReceiver(lambda _: "silent")
    try:
        storage = cluster.uri(cluster.new_database())
        folders = [folder / name for name in ("one", "two")]
        for one in folders:
            one.mkdir()
        first = start_node(folders[0], uri, receiver.url, storage)
        second = DefaultNode(folders[1], uri, storage)
        second.start()
        publisher = Publisher(uri)
        publisher.publish(100)
        publisher.close()
        eventually(lambda: len(receiver.requests) >= 30, "requests of both nodes")
        first.signal(signal.SIGKILL)
        first.ended()
        receiver.behaviour = lambda _: "ok"
        yield
        receiver.verify(publisher.confirmed, 90)
        second.stop()
    finally:
        cluster.remove()
        receiver.stop()


SCENARIOS = [
    one_of_two_nodes_dies_with_claimed_deliveries,
    killed_while_the_hook_is_suspended,
    killed_while_requests_are_made,
]


@pytest.fixture(scope="module")
def scenarios(tmp_path_factory: pytest.TempPathFactory, rabbit: RabbitNode) -> Scenarios:
    """All scenarios, begun, each with its own nodes."""
    scenarios = Scenarios()
    for scenario in SCENARIOS:
        scenarios.begin(scenario, tmp_path_factory.mktemp(scenario.__name__), rabbit)
    return scenarios


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_no_event_is_lost(scenarios: Scenarios, scenario: Callable[..., Iterator[None]]) -> None:
    scenarios.end(scenario)


def test_stopped_under_load(tmp_path: Path, vhost_uri: str, receiver: FaultyReceiver) -> None:
    receiver.behaviour = lambda number: "slow" if number % 2 else "ok"
    node = start_node(tmp_path, vhost_uri, receiver.url)
    publisher = Publisher(vhost_uri)
    load = start_load(publisher, 400, 0.005)
    eventually(lambda: len(receiver.requests) >= 50, "requests under way")
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
    eventually(lambda: len(receiver.requests) >= 10, "requests under way")
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
