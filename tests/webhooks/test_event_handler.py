from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from attrs import define, evolve, field
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from kazoo_bridge.interfaces import (
    Delivery,
    IDirectory,
    IEventCategory,
    Occurrence,
    Requeue,
    StorageUnavailable,
    Topic,
)
from kazoo_bridge.kazoo import Event
from kazoo_bridge.webhooks.delivery.dispatcher import Dispatcher
from kazoo_bridge.webhooks.event_handler import (
    MAX_STARTED_AT_ONCE,
    AllEnded,
    WebhookEventHandler,
    event_id,
    webhook_topics,
    when_ended,
)
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.owner_lookup import OWNER_PATIENCE, OWNER_TIMEOUT
from tests.bus.harness import FakeCompletion
from tests.webhooks.fakes import FakeCategory, FakeDirectory
from tests.webhooks.harness import results_of
from tests.webhooks.hook_factory import ACCOUNT, make_hook

PARENT = "b" * 32


@define
class FakeDispatcher:
    """Records what it is to deliver; a delivery ends when the test ends its completion in `active`."""

    deliveries: list[tuple[str, str]] = field(factory=list)
    payloads: list[Any] = field(factory=list)
    redelivered: list[bool] = field(factory=list)
    active: list[FakeCompletion] = field(factory=list)
    busy_with: int = 0

    def deliver(self, hook: Hook, delivery: Delivery, *, redelivered: bool = False) -> FakeCompletion:
        self.deliveries.append((hook.id, delivery.event_id))
        self.payloads.append(delivery.payload)
        self.redelivered.append(redelivered)
        self.active.append(FakeCompletion())
        return self.active[-1]

    @contextmanager
    def busy(self) -> Iterator[None]:
        self.busy_with += 1
        try:
            yield
        finally:
            self.busy_with -= 1

    @property
    def hooks(self) -> list[str]:
        return sorted(hook_id for hook_id, _ in self.deliveries)


class Harness:
    """The handler for an account with a hook of its own and one of its parent's."""

    def __init__(
        self, *categories: IEventCategory, known: Any = None, fetchable: Any = None, superadmins: Any = ()
    ) -> None:
        self.clock, self.dispatcher, self.registry = Clock(), FakeDispatcher(), HookRegistry()
        self.registry.replace_all(
            [make_hook("own"), make_hook("of-parent", PARENT, include_subaccounts=True)]
        )
        known = {ACCOUNT: (PARENT,)} if known is None else known
        self.directory = FakeDirectory(
            known, fetchable or {}, set(superadmins), owners={"4722555019": ACCOUNT}
        )
        self.handler = WebhookEventHandler(
            self.clock,
            cast(IDirectory, self.directory),
            self.registry,
            cast(Dispatcher, self.dispatcher),
            categories or [cast(IEventCategory, FakeCategory())],
        )

    def handle(self, event: Event) -> list[Any]:
        """Handle an event that a hook matches; returns the results, as `results_of`."""
        handled = self.handler.handle(event)
        assert handled is not None
        return results_of(when_ended(handled))


def event(**body: Any) -> Event:
    return Event("callevt", "x.1", body, repr(body).encode())


def test_several_occurrences_of_one_event_have_different_ids() -> None:
    harness = Harness()
    harness.handle(event(busy=ACCOUNT))
    own = [event_id for hook_id, event_id in harness.dispatcher.deliveries if hook_id == "own"]
    assert len(set(own)) == len(own) == 2
    first = list(harness.dispatcher.deliveries)
    harness.handle(event(busy=ACCOUNT))
    assert harness.dispatcher.deliveries == first * 2  # the broker redelivers it


def test_an_event_that_no_hook_matches() -> None:
    harness = Harness(known={ACCOUNT: (), "c" * 32: ()})
    assert harness.handler.handle(event(account="c" * 32)) is None
    assert harness.handler.handle(Event("presence", "x.1", {}, b"")) is None
    assert harness.dispatcher.deliveries == []
    assert harness.handler.events == {"callevt": 1, "presence": 1}
    assert (harness.handler.events_by_category, harness.handler.matched) == ({"c": 1}, 0)


