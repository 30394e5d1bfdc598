from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from kazoo_bridge.bus import request_reply
from kazoo_bridge.bus.request_reply import RequestReplyClient
from kazoo_bridge.interfaces import BusUnavailable, EventHandler, IBus, IConsumer, Queue, Topic
from kazoo_bridge.kazoo import Event

_now = SynchronousTestCase()
result_of, failure_of, no_result = _now.successResultOf, _now.failureResultOf, _now.assertNoResult


@implementer(IConsumer)
class FakeConsumer:
    start_count = 1

    def __init__(self) -> None:
        self.running: Deferred[None] = Deferred()

    def bind(self, topic: Topic) -> Deferred[None]:
        raise NotImplementedError

    def unbind(self, topic: Topic) -> Deferred[None]:
        raise NotImplementedError

    def cancel(self) -> Deferred[None]:
        raise NotImplementedError

    def when_running(self) -> Deferred[None]:
        return self.running


@implementer(IBus)
class FakeBus:
    """Keeps what is published, and confirms when the test does."""

    def __init__(self) -> None:
        self.queues: list[Queue] = []
        self.consumer = FakeConsumer()
        self.published: list[tuple[Mapping[str, Any], Deferred[None]]] = []

    def consume(self, queue: Queue, handler: EventHandler) -> IConsumer:
        self.queues.append(queue)
        self.deliver = handler
        return self.consumer

    def publish(
        self, exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False
    ) -> Deferred[None]:
        assert (exchange, routing_key) == ("callevt", "question")
        self.published.append((body, Deferred()))
        return self.published[-1][1]

    def request(self, *_arguments: Any, **_more: Any) -> Deferred[list[Event]]:
        raise NotImplementedError

    def unavailable_reason(self) -> str | None:
        return "no connection to the broker"

    def answer(self, question: int, **body: Any) -> None:
        message_id = self.published[question][0]["Msg-ID"]
        self.deliver(Event("targeted", self.queues[0].name, {"Msg-ID": message_id, **body}, b""))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@pytest.fixture
def connected(bus: FakeBus) -> FakeBus:
    bus.consumer.running.callback(None)
    return bus


@pytest.fixture
def asker(clock: Clock, bus: FakeBus) -> RequestReplyClient:
    return RequestReplyClient(clock, bus)


_asked: list[Deferred[list[Event]]] = []


@pytest.fixture(autouse=True)
def nothing_stays_open() -> Iterator[None]:
    """Questions that a test leaves open are forgotten in order, and not by the garbage collector in the middle of anything."""
    yield
    while _asked:
        asked = _asked.pop()
        asked.addErrback(lambda _: [])
        asked.cancel()


def ask(asker: RequestReplyClient, timeout: float = 5, **more: Any) -> Deferred[list[Event]]:
    asked = asker.request("callevt", "question", {}, timeout=timeout, **more)
    _asked.append(asked)
    return asked


def nothing_is_left(asker: RequestReplyClient, clock: Clock) -> bool:
    return not asker._pending and not clock.getDelayedCalls()


def test_there_is_one_queue_for_all_answers(asker: RequestReplyClient, connected: FakeBus) -> None:
    ask(asker)
    ask(asker)
    [queue] = connected.queues
    assert queue.topics == {Topic("targeted", queue.name)}
    assert not queue.acknowledge
    assert {body["Server-ID"] for body, _ in connected.published} == {queue.name}


def test_two_askers_have_queues_of_their_own(clock: Clock) -> None:
    buses = [FakeBus(), FakeBus()]
    for bus in buses:
        ask(RequestReplyClient(clock, bus))
    assert buses[0].queues[0].name != buses[1].queues[0].name


def test_the_time_begins_with_the_asking(asker: RequestReplyClient, clock: Clock, bus: FakeBus) -> None:
    asked = ask(asker)
    clock.advance(3)
    bus.consumer.running.callback(None)
    bus.published[0][1].callback(None)
    bus.answer(0, a=1)
    clock.advance(1.9)
    no_result(asked)
    clock.advance(0.1)
    assert [event.body["a"] for event in result_of(asked)] == [1]
    assert nothing_is_left(asker, clock)


