"""The bindings of a queue: in rounds, with a result for every caller."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel

from kazoo_bridge.bus.amqp.consumer.bindings import (
    ANSWER_TIMEOUT,
    BATCH_SIZE,
    GIVE_UP_TIMEOUT,
    RETRY_INTERVAL,
    QueueBindings,
)
from kazoo_bridge.bus.amqp.topology import Topology
from kazoo_bridge.bus.amqp.wire.errors import ConnectionGone
from kazoo_bridge.interfaces import BusUnavailable, Topic
from tests.bus.amqp.fake_broker import FakeConnection, failure_of
from tests.bus.harness import CapturedLog

MANY = 5000


def topic(pattern: object) -> Topic:
    return Topic("callevt", f"call.{pattern}")


class Harness:
    """Bindings on a fake connection, tried again after 1, 2, … seconds."""

    def __init__(self, *wanted: Topic, holding: bool = False) -> None:
        self.clock = Clock()
        self.connection = FakeConnection(holding=holding)
        self.bindings = QueueBindings(
            self.clock, "queue q", dict.fromkeys(wanted), lambda attempt: 1.0 + attempt
        )
        self.bindings.connected()
        self.attached = self.attach()

    def attach(self) -> Deferred[None]:
        connection: Any = self.connection
        return Deferred.fromCoroutine(self.bindings.attach(Topology(connection), "q"))

    @property
    def patterns(self) -> set[str]:
        return {key for _, key in self.connection.bound}


@pytest.mark.parametrize("holding", [False, True])
def test_thousands_of_callers_at_once(holding: bool) -> None:
    harness = Harness()
    harness.connection.holding = holding
    bound = [harness.bindings.bind(topic(number)) for number in range(MANY)]
    gone = [harness.bindings.unbind(topic(number)) for number in range(0, MANY, 2)]
    harness.connection.release()
    assert all(one.called for one in bound + gone)
    assert harness.patterns == {f"call.{number}" for number in range(1, MANY, 2)}
    again = [harness.bindings.bind(topic("x")) for _ in range(MANY)]
    assert all(one.called for one in again)


def test_thousands_of_callers_of_one_topic_continue_after_one_answer() -> None:
    harness = Harness(holding=True)
    done: list[int] = []

    async def follow(number: int) -> None:
        await harness.bindings.bind(topic("one"))
        await harness.bindings.bind(topic(f"next.{number % 7}"))
        done.append(number)

    for number in range(MANY):
        Deferred.fromCoroutine(follow(number))
    assert not done
    harness.connection.release()
    assert len(done) == MANY
    assert harness.connection.requests.count("bind call.one") == 1


def test_requests_during_a_round_share_the_next_one() -> None:
    harness = Harness(holding=True)
    first = harness.bindings.bind(topic("first"))
    rest = [harness.bindings.bind(topic(number)) for number in range(10)]
    # The exchange is declared before the first binding.
    assert harness.connection.requests == ["exchange callevt"]
    harness.connection.release()
    assert first.called
    assert all(one.called for one in rest)
    assert harness.connection.requests == [
        "exchange callevt",
        "bind call.first",
        *(f"bind call.{number}" for number in range(10)),
    ]


def test_topics_are_bound_in_batches_each_answered_before_the_next() -> None:
    harness = Harness(*(topic(f"{number:03}") for number in range(2 * BATCH_SIZE)))
    harness.bindings.detach()
    harness.connection.requests.clear()
    harness.connection.holding = True
    attached = harness.attach()
    harness.connection.release_one()
    requested = [what for what in harness.connection.requests if what.startswith("bind")]
    assert len(requested) == BATCH_SIZE
    harness.connection.release()
    assert attached.called
    assert len([what for what in harness.connection.requests if what.startswith("bind")]) == 2 * BATCH_SIZE


def test_a_refusal_fails_its_callers_only_and_drops_the_topic() -> None:
    harness = Harness()
    harness.connection.refused = {"call.bad"}
    harness.connection.holding = True
    harness.bindings.bind(topic("first"))
    good, bad, worse = (
        harness.bindings.bind(topic("good")),
        harness.bindings.bind(topic("bad")),
        harness.bindings.bind(topic("bad")),
    )
    harness.connection.release()
    assert good.called
    for one in (bad, worse):
        error = failure_of(one)
        assert isinstance(error, BusUnavailable)
        assert str(error) == "queue q cannot be bound to call.bad on exchange callevt: no access for call.bad"
    assert topic("bad") not in harness.bindings.wanted
    assert harness.bindings.problem() is None
    assert harness.patterns == {"call.first", "call.good"}
    harness.connection.refused.clear()
    assert harness.bindings.bind(topic("bad")).called
    assert "call.bad" in harness.patterns


def test_a_refused_topic_that_was_wanted_before_is_tried_again() -> None:
    harness = Harness()
    harness.connection.refused = {"call.a"}
    harness.bindings.wanted[topic("a")] = None
    harness.attach()
    assert (
        harness.bindings.problem()
        == "queue q is not bound to call.a on exchange callevt: no access for call.a"
    )
    assert isinstance(failure_of(harness.bindings.bind(topic("a"))), BusUnavailable)
    assert topic("a") in harness.bindings.wanted
    harness.clock.advance(RETRY_INTERVAL)
    assert harness.bindings.problem() is not None
    harness.connection.refused.clear()
    harness.clock.advance(RETRY_INTERVAL)
    assert harness.bindings.problem() is None
    assert harness.patterns == {"call.a"}
    assert not harness.clock.getDelayedCalls()


def test_a_topic_of_an_exchange_that_is_not_kazoos_is_missing_and_no_problem() -> None:
    harness = Harness()
    harness.connection.refused = {"agent.#", "call.a"}
    harness.bindings.wanted.update(dict.fromkeys([Topic("acdc", "agent.#"), topic("a"), topic("b")]))
    harness.attach()
    assert harness.bindings.missing() == [
        "queue q is not bound to agent.# on exchange acdc: no access for agent.#"
    ]
    assert "call.a on exchange callevt" in (harness.bindings.problem() or "")
    harness.connection.refused = {"agent.#"}
    harness.clock.advance(RETRY_INTERVAL)
    assert harness.bindings.problem() is None
    assert len(harness.bindings.missing()) == 1
    harness.connection.refused.clear()
    harness.clock.advance(RETRY_INTERVAL)
    assert harness.bindings.missing() == []


def test_a_retry_is_not_delayed_by_other_callers() -> None:
    harness = Harness()
    harness.connection.refused = {"call.a"}
    harness.bindings.wanted[topic("a")] = None
    harness.attach()
    harness.connection.refused.clear()
    for number in range(10):
        harness.clock.advance(RETRY_INTERVAL / 10)
        harness.bindings.bind(topic(number))
    assert harness.bindings.problem() is None
    assert "call.a" in harness.patterns


def test_a_broker_that_does_not_answer_is_a_problem_until_it_does() -> None:
    harness = Harness()
    harness.connection.holding = True
    waiting = harness.bindings.bind(topic("a"))
    harness.clock.advance(ANSWER_TIMEOUT)
    assert harness.bindings.problem() is None
    harness.clock.advance(0.1)
    assert (
        harness.bindings.problem()
        == "the broker has not answered about the bindings of queue q for 5 seconds"
    )
    waiting.cancel()
    assert isinstance(failure_of(waiting), CancelledError)
    gone = harness.bindings.unbind(topic("a"))
    assert not gone.called
    assert harness.bindings.problem() is not None
    harness.connection.release()
    assert gone.called
    assert harness.bindings.problem() is None
    assert harness.patterns == set()


def test_the_connection_to_a_broker_that_never_answers_is_dropped() -> None:
    harness = Harness(holding=True)
    waiting = harness.bindings.bind(topic("a"))
    harness.clock.advance(GIVE_UP_TIMEOUT / 2)
    harness.connection.release_one()  # the exchange, which is no answer about the binding
    harness.clock.advance(GIVE_UP_TIMEOUT / 2 - 0.1)
    assert not harness.connection.aborted
    with CapturedLog() as log:
        harness.clock.advance(0.1)
    reason = "no answer about the bindings of queue q for 60 seconds"
    assert harness.connection.aborted == [reason]
    assert log.at_least(LogLevel.error) == [f"dropping the connection to the broker: {reason}"]
    harness.bindings.disconnected()
    assert waiting.called
    assert not harness.clock.getDelayedCalls()


def test_a_broker_that_answers_round_after_round_has_all_the_time_that_it_needs() -> None:
    harness = Harness(*(topic(f"{number:03}") for number in range(2 * BATCH_SIZE)), holding=True)
    harness.connection.release_one()
    harness.clock.advance(GIVE_UP_TIMEOUT - 1)
    for _ in range(BATCH_SIZE):
        harness.connection.release_one()
    harness.clock.advance(GIVE_UP_TIMEOUT - 1)
    harness.connection.release()
    assert not harness.connection.aborted
    assert not harness.clock.getDelayedCalls()


def test_a_caller_does_not_wait_behind_the_topics_of_a_new_connection() -> None:
    harness = Harness(*(topic(f"{number:04}") for number in range(50 * BATCH_SIZE)), holding=True)
    for _ in range(BATCH_SIZE + 1):
        harness.connection.release_one()
    mine = harness.bindings.bind(topic("mine"))
    for _ in range(2 * BATCH_SIZE):
        harness.connection.release_one()
    assert mine.called
    harness.connection.release()
    assert len(harness.patterns) == 50 * BATCH_SIZE + 1


def test_an_unexpected_failure_is_logged_and_tried_again() -> None:
    harness = Harness()
    harness.connection.failing = RuntimeError("a bug")
    with CapturedLog() as log:
        waiting = harness.bindings.bind(topic("a"))
    assert [event["log_failure"].getErrorMessage() for event in log.events if "log_failure" in event] == [
        "a bug"
    ]
    assert harness.bindings.problem() == "queue q cannot be bound: a bug"
    assert not waiting.called
    harness.clock.advance(1)
    assert not waiting.called
    harness.connection.failing = None
    harness.clock.advance(2)
    assert waiting.called
    assert harness.bindings.problem() is None
    assert harness.patterns == {"call.a"}
    assert not harness.clock.getDelayedCalls()


def test_callers_do_not_wait_for_a_connection_that_is_gone() -> None:
    harness = Harness(topic("first"))
    harness.connection.holding = True
    waiting = harness.bindings.bind(topic("a"))
    harness.bindings.disconnected()
    assert waiting.called
    assert harness.bindings.bind(topic("b")).called
    assert harness.bindings.unbind(topic("first")).called
    # What the old connection answers now is no answer of the new one.
    old, harness.connection = harness.connection, FakeConnection()
    old.release()
    harness.bindings.connected()
    attached = harness.attach()
    assert attached.called
    assert harness.patterns == {"call.a", "call.b"}
    harness.bindings.disconnected()
    assert not harness.clock.getDelayedCalls()


def test_a_failure_of_the_connection_leaves_no_timer_behind() -> None:
    harness = Harness()
    harness.connection.failing = ConnectionGone("the connection broke")
    waiting = harness.bindings.bind(topic("a"))
    harness.bindings.disconnected()
    assert waiting.called
    assert not harness.clock.getDelayedCalls()


def test_the_topics_of_an_exchange_that_lost_its_bindings_are_bound_again() -> None:
    other = Topic("im", "sms.#")
    harness = Harness(topic(1), topic(2), other)
    harness.connection.bound = {(other.exchange, other.pattern)}
    harness.connection.requests.clear()
    harness.bindings.rebind("callevt")
    assert harness.connection.requests == ["bind call.1", "bind call.2"]
    assert harness.patterns == {"call.1", "call.2", "sms.#"}
    assert harness.bindings.problem() is None


def test_a_topic_that_was_refused_is_tried_at_once_when_its_exchange_is_back() -> None:
    harness = Harness()
    harness.connection.refused = {"call.1"}
    harness.bindings.wanted[topic(1)] = None
    harness.attach()
    assert harness.bindings.problem() is not None
    harness.connection.refused = set()
    harness.bindings.rebind("callevt")
    assert harness.bindings.problem() is None
    harness.bindings.disconnected()
    assert harness.clock.getDelayedCalls() == []


def test_without_a_queue_there_is_nothing_to_bind_again() -> None:
    harness = Harness(topic(1))
    harness.bindings.disconnected()
    harness.connection.requests.clear()
    harness.bindings.rebind("callevt")
    assert harness.connection.requests == []
