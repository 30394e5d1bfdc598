from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import (
    Account,
    Delivery,
    HookType,
    Occurrence,
    Requeue,
    StorageUnavailable,
    Topic,
)
from kazoo_bridge.kazoo import Event
from kazoo_bridge.webhooks.event_handler import WebhookEventHandler, event_id, webhook_topics
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from tests.webhooks.hook_factory import ACCOUNT, make_hook

PARENT = "b" * 32


@define
class Category:
    """Makes of each event what its body says."""

    name: str = "c"
    hooks: tuple[HookType, ...] = (HookType("channel_create", "n", "d"),)

    def topics(self, hook: str) -> Iterable[Topic]:
        return [Topic("callevt", "x.*")]

    def occurrences(self, event: Event) -> Iterable[Occurrence]:
        if event.body.get("busy"):
            return [
                Occurrence("channel_create", ACCOUNT, {"number": 1}),
                Occurrence("channel_create", ACCOUNT, {"number": 2}),
            ]
        if event.body.get("raise"):
            raise RuntimeError("cannot read this")
        return [
            Occurrence(
                "channel_create", event.body.get("account"), {}, called_number=event.body.get("dialled")
            )
        ]


@define
class Directory:
    """Accounts that are known at once, and others that come with a question."""

    known: dict[str, tuple[str, ...]]
    fetchable: dict[str, tuple[str, ...]] = field(factory=dict)
    down: bool = False

    def account_for_number(self, number: str) -> str | None:
        return {"4722555019": ACCOUNT}.get(number)

    def ancestors(self, account_id: str) -> tuple[str, ...] | None:
        return self.known.get(account_id)

    def account(self, account_id: str) -> Deferred[Account | None]:
        if self.down:
            return fail(StorageUnavailable("locked"))
        if account_id in self.fetchable:
            self.known[account_id] = self.fetchable[account_id]
        return succeed(Account(account_id, "", "") if account_id in self.known else None)


@define
class Dispatcher:
    """Keeps what it is told to deliver, and ends it when told."""

    told: list[tuple[str, str]] = field(factory=list)
    payloads: list[Any] = field(factory=list)
    open: list[Deferred[None]] = field(factory=list)

    async def deliver(self, hook: Any, delivery: Delivery, *, redelivered: bool) -> None:
        self.told.append((hook.id, delivery.event_id))
        self.payloads.append(delivery.payload)
        self.open.append(Deferred())
        await self.open[-1]


def made(
    *categories: Any, known: Any = None, fetchable: Any = None
) -> tuple[WebhookEventHandler, Dispatcher, Clock]:
    clock, dispatcher, registry = Clock(), Dispatcher(), HookRegistry()
    registry.replace_all([make_hook("own"), make_hook("of-parent", PARENT, include_subaccounts=True)])
    directory = Directory({ACCOUNT: (PARENT,)} if known is None else known, fetchable or {})
    intake = WebhookEventHandler(clock, directory, registry, dispatcher)  # type: ignore[arg-type]
    intake.serve(categories or [Category()])
    return intake, dispatcher, clock


def event(**body: Any) -> Event:
    return Event("callevt", "x.1", body, repr(body).encode())


def test_several_occurrences_of_one_event_are_no_repetitions_of_each_other() -> None:
    intake, dispatcher, _ = made()
    intake.handle(event(busy=True))
    own = [event_id for hook_id, event_id in dispatcher.told if hook_id == "own"]
    assert len(set(own)) == len(own) == 2
    told = list(dispatcher.told)
    intake.handle(event(busy=True))
    assert dispatcher.told == told * 2  # the broker hands it out again


def test_an_event_whose_account_cannot_be_looked_up_comes_again() -> None:
    intake, _, _ = made(known={})
    intake._directory.down = True  # type: ignore[attr-defined]
    done: list[Any] = []
    handled = intake.handle(event(account=ACCOUNT))
    assert handled is not None
    handled.addErrback(done.append)
    assert done[0].check(Requeue)


def test_nobody_wants_it() -> None:
    intake, dispatcher, _ = made()
    with capturedLogs():
        assert intake.handle(event(account="c" * 32)) is not None
    assert intake.handle(Event("presence", "x.1", {}, b"")) is None
    assert dispatcher.told == []


def test_it_ends_when_the_last_delivery_has_ended() -> None:
    intake, dispatcher, _ = made()
    results: list[Any] = []
    happened = event(account=ACCOUNT)
    handled = intake.handle(happened)
    assert handled is not None
    handled.addBoth(results.append)
    assert sorted(dispatcher.told) == [("of-parent", event_id(happened)), ("own", event_id(happened))]
    dispatcher.open[0].callback(None)
    assert results == []
    dispatcher.open[1].callback(None)
    assert results == [None]