def test_events_that_match_are_counted_and_those_of_each_category() -> None:
    harness = Harness(
        cast(IEventCategory, FakeCategory()), cast(IEventCategory, FakeCategory("d", exchange="conference"))
    )
    harness.handle(event(busy=ACCOUNT))
    harness.handle(event(account=ACCOUNT))
    assert (harness.handler.events_by_category, harness.handler.matched) == ({"c": 2, "d": 0}, 2)


def test_categories_read_only_the_events_of_their_exchanges() -> None:
    harness = Harness(
        cast(IEventCategory, FakeCategory()), cast(IEventCategory, FakeCategory("d", exchange="conference"))
    )
    harness.handle(event(account=ACCOUNT))
    assert harness.dispatcher.hooks == ["of-parent", "own"]


def test_an_event_is_done_when_its_last_delivery_has_ended() -> None:
    harness = Harness()
    happened = event(account=ACCOUNT)
    results = harness.handle(happened)
    assert sorted(harness.dispatcher.deliveries) == [
        ("of-parent", event_id(happened)),
        ("own", event_id(happened)),
    ]
    assert harness.dispatcher.redelivered == [False, False]
    harness.dispatcher.active[0].succeed()
    assert results == []
    harness.dispatcher.active[1].succeed()
    assert results == [None]


def test_an_event_with_a_single_delivery_is_done_with_it() -> None:
    harness = Harness(known={ACCOUNT: ()})
    results = harness.handle(event(account=ACCOUNT))
    assert (harness.dispatcher.hooks, results) == (["own"], [])
    harness.dispatcher.active[0].succeed()
    assert results == [None]


def test_the_dispatcher_knows_that_an_event_is_redelivered() -> None:
    harness = Harness()
    harness.handle(evolve(event(account=ACCOUNT), redelivered=True))
    assert harness.dispatcher.redelivered == [True, True]


def test_a_failure_is_reported_after_all_deliveries_have_ended() -> None:
    harness = Harness()
    results = harness.handle(event(account=ACCOUNT))
    harness.dispatcher.active[0].fail(ValueError("first"))
    assert results == []
    harness.dispatcher.active[1].succeed()
    assert results[0].check(ValueError)


def test_of_several_failures_requeue_is_reported() -> None:
    harness = Harness()
    results = harness.handle(event(account=ACCOUNT))
    harness.dispatcher.active[0].fail(ValueError("a defect"))
    harness.dispatcher.active[1].fail(Requeue("later"))
    assert results[0].check(Requeue)


def test_a_category_that_raises_does_not_affect_others() -> None:
    broken, other = FakeCategory(), FakeCategory("d")
    harness = Harness(cast(IEventCategory, broken), cast(IEventCategory, other))
    with capturedLogs() as logs:
        assert harness.handler.handle(event(**{"raise": True})) is None
    assert [(log["name"], log["routing_key"]) for log in logs] == [("c", "x.1"), ("d", "x.1")]


def test_the_ancestors_of_an_account_that_is_not_in_memory_are_read() -> None:
    harness = Harness(known={}, fetchable={ACCOUNT: (PARENT,)})
    results = harness.handle(event(account=ACCOUNT))
    assert harness.dispatcher.hooks == ["of-parent", "own"]
    assert results == []
    for active in harness.dispatcher.active:
        active.succeed()
    assert results == [None]


def test_while_ancestors_cannot_be_read_the_event_is_requeued() -> None:
    harness = Harness(known={})
    harness.directory.down = True
    (failure,) = harness.handle(event(account=ACCOUNT))
    assert failure.check(Requeue)
    assert ACCOUNT in str(failure.value)
    assert harness.dispatcher.deliveries == []


def test_the_account_of_a_call_is_the_owner_of_the_called_number() -> None:
    harness = Harness()
    harness.handle(event(called="4722555019", payload={"call_id": "1"}))
    assert harness.dispatcher.hooks == ["of-parent", "own"]
    assert harness.dispatcher.payloads == [{"call_id": "1", "account_id": ACCOUNT}] * 2
    with capturedLogs():
        assert harness.handler.handle(event(called="4722555020")) is None
    assert harness.handler.without_account == 1
    harness.handler.stop()


