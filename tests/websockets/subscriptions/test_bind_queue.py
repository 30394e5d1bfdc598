from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import BusUnavailable, Topic
from kazoo_bridge.websockets.subscriptions.bind_queue import (
    ANSWER_TIMEOUT,
    MAX_IN_FLIGHT,
    BindQueue,
    Unanswered,
)

ONE, TWO, THREE = "a" * 32, "b" * 32, "c" * 32


def topic(name: object) -> Topic:
    return Topic("e", str(name))


class SlowConsumer:
    """Answers when `answer` is called, in the order of asking."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.answers: list[Deferred[None]] = []
        self.at_once = False

    def bind(self, topic: Topic) -> Deferred[None]:
        return self._ask("bind", topic)

    def unbind(self, topic: Topic) -> Deferred[None]:
        return self._ask("unbind", topic)

    def _ask(self, what: str, topic: Topic) -> Deferred[None]:
        self.asked.append((what, topic.pattern))
        waiting: Deferred[None] = Deferred()
        if self.at_once:
            waiting.callback(None)
        else:
            self.answers.append(waiting)
        return waiting

    def answer(self, count: int = 1, error: Exception | None = None) -> None:
        for _ in range(count):
            waiting = self.answers.pop(0)
            if error is None:
                waiting.callback(None)
            else:
                waiting.errback(error)


class Harness:
    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.consumer = SlowConsumer()
        self.wanted: set[Topic] = set()
        consumer: Any = self.consumer
        self.queue = BindQueue(self.clock, consumer, self.wanted)

    def bind(self, name: object, account_id: str = ONE) -> list[Any]:
        """Returns the results of binding a wanted topic."""
        self.wanted.add(topic(name))
        results: list[Any] = []
        self.queue.bind(topic(name), account_id).addBoth(results.append)
        return results


def test_a_request_does_not_wait_behind_the_thousands_of_another_account() -> None:
    its = Harness()
    for number in range(9000):
        its.bind(number, ONE)
        its.bind(f"x{number}", TWO)
    mine = its.bind("mine", THREE)
    assert len(its.consumer.asked) == MAX_IN_FLIGHT
    its.consumer.answer(3)
    assert its.consumer.asked[-3:].count(("bind", "mine")) == 1
    its.consumer.answer(MAX_IN_FLIGHT)
    assert mine == [None]


def test_all_are_asked_about_in_the_end() -> None:
    its = Harness()
    results = [its.bind(number, account) for number in range(500) for account in (ONE, TWO)]
    while its.consumer.answers:
        its.consumer.answer()
    assert all(result == [None] for result in results)
    assert not len(its.queue)
    assert not its.clock.getDelayedCalls()


def test_what_is_wanted_when_its_turn_comes_decides() -> None:
    its = Harness()
    for number in range(MAX_IN_FLIGHT):
        its.bind(number)
    bound = its.bind("gone")
    its.wanted.discard(topic("gone"))
    its.queue.unbind(topic("back"), ONE)
    its.wanted.add(topic("back"))
    its.consumer.answer(2)
    assert its.consumer.asked[-2:] == [("unbind", "gone"), ("bind", "back")]
    its.consumer.answer(MAX_IN_FLIGHT)
    assert bound == [None]


def test_a_refusal_reaches_the_one_who_asked() -> None:
    its = Harness()
    refused, bound = its.bind("a"), its.bind("b")
    its.consumer.answer(error=BusUnavailable("no"))
    its.consumer.answer()
    assert refused[0].check(BusUnavailable)
    assert bound == [None]


def test_a_broker_that_answers_nothing_fails_all_at_once_and_nothing_stays() -> None:
    its = Harness()
    results = [its.bind(number) for number in range(2 * MAX_IN_FLIGHT)]
    its.clock.advance(ANSWER_TIMEOUT - 0.1)
    assert not any(results)
    its.clock.advance(0.1)
    assert all(result[0].check(Unanswered) for result in results)
    assert not its.clock.getDelayedCalls()
    # A later one is asked about as ever.
    again = its.bind("again")
    its.consumer.answers.clear()
    assert not again
    assert its.consumer.asked[-1] == ("bind", "again")
    its.queue.stop()


def test_answers_that_need_no_broker_give_it_no_more_time() -> None:
    its = Harness()
    stuck = its.bind("stuck")
    its.clock.advance(ANSWER_TIMEOUT - 1)
    its.consumer.at_once = True
    assert its.bind("bound already") == [None]
    its.clock.advance(1)
    assert stuck[0].check(Unanswered)


def test_stopping_fires_what_waits_and_leaves_no_timer() -> None:
    its = Harness()
    results = [its.bind(number) for number in range(2 * MAX_IN_FLIGHT)]
    its.queue.stop()
    assert all(result == [None] for result in results)
    assert not its.clock.getDelayedCalls()
    its.consumer.answer(MAX_IN_FLIGHT)
    assert len(its.consumer.asked) == MAX_IN_FLIGHT