def test_one_failure_waits_for_the_others_and_is_told() -> None:
    intake, dispatcher, _ = made()
    results: list[Any] = []
    handled = intake.handle(event(account=ACCOUNT))
    assert handled is not None
    handled.addBoth(results.append)
    dispatcher.open[0].errback(ValueError("first"))
    assert results == []
    dispatcher.open[1].callback(None)
    assert results[0].check(ValueError)


def test_what_shall_come_again_outweighs_what_shall_not() -> None:
    intake, dispatcher, _ = made()
    results: list[Any] = []
    handled = intake.handle(event(account=ACCOUNT))
    assert handled is not None
    handled.addBoth(results.append)
    dispatcher.open[0].errback(ValueError("a defect"))
    dispatcher.open[1].errback(Requeue("later"))
    assert results[0].check(Requeue)


def test_a_category_that_raises_harms_no_other() -> None:
    intake, _, _ = made(Category(), Category("d"))
    with capturedLogs() as logs:
        assert intake.handle(event(**{"raise": True})) is None
    assert [entry["routing_key"] for entry in logs] == ["x.1", "x.1"]


def test_an_account_that_is_not_in_memory_is_asked_for() -> None:
    intake, dispatcher, _ = made(known={}, fetchable={ACCOUNT: (PARENT,)})
    assert intake.handle(event(account=ACCOUNT)) is not None
    assert sorted(hook for hook, _ in dispatcher.told) == ["of-parent", "own"]


def test_the_owner_of_the_dialled_number_has_the_call() -> None:
    intake, dispatcher, _ = made()
    assert intake.handle(event(dialled="4722555019")) is not None
    assert sorted(hook for hook, _ in dispatcher.told) == ["of-parent", "own"]
    assert dispatcher.payloads == [{"account_id": ACCOUNT}] * 2
    with capturedLogs():
        assert intake.handle(event(dialled="4722555020")) is None
    assert intake.without_account == 1


def test_an_event_that_names_its_account_is_not_the_dialled_numbers() -> None:
    intake, dispatcher, _ = made(known={ACCOUNT: (), "c" * 32: ()})
    assert intake.handle(event(account="c" * 32, dialled="4722555019")) is None
    assert dispatcher.told == []


def test_an_account_that_nobody_knows_keeps_the_event_from_no_other() -> None:
    class Stranger(Category):
        def occurrences(self, event: Event) -> Iterable[Occurrence]:
            return [Occurrence("channel_create", "c" * 32, {})]

    intake, dispatcher, _ = made(Stranger("d"), Category())
    with capturedLogs() as logs:
        assert intake.handle(event(account=ACCOUNT)) is not None
    assert sorted(hook for hook, _ in dispatcher.told) == ["of-parent", "own"]
    assert len(logs) == 1


def test_when_nobody_can_tell_who_is_above_an_account_the_event_comes_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    intake, _, _ = made(known={})
    monkeypatch.setattr(Directory, "account", lambda self, account_id: fail(StorageUnavailable("locked")))
    handled = intake.handle(event(account=ACCOUNT))
    assert handled is not None
    results: list[Any] = []
    handled.addBoth(results.append)
    assert results[0].check(Requeue)


def test_strange_events_are_counted_and_logged_once_a_minute() -> None:
    intake, _, clock = made()
    with capturedLogs() as logs:
        for _turn in range(5):
            assert intake.handle(event()) is None
            intake.handle(event(account="c" * 32))
        assert (intake.without_account, intake.unknown_account) == (5, 5)
        assert [log["count"] for log in logs] == [1, 1]
        clock.advance(60)
        assert [log["count"] for log in logs] == [1, 1, 5, 5]
        intake.handle(event())
        clock.advance(59)
        assert len(logs) == 4
        intake.stop()
        assert [log["count"] for log in logs] == [1, 1, 5, 5, 6]
    assert clock.getDelayedCalls() == []


def test_after_a_quiet_minute_a_strange_event_is_logged_at_once() -> None:
    intake, _, clock = made()
    with capturedLogs() as logs:
        intake.handle(event())
        clock.advance(61)
        assert (len(logs), clock.getDelayedCalls()) == (1, [])
        intake.handle(event())
        assert [log["count"] for log in logs] == [1, 2]
    intake.stop()


def test_the_same_message_has_the_same_id_and_another_has_not() -> None:
    one = event(account=ACCOUNT)
    assert event_id(one) == event_id(Event("callevt", "x.1", {}, one.raw, redelivered=True))
    assert event_id(one) != event_id(Event("callevt", "x.2", {}, one.raw))


def test_topics_of_all_categories() -> None:
    assert webhook_topics([Category(), Category("d")]) == {Topic("callevt", "x.*")}
