"""No event is lost when the broker forgets everything, freezes, or loses patience with a consumer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.fault_harness import (
    FaultyReceiver,
    Publisher,
    Scenarios,
    receiving,
    start_node,
)
from tests.integration.node_process import eventually
from tests.integration.rabbitmq import RabbitNode

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def receiver() -> Iterator[FaultyReceiver]:
    made = FaultyReceiver()
    yield made
    made.stop()


def fail_some(number: int) -> str:
    return "500" if number % 5 == 1 else "slow"


def the_broker_is_reset(folder: Path, rabbit: RabbitNode) -> Iterator[None]:
    """What a node has received by then arrives, and so does everything afterwards."""
    with receiving(fail_some) as receiver:
        node = start_node(folder, rabbit.uri, receiver.url)
        publisher = Publisher(rabbit.uri)
        publisher.publish(300)
        eventually(lambda: rabbit.count_messages("/", "messages_ready") == 0, "all events with the node", 60)
        publisher.close()
        rabbit.reset()
        publisher.reconnect()
        eventually(node.is_ready, "ready again", 60)
        receiver.behaviour = lambda number: "ok"
        publisher.publish(100)
        publisher.close()
        yield
        receiver.verify(publisher.confirmed, 90)
        node.stop()


def the_broker_freezes(folder: Path, rabbit: RabbitNode) -> Iterator[None]:
    """A broker that asks for heartbeats each second, so that its silence is noticed soon."""
    rabbit.configure(heartbeat=1)
    uri = rabbit.fresh_vhost()
    with receiving(fail_some) as receiver:
        node = start_node(folder, uri, receiver.url)
        publisher = Publisher(uri)
        publisher.publish(600)
        publisher.close()
        rabbit.settle()
        rabbit.freeze()
        try:
            eventually(lambda: not node.is_ready(), "the silence is noticed", 60)
        finally:
            rabbit.thaw()
        eventually(node.is_ready, "ready again", 60)
        receiver.behaviour = lambda number: "ok"
        publisher.reconnect()
        publisher.publish(100)
        publisher.close()
        yield
        receiver.verify(publisher.confirmed, 90)
        node.stop()


SCENARIOS = [the_broker_is_reset, the_broker_freezes]


@pytest.fixture(scope="module")
def scenarios(
    tmp_path_factory: pytest.TempPathFactory, session_mortal_rabbit: RabbitNode
) -> Iterator[Scenarios]:
    """All scenarios, begun one after the other on the same broker, each with its own node."""
    scenarios = Scenarios()
    for scenario in SCENARIOS:
        scenarios.begin(scenario, tmp_path_factory.mktemp(scenario.__name__), session_mortal_rabbit)
    yield scenarios
    session_mortal_rabbit.configure(heartbeat=60)


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_no_event_is_lost(scenarios: Scenarios, scenario: Callable[..., Iterator[None]]) -> None:
    scenarios.end(scenario)


def test_the_broker_loses_patience_with_a_slow_consumer(
    tmp_path: Path, impatient_rabbit: RabbitNode, receiver: FaultyReceiver
) -> None:
    receiver.behaviour = lambda number: "silent" if number < 10 else "ok"
    uri = impatient_rabbit.fresh_vhost()
    vhost = uri.rpartition("/")[2]
    node = start_node(tmp_path, uri, receiver.url)
    publisher = Publisher(uri)
    publisher.publish(100)
    eventually(lambda: "restarting it" in node.log_text(), "the end of the consumer", 60)
    publisher.publish(50)
    receiver.verify(publisher.confirmed, 90)
    eventually(node.is_ready, "ready again", 60)
    eventually(lambda: impatient_rabbit.count_messages(vhost, "messages") == 0, "all is acknowledged", 60)
    publisher.close()
    node.stop()