class TestUnknownNumbers:
    def ask(self, harness: Harness) -> Deferred[Any]:
        harness.directory.owners.clear()
        asking: Deferred[Any] = Deferred()
        harness.directory.asked_numbers["4722555019"] = asking
        return asking

    def test_an_event_waits_for_the_owner_of_its_number(self) -> None:
        harness = Harness()
        asking = self.ask(harness)
        results = harness.handle(event(called="4722555019", payload={"call_id": "c1"}))
        assert harness.dispatcher.deliveries == []
        harness.directory.owners["4722555019"] = ACCOUNT
        asking.callback(None)
        assert harness.dispatcher.hooks == ["of-parent", "own"]
        assert harness.dispatcher.payloads[0]["account_id"] == ACCOUNT
        for active in harness.dispatcher.active:
            active.succeed()
        assert results == [None]
        assert harness.clock.getDelayedCalls() == []

    def test_a_number_without_an_owner(self) -> None:
        harness = Harness()
        asking = self.ask(harness)
        results = harness.handle(event(called="4722555019"))
        asking.callback(None)
        assert results == [None]
        assert (harness.dispatcher.deliveries, harness.handler.without_account) == ([], 1)

    def test_an_event_waits_for_a_bounded_time_and_comes_again_for_a_while(self) -> None:
        harness = Harness()
        self.ask(harness)
        results = harness.handle(event(called="4722555019"))
        assert harness.dispatcher.busy_with == 1  # a drain waits for it
        harness.clock.advance(OWNER_TIMEOUT)
        assert results[0].check(Requeue)
        assert "cannot be read: no answer within 5 s" in str(results[0].value)
        assert harness.dispatcher.busy_with == 0
        again = evolve(event(called="4722555019"), redelivered=True)
        self.ask(harness).errback(StorageUnavailable("away"))
        assert harness.handle(again)[0].check(Requeue)
        assert (harness.handler.without_account, harness.handler.unread_owner) == (0, 0)
        harness.clock.advance(OWNER_PATIENCE)
        self.ask(harness).errback(StorageUnavailable("away"))
        with capturedLogs() as logs:
            assert harness.handle(again) == [None]
        assert (harness.handler.without_account, harness.handler.unread_owner) == (0, 1)
        assert "the owners of their numbers cannot be read" in logs[0]["log_format"]
        harness.handler.stop()

    def test_a_failed_read_loses_nothing_once_the_owner_can_be_read(self) -> None:
        harness = Harness()
        self.ask(harness).errback(StorageUnavailable("reset"))
        assert harness.handle(event(called="4722555019"))[0].check(Requeue)
        harness.clock.advance(2)
        self.ask(harness).errback(StorageUnavailable("it pauses after the failure"))
        assert harness.handle(evolve(event(called="4722555019"), redelivered=True))[0].check(Requeue)
        harness.directory.asked_numbers.clear()
        harness.directory.owners["4722555019"] = ACCOUNT
        assert harness.handler._owners.returning == 1
        harness.handle(evolve(event(called="4722555019"), redelivered=True))
        assert harness.dispatcher.hooks == ["of-parent", "own"]
        assert harness.handler._owners.returning == 0

    def test_an_event_whose_owner_has_been_read_does_not_count_as_one_that_comes_again(self) -> None:
        harness = Harness()
        self.ask(harness).errback(StorageUnavailable("reset"))
        assert harness.handle(event(called="4722555019"))[0].check(Requeue)
        asking = self.ask(harness)
        harness.handle(evolve(event(called="4722555019"), redelivered=True))
        asking.callback(None)
        assert harness.handler._owners.returning == 0

    def test_ids_of_deliveries_do_not_depend_on_what_is_in_memory(self) -> None:
        """Of two occurrences for the parent's hook, the first has to wait."""
        waiting = Harness(known={ACCOUNT: (PARENT,)}, fetchable={"d" * 32: (PARENT,)})
        ready = Harness(known={ACCOUNT: (PARENT,), "d" * 32: (PARENT,)})
        for harness in (waiting, ready):
            harness.handle(event(accounts=["d" * 32, ACCOUNT]))
        ids = [
            [
                (event_id, payload)
                for (hook_id, event_id), payload in zip(
                    harness.dispatcher.deliveries, harness.dispatcher.payloads, strict=True
                )
                if hook_id == "of-parent"
            ]
            for harness in (waiting, ready)
        ]
        assert ids[0] == ids[1]
        assert [payload["of"] for _, payload in ids[0]] == ["d" * 32, ACCOUNT]

    def test_an_owner_that_must_be_read_itself(self) -> None:
        harness = Harness(known={}, fetchable={ACCOUNT: (PARENT,)})
        asking = self.ask(harness)
        harness.handle(event(called="4722555019"))
        harness.directory.owners["4722555019"] = ACCOUNT
        asking.callback(None)
        assert harness.dispatcher.hooks == ["of-parent", "own"]


