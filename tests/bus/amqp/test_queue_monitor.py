"""How much waits in the durable queue is known while there is a connection, in bytes by estimate."""

from __future__ import annotations

from math import isnan
from typing import Any

from twisted.internet.task import Clock

from kazoo_bridge.bus.amqp.queue_arguments import QueueArguments
from kazoo_bridge.bus.amqp.queue_monitor import POLL_INTERVAL, QueueMonitor
from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel, ConnectionGone
from kazoo_bridge.bus.queue_metrics import BodySizes
from kazoo_bridge.interfaces import Queue
from tests.bus.amqp.fake_broker import FakeConnection, result_of


class Harness:
    """A monitor on a fake connection."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.connection = FakeConnection()
        self.sizes = BodySizes()
        arguments = QueueArguments({"x-max-length-bytes": 1000})
        self.monitor = QueueMonitor(self.clock, arguments, lambda: [("q", self.sizes)])
        connection: Any = self.connection
        self.topology = Topology(connection, arguments)
        result_of(self.topology.queue(Queue("q", durable=True)))
        self.monitor.connected(self.topology)

    def poll(self) -> None:
        self.clock.advance(POLL_INTERVAL)


def test_nothing_is_known_before_the_first_answer() -> None:
    harness = Harness()
    level = harness.monitor.level()
    assert isnan(level.messages)
    assert isnan(level.bytes)
    assert level.max_bytes == 1000


def test_bytes_are_estimated_by_the_mean_size_of_received_messages() -> None:
    harness = Harness()
    harness.connection.message_count = 7
    harness.sizes.count, harness.sizes.total = 2, 300
    harness.poll()
    level = harness.monitor.level()
    assert (level.messages, level.bytes) == (7, 1050)
    harness.connection.message_count = 0
    harness.poll()
    assert harness.monitor.level().messages == 0


def test_a_queue_that_was_deleted_has_no_known_level() -> None:
    harness = Harness()
    harness.poll()
    harness.connection.refusals["queue q passively"] = BrokerClosedChannel(404, "no queue")
    harness.poll()
    assert isnan(harness.monitor.level().messages)


def test_after_a_disconnection_nothing_is_known_and_no_delayed_call_is_left() -> None:
    harness = Harness()
    harness.connection.message_count = 7
    harness.poll()
    harness.connection.holding = True
    harness.poll()
    harness.monitor.disconnected()
    harness.connection.release()
    assert isnan(harness.monitor.level().messages)
    assert harness.clock.getDelayedCalls() == []


def test_a_closed_connection_is_no_error() -> None:
    harness = Harness()
    harness.connection.failing = ConnectionGone("gone")
    harness.poll()
    assert isnan(harness.monitor.level().messages)
    harness.connection.failing = None
    harness.poll()
    assert harness.monitor.level().messages == 0