def test_a_question_that_never_left_is_no_question_without_answers(
    asker: RequestReplyClient, clock: Clock, connected: FakeBus
) -> None:
    asked = ask(asker)
    clock.advance(5)
    assert failure_of(asked, BusUnavailable).getErrorMessage() == "no connection to the broker"
    assert nothing_is_left(asker, clock)


def test_an_answer_may_be_faster_than_the_confirmation(
    asker: RequestReplyClient, clock: Clock, connected: FakeBus
) -> None:
    asked = ask(asker, done_when=bool)
    connected.answer(0)
    assert len(result_of(asked)) == 1
    assert nothing_is_left(asker, clock)


def test_a_refused_question_fails_with_the_reason(
    asker: RequestReplyClient, clock: Clock, connected: FakeBus
) -> None:
    asked = ask(asker)
    connected.published[0][1].errback(ValueError("no JSON"))
    failure_of(asked, ValueError)
    assert nothing_is_left(asker, clock)


def test_a_mistake_in_enough_ends_the_question(
    asker: RequestReplyClient, clock: Clock, connected: FakeBus
) -> None:
    def mistaken(_answers: Sequence[Event]) -> bool:
        raise KeyError("oh")

    asked = ask(asker, done_when=mistaken)
    connected.answer(0)
    failure_of(asked, KeyError)
    connected.answer(0)
    assert nothing_is_left(asker, clock)


def test_answers_to_nobodys_question_are_ignored(
    asker: RequestReplyClient, clock: Clock, connected: FakeBus
) -> None:
    asked = ask(asker)
    connected.published[0][1].callback(None)
    for body in ({"Msg-ID": "other"}, {"Msg-ID": 7}, {}):
        connected.deliver(Event("targeted", "q", body, b""))
    clock.advance(5)
    assert result_of(asked) == []
    connected.answer(0)


def test_answers_are_bounded(
    asker: RequestReplyClient, connected: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_reply, "MAX_REPLIES", 3)
    asked = ask(asker)
    for number in range(5):
        connected.answer(0, n=number)
    assert [event.body["n"] for event in result_of(asked)] == [0, 1, 2]


def test_questions_are_bounded(
    asker: RequestReplyClient, clock: Clock, connected: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_reply, "MAX_PENDING_REQUESTS", 2)
    first = ask(asker, timeout=1)
    connected.published[0][1].callback(None)
    ask(asker)
    assert "2 questions" in failure_of(ask(asker), BusUnavailable).getErrorMessage()
    clock.advance(1)
    assert result_of(first) == []
    no_result(ask(asker))


def test_a_cancelled_question_is_forgotten(
    asker: RequestReplyClient, clock: Clock, connected: FakeBus
) -> None:
    unsent, sent = ask(asker), ask(asker)
    connected.published[1][1].callback(None)
    for asked in (unsent, sent):
        asked.cancel()
        failure_of(asked, CancelledError)
    assert nothing_is_left(asker, clock)
    connected.answer(1)


def test_when_the_connection_is_lost_so_are_the_answers(
    asker: RequestReplyClient, clock: Clock, connected: FakeBus
) -> None:
    unsent, unanswered, answered = ask(asker), ask(asker), ask(asker)
    for number in (1, 2):
        connected.published[number][1].callback(None)
    connected.answer(2)
    asker.connection_lost()
    no_result(unsent)
    assert "lost" in failure_of(unanswered, BusUnavailable).getErrorMessage()
    assert len(result_of(answered)) == 1
    clock.advance(5)
    failure_of(unsent, BusUnavailable)
    assert nothing_is_left(asker, clock)


def test_stopping_ends_every_question(asker: RequestReplyClient, clock: Clock, bus: FakeBus) -> None:
    waiting = ask(asker)
    asker.stop()
    assert "stopped" in failure_of(waiting, BusUnavailable).getErrorMessage()
    assert nothing_is_left(asker, clock)


def test_no_time_at_all_is_allowed(asker: RequestReplyClient, clock: Clock, connected: FakeBus) -> None:
    connected.publish = lambda *_arguments, **_more: succeed(None)  # type: ignore[method-assign]
    asked = ask(asker, timeout=-1)
    clock.advance(0)
    assert result_of(asked) == []