def test_an_event_that_names_its_account_is_not_for_the_owner_of_the_called_number() -> None:
    harness = Harness(known={ACCOUNT: (), "c" * 32: ()})
    assert harness.handler.handle(event(account="c" * 32, called="4722555019")) is None
    assert harness.dispatcher.deliveries == []


def test_hooks_without_internal_legs_do_not_match_internal_legs() -> None:
    harness = Harness()
    harness.registry.put(make_hook("own", include_internal_legs=False))
    harness.handle(event(account=ACCOUNT, internal=True))
    assert harness.dispatcher.hooks == ["of-parent"]


def test_some_events_are_for_superadmins_only() -> None:
    harness = Harness(superadmins=[PARENT])
    harness.handle(event(account=ACCOUNT, superadmin_only=True))
    assert harness.dispatcher.hooks == ["of-parent"]


def test_the_reseller_is_added_from_the_directory_where_the_event_has_none() -> None:
    harness = Harness()
    harness.registry.put(make_hook("own", modifiers={"reseller_id": PARENT}))
    harness.handle(event(account=ACCOUNT, wants_reseller=True, payload={"call_id": "1"}))
    assert harness.dispatcher.hooks == ["of-parent", "own"]
    assert harness.dispatcher.payloads == [{"call_id": "1", "reseller_id": PARENT}] * 2


def test_an_account_at_the_top_has_no_reseller() -> None:
    harness = Harness(known={ACCOUNT: ()})
    harness.handle(event(account=ACCOUNT, wants_reseller=True, payload={"call_id": "1"}))
    assert harness.dispatcher.payloads == [{"call_id": "1"}]


def test_additions_to_kazoo_s_events_are_not_for_hooks_for_all_of_them() -> None:
    harness = Harness()
    harness.registry.put(make_hook("own", hook="all"))
    harness.registry.put(make_hook("everything", hook="everything"))
    harness.handle(event(account=ACCOUNT))
    assert sorted(harness.dispatcher.hooks) == ["everything", "of-parent", "own"]
    harness.dispatcher.deliveries.clear()
    harness.handle(event(account=ACCOUNT, addition=True))
    assert sorted(harness.dispatcher.hooks) == ["everything", "of-parent"]


INLINE = {"_id": "inline", "uri": "http://receiver.example/"}


def test_an_event_with_an_inline_hook_is_delivered_to_that_hook_only() -> None:
    harness = Harness()
    harness.handle(event(account=ACCOUNT, inline=INLINE, payload={"call_id": "1"}))
    assert harness.dispatcher.hooks == ["inline"]


def test_the_modifiers_of_an_inline_hook_count() -> None:
    harness = Harness()
    inline = {**INLINE, "modifiers": {"call_id": "2"}}
    assert harness.handler.handle(event(account=ACCOUNT, inline=inline, payload={"call_id": "1"})) is None
    assert harness.dispatcher.deliveries == []


