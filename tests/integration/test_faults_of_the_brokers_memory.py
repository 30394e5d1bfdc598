"""No event is lost when the broker forgets everything, freezes, or loses patience with a consumer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.fault_harness import SHORT_WAITS, FaultyReceiver, Publisher, start_node
from tests.integration.node_process import eventually
from tests.integration.rabbitmq import RabbitNode

pytestmark = pytest.mark.timeout(200)


@pytest.fixture
def receiver() -> Iterator[FaultyReceiver]:
    made = FaultyReceiver()
    yield made
    made.stop()


def in_queue(rabbit: RabbitNode, kind: str) -> int:
    """Return the number of messages in the durable queue."""
    lines = rabbit.ctl("list_queues", "name", kind).splitlines()
    [count] = [line.split("\t")[1] for line in lines if line.startswith("kazoo_bridge.webhooks\t")]
    return int(count)


def test_the_broker_is_reset(tmp_path: Path, disposable_rabbit: RabbitNode, receiver: FaultyReceiver) -> None:
    """What a node has received by then arrives, and so does everything afterwards."""
    receiver.behaviour = lambda number: "500" if number % 5 == 1 else "slow"
    node = start_node(tmp_path, disposable_rabbit.uri, receiver.url, more=SHORT_WAITS)
    publisher = Publisher(disposable_rabbit.uri)
    publisher.publish(300)
    eventually(lambda: in_queue(disposable_rabbit, "messages_ready") == 0, "all events with the node")
    publisher.close()
    for command in ("stop_app", "reset", "start_app"):
        disposable_rabbit.ctl(command)
    publisher.reconnect()
    eventually(node.is_ready, "ready again", 60)
    receiver.behaviour = lambda number: "ok"
    publisher.publish(100)
    receiver.verify(publisher.confirmed, 90)
    publisher.close()
    node.stop()


def test_the_broker_freezes(tmp_path: Path, disposable_rabbit: RabbitNode, receiver: FaultyReceiver) -> None:
    receiver.behaviour = lambda number: "500" if number % 5 == 1 else "slow"
    node = start_node(tmp_path, f"{disposable_rabbit.uri}?heartbeat=1", receiver.url, more=SHORT_WAITS)
    publisher = Publisher(disposable_rabbit.uri)
    publisher.publish(600)
    disposable_rabbit.settle()
    disposable_rabbit.freeze()
    try:
        eventually(lambda: not node.is_ready(), "the silence is noticed", 60)
    finally:
        disposable_rabbit.thaw()
    eventually(node.is_ready, "ready again", 60)
    receiver.behaviour = lambda number: "ok"
    publisher.reconnect()
    publisher.publish(100)
    receiver.verify(publisher.confirmed, 90)
    publisher.close()
    node.stop()


def test_the_broker_loses_patience_with_a_slow_consumer(
    tmp_path: Path, impatient_rabbit: RabbitNode, receiver: FaultyReceiver
) -> None:
    receiver.behaviour = lambda number: "silent" if number < 10 else "ok"
    node = start_node(tmp_path, impatient_rabbit.uri, receiver.url)
    publisher = Publisher(impatient_rabbit.uri)
    publisher.publish(100)
    eventually(lambda: "restarting it" in node.log_text(), "the end of the consumer", 60)
    publisher.publish(50)
    receiver.verify(publisher.confirmed, 90)
    eventually(node.is_ready, "ready again", 60)
    eventually(lambda: in_queue(impatient_rabbit, "messages") == 0, "all is acknowledged", 60)
    publisher.close()
    node.stop()
