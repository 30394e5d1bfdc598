"""What every bus must do; run on the embedded one in ``test_embedded`` and on RabbitMQ in ``integration/test_bus_suite``.

Whoever subclasses `IBusSuite` provides the fixture ``at_work``: a bus that runs, on which nothing has happened yet.
"""

from __future__ import annotations

import gzip
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import pytest_twisted
from attrs import frozen
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, gatherResults
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, LogLevel, formatEvent, globalLogPublisher
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

CALLS = Topic("callevt", "call.*.*")
DURABLE = Queue("suite.durable", frozenset({CALLS}), durable=True)


@frozen
class BusAtWork:
    """A running bus, and a way to put bytes of any kind on an exchange: exchange, routing key, body, content encoding."""

    bus: IBus
    send_raw: Callable[[str, str, bytes, str | None], object]


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds; fail after ten seconds, saying what was waited for."""
    deadline = reactor.seconds() + 10
    while not condition():
        assert reactor.seconds() < deadline, f"waited in vain for {what}"
        await deferLater(reactor, 0.01)


class Recorder:
    """A handler that keeps the events, and does with each what `then` says."""

    def __init__(self, then: Callable[[Event], Deferred[None] | None] = lambda _event: None) -> None:
        self.events: list[Event] = []
        self._then = then

    def __call__(self, event: Event) -> Deferred[None] | None:
        self.events.append(event)
        return self._then(event)

    @property
    def keys(self) -> list[str]:
        return [event.routing_key for event in self.events]

    @property
    def numbers(self) -> list[int]:
        return [event.body["n"] for event in self.events]

    async def has(self, number: int) -> None:
        await until(lambda: len(self.events) >= number, f"{number} events, {len(self.events)} came")


class Holder(Recorder):
    """A handler that finishes with nothing until it is told to."""

    def __init__(self) -> None:
        super().__init__(self._hold)
        self.held: list[Deferred[None]] = []
        self.most = 0

    def _hold(self, _event: Event) -> Deferred[None]:
        self.held.append(Deferred())
        self.most = max(self.most, len(self.held))
        return self.held[-1]

    def finish(self) -> None:
        self.held.pop(0).callback(None)


@pytest.fixture
def complaints() -> Any:
    """What is logged as a warning or worse, as text."""
    lines: list[str] = []

    def observe(event: LogEvent) -> None:
        if event.get("log_level", LogLevel.debug) >= LogLevel.warn:
            lines.append(formatEvent(event))

    globalLogPublisher.addObserver(observe)
    yield lines
    globalLogPublisher.removeObserver(observe)


async def running(bus: IBus, queue: Queue, handler: EventHandler) -> IConsumer:
    consumer = bus.consume(queue, handler)
    await consumer.when_running()
    return consumer


async def publish_numbers(bus: IBus, *numbers: int, key: str = "call.EVENT.id") -> None:
    await gatherResults([bus.publish("callevt", key, {"n": number}) for number in numbers])


async def answering(bus: IBus, *names: str) -> None:
    """Consumers that answer what is asked on ``callevt``, under these names."""

    def answerer(name: str) -> EventHandler:
        def answer(question: Event) -> Deferred[None]:
            body = {"Msg-ID": question.message_id, "Name": name, "Asked": question.body.get("What")}
            return bus.publish("targeted", question.body["Server-ID"], body)

        return answer

    for name in names:
        await running(bus, Queue("", frozenset({Topic("callevt", "question")})), answerer(name))


class IBusSuite:
    # -- messages

    def test_it_is_a_bus(self, at_work: BusAtWork) -> None:
        assert verifyObject(IBus, at_work.bus)
        assert verifyObject(IConsumer, at_work.bus.consume(DURABLE, Recorder()))

    @pytest_twisted.ensureDeferred
    async def test_a_message_arrives_as_it_was_sent(self, at_work: BusAtWork) -> None:
        seen = Recorder()
        await running(at_work.bus, DURABLE, seen)
        body = {"Event-Name": "größe", "Deep": {"л": [1, None, True, 1.5, "€"]}}
        await at_work.bus.publish("callevt", "call.ключ.größe", body)
        await seen.has(1)
        [event] = seen.events
        assert (event.exchange, event.routing_key, event.body, event.redelivered) == (
            "callevt",
            "call.ключ.größe",
            body,
            False,
        )
        assert "größe".encode() in event.raw
        assert at_work.bus.unavailable_reason() is None

    @pytest_twisted.ensureDeferred
    async def test_order_is_kept(self, at_work: BusAtWork) -> None:
        seen = Recorder()
        await running(at_work.bus, DURABLE, seen)
        await publish_numbers(at_work.bus, *range(500))
        await seen.has(500)
        assert seen.numbers == list(range(500))

    @pytest_twisted.ensureDeferred
    async def test_delivery_is_not_part_of_publishing(self, at_work: BusAtWork) -> None:
        seen = Recorder()
        await running(at_work.bus, DURABLE, seen)
        confirmed = at_work.bus.publish("callevt", "call.a.b", {})
        assert seen.events == []
        await confirmed
        await seen.has(1)

    @pytest_twisted.ensureDeferred
    async def test_consumers_and_publishers_share_no_state(self, at_work: BusAtWork) -> None:
        def spoil(event: Event) -> None:
            assert isinstance(event.body, dict)
            event.body["Inner"]["a"] = "spoilt"

        first, second = Recorder(spoil), Recorder(spoil)
        for seen in (first, second):
            await running(at_work.bus, Queue("", frozenset({CALLS})), seen)
        body = {"Inner": {"a": 1}, "Set": 0}
        confirmed = at_work.bus.publish("callevt", "call.a.b", body)
        body["Set"] = 1
        await confirmed
        await first.has(1)
        await second.has(1)
        assert body == {"Inner": {"a": 1}, "Set": 1}
        assert first.events[0].body is not second.events[0].body
        assert first.events[0].body["Set"] == second.events[0].body["Set"] == 0

    @pytest_twisted.ensureDeferred
    async def test_words_decide_what_is_heard(self, at_work: BusAtWork) -> None:
        seen = Recorder()
        topics = {CALLS, Topic("presence", "dialog.#"), Topic("targeted", "#"), Topic("targeted", "me")}
        await running(at_work.bus, Queue("", frozenset(topics)), seen)
        sent = [
            ("callevt", "call.a"),
            ("callevt", "call.a.b"),
            ("callevt", "call.a.b.c"),
            ("presence", "dialog"),
            ("presence", "dialog.r.c"),
        ]
        for exchange, key in [*sent, ("presence", "call.a.b"), ("targeted", "other"), ("targeted", "me")]:
            await at_work.bus.publish(exchange, key, {})
        await seen.has(4)
        assert sorted(seen.keys) == ["call.a.b", "dialog", "dialog.r.c", "me"]

    # -- queues

    @pytest_twisted.ensureDeferred
    async def test_a_queue_is_shared(self, at_work: BusAtWork) -> None:
        shared = Queue("suite.shared", frozenset({CALLS}), durable=True, prefetch=1)
        first, second = Holder(), Holder()
        for seen in (first, second):
            await running(at_work.bus, shared, seen)
        await publish_numbers(at_work.bus, *range(4))
        await first.has(1)
        await second.has(1)
        second.finish()
        await second.has(2)
        second.finish()
        await second.has(3)
        first.finish()
        second.finish()
        assert sorted(first.numbers + second.numbers) == [0, 1, 2, 3]
        assert len(first.events) == 1

    @pytest_twisted.ensureDeferred
    async def test_queues_without_a_name_each_get_a_copy(self, at_work: BusAtWork) -> None:
        copies = [Recorder() for _ in range(3)]
        for seen in copies:
            await running(at_work.bus, Queue("", frozenset({CALLS})), seen)
        await publish_numbers(at_work.bus, 1, 2)
        for seen in copies:
            await seen.has(2)
            assert seen.numbers == [1, 2]

    @pytest_twisted.ensureDeferred
    async def test_several_topics_that_match_are_one_message(self, at_work: BusAtWork) -> None:
        seen = Recorder()
        await running(
            at_work.bus,
            Queue("", frozenset({CALLS, Topic("callevt", "call.a.b"), Topic("callevt", "#")})),
            seen,
        )
        await at_work.bus.publish("callevt", "call.a.b", {})
        await at_work.bus.publish("callevt", "end", {})
        await seen.has(2)
        assert seen.keys == ["call.a.b", "end"]

    @pytest_twisted.ensureDeferred
    async def test_a_durable_queue_keeps_messages_while_nobody_consumes(self, at_work: BusAtWork) -> None:
        consumer = await running(at_work.bus, DURABLE, Recorder())
        await consumer.cancel()
        await publish_numbers(at_work.bus, 1, 2, 3)
        seen = Recorder()
        await running(at_work.bus, DURABLE, seen)
        await seen.has(3)
        assert seen.numbers == [1, 2, 3]
        assert not any(event.redelivered for event in seen.events)

    @pytest.mark.parametrize("name", ["", "suite.passing"])
    @pytest_twisted.ensureDeferred
    async def test_other_queues_go_with_their_consumer(self, at_work: BusAtWork, name: str) -> None:
        consumer = await running(at_work.bus, Queue(name, frozenset({CALLS})), Recorder())
        await at_work.bus.publish("callevt", "call.a.b", {}, mandatory=True)
        await consumer.cancel()
        with pytest.raises(Unroutable):
            await at_work.bus.publish("callevt", "call.a.b", {}, mandatory=True)

    @pytest_twisted.ensureDeferred
    async def test_binding_and_unbinding_while_it_runs(self, at_work: BusAtWork) -> None:
        seen = Recorder()
        consumer = await running(at_work.bus, Queue("", frozenset({Topic("callevt", "a")})), seen)
        await consumer.bind(Topic("callevt", "b"))
        await consumer.bind(Topic("callevt", "b"))
        await consumer.unbind(Topic("callevt", "a"))
        await consumer.unbind(Topic("callevt", "never bound"))
        for key in ("a", "b", "c"):
            await at_work.bus.publish("callevt", key, {})
        await consumer.bind(Topic("callevt", "end"))
        await at_work.bus.publish("callevt", "end", {})
        await until(lambda: "end" in seen.keys, "the last message")
        assert seen.keys == ["b", "end"]

    @pytest_twisted.ensureDeferred
    async def test_an_unknown_exchange_cannot_be_bound(self, at_work: BusAtWork) -> None:
        seen = Recorder()
        consumer = await running(at_work.bus, DURABLE, seen)
        with pytest.raises(BusUnavailable, match="nowhere"):
            await consumer.bind(Topic("nowhere", "#"))
        await publish_numbers(at_work.bus, 1)
        await seen.has(1)
        assert at_work.bus.unavailable_reason() is None

    @pytest_twisted.ensureDeferred
    async def test_an_unknown_exchange_is_trouble_and_other_topics_work(self, at_work: BusAtWork) -> None:
        seen = Recorder()
        await running(at_work.bus, Queue("", frozenset({Topic("nowhere", "x"), CALLS})), seen)
        await publish_numbers(at_work.bus, 1)
        await seen.has(1)
        assert "nowhere" in (at_work.bus.unavailable_reason() or "")

    # -- acknowledgement

    @pytest_twisted.ensureDeferred
    async def test_prefetch_bounds_what_is_in_hand(self, at_work: BusAtWork) -> None:
        seen = Holder()
        await running(at_work.bus, Queue("suite.three", frozenset({CALLS}), durable=True, prefetch=3), seen)
        await publish_numbers(at_work.bus, *range(10))
        await seen.has(3)
        for finished in range(1, 8):
            seen.finish()
            await seen.has(3 + finished)
        assert seen.most == 3
        assert seen.numbers == list(range(10))
        while seen.held:
            seen.finish()

    @pytest.mark.parametrize(
        "queue", [Queue("", frozenset({CALLS})), Queue("", frozenset({CALLS}), prefetch=2, acknowledge=False)]
    )
    @pytest_twisted.ensureDeferred
    async def test_without_prefetch_or_acknowledgement_there_is_no_bound(
        self, at_work: BusAtWork, queue: Queue
    ) -> None:
        seen = Holder()
        await running(at_work.bus, queue, seen)
        await publish_numbers(at_work.bus, *range(50))
        await seen.has(50)
        assert seen.most == 50

    @pytest_twisted.ensureDeferred
    async def test_what_is_unfinished_comes_again_and_holds_up_nothing(self, at_work: BusAtWork) -> None:
        def not_yet(event: Event) -> Deferred[None] | None:
            return (
                fail(Requeue("the storage is away"))
                if event.body["n"] == 1 and not event.redelivered
                else None
            )

        seen = Recorder(not_yet)
        await running(at_work.bus, DURABLE, seen)
        await publish_numbers(at_work.bus, 1, 2, 3)
        await seen.has(4)
        assert [(event.body["n"], event.redelivered) for event in seen.events] == [
            (1, False),
            (2, False),
            (3, False),
            (1, True),
        ]

    @pytest_twisted.ensureDeferred
    async def test_unfinished_may_be_raised_too_and_again_and_again(self, at_work: BusAtWork) -> None:
        def third_time(event: Event) -> None:
            if len(seen.events) < 3:
                raise Requeue

        seen = Recorder(third_time)
        consumer = await running(at_work.bus, DURABLE, seen)
        await publish_numbers(at_work.bus, 1)
        await seen.has(3)
        assert [event.redelivered for event in seen.events] == [False, True, True]
        await consumer.cancel()
        await publish_numbers(at_work.bus, 2)
        rest = Recorder()
        await running(at_work.bus, DURABLE, rest)
        await rest.has(1)
        assert rest.numbers == [2]

    @pytest_twisted.ensureDeferred
    async def test_a_failing_handler_loses_its_message_and_no_other(
        self, at_work: BusAtWork, complaints: list[str]
    ) -> None:
        def clumsy(event: Event) -> Deferred[None] | None:
            if event.routing_key == "call.raises.x":
                raise RuntimeError("oh")
            return fail(RuntimeError("ah")) if event.routing_key == "call.fails.x" else None

        seen = Recorder(clumsy)
        consumer = await running(at_work.bus, DURABLE, seen)
        for key in ("call.raises.x", "call.good.1", "call.fails.x", "call.good.2"):
            await at_work.bus.publish("callevt", key, {})
        await seen.has(4)
        await consumer.cancel()
        await at_work.bus.publish("callevt", "call.good.3", {})
        rest = Recorder()
        await running(at_work.bus, DURABLE, rest)
        await rest.has(1)
        assert seen.keys == ["call.raises.x", "call.good.1", "call.fails.x", "call.good.2"]
        assert rest.keys == ["call.good.3"]
        assert len(complaints) == 2
        assert "call.raises.x" in complaints[0]
        assert "call.fails.x" in complaints[1]

    @pytest_twisted.ensureDeferred
    async def test_what_cannot_be_decoded_is_dropped(self, at_work: BusAtWork, complaints: list[str]) -> None:
        seen = Recorder()
        consumer = await running(
            at_work.bus, Queue("suite.raw", frozenset({CALLS}), durable=True, prefetch=1), seen
        )
        # So that the exchange is there whoever sends.
        await at_work.bus.publish("callevt", "call.first.x", {})
        await seen.has(1)
        bad = [
            ("json", b"{not", None),
            ("list", b"[]", None),
            ("gzip", b"{}", "gzip"),
            ("encoding", b"{}", "br"),
            ("empty", b"", None),
        ]
        for name, raw, content_encoding in bad:
            at_work.send_raw("callevt", f"call.bad.{name}", raw, content_encoding)
        at_work.send_raw("callevt", "call.good.zipped", gzip.compress(b'{"n":1}'), "gzip")
        await seen.has(2)
        await consumer.cancel()
        assert seen.keys == ["call.first.x", "call.good.zipped"]
        assert seen.events[1].raw == b'{"n":1}'
        assert len(complaints) == len(bad)
        for (name, _, _), line in zip(bad, complaints, strict=True):
            assert f"call.bad.{name}" in line

    @pytest_twisted.ensureDeferred
    async def test_after_cancelling_what_is_in_hand_may_still_finish(self, at_work: BusAtWork) -> None:
        queue = Queue("suite.cancelled", frozenset({CALLS}), durable=True, prefetch=1)
        seen = Holder()
        consumer = await running(at_work.bus, queue, seen)
        await publish_numbers(at_work.bus, 1, 2)
        await seen.has(1)
        await consumer.cancel()
        await consumer.cancel()
        seen.finish()
        rest = Recorder()
        await running(at_work.bus, queue, rest)
        await rest.has(1)
        assert seen.numbers == [1]
        assert [(event.body["n"], event.redelivered) for event in rest.events] == [(2, False)]

    @pytest_twisted.ensureDeferred
    async def test_after_cancelling_what_is_unfinished_goes_to_another(self, at_work: BusAtWork) -> None:
        seen, other = Holder(), Recorder()
        consumer = await running(at_work.bus, DURABLE, seen)
        await publish_numbers(at_work.bus, 1)
        await seen.has(1)
        await consumer.cancel()
        await running(at_work.bus, DURABLE, other)
        seen.held[0].errback(Requeue())
        await other.has(1)
        assert [(event.body["n"], event.redelivered) for event in other.events] == [(1, True)]

    # -- publishing

    @pytest_twisted.ensureDeferred
    async def test_what_nobody_wants_is_confirmed_unless_it_is_mandatory(self, at_work: BusAtWork) -> None:
        await at_work.bus.publish("callevt", "call.a.b", {})
        with pytest.raises(Unroutable, match=r"call\.a\.b.*callevt"):
            await at_work.bus.publish("callevt", "call.a.b", {}, mandatory=True)
        await running(at_work.bus, DURABLE, Recorder())
        await at_work.bus.publish("callevt", "call.a.b", {}, mandatory=True)

    @pytest_twisted.ensureDeferred
    async def test_what_cannot_be_published(self, at_work: BusAtWork) -> None:
        with pytest.raises(BusUnavailable, match="nowhere"):
            await at_work.bus.publish("nowhere", "key", {})
        with pytest.raises(ValueError, match="JSON"):
            await at_work.bus.publish("callevt", "key", {"a": b"bytes"})
        with pytest.raises(ValueError, match="255"):
            await at_work.bus.publish("callevt", "ü" * 128, {})
        await at_work.bus.publish("callevt", "ü" * 127, {})

    # -- questions

    @pytest_twisted.ensureDeferred
    async def test_answers_are_collected_until_the_time_is_up(self, at_work: BusAtWork) -> None:
        await answering(at_work.bus, "one", "two")
        answers = await at_work.bus.request("callevt", "question", {"What": "größe"}, timeout=1.0)
        assert sorted(answer.body["Name"] for answer in answers) == ["one", "two"]
        assert {answer.body["Asked"] for answer in answers} == {"größe"}

    @pytest_twisted.ensureDeferred
    async def test_no_answer_is_an_answer(self, at_work: BusAtWork) -> None:
        assert await at_work.bus.request("callevt", "question", {}, timeout=0.5) == []

    @pytest_twisted.ensureDeferred
    async def test_enough_answers_end_it(self, at_work: BusAtWork) -> None:
        def two(answers: Sequence[Event]) -> bool:
            return len(answers) >= 2

        await answering(at_work.bus, "one", "two", "three")
        began = reactor.seconds()
        answers = await at_work.bus.request("callevt", "question", {}, timeout=60, done_when=two)
        assert len(answers) == 2
        assert reactor.seconds() - began < 10

    @pytest_twisted.ensureDeferred
    async def test_every_question_gets_its_own_answers(self, at_work: BusAtWork) -> None:
        def one(answers: Sequence[Event]) -> bool:
            return bool(answers)

        await answering(at_work.bus, "me")
        asked = [
            at_work.bus.request("callevt", "question", {"What": number}, timeout=10, done_when=one)
            for number in range(20)
        ]
        answers = await gatherResults(asked)
        assert [found[0].body["Asked"] for found in answers] == list(range(20))

    @pytest_twisted.ensureDeferred
    async def test_a_question_has_an_envelope(self, at_work: BusAtWork) -> None:
        seen = Recorder()
        await running(at_work.bus, Queue("", frozenset({Topic("callevt", "#")})), seen)
        given: Mapping[str, Any] = {
            "Event-Name": "q",
            "Msg-ID": "not this",
            "Server-ID": "nor this",
            "App-Name": "mine",
        }
        await at_work.bus.request("callevt", "question", given, timeout=0.2)
        await at_work.bus.request("callevt", "question", {}, timeout=0.2)
        await seen.has(2)
        first, second = (event.body for event in seen.events)
        assert first["Event-Name"] == "q"
        assert (first["App-Name"], second["App-Name"]) == ("mine", "kazoo_bridge")
        assert first["App-Version"] == second["App-Version"] != ""
        assert len({"not this", first["Msg-ID"], second["Msg-ID"]}) == 3
        assert first["Server-ID"] == second["Server-ID"] != "nor this"
        assert given["Msg-ID"] == "not this"
