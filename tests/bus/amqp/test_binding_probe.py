"""An exchange that was deleted and declared again gets its bindings back."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock
from twisted.logger import LogLevel

from kazoo_bridge.bus.amqp.binding_probe import PROBE_INTERVAL, BindingProbe, probe_queue_name
from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.bus.amqp.wire.errors import BrokerClosedChannel, ConnectionGone
from kazoo_bridge.interfaces import BusUnavailable, Topic, Unroutable
from tests.bus.amqp.fake_broker import FakeConnection, result_of
from tests.bus.harness import CapturedLog


class Harness:
    """A probe on a fake connection; publishing goes straight to the bindings of that connection."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.connection = FakeConnection()
        self.lost: list[str] = []
        self.published: list[str] = []
        self.error: Exception | None = None
        connection: Any = self.connection
        self.topology = Topology(connection, probe="probe")
        self.probe = BindingProbe(self.clock, self._publish, self.lost.append)
        result_of(self.topology.bind("q", [Topic("callevt", "call.#"), Topic("im", "#")]))
        self.probe.connected(self.topology)

    async def _publish(self, exchange: str, routing_key: str) -> None:
        self.published.append(exchange)
        if self.error is not None:
            raise self.error
        if (exchange, routing_key) not in self.connection.bound:
            raise Unroutable("no queue takes it")

    def delete(self, exchange: str) -> None:
        """Delete an exchange and declare it again."""
        self.connection.bound = {key for key in self.connection.bound if key[0] != exchange}

    def poll(self) -> list[str]:
        """Probe once; returns the exchanges that were probed."""
        self.published.clear()
        self.clock.advance(PROBE_INTERVAL)
        return self.published


def test_the_probe_is_bound_before_any_topic() -> None:
    harness = Harness()
    binds = [request for request in harness.connection.requests if request.startswith("bind")]
    assert binds == ["bind probe", "bind call.#", "bind probe", "bind #"]
    assert {"x-max-length": 0} in harness.connection.queue_arguments


def test_bindings_that_are_there_are_not_renewed() -> None:
    harness = Harness()
    assert harness.poll() == ["callevt", "im"]
    assert harness.lost == []


def test_an_exchange_without_its_bindings_is_bound_again() -> None:
    harness = Harness()
    harness.delete("callevt")
    with CapturedLog() as log:
        harness.poll()
    assert harness.lost == ["callevt"]
    assert log.at_least(LogLevel.warn) == ["the bindings of exchange callevt are lost, binding it again"]
    assert ("callevt", "probe") in harness.connection.bound
    harness.poll()
    assert harness.lost == ["callevt"]


def test_a_bus_that_cannot_publish_says_nothing_about_bindings() -> None:
    harness = Harness()
    harness.error = BusUnavailable("blocked")
    harness.poll()
    assert harness.lost == []
    harness.error = None
    harness.delete("im")
    harness.poll()
    assert harness.lost == ["im"]


def test_probes_that_never_arrive_end() -> None:
    harness = Harness()
    harness.error = Unroutable("another broker")
    with CapturedLog() as log:
        harness.poll()
    assert log.at_least(LogLevel.warn)[-1].endswith("because probes do not arrive")
    assert harness.poll() == []


def test_a_broker_that_refuses_the_queue_of_probes_is_used_without() -> None:
    connection = FakeConnection()
    connection.refusals["queue probe"] = BrokerClosedChannel(403, "no access")
    broker: Any = connection
    topology = Topology(broker, probe="probe")
    with CapturedLog() as log:
        assert result_of(topology.bind("q", [Topic("callevt", "call.#")])) == {}
    assert log.at_least(LogLevel.warn) == [
        "lost bindings will not be noticed, because the broker refuses the queue for that: no access"
    ]
    assert (topology.probe, topology.probed_exchanges) == (None, set())
    assert ("callevt", "call.#") in connection.bound


@pytest.mark.parametrize("error", [BrokerClosedChannel(403, "no access"), ConnectionGone("gone")])
def test_an_exchange_that_cannot_be_declared_again_is_logged(error: Exception) -> None:
    harness = Harness()
    harness.delete("callevt")
    harness.connection.refusals["exchange callevt"] = error
    with CapturedLog() as log:
        harness.poll()
    assert harness.lost == []
    assert "cannot be declared again" in log.at_least(LogLevel.warn)[-1]


def test_without_a_connection_no_delayed_call_is_left() -> None:
    harness = Harness()
    harness.probe.disconnected()
    assert harness.clock.getDelayedCalls() == []


def test_each_connection_has_its_own_queue() -> None:
    assert probe_queue_name() != probe_queue_name()
