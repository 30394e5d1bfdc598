from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import (
    BusUnavailable,
    EventHandler,
    IBus,
    IConsumer,
    Queue,
    Requeue,
    Topic,
    Unroutable,
)
from kazoo_bridge.kazoo import Event
from kazoo_bridge.testing import FakeBus, FakeConsumer, PublishedMessage, make_event
from tests.bus.harness import FakeCompletion
from tests.deferreds import result_of

CALLS = Topic("callevt", "call.*.*")
EVENT = make_event("callevt", "call.CHANNEL_CREATE.c1", {"Event-Name": "CHANNEL_CREATE"})


def consume(bus: FakeBus, handler: EventHandler, name: str = "", topic: Topic = CALLS) -> FakeConsumer:
    return bus.consume(Queue(name, frozenset({topic})), handler)


def test_it_provides_the_interfaces() -> None:
    bus = FakeBus()
    assert verifyObject(IBus, bus)
    assert verifyObject(IConsumer, consume(bus, lambda _: None))


def test_what_is_published_reaches_every_queue_that_wants_it() -> None:
    bus = FakeBus()
    first: list[Event] = []
    second: list[Event] = []
    consume(bus, first.append)
    consume(bus, second.append)
    consume(bus, lambda _: pytest.fail("another topic"), topic=Topic("callevt", "other.#"))
    consume(bus, lambda _: pytest.fail("another exchange"), topic=Topic("conference", "call.*.*"))
    result_of(bus.publish("callevt", "call.CHANNEL_CREATE.c1", {"Call-ID": "c1"}))
    assert [event.body for event in first] == [event.body for event in second] == [{"Call-ID": "c1"}]
    assert bus.published == [PublishedMessage("callevt", "call.CHANNEL_CREATE.c1", {"Call-ID": "c1"})]


def test_consumers_of_a_named_queue_take_turns() -> None:
    bus = FakeBus()
    first: list[Event] = []
    second: list[Event] = []
    consume(bus, first.append, "shared")
    consume(bus, second.append, "shared")
    assert [bus.deliver(EVENT) for _ in range(4)] == [1, 1, 1, 1]
    assert (len(first), len(second)) == (2, 2)


def test_what_a_handler_publishes_is_delivered_after_it_returns() -> None:
    bus = FakeBus()
    order: list[str] = []

    def handle(event: Event) -> None:
        order.append(f"{event.routing_key} begins")
        if event.routing_key == "call.A.1":
            bus.publish("callevt", "call.B.1", {})
        order.append(f"{event.routing_key} ends")

    consume(bus, handle)
    bus.publish("callevt", "call.A.1", {})
    assert order == ["call.A.1 begins", "call.A.1 ends", "call.B.1 begins", "call.B.1 ends"]


def test_events_are_sorted_by_the_result_of_the_handler() -> None:
    bus = FakeBus()
    waiting: Deferred[None] = Deferred()
    results: list[Any] = [None, fail(Requeue()), fail(CancelledError()), fail(ValueError("broken")), waiting]
    consumer = consume(bus, lambda _: results.pop(0))
    for _ in range(5):
        bus.deliver(EVENT)
    assert [len(found) for found in (consumer.acknowledged, consumer.requeued, consumer.rejected)] == [
        1,
        2,
        1,
    ]
    assert consumer.rejected[0][1].getErrorMessage() == "broken"
    assert consumer.unacknowledged == [EVENT]
    waiting.callback(None)
    assert (len(consumer.acknowledged), consumer.unacknowledged) == (2, [])


def test_events_are_sorted_by_the_end_of_a_completion() -> None:
    bus = FakeBus()
    waiting = FakeCompletion()
    results = [
        FakeCompletion().succeed(),
        FakeCompletion().fail(Requeue()),
        FakeCompletion().fail(ValueError("broken")),
        waiting,
    ]
    consumer = consume(bus, lambda _: results.pop(0))
    for _ in range(4):
        bus.deliver(EVENT)
    assert (len(consumer.acknowledged), len(consumer.requeued)) == (1, 1)
    assert [failure.getErrorMessage() for _, failure in consumer.rejected] == ["broken"]
    assert consumer.unacknowledged == [EVENT]
    waiting.succeed()
    assert (len(consumer.acknowledged), consumer.unacknowledged) == (2, [])


def test_a_handler_that_returns_another_value_has_finished() -> None:
    bus = FakeBus()

    def handle(event: Event) -> Any:
        return 7

    consumer = consume(bus, handle)
    bus.deliver(EVENT)
    assert (len(consumer.acknowledged), consumer.unacknowledged) == (1, [])


def test_a_handler_that_raises_rejects_the_event() -> None:
    bus = FakeBus()

    def handle(event: Event) -> None:
        raise ValueError("broken")

    consumer = consume(bus, handle)
    bus.deliver(EVENT)
    assert [failure.type for _, failure in consumer.rejected] == [ValueError]