def test_an_invalid_inline_hook_is_logged() -> None:
    harness = Harness()
    with capturedLogs() as logs:
        assert harness.handler.handle(event(account=ACCOUNT, inline={"uri": "nonsense"})) is None
    assert [(log["account_id"], log["routing_key"], list(log["errors"])) for log in logs] == [
        (ACCOUNT, "x.1", ["uri"])
    ]
    assert harness.dispatcher.deliveries == []


def test_an_unknown_account_does_not_keep_the_event_from_others() -> None:
    class UnknownAccount(FakeCategory):
        def occurrences(self, event: Event) -> Iterable[Occurrence]:
            return [Occurrence("channel_create", "c" * 32, {})]

    unknown, known = UnknownAccount("d"), FakeCategory()
    harness = Harness(cast(IEventCategory, unknown), cast(IEventCategory, known))
    with capturedLogs() as logs:
        harness.handle(event(account=ACCOUNT))
    assert harness.dispatcher.hooks == ["of-parent", "own"]
    assert len(logs) == 1
    assert harness.handler.unknown_account == 1


def test_events_that_reach_no_hook_are_counted_and_logged_once_a_minute() -> None:
    harness = Harness()
    with capturedLogs() as logs:
        for _ in range(5):
            assert harness.handler.handle(event()) is None
            harness.handler.handle(event(account="c" * 32))
        assert (harness.handler.without_account, harness.handler.unknown_account) == (5, 5)
        assert [log["count"] for log in logs] == [1, 1]
        harness.clock.advance(60)
        assert [log["count"] for log in logs] == [1, 1, 5, 5]
        harness.handler.handle(event())
        harness.clock.advance(59)
        assert len(logs) == 4
        harness.handler.stop()
        assert [log["count"] for log in logs] == [1, 1, 5, 5, 6]
    assert harness.clock.getDelayedCalls() == []


def test_after_a_quiet_minute_such_an_event_is_logged_at_once() -> None:
    harness = Harness()
    with capturedLogs() as logs:
        harness.handler.handle(event())
        harness.clock.advance(61)
        assert (len(logs), harness.clock.getDelayedCalls()) == (1, [])
        harness.handler.handle(event())
        assert [log["count"] for log in logs] == [1, 2]
    harness.handler.stop()


def test_topics_of_all_categories() -> None:
    categories = [FakeCategory(), FakeCategory("d", exchange="conference"), FakeCategory("e")]
    topics = webhook_topics([cast(IEventCategory, category) for category in categories])
    assert topics == {Topic("callevt", "x.*"), Topic("conference", "x.*")}


def test_a_redelivered_event_has_the_same_id() -> None:
    raw = b'{"Call-ID": "1"}'
    first = event_id(Event("callevt", "x.1", {}, raw))
    assert first == event_id(Event("callevt", "x.1", {}, raw, redelivered=True))
    assert first.startswith("msg_")
    assert len(first) == len("msg_") + 32


@pytest.mark.parametrize(
    "other",
    [Event("callevt", "x.2", {}, b"1"), Event("other", "x.1", {}, b"1"), Event("callevt", "x.1", {}, b"2")],
)
def test_another_event_has_another_id(other: Event) -> None:
    assert event_id(Event("callevt", "x.1", {}, b"1")) != event_id(other)


def handler_with_hooks(count: int, *ordered: str) -> Harness:
    harness = Harness(known={ACCOUNT: ()})
    harness.registry.replace_all(
        [
            *(make_hook(f"h{number:03}") for number in range(count)),
            *(make_hook(name, ordered=True) for name in ordered),
        ]
    )
    return harness


def test_deliveries_to_many_hooks_start_in_pieces_one_event_after_another() -> None:
    harness = handler_with_hooks(3 * MAX_STARTED_AT_ONCE)
    started: list[int] = []
    results = [harness.handle(event(account=ACCOUNT, payload={"number": number})) for number in range(2)]

    def other_work() -> None:
        started.append(len(harness.dispatcher.deliveries))
        harness.clock.callLater(0 if len(started) < 6 else 1, other_work)

    other_work()
    harness.clock.advance(0)
    assert started == [MAX_STARTED_AT_ONCE * pieces for pieces in range(1, 7)]
    for active in harness.dispatcher.active[:-1]:
        active.succeed()
    assert results == [[None], []]
    harness.dispatcher.active[-1].succeed()
    assert results == [[None], [None]]


