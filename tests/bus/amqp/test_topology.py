"""Declaring on one connection, for any number of callers at once."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.interfaces import Queue, Topic
from tests.bus.amqp.fake_broker import FakeConnection

MANY = 3000


def topology_on(connection: Any) -> Topology:
    return Topology(connection)


def test_thousands_of_callers_at_once() -> None:
    connection = FakeConnection(holding=True)
    topology = topology_on(connection)
    done: list[int] = []

    async def declare(number: int) -> None:
        await topology.exchange("callevt")
        await topology.queue(Queue(f"q{number}", frozenset()))
        await topology.bind(f"q{number}", [Topic("callevt", f"call.{number}")])
        await topology.unbind(f"q{number}", [Topic("callevt", f"call.{number}")])
        done.append(number)

    for number in range(MANY):
        Deferred.fromCoroutine(declare(number))
    connection.release()
    assert len(done) == MANY
    assert connection.bound == set()
    assert connection.asked.count("exchange callevt") == 1


def test_a_failure_reaches_its_caller_and_the_next_is_served() -> None:
    connection = FakeConnection()
    topology = topology_on(connection)
    connection.failing = RuntimeError("a bug")
    failures: list[Any] = []
    for _ in range(MANY):
        Deferred.fromCoroutine(topology.queue(Queue("q", frozenset()))).addErrback(failures.append)
    assert len(failures) == MANY
    connection.failing = None
    assert Deferred.fromCoroutine(topology.queue(Queue("q", frozenset()))).result == "q"


def test_one_who_gives_up_waiting_holds_up_nobody() -> None:
    connection = FakeConnection(holding=True)
    topology = topology_on(connection)
    first, second, third = (
        Deferred.fromCoroutine(topology.queue(Queue(name, frozenset()))) for name in "abc"
    )
    for one in (first, second):
        one.addErrback(lambda _: None)
        one.cancel()
    connection.release()
    assert third.result == "c"
    assert connection.asked == ["queue a", "queue c"]
