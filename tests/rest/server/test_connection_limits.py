from __future__ import annotations

from typing import Any

from attrs import define, evolve
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.config import Http
from kazoo_bridge.rest.server.connection_limits import ChannelLimits


@define(eq=False)
class FakeConnection:
    """A connection that records that it was closed to make room."""

    was_shed: bool = False

    def shed(self) -> None:
        self.was_shed = True


def make_limits(clock: Clock | None = None, **http: Any) -> ChannelLimits:
    return ChannelLimits.from_config(clock or Clock(), evolve(Http(), **http))


def open_connections(limits: ChannelLimits, *addresses: str, busy: bool = False) -> list[FakeConnection]:
    """Open connections that must not be refused."""
    connections = []
    for address in addresses:
        connection = FakeConnection()
        assert limits.opened(connection, address)
        if busy:
            assert limits.busy(connection)
        connections.append(connection)
    return connections


def test_busy_connections_are_limited_in_total_and_by_address() -> None:
    limits = make_limits(max_connections=3, max_connections_per_ip=2)
    first, second = open_connections(limits, "a", "a", busy=True)
    assert not limits.opened(FakeConnection(), "a")
    (third,) = open_connections(limits, "b")
    assert not limits.busy(third)
    assert not limits.opened(FakeConnection(), "b")
    limits.closed(first)
    limits.closed(first)
    open_connections(limits, "b")
    assert not second.was_shed


def test_the_connection_that_waits_longest_makes_room_for_its_address() -> None:
    limits = make_limits(max_connections=10, max_connections_per_ip=3)
    first, second, third = open_connections(limits, "a", "a", "a")
    assert limits.busy(first)
    limits.waits(first)
    open_connections(limits, "a")
    assert [one.was_shed for one in (first, second, third)] == [False, True, False]
    open_connections(limits, "a")
    assert [one.was_shed for one in (first, third)] == [False, True]


def test_the_address_with_most_waiting_connections_makes_room_for_another() -> None:
    limits = make_limits(max_connections=6, max_connections_per_ip=0)
    a, b = open_connections(limits, "a", "a"), open_connections(limits, "b", "b", "b", "b")
    open_connections(limits, "c", "c")
    assert [one.was_shed for one in (*a, *b)] == [False, False, True, True, False, False]


def test_a_connection_moves_to_another_address() -> None:
    limits = make_limits(max_connections=10, max_connections_per_ip=2)
    first, second = open_connections(limits, "proxy", "proxy")
    assert limits.moved(first, "a")
    assert limits.busy(first)
    assert limits.moved(second, "a")
    (third,) = open_connections(limits, "proxy")
    assert limits.moved(third, "a")
    assert second.was_shed
    assert limits.busy(third)
    (fourth,) = open_connections(limits, "proxy")
    assert not limits.moved(fourth, "a")
    limits.closed(third)
    assert limits.moved(fourth, "a")
    assert limits.moved(fourth, "a")


def test_without_limits_every_connection_is_accepted() -> None:
    limits = make_limits(max_connections=0, max_connections_per_ip=0)
    open_connections(limits, *["a"] * 1000, busy=True)


def test_refused_and_closed_connections_are_logged_at_most_every_minute() -> None:
    clock = Clock()
    limits = make_limits(clock, max_connections=1)
    with capturedLogs() as logs:
        open_connections(limits, "a", "a", "a", "a", busy=False)
        (busy,) = open_connections(limits, "a", busy=True)
        for _ in range(5):
            assert not limits.opened(FakeConnection(), "a")
        clock.advance(60)
    waiting, refused, *later = logs
    assert waiting["log_format"].startswith("waiting HTTP connections closed")
    assert refused["log_format"].startswith("HTTP connections refused")
    assert [(event["count"], event["open"]) for event in (waiting, refused)] == [(1, 0), (1, 1)]
    assert sorted(event["count"] for event in later) == [3, 4]
    limits.closed(busy)
    limits.stop()
    assert clock.getDelayedCalls() == []
