"""The tests that every bus must pass; see ``test_embedded`` and ``integration/test_bus_suite``.

A subclass of `IBusSuite` needs the fixture ``harness``: a running bus that nothing has used yet.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import pytest
import pytest_twisted
from attrs import frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.logger import LogLevel
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
from tests.bus.harness import CapturedLog, HoldingHandler, RecordingHandler, until

CALLS = Topic("callevt", "call.*.*")
DURABLE = Queue("suite.durable", frozenset({CALLS}), durable=True)


@frozen
class BusHarness:
    """A running bus.

    `send_raw` publishes any bytes: exchange, routing key, body, content encoding. `stop` stops the bus.
    """

    bus: IBus
    send_raw: Callable[[str, str, bytes, str | None], object]
    stop: Callable[[], object]


@pytest.fixture
def captured_log() -> Iterator[CapturedLog]:
    """The log events of the test."""
    with CapturedLog() as log:
        yield log


async def start_consumer(bus: IBus, queue: Queue, handler: EventHandler) -> IConsumer:
    consumer = bus.consume(queue, handler)
    await consumer.when_running()
    return consumer


async def publish_numbers(bus: IBus, *numbers: int, key: str = "call.EVENT.id") -> None:
    await gatherResults([bus.publish("callevt", key, {"n": number}) for number in numbers])


async def run_responders(bus: IBus, *names: str) -> None:
    """Start consumers that reply to requests on ``callevt``, each with its name."""

    def responder(name: str) -> EventHandler:
        def respond(request: Event) -> Deferred[None]:
            body = {"Msg-ID": request.message_id, "Name": name, "Asked": request.body.get("What")}
            return bus.reply(request, body)

        return respond

    for name in names:
        await start_consumer(bus, Queue("", frozenset({Topic("callevt", "question")})), responder(name))


class IBusSuite:
    # -- messages

    @pytest_twisted.ensureDeferred
    async def test_a_reply_needs_a_queue_that_it_goes_to(self, harness: BusHarness) -> None:
        with pytest.raises(ValueError, match="Server-ID"):
            await harness.bus.reply(Event("callevt", "question", {}, b"{}"), {})

    def test_it_is_a_bus(self, harness: BusHarness) -> None:
        assert verifyObject(IBus, harness.bus)
        assert verifyObject(IConsumer, harness.bus.consume(DURABLE, RecordingHandler()))

    @pytest_twisted.ensureDeferred
    async def test_a_message_arrives_as_it_was_sent(self, harness: BusHarness) -> None:
        seen = RecordingHandler()
        await start_consumer(harness.bus, DURABLE, seen)
        body = {"Event-Name": "größe", "Deep": {"л": [1, None, True, 1.5, "€"]}}
        await harness.bus.publish("callevt", "call.ключ.größe", body)
        await seen.wait_for(1)
        [event] = seen.events
        assert (event.exchange, event.routing_key, event.body, event.redelivered) == (
            "callevt",
            "call.ключ.größe",
            body,
            False,
        )
        assert "größe".encode() in event.raw
        assert harness.bus.unavailable_reason() is None

    @pytest_twisted.ensureDeferred
    async def test_order_is_kept(self, harness: BusHarness) -> None:
        seen = RecordingHandler()
        await start_consumer(harness.bus, DURABLE, seen)
        await publish_numbers(harness.bus, *range(500))
        await seen.wait_for(500)
        assert seen.numbers == list(range(500))

    @pytest_twisted.ensureDeferred
    async def test_delivery_happens_after_publishing_returns(self, harness: BusHarness) -> None:
        seen = RecordingHandler()
        await start_consumer(harness.bus, DURABLE, seen)
        confirmed = harness.bus.publish("callevt", "call.a.b", {})
        assert seen.events == []
        await confirmed
        await seen.wait_for(1)

    @pytest_twisted.ensureDeferred
    async def test_consumers_and_publishers_share_no_state(self, harness: BusHarness) -> None:
        def spoil(event: Event) -> None:
            assert isinstance(event.body, dict)
            event.body["Inner"]["a"] = "spoilt"

        first, second = RecordingHandler(spoil), RecordingHandler(spoil)
        for seen in (first, second):
            await start_consumer(harness.bus, Queue("", frozenset({CALLS})), seen)
        body = {"Inner": {"a": 1}, "Set": 0}
        confirmed = harness.bus.publish("callevt", "call.a.b", body)
        body["Set"] = 1
        await confirmed
        await first.wait_for(1)
        await second.wait_for(1)
        assert body == {"Inner": {"a": 1}, "Set": 1}
        assert first.events[0].body is not second.events[0].body
        assert first.events[0].body["Set"] == second.events[0].body["Set"] == 0

    @pytest_twisted.ensureDeferred
    async def test_topics_select_messages_by_the_words_of_their_keys(self, harness: BusHarness) -> None:
        seen = RecordingHandler()
        topics = {CALLS, Topic("presence", "dialog.#"), Topic("targeted", "#"), Topic("targeted", "me")}
        await start_consumer(harness.bus, Queue("", frozenset(topics)), seen)
        sent = [
            ("callevt", "call.a"),
            ("callevt", "call.a.b"),
            ("callevt", "call.a.b.c"),
            ("presence", "dialog"),
            ("presence", "dialog.r.c"),
        ]
        for exchange, key in [*sent, ("presence", "call.a.b"), ("targeted", "other"), ("targeted", "me")]:
            await harness.bus.publish(exchange, key, {})
        await seen.wait_for(4)
        assert sorted(seen.keys) == ["call.a.b", "dialog", "dialog.r.c", "me"]

    # -- queues

    @pytest_twisted.ensureDeferred
    async def test_a_queue_is_shared(self, harness: BusHarness) -> None:
        shared = Queue("suite.shared", frozenset({CALLS}), durable=True, prefetch=1)
        first, second = HoldingHandler(), HoldingHandler()
        for seen in (first, second):
            await start_consumer(harness.bus, shared, seen)
        await publish_numbers(harness.bus, *range(4))
        await first.wait_for(1)
        await second.wait_for(1)
        second.finish()
        await second.wait_for(2)
        second.finish()
        await second.wait_for(3)
        first.finish()
        second.finish()
        assert sorted(first.numbers + second.numbers) == [0, 1, 2, 3]
        assert len(first.events) == 1

    @pytest_twisted.ensureDeferred
    async def test_each_unnamed_queue_gets_a_copy(self, harness: BusHarness) -> None:
        copies = [RecordingHandler() for _ in range(3)]
        for seen in copies:
            await start_consumer(harness.bus, Queue("", frozenset({CALLS})), seen)
        await publish_numbers(harness.bus, 1, 2)
        for seen in copies:
            await seen.wait_for(2)
            assert seen.numbers == [1, 2]

    @pytest_twisted.ensureDeferred
    async def test_several_topics_that_match_are_one_message(self, harness: BusHarness) -> None:
        seen = RecordingHandler()
        await start_consumer(
            harness.bus,
            Queue("", frozenset({CALLS, Topic("callevt", "call.a.b"), Topic("callevt", "#")})),
            seen,
        )
        await harness.bus.publish("callevt", "call.a.b", {})
        await harness.bus.publish("callevt", "end", {})
        await seen.wait_for(2)
        assert seen.keys == ["call.a.b", "end"]

    @pytest_twisted.ensureDeferred
    async def test_a_durable_queue_keeps_messages_without_a_consumer(self, harness: BusHarness) -> None:
        consumer = await start_consumer(harness.bus, DURABLE, RecordingHandler())
        await consumer.cancel()
        await publish_numbers(harness.bus, 1, 2, 3)
        seen = RecordingHandler()
        await start_consumer(harness.bus, DURABLE, seen)
        await seen.wait_for(3)
        assert seen.numbers == [1, 2, 3]
        assert not any(event.redelivered for event in seen.events)

    @pytest.mark.parametrize("name", ["", "suite.passing"])
    @pytest_twisted.ensureDeferred
    async def test_other_queues_are_deleted_with_their_consumer(self, harness: BusHarness, name: str) -> None:
        consumer = await start_consumer(harness.bus, Queue(name, frozenset({CALLS})), RecordingHandler())
        await harness.bus.publish("callevt", "call.a.b", {}, mandatory=True)
        await consumer.cancel()
        with pytest.raises(Unroutable):
            await harness.bus.publish("callevt", "call.a.b", {}, mandatory=True)

    @pytest_twisted.ensureDeferred
    async def test_binding_and_unbinding_while_it_runs(self, harness: BusHarness) -> None:
        seen = RecordingHandler()
        consumer = await start_consumer(harness.bus, Queue("", frozenset({Topic("callevt", "a")})), seen)
        await consumer.bind(Topic("callevt", "b"))
        await consumer.bind(Topic("callevt", "b"))
        await consumer.unbind(Topic("callevt", "a"))
        await consumer.unbind(Topic("callevt", "never bound"))
        for key in ("a", "b", "c"):
            await harness.bus.publish("callevt", key, {})
        await consumer.bind(Topic("callevt", "end"))
        await harness.bus.publish("callevt", "end", {})
        await until(lambda: "end" in seen.keys, "the last message")
        assert seen.keys == ["b", "end"]

    @pytest_twisted.ensureDeferred
    async def test_exchanges_of_categories_are_used_like_kazoos(self, harness: BusHarness) -> None:
        cast(Any, harness.bus).add_exchanges({"suite.acdc": "topic", "suite.direct": "direct"})
        seen = RecordingHandler()
        topics = {Topic("suite.acdc", "agent.*"), Topic("suite.direct", "agent.*"), CALLS}
        await start_consumer(harness.bus, Queue("", frozenset(topics)), seen)
        assert harness.bus.unavailable_reason() is None
        harness.send_raw("suite.direct", "agent.a", b"{}", None)
        harness.send_raw("suite.acdc", "agent.a", b"{}", None)
        await seen.wait_for(1)
        assert [(event.exchange, event.routing_key) for event in seen.events] == [("suite.acdc", "agent.a")]

    @pytest_twisted.ensureDeferred
    async def test_an_unknown_exchange_cannot_be_bound(self, harness: BusHarness) -> None:
        seen = RecordingHandler()
        consumer = await start_consumer(harness.bus, DURABLE, seen)
        with pytest.raises(BusUnavailable, match="nowhere"):
            await consumer.bind(Topic("nowhere", "#"))
        await publish_numbers(harness.bus, 1)
        await seen.wait_for(1)
        assert harness.bus.unavailable_reason() is None

    @pytest_twisted.ensureDeferred
    async def test_a_topic_on_an_unknown_exchange_is_a_missing_binding_and_other_topics_work(
        self, harness: BusHarness
    ) -> None:
        seen = RecordingHandler()
        await start_consumer(harness.bus, Queue("", frozenset({Topic("nowhere", "x"), CALLS})), seen)
        await publish_numbers(harness.bus, 1)
        await seen.wait_for(1)
        assert harness.bus.unavailable_reason() is None
        (missing,) = cast(Any, harness.bus).missing_bindings()
        assert "nowhere" in missing

    # -- acknowledgement

    @pytest_twisted.ensureDeferred
    async def test_prefetch_limits_unacknowledged_events(self, harness: BusHarness) -> None:
        seen = HoldingHandler()
        await start_consumer(
            harness.bus, Queue("suite.three", frozenset({CALLS}), durable=True, prefetch=3), seen
        )
        await publish_numbers(harness.bus, *range(10))
        await seen.wait_for(3)
        for finished in range(1, 8):
            seen.finish()
            await seen.wait_for(3 + finished)
        assert seen.max_held == 3
        assert seen.numbers == list(range(10))
        while seen.held:
            seen.finish()

    @pytest.mark.parametrize(
        "queue", [Queue("", frozenset({CALLS})), Queue("", frozenset({CALLS}), prefetch=2, acknowledge=False)]
    )
    @pytest_twisted.ensureDeferred
    async def test_without_prefetch_or_acknowledgement_there_is_no_limit(
        self, harness: BusHarness, queue: Queue
    ) -> None:
        seen = HoldingHandler()
        await start_consumer(harness.bus, queue, seen)
        await publish_numbers(harness.bus, *range(50))
        await seen.wait_for(50)
        assert seen.max_held == 50

    @pytest_twisted.ensureDeferred
    async def test_an_unfinished_event_is_redelivered_and_blocks_no_other(self, harness: BusHarness) -> None:
        def not_yet(event: Event) -> Deferred[None] | None:
            return (
                fail(Requeue("the storage is away"))
                if event.body["n"] == 1 and not event.redelivered
                else None
            )

        seen = RecordingHandler(not_yet)
        await start_consumer(harness.bus, DURABLE, seen)
        await publish_numbers(harness.bus, 1, 2, 3)
        await seen.wait_for(4)
        assert [(event.body["n"], event.redelivered) for event in seen.events] == [
            (1, False),
            (2, False),
            (3, False),
            (1, True),
        ]

    @pytest_twisted.ensureDeferred
    async def test_requeue_may_be_raised_several_times(self, harness: BusHarness) -> None:
        def third_time(event: Event) -> None:
            if len(seen.events) < 3:
                raise Requeue

        seen = RecordingHandler(third_time)
        consumer = await start_consumer(harness.bus, DURABLE, seen)
        await publish_numbers(harness.bus, 1)
        await seen.wait_for(3)
        assert [event.redelivered for event in seen.events] == [False, True, True]
        await consumer.cancel()
        await publish_numbers(harness.bus, 2)
        rest = RecordingHandler()
        await start_consumer(harness.bus, DURABLE, rest)
        await rest.wait_for(1)
        assert rest.numbers == [2]

    @pytest_twisted.ensureDeferred
    async def test_a_failing_handler_loses_its_message_and_no_other(
        self, harness: BusHarness, captured_log: CapturedLog
    ) -> None:
        def clumsy(event: Event) -> Deferred[None] | None:
            if event.routing_key == "call.raises.x":
                raise RuntimeError("oh")
            return fail(RuntimeError("ah")) if event.routing_key == "call.fails.x" else None

        seen = RecordingHandler(clumsy)
        consumer = await start_consumer(harness.bus, DURABLE, seen)
        for key in ("call.raises.x", "call.good.1", "call.fails.x", "call.good.2"):
            await harness.bus.publish("callevt", key, {})
        await seen.wait_for(4)
        await consumer.cancel()
        await harness.bus.publish("callevt", "call.good.3", {})
        rest = RecordingHandler()
        await start_consumer(harness.bus, DURABLE, rest)
        await rest.wait_for(1)
        assert seen.keys == ["call.raises.x", "call.good.1", "call.fails.x", "call.good.2"]
        assert rest.keys == ["call.good.3"]
        lines = captured_log.at_least(LogLevel.warn)
        assert len(lines) == 2
        assert "call.raises.x" in lines[0]
        assert "call.fails.x" in lines[1]

    @pytest_twisted.ensureDeferred
    async def test_a_message_that_cannot_be_decoded_is_dropped(
        self, harness: BusHarness, captured_log: CapturedLog
    ) -> None:
        seen = RecordingHandler()
        consumer = await start_consumer(
            harness.bus, Queue("suite.raw", frozenset({CALLS}), durable=True, prefetch=1), seen
        )
        # Makes sure that the exchange exists before raw bytes are sent.
        await harness.bus.publish("callevt", "call.first.x", {})
        await seen.wait_for(1)
        bad = [
            ("json", b"{not", None),
            ("list", b"[]", None),
            ("gzip", b"{}", "gzip"),
            ("encoding", b"{}", "br"),
            ("empty", b"", None),
        ]
        for name, raw, content_encoding in bad:
            harness.send_raw("callevt", f"call.bad.{name}", raw, content_encoding)
        harness.send_raw("callevt", "call.good.zipped", gzip.compress(b'{"n":1}'), "gzip")
        await seen.wait_for(2)
        await consumer.cancel()
        assert seen.keys == ["call.first.x", "call.good.zipped"]
        assert seen.events[1].raw == b'{"n":1}'
        lines = captured_log.at_least(LogLevel.warn)
        # The first message of each reason is logged at once, others later.
        for name, line in zip(("json", "list", "gzip"), lines, strict=True):
            assert f"call.bad.{name}" in line

    @pytest_twisted.ensureDeferred
    async def test_after_cancelling_an_event_may_still_be_finished(self, harness: BusHarness) -> None:
        queue = Queue("suite.cancelled", frozenset({CALLS}), durable=True, prefetch=1)
        seen = HoldingHandler()
        consumer = await start_consumer(harness.bus, queue, seen)
        await publish_numbers(harness.bus, 1, 2)
        await seen.wait_for(1)
        await consumer.cancel()
        await consumer.cancel()
        seen.finish()
        rest = RecordingHandler()
        await start_consumer(harness.bus, queue, rest)
        await rest.wait_for(1)
        assert seen.numbers == [1]
        assert [(event.body["n"], event.redelivered) for event in rest.events] == [(2, False)]

    @pytest_twisted.ensureDeferred
    async def test_after_cancelling_an_unfinished_event_goes_to_another_consumer(
        self, harness: BusHarness
    ) -> None:
        seen, other = HoldingHandler(), RecordingHandler()
        consumer = await start_consumer(harness.bus, DURABLE, seen)
        await publish_numbers(harness.bus, 1)
        await seen.wait_for(1)
        await consumer.cancel()
        await start_consumer(harness.bus, DURABLE, other)
        seen.held[0].errback(Requeue())
        await other.wait_for(1)
        assert [(event.body["n"], event.redelivered) for event in other.events] == [(1, True)]

    # -- publishing

    @pytest_twisted.ensureDeferred
    async def test_an_unroutable_message_is_confirmed_unless_it_is_mandatory(
        self, harness: BusHarness
    ) -> None:
        await harness.bus.publish("callevt", "call.a.b", {})
        with pytest.raises(Unroutable, match=r"call\.a\.b.*callevt"):
            await harness.bus.publish("callevt", "call.a.b", {}, mandatory=True)
        await start_consumer(harness.bus, DURABLE, RecordingHandler())
        await harness.bus.publish("callevt", "call.a.b", {}, mandatory=True)

    @pytest_twisted.ensureDeferred
    async def test_messages_that_cannot_be_published(self, harness: BusHarness) -> None:
        with pytest.raises(BusUnavailable, match="nowhere"):
            await harness.bus.publish("nowhere", "key", {})
        with pytest.raises(ValueError, match="JSON"):
            await harness.bus.publish("callevt", "key", {"a": b"bytes"})
        with pytest.raises(ValueError, match="255"):
            await harness.bus.publish("callevt", "ü" * 128, {})
        await harness.bus.publish("callevt", "ü" * 127, {})

    # -- requests

    @pytest_twisted.ensureDeferred
    async def test_replies_are_collected_until_the_timeout(self, harness: BusHarness) -> None:
        await run_responders(harness.bus, "one", "two")
        replies = await harness.bus.request("callevt", "question", {"What": "größe"}, timeout=1.0)
        assert sorted(reply.body["Name"] for reply in replies) == ["one", "two"]
        assert {reply.body["Asked"] for reply in replies} == {"größe"}

    @pytest_twisted.ensureDeferred
    async def test_a_request_without_replies_has_an_empty_result(self, harness: BusHarness) -> None:
        assert await harness.bus.request("callevt", "question", {}, timeout=0.5) == []

    @pytest_twisted.ensureDeferred
    async def test_a_request_ends_when_done_when_is_true(self, harness: BusHarness) -> None:
        def two(replies: Sequence[Event]) -> bool:
            return len(replies) >= 2

        await run_responders(harness.bus, "one", "two", "three")
        began = reactor.seconds()
        replies = await harness.bus.request("callevt", "question", {}, timeout=60, done_when=two)
        assert len(replies) == 2
        assert reactor.seconds() - began < 10

    @pytest_twisted.ensureDeferred
    async def test_every_request_gets_its_own_replies(self, harness: BusHarness) -> None:
        def one(replies: Sequence[Event]) -> bool:
            return bool(replies)

        await run_responders(harness.bus, "me")
        requests = [
            harness.bus.request("callevt", "question", {"What": number}, timeout=10, done_when=one)
            for number in range(20)
        ]
        replies = await gatherResults(requests)
        assert [found[0].body["Asked"] for found in replies] == list(range(20))

    @pytest_twisted.ensureDeferred
    async def test_a_request_has_an_envelope(self, harness: BusHarness) -> None:
        seen = RecordingHandler()
        await start_consumer(harness.bus, Queue("", frozenset({Topic("callevt", "#")})), seen)
        given: Mapping[str, Any] = {
            "Event-Name": "q",
            "Msg-ID": "not this",
            "Server-ID": "nor this",
            "App-Name": "mine",
        }
        await harness.bus.request("callevt", "question", given, timeout=0.2)
        await harness.bus.request("callevt", "question", {}, timeout=0.2)
        await seen.wait_for(2)
        first, second = (event.body for event in seen.events)
        assert first["Event-Name"] == "q"
        assert (first["App-Name"], second["App-Name"]) == ("mine", "kazoo_bridge")
        assert first["App-Version"] == second["App-Version"] != ""
        assert len({"not this", first["Msg-ID"], second["Msg-ID"]}) == 3
        assert first["Server-ID"] == second["Server-ID"] != "nor this"
        assert given["Msg-ID"] == "not this"

    @pytest_twisted.ensureDeferred
    async def test_stopping_ends_a_request_at_once(self, harness: BusHarness) -> None:
        await run_responders(harness.bus, "one")
        answered = harness.bus.request("callevt", "question", {}, timeout=60)
        unanswered = harness.bus.request("callevt", "unanswered", {}, timeout=60)
        # Replies are delivered in order of publishing, so the first has arrived when this request has its
        # own.
        await harness.bus.request("callevt", "question", {}, timeout=60, done_when=bool)
        began = reactor.seconds()
        stopped = harness.stop()
        assert [reply.body["Name"] for reply in await answered] == ["one"]
        with pytest.raises(BusUnavailable, match="the bus was stopped before a reply arrived"):
            await unanswered
        if isinstance(stopped, Deferred):
            await stopped
        assert reactor.seconds() - began < 10
