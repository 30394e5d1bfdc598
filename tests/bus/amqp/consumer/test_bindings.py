"""The bindings of a queue: in rounds, with an answer for every caller."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from kazoo_bridge.bus.amqp.consumer.bindings import ANSWER_TIMEOUT, BATCH_SIZE, RETRY_INTERVAL, QueueBindings
from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.bus.amqp.wire.errors import ConnectionGone
from kazoo_bridge.interfaces import BusUnavailable, Topic
from tests.bus.amqp.fake_broker import FakeConnection
from tests.integration.amqp_harness import CapturedLog

MANY = 5000


def topic(pattern: object) -> Topic:
    return Topic("callevt", f"call.{pattern}")


class Attached:
    """Bindings on a fake connection."""

    def __init__(self, *wanted: Topic, holding: bool = False) -> None:
        self.clock = Clock()
        self.connection = FakeConnection(holding=holding)
        self.bindings = QueueBindings(self.clock, "queue q", dict.fromkeys(wanted))
        self.bindings.connected()
        self.attached = self.attach()

    def attach(self) -> Deferred[None]:
        connection: Any = self.connection
        return Deferred.fromCoroutine(self.bindings.attach(Topology(connection), "q"))

    @property
    def patterns(self) -> set[str]:
        return {key for _, key in self.connection.bound}


def failure_of(deferred: Deferred[Any]) -> BaseException:
    failures: list[Any] = []
    deferred.addErrback(failures.append)
    assert len(failures) == 1
    value: BaseException = failures[0].value
    return value


@pytest.mark.parametrize("holding", [False, True])
def test_thousands_of_callers_at_once(holding: bool) -> None:
    its = Attached()
    its.connection.holding = holding
    bound = [its.bindings.bind(topic(number)) for number in range(MANY)]
    gone = [its.bindings.unbind(topic(number)) for number in range(0, MANY, 2)]
    its.connection.release()
    assert all(one.called for one in bound + gone)
    assert its.patterns == {f"call.{number}" for number in range(1, MANY, 2)}
    again = [its.bindings.bind(topic("x")) for _ in range(MANY)]
    assert all(one.called for one in again)


def test_thousands_of_callers_of_one_topic_go_on_from_one_answer() -> None:
    its = Attached(holding=True)
    done: list[int] = []

    async def follow(number: int) -> None:
        await its.bindings.bind(topic("one"))
        await its.bindings.bind(topic(f"next.{number % 7}"))
        done.append(number)

    for number in range(MANY):
        Deferred.fromCoroutine(follow(number))
    assert not done
    its.connection.release()
    assert len(done) == MANY
    assert its.connection.asked.count("bind call.one") == 1


def test_what_is_asked_for_during_a_round_shares_the_next() -> None:
    its = Attached(holding=True)
    first = its.bindings.bind(topic("first"))
    rest = [its.bindings.bind(topic(number)) for number in range(10)]
    # The exchange is declared before the first binding.
    assert its.connection.asked == ["exchange callevt"]
    its.connection.release()
    assert first.called
    assert all(one.called for one in rest)
    assert its.connection.asked == [
        "exchange callevt",
        "bind call.first",
        *(f"bind call.{number}" for number in range(10)),
    ]


def test_a_round_is_answered_before_the_next_is_asked() -> None:
    its = Attached(*(topic(f"{number:03}") for number in range(2 * BATCH_SIZE)))
    its.bindings.detach()
    its.connection.asked.clear()
    its.connection.holding = True
    attached = its.attach()
    its.connection.release()
    assert attached.called
    assert len([what for what in its.connection.asked if what.startswith("bind")]) == 2 * BATCH_SIZE


def test_a_refusal_fails_its_callers_only_and_drops_the_topic() -> None:
    its = Attached()
    its.connection.refused = {"call.bad"}
    its.connection.holding = True
    its.bindings.bind(topic("first"))
    good, bad, worse = (
        its.bindings.bind(topic("good")),
        its.bindings.bind(topic("bad")),
        its.bindings.bind(topic("bad")),
    )
    its.connection.release()
    assert good.called
    for one in (bad, worse):
        error = failure_of(one)
        assert isinstance(error, BusUnavailable)
        assert str(error) == "queue q cannot be bound to call.bad on exchange callevt: no access for call.bad"
    assert topic("bad") not in its.bindings.wanted
    assert its.bindings.problem() is None
    assert its.patterns == {"call.first", "call.good"}
    its.connection.refused.clear()
    assert its.bindings.bind(topic("bad")).called
    assert "call.bad" in its.patterns


def test_what_was_wanted_before_stays_wanted_and_is_tried_again() -> None:
    its = Attached()
    its.connection.refused = {"call.a"}
    its.bindings.wanted[topic("a")] = None
    its.attach()
    assert (
        its.bindings.problem() == "queue q is not bound to call.a on exchange callevt: no access for call.a"
    )
    assert isinstance(failure_of(its.bindings.bind(topic("a"))), BusUnavailable)
    assert topic("a") in its.bindings.wanted
    its.clock.advance(RETRY_INTERVAL)
    assert its.bindings.problem() is not None
    its.connection.refused.clear()
    its.clock.advance(RETRY_INTERVAL)
    assert its.bindings.problem() is None
    assert its.patterns == {"call.a"}
    assert not its.clock.getDelayedCalls()


def test_a_retry_is_not_put_off_by_other_callers() -> None:
    its = Attached()
    its.connection.refused = {"call.a"}
    its.bindings.wanted[topic("a")] = None
    its.attach()
    its.connection.refused.clear()
    for number in range(10):
        its.clock.advance(RETRY_INTERVAL / 10)
        its.bindings.bind(topic(number))
    assert its.bindings.problem() is None
    assert "call.a" in its.patterns


def test_a_broker_that_does_not_answer_is_a_problem_until_it_does() -> None:
    its = Attached()
    its.connection.holding = True
    waiting = its.bindings.bind(topic("a"))
    its.clock.advance(ANSWER_TIMEOUT)
    assert its.bindings.problem() is None
    its.clock.advance(0.1)
    assert its.bindings.problem() == "the broker has not answered about the bindings of queue q for 5 seconds"
    waiting.cancel()
    assert isinstance(failure_of(waiting), CancelledError)
    gone = its.bindings.unbind(topic("a"))
    assert not gone.called
    assert its.bindings.problem() is not None
    its.connection.release()
    assert gone.called
    assert its.bindings.problem() is None
    assert its.patterns == set()


def test_an_unexpected_failure_is_logged_and_tried_again() -> None:
    its = Attached()
    its.connection.failing = RuntimeError("a bug")
    with CapturedLog() as log:
        waiting = its.bindings.bind(topic("a"))
    assert [event["log_failure"].getErrorMessage() for event in log.events if "log_failure" in event] == [
        "a bug"
    ]
    assert its.bindings.problem() == "queue q cannot be bound: a bug"
    assert not waiting.called
    its.clock.advance(1)
    assert not waiting.called
    its.connection.failing = None
    its.clock.advance(2)
    assert waiting.called
    assert its.bindings.problem() is None
    assert its.patterns == {"call.a"}
    assert not its.clock.getDelayedCalls()


def test_callers_do_not_wait_for_a_connection_that_is_gone() -> None:
    its = Attached(topic("first"))
    its.connection.holding = True
    waiting = its.bindings.bind(topic("a"))
    its.bindings.disconnected()
    assert waiting.called
    assert its.bindings.bind(topic("b")).called
    assert its.bindings.unbind(topic("first")).called
    # What the old connection answers now is no answer of the new one.
    old, its.connection = its.connection, FakeConnection()
    old.release()
    its.bindings.connected()
    attached = its.attach()
    assert attached.called
    assert its.patterns == {"call.a", "call.b"}
    its.bindings.disconnected()
    assert not its.clock.getDelayedCalls()


def test_a_failure_of_the_connection_leaves_no_timer_behind() -> None:
    its = Attached()
    its.connection.failing = ConnectionGone("the connection broke")
    waiting = its.bindings.bind(topic("a"))
    its.bindings.disconnected()
    assert waiting.called
    assert not its.clock.getDelayedCalls()
