from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.connection_counter import ConnectionCounter
from kazoo_bridge.rest.server.connection_limits import HttpConnectionLimits


def test_so_many_in_all_and_of_each_address() -> None:
    connections = HttpConnectionLimits(Clock(), ConnectionCounter(3, 2))
    assert [connections.opened("a") for _ in range(3)] == [True, True, False]
    assert [connections.opened("b") for _ in range(2)] == [True, False]
    connections.closed("a")
    assert [connections.opened("b") for _ in range(2)] == [True, False]
    for address in ("a", "b", "b"):
        connections.closed(address)
    assert len(connections) == 0


def test_no_limits() -> None:
    connections = HttpConnectionLimits(Clock(), ConnectionCounter(0, 0))
    assert all(connections.opened("a") for _ in range(10_000))


def test_an_address_that_is_known_later() -> None:
    connections = HttpConnectionLimits(Clock(), ConnectionCounter(10, 2))
    assert connections.opened("proxy")
    assert connections.moved("proxy", "proxy")
    assert connections.moved("proxy", "a")
    assert [connections.opened("proxy") for _ in range(3)] == [True, True, False]
    assert connections.moved("proxy", "a")
    assert not connections.moved("proxy", "a")
    assert len(connections) == 3
    connections.closed("proxy")
    assert connections.opened("proxy")


def test_refusals_are_told_once_a_minute() -> None:
    clock = Clock()
    connections = HttpConnectionLimits(clock, ConnectionCounter(1, 0))
    with capturedLogs() as logs:
        assert connections.opened("a")
        for _ in range(5):
            assert not connections.opened("a")
        clock.advance(60)
    assert [formatEvent(event).split()[0] for event in logs] == ["1", "4"]
