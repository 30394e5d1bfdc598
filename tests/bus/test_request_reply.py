"""Requests and replies on a bus that confirms and delivers when the test says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from kazoo_bridge.bus import request_reply
from kazoo_bridge.bus.request_reply import DoneWhen, RequestReplyClient, publish_reply
from kazoo_bridge.interfaces import BusUnavailable, EventHandler, IBus, IConsumer, Queue, Topic, Unroutable
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
        self.mandatory: list[bool] = []

    def consume(self, queue: Queue, handler: EventHandler) -> IConsumer:
        self.queues.append(queue)
        self.deliver = handler
        return self.consumer

    def reply(self, request: Event, body: Mapping[str, Any]) -> Deferred[None]:
        return publish_reply(self, request, body)

    def publish(
        self, exchange: str, routing_key: str, body: Mapping[str, Any], *, mandatory: bool = False
    ) -> Deferred[None]:
        assert (exchange, routing_key) == ("callevt", "question")
        self.mandatory.append(mandatory)
        self.published.append((body, Deferred()))
        return self.published[-1][1]

    def request(
        self,
        exchange: str,
        routing_key: str,
        body: Mapping[str, Any],
        *,
        timeout: float,
        done_when: DoneWhen | None = None,
        mandatory: bool = False,
    ) -> Deferred[list[Event]]:
        raise NotImplementedError

    def unavailable_reason(self) -> str | None:
        return "no connection to the broker"

    def answer(self, request: int, **body: Any) -> None:
        message_id = self.published[request][0]["Msg-ID"]
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
def client(clock: Clock, bus: FakeBus) -> RequestReplyClient:
    return RequestReplyClient(clock, bus)


_open_requests: list[Deferred[list[Event]]] = []


@pytest.fixture(autouse=True)
def cancel_open_requests() -> Iterator[None]:
    """Cancel the requests that a test leaves open, before the garbage collector does in another test."""
    yield
    while _open_requests:
        requested = _open_requests.pop()
        requested.addErrback(lambda _: [])
        requested.cancel()


def send_request(client: RequestReplyClient, timeout: float = 5, **more: Any) -> Deferred[list[Event]]:
    requested = client.request("callevt", "question", {}, timeout=timeout, **more)
    _open_requests.append(requested)
    return requested


def test_the_fakes_are_what_they_stand_for(bus: FakeBus) -> None:
    assert verifyObject(IBus, bus)
    assert verifyObject(IConsumer, bus.consumer)


def test_all_requests_share_one_queue_for_replies(client: RequestReplyClient, connected: FakeBus) -> None:
    send_request(client)
    send_request(client)
    [queue] = connected.queues
    assert queue.topics == {Topic("targeted", queue.name)}
    assert not queue.acknowledge
    assert {body["Server-ID"] for body, _ in connected.published} == {queue.name}


def test_a_mandatory_request_fails_when_no_queue_takes_it(
    client: RequestReplyClient, connected: FakeBus
) -> None:
    send_request(client)
    requested = send_request(client, mandatory=True)
    assert connected.mandatory == [False, True]
    connected.published[1][1].errback(Unroutable("no queue takes question"))
    assert failure_of(requested, Unroutable).getErrorMessage() == "no queue takes question"


def test_two_clients_have_different_queues(clock: Clock) -> None:
    buses = [FakeBus(), FakeBus()]
    for bus in buses:
        send_request(RequestReplyClient(clock, bus))
    assert buses[0].queues[0].name != buses[1].queues[0].name


def test_the_timeout_starts_with_the_request(client: RequestReplyClient, clock: Clock, bus: FakeBus) -> None:
    requested = send_request(client)
    clock.advance(3)
    bus.consumer.running.callback(None)
    bus.published[0][1].callback(None)
    bus.answer(0, a=1)
    clock.advance(1.9)
    no_result(requested)
    clock.advance(0.1)
    assert [event.body["a"] for event in result_of(requested)] == [1]
    assert clock.getDelayedCalls() == []


def test_a_request_is_sent_when_its_replies_and_its_publishing_are_possible_at_once(
    clock: Clock, bus: FakeBus
) -> None:
    publishing: list[Deferred[None]] = [Deferred(), succeed(None)]
    first, bus.consumer.running = bus.consumer.running, Deferred()
    first.callback(None)
    runnings = iter([first, bus.consumer.running])
    bus.consumer.when_running = lambda: next(runnings)  # type: ignore[method-assign]
    opened = publishing[0]
    requested = send_request(RequestReplyClient(clock, bus, lambda: publishing.pop(0)))
    assert len(publishing) == 1
    opened.callback(None)
    assert bus.published == []  # the queue of the replies was lost meanwhile
    bus.consumer.running.callback(None)
    assert len(bus.published) == 1
    no_result(requested)


def test_cancelling_a_request_stops_its_waiting(clock: Clock, connected: FakeBus) -> None:
    publishing: Deferred[None] = Deferred()
    requested = send_request(RequestReplyClient(clock, connected, lambda: publishing))
    requested.cancel()
    failure_of(requested, CancelledError)
    assert publishing.called
    assert (connected.published, clock.getDelayedCalls()) == ([], [])


def test_a_request_that_was_not_sent_in_time_fails(
    client: RequestReplyClient, clock: Clock, connected: FakeBus
) -> None:
    requested = send_request(client)
    clock.advance(5)
    assert failure_of(requested, BusUnavailable).getErrorMessage() == "no connection to the broker"
    assert clock.getDelayedCalls() == []


def test_a_reply_may_arrive_before_the_confirmation(
    client: RequestReplyClient, clock: Clock, connected: FakeBus
) -> None:
    requested = send_request(client, done_when=bool)
    connected.answer(0)
    assert len(result_of(requested)) == 1
    assert clock.getDelayedCalls() == []


def test_a_request_that_cannot_be_published_fails_with_the_reason(
    client: RequestReplyClient, clock: Clock, connected: FakeBus
) -> None:
    requested = send_request(client)
    connected.published[0][1].errback(ValueError("no JSON"))
    failure_of(requested, ValueError)
    assert clock.getDelayedCalls() == []


def test_an_error_in_done_when_fails_the_request(
    client: RequestReplyClient, clock: Clock, connected: FakeBus
) -> None:
    def mistaken(_replies: Sequence[Event]) -> bool:
        raise KeyError("oh")

    requested = send_request(client, done_when=mistaken)
    connected.answer(0)
    failure_of(requested, KeyError)
    connected.answer(0)
    assert clock.getDelayedCalls() == []


def test_replies_to_unknown_requests_are_ignored(
    client: RequestReplyClient, clock: Clock, connected: FakeBus
) -> None:
    requested = send_request(client)
    connected.published[0][1].callback(None)
    for body in ({"Msg-ID": "other"}, {"Msg-ID": 7}, {}):
        connected.deliver(Event("targeted", "q", body, b""))
    clock.advance(5)
    assert result_of(requested) == []
    connected.answer(0)


def test_the_number_of_replies_is_limited(
    client: RequestReplyClient, connected: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_reply, "MAX_REPLIES", 3)
    requested = send_request(client)
    for number in range(5):
        connected.answer(0, n=number)
    assert [event.body["n"] for event in result_of(requested)] == [0, 1, 2]


def test_the_number_of_open_requests_is_limited(
    client: RequestReplyClient, clock: Clock, connected: FakeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_reply, "MAX_PENDING_REQUESTS", 2)
    first = send_request(client, timeout=1)
    connected.published[0][1].callback(None)
    send_request(client)
    assert "2 requests" in failure_of(send_request(client), BusUnavailable).getErrorMessage()
    clock.advance(1)
    assert result_of(first) == []
    no_result(send_request(client))


def test_a_cancelled_request_is_dropped(client: RequestReplyClient, clock: Clock, connected: FakeBus) -> None:
    unsent, sent = send_request(client), send_request(client)
    connected.published[1][1].callback(None)
    for requested in (unsent, sent):
        requested.cancel()
        failure_of(requested, CancelledError)
    assert clock.getDelayedCalls() == []
    connected.answer(1)


def test_a_lost_connection_ends_published_requests(
    client: RequestReplyClient, clock: Clock, connected: FakeBus
) -> None:
    unconfirmed, unanswered, answered = (send_request(client) for _ in range(3))
    for number in (1, 2):
        connected.published[number][1].callback(None)
    connected.answer(2)
    client.connection_lost()
    for requested in (unconfirmed, unanswered):
        message = failure_of(requested, BusUnavailable).getErrorMessage()
        assert message == "the connection was lost before a reply arrived"
    assert len(result_of(answered)) == 1
    assert clock.getDelayedCalls() == []


def test_a_lost_connection_leaves_requests_that_wait_for_it(
    client: RequestReplyClient, clock: Clock, bus: FakeBus
) -> None:
    waiting = send_request(client)
    client.connection_lost()
    no_result(waiting)
    bus.consumer.running.callback(None)
    bus.published[0][1].callback(None)
    bus.answer(0)
    clock.advance(5)
    assert len(result_of(waiting)) == 1


def test_stopping_fails_requests_without_replies(
    client: RequestReplyClient, clock: Clock, bus: FakeBus
) -> None:
    waiting = send_request(client)
    client.stop()
    assert "stopped" in failure_of(waiting, BusUnavailable).getErrorMessage()
    assert clock.getDelayedCalls() == []


def test_a_negative_timeout_is_zero(client: RequestReplyClient, clock: Clock, connected: FakeBus) -> None:
    requested = send_request(client, timeout=-1)
    connected.published[0][1].callback(None)
    no_result(requested)
    clock.advance(0)
    assert result_of(requested) == []