def test_the_dispatcher_is_busy_until_the_last_piece_has_started() -> None:
    harness = handler_with_hooks(MAX_STARTED_AT_ONCE + 1)
    harness.handle(event(account=ACCOUNT))
    assert harness.dispatcher.busy_with == 1
    harness.clock.advance(0)
    harness.clock.advance(0)
    assert len(harness.dispatcher.deliveries) == MAX_STARTED_AT_ONCE + 1
    assert harness.dispatcher.busy_with == 0


def test_no_later_event_passes_one_on_its_way_to_an_ordered_hook() -> None:
    harness = handler_with_hooks(2 * MAX_STARTED_AT_ONCE, "z1", "z2")
    harness.handle(event(account=ACCOUNT))
    assert harness.dispatcher.hooks[-2:] == ["z1", "z2"]


def test_a_failure_of_any_piece_is_that_of_the_event() -> None:
    harness = handler_with_hooks(2 * MAX_STARTED_AT_ONCE)
    results = harness.handle(event(account=ACCOUNT))
    harness.dispatcher.active[0].fail(Requeue("not stored"))
    harness.clock.advance(0)
    harness.clock.advance(0)
    for active in harness.dispatcher.active[1:]:
        active.succeed()
    assert results[0].check(Requeue)


# -- completions


def ends_of(completion: AllEnded) -> list[Failure | None]:
    """The list of what it has ended with; it is filled when that happens later."""
    ends: list[Failure | None] = []
    completion.when_done(ends.append)
    return ends


def test_all_have_ended_when_the_last_part_has() -> None:
    parts = [FakeCompletion() for _ in range(3)]
    ends = ends_of(AllEnded([parts[0], None, parts[1], parts[2]]))
    for part in (parts[2], parts[0]):
        part.succeed()
        assert ends == []
    parts[1].succeed()
    assert ends == [None]


@pytest.mark.parametrize(
    "parts", [[], [None, None], [FakeCompletion().succeed()]], ids=["no", "done", "ended"]
)
def test_parts_that_have_ended_end_at_once(parts: list[FakeCompletion | None]) -> None:
    assert ends_of(AllEnded(parts)) == [None]


def test_parts_may_end_before_their_end_is_waited_for() -> None:
    part = FakeCompletion()
    completion = AllEnded([part, None])
    part.fail(ValueError("early"))
    (failure,) = ends_of(completion)
    assert failure is not None
    assert failure.check(ValueError)


@pytest.mark.parametrize(
    ("errors", "reported"),
    [
        ([ValueError("first"), None, KeyError("second")], "first"),
        ([ValueError("a defect"), Requeue("later"), Requeue("second")], "later"),
        ([Requeue("later"), ValueError("a defect")], "later"),
    ],
)
def test_of_several_failures_the_first_requeue_or_else_the_first_counts(
    errors: list[Exception | None], reported: str
) -> None:
    parts = [FakeCompletion() for _ in errors]
    ends = ends_of(AllEnded(parts))
    for part, error in zip(parts, errors, strict=True):
        assert ends == []
        if error is None:
            part.succeed()
        else:
            part.fail(error)
    (failure,) = ends
    assert failure is not None
    assert failure.value is not None
    assert failure.value.args == (reported,)


def test_a_deferred_ends_like_the_completion() -> None:
    completion, failing, waiting = FakeCompletion(), FakeCompletion(), Deferred[None]()
    results = results_of(when_ended(completion))
    assert results == []
    completion.succeed()
    assert results == results_of(when_ended(None)) == [None]
    (failure,) = results_of(when_ended(failing.fail(Requeue("later"))))
    assert failure.check(Requeue)
    assert when_ended(waiting) is waiting