def test_requeued_events_are_delivered_again_when_the_test_says_so() -> None:
    bus = FakeBus()
    seen: list[bool] = []

    def handle(event: Event) -> Deferred[None] | None:
        seen.append(event.redelivered)
        return None if event.redelivered else fail(Requeue())

    consumer = consume(bus, handle)
    bus.deliver(EVENT)
    bus.redeliver(consumer)
    assert seen == [False, True]
    assert (consumer.requeued, len(consumer.acknowledged)) == ([], 1)


def test_topics_can_be_bound_and_unbound() -> None:
    bus = FakeBus()
    events: list[Event] = []
    consumer = bus.consume(Queue(), events.append)
    assert bus.deliver(EVENT) == 0
    result_of(consumer.bind(CALLS))
    assert bus.deliver(EVENT) == 1
    result_of(consumer.unbind(CALLS))
    assert bus.deliver(EVENT) == 0
    with pytest.raises(BusUnavailable, match="no exchange 'nowhere'"):
        result_of(consumer.bind(Topic("nowhere", "#")))


def test_a_cancelled_consumer_receives_nothing() -> None:
    bus = FakeBus()
    consumer = consume(bus, lambda _: pytest.fail("cancelled"))
    result_of(consumer.when_running())
    result_of(consumer.cancel())
    assert bus.deliver(EVENT) == 0
    with pytest.raises(CancelledError):
        result_of(consumer.when_running())


def test_a_mandatory_message_that_no_queue_takes_is_unroutable() -> None:
    bus = FakeBus()
    with pytest.raises(Unroutable, match=r"call\.A\.1"):
        result_of(bus.publish("callevt", "call.A.1", {}, mandatory=True))
    result_of(bus.publish("callevt", "call.A.1", {}))


def test_a_mandatory_request_needs_a_consumer_or_a_responder() -> None:
    bus = FakeBus()
    with pytest.raises(Unroutable):
        result_of(bus.request("callmgr", "originate.resource.req", {}, timeout=1, mandatory=True))
    bus.respond(Topic("callmgr", "originate.resource.req"), lambda _: [{"Event-Name": "originate_uuid"}])
    (reply,) = result_of(bus.request("callmgr", "originate.resource.req", {}, timeout=1, mandatory=True))
    assert reply.name == "originate_uuid"


def test_what_no_broker_would_take_is_refused() -> None:
    bus = FakeBus()
    with pytest.raises(BusUnavailable, match="no exchange 'nowhere'"):
        result_of(bus.publish("nowhere", "k", {}))
    with pytest.raises(TypeError):
        result_of(bus.publish("callevt", "k", {"a": {1}}))
    assert bus.published == []


def test_an_unavailable_bus_refuses_everything() -> None:
    bus = FakeBus(unavailable="the broker is away")
    consumer = consume(bus, lambda _: None)
    assert bus.unavailable_reason() == "the broker is away"
    for refused in (
        bus.publish("callevt", "k", {}),
        bus.request("callevt", "k", {}, timeout=1),
        consumer.bind(CALLS),
    ):
        with pytest.raises(BusUnavailable, match="the broker is away"):
            result_of(refused)
    bus.unavailable = None
    result_of(bus.publish("callevt", "k", {}))


def test_a_request_collects_the_replies_of_responders() -> None:
    bus = FakeBus()
    bus.respond(Topic("callevt", "query.#"), lambda request: [{"Echo": request.body["What"]}, {"Echo": 2}])
    bus.respond(Topic("callevt", "other.#"), lambda _: [{"Echo": "wrong"}])
    body = {"Event-Category": "c", "Event-Name": "query", "What": 1}
    replies = result_of(bus.request("callevt", "query.x", body, timeout=1))
    assert [reply.body["Echo"] for reply in replies] == [1, 2]
    sent = bus.published[0].body
    assert {reply.message_id for reply in replies} == {sent["Msg-ID"]}
    assert {"App-Name", "App-Version", "Server-ID"} <= sent.keys()


def test_a_request_collects_the_replies_that_consumers_publish() -> None:
    bus = FakeBus()

    def answer(request: Event) -> None:
        result_of(bus.reply(request, {"Msg-ID": request.message_id, "Echo": 1}))

    consume(bus, answer, topic=Topic("callevt", "query.#"))
    replies = result_of(bus.request("callevt", "query.x", {}, timeout=1))
    assert [reply.body["Echo"] for reply in replies] == [1]
    assert len(bus.consumers) == 1


def test_a_reply_needs_a_queue_that_it_goes_to() -> None:
    with pytest.raises(ValueError, match="Server-ID"):
        result_of(FakeBus().reply(make_event("callevt", "query.x", {}), {}))


def test_a_request_is_done_as_soon_as_its_condition_holds() -> None:
    bus = FakeBus()
    bus.respond(Topic("callevt", "query"), lambda _: [{"Number": number} for number in range(5)])

    def two(replies: Sequence[Event]) -> bool:
        return len(replies) == 2

    assert len(result_of(bus.request("callevt", "query", {}, timeout=1, done_when=two))) == 2
    assert len(result_of(bus.request("callevt", "query", {}, timeout=1, done_when=lambda _: False))) == 5
    assert result_of(bus.request("callevt", "unknown", {}, timeout=1, done_when=two)) == []
