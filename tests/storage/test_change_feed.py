from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage import change_feed, change_log
from kazoo_bridge.storage.accounts import AccountStore
from kazoo_bridge.storage.change_feed import ALL, POLL_INTERVAL, ChangeFeed, Subscriber
from kazoo_bridge.storage.change_log import ChangeBatch
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.hooks import HookStore
from tests.storage.record_factories import A, B, run_purge, until

Changes = list[tuple[str, frozenset[str]]]


class ChangeFeedSuite:
    @pytest_twisted.ensureDeferred
    async def test_subscribers_receive_what_changed_since_the_mark(
        self, hook_store: HookStore, account_store: AccountStore, clock: Clock, database: Database
    ) -> None:
        received: Changes = []
        await hook_store.create(A, {})
        feed = ChangeFeed(clock, database)
        feed.subscribe(lambda kind, subjects: received.append((kind, subjects)))
        assert await feed.mark() == 1
        hook = await hook_store.create(A, {})
        await account_store.create(A)
        await account_store.create(B)
        feed.startService()
        await until(lambda: len(received) == 2, lambda: clock.advance(POLL_INTERVAL))
        assert received == [("hook", frozenset([hook.id])), ("account", frozenset([A, B]))]
        await hook_store.delete(hook)
        await until(lambda: len(received) == 3, lambda: clock.advance(POLL_INTERVAL))
        assert received[2] == ("hook", frozenset([hook.id]))
        await feed.stopService()
        assert clock.getDelayedCalls() == []

    @pytest_twisted.ensureDeferred
    async def test_a_feed_that_misses_purged_changes_reloads_everything(
        self, hook_store: HookStore, clock: Clock, database: Database
    ) -> None:
        received: Changes = []
        feed = ChangeFeed(clock, database)
        feed.subscribe(lambda kind, subjects: received.append((kind, subjects)))
        await hook_store.create(A, {})
        await feed.mark()
        for _ in range(3):
            await hook_store.create(A, {})
        clock.advance(change_log.RETENTION + 1)
        last = await hook_store.create(A, {})
        assert await run_purge(database, change_log.purge, clock.seconds()) == 4
        feed.startService()
        await until(lambda: received, lambda: clock.advance(POLL_INTERVAL))
        assert received == [(ALL, frozenset())]
        await hook_store.delete(last)
        await until(lambda: len(received) == 2, lambda: clock.advance(POLL_INTERVAL))
        assert received[1] == ("hook", frozenset([last.id]))
        await feed.stopService()

    @pytest_twisted.ensureDeferred
    async def test_a_look_finds_what_is_new_at_once(
        self, hook_store: HookStore, clock: Clock, database: Database
    ) -> None:
        received: Changes = []
        feed = ChangeFeed(clock, database)
        feed.subscribe(lambda kind, subjects: received.append((kind, subjects)))
        await feed.mark()
        feed.startService()
        hook = await hook_store.create(A, {})
        await feed.look()
        assert received == [("hook", frozenset([hook.id]))]
        await feed.stopService()


class TestChangeFeed(ChangeFeedSuite):
    """On SQLite."""


class FakeDatabase:
    """Answers each read with the next of `answers`, then with no changes."""

    def __init__(self, *answers: int | ChangeBatch | Exception) -> None:
        self.answers = list(answers)
        self.position = 0

    def read(self, work: object) -> Deferred[Any]:
        answer = self.answers.pop(0) if self.answers else ChangeBatch(self.position)
        if isinstance(answer, Exception):
            return fail(answer)
        self.position = answer if isinstance(answer, int) else answer.position
        return succeed(answer)


def hook_changes(position: int, *subjects: str) -> ChangeBatch:
    return ChangeBatch(position, tuple(("hook", subject) for subject in subjects))


def make_feed(clock: Clock, database: FakeDatabase, *subscribers: Subscriber) -> ChangeFeed:
    feed = ChangeFeed(clock, database)  # type: ignore[arg-type] # a fake database
    for subscriber in subscribers:
        feed.subscribe(subscriber)
    return feed


def start(clock: Clock, database: FakeDatabase, *subscribers: Subscriber) -> ChangeFeed:
    feed = make_feed(clock, database, *subscribers)
    assert Deferred.fromCoroutine(feed.mark()).result == 0
    feed.startService()
    return feed


@pytest.fixture
def received() -> Changes:
    return []


def test_looks_during_a_poll_share_the_next_one(clock: Clock) -> None:
    class SlowDatabase(FakeDatabase):
        def read(self, work: object) -> Deferred[Any]:
            reads.append(Deferred())
            return reads[-1]

    reads: list[Deferred[Any]] = []
    ended: list[int] = []
    feed = make_feed(clock, SlowDatabase())
    Deferred.fromCoroutine(feed.look()).addCallback(lambda _: ended.append(0))
    assert (reads, ended) == ([], [0])  # it does not run yet
    feed.startService()
    for _ in range(3):
        Deferred.fromCoroutine(feed.look()).addCallback(lambda _: ended.append(1))
    assert len(reads) == 1  # that of the start, which may be from before what they look for
    reads[0].callback(0)
    assert (len(reads), ended) == (2, [0])
    reads[1].callback(ChangeBatch(0))
    assert (len(reads), ended) == (2, [0, 1, 1, 1])


def test_the_change_log_is_polled_at_intervals(clock: Clock) -> None:
    database = FakeDatabase(0, *[hook_changes(number) for number in range(5)])
    start(clock, database)
    assert len(database.answers) == 4
    clock.advance(POLL_INTERVAL - 0.01)
    assert len(database.answers) == 4
    clock.advance(0.01)
    assert len(database.answers) == 3


def test_an_outage_is_logged_once_and_no_change_is_lost(clock: Clock, received: Changes) -> None:
    outage = [StorageUnavailable("gone")] * 5
    database = FakeDatabase(0, *outage, hook_changes(1, "x"), StorageUnavailable("again"))
    with capturedLogs() as logged:
        feed = start(clock, database, lambda *change: received.append(change))
        clock.pump([POLL_INTERVAL] * 5)
    assert received == [("hook", frozenset("x"))]
    assert [event["log_level"] for event in logged] == [LogLevel.warn, LogLevel.info]
    assert logged[0]["reason"] == "gone"
    with capturedLogs() as logged:
        clock.advance(POLL_INTERVAL)
    assert [event["reason"] for event in logged] == ["again"]
    feed.stopService()
    assert clock.getDelayedCalls() == []


def test_an_unexpected_error_does_not_stop_the_feed(clock: Clock, received: Changes) -> None:
    database = FakeDatabase(0, ZeroDivisionError(), hook_changes(1, "x"))
    with capturedLogs() as logged:
        start(clock, database, lambda *change: received.append(change))
        clock.advance(POLL_INTERVAL)
    assert received == [("hook", frozenset("x"))]
    assert [event["log_level"] for event in logged] == [LogLevel.critical, LogLevel.info]


def test_a_subscriber_that_failed_is_called_again_with_newer_changes_added(
    clock: Clock, received: Changes
) -> None:
    others: Changes = []
    outcomes: list[Exception | None] = [StorageUnavailable("busy"), ZeroDivisionError(), None]

    def flaky(kind: str, subjects: frozenset[str]) -> Deferred[None] | None:
        received.append((kind, subjects))
        outcome = outcomes.pop(0)
        if isinstance(outcome, ZeroDivisionError):
            raise outcome
        return fail(outcome) if outcome else None

    database = FakeDatabase(0, hook_changes(1, "x"), hook_changes(2, "y"), hook_changes(2))
    with capturedLogs() as logged:
        start(clock, database, flaky, lambda *change: others.append(change))
        clock.pump([POLL_INTERVAL] * 5)
    assert received == [("hook", frozenset("x")), ("hook", frozenset("xy")), ("hook", frozenset("xy"))]
    assert others == [("hook", frozenset("x")), ("hook", frozenset("y"))]
    assert [event["log_level"] for event in logged] == [LogLevel.warn]


def test_each_series_of_failures_is_logged_once(clock: Clock) -> None:
    outcomes = [fail(StorageUnavailable("busy")), succeed(None), fail(ZeroDivisionError()), succeed(None)]
    database = FakeDatabase(0, hook_changes(1, "x"), hook_changes(1), hook_changes(2, "y"))
    with capturedLogs() as logged:
        start(clock, database, lambda *_: outcomes.pop(0))
        clock.pump([POLL_INTERVAL] * 5)
    assert [event["log_level"] for event in logged] == [LogLevel.warn, LogLevel.critical]
    assert [event["kind"] for event in logged] == ["hook", "hook"]


def test_a_subscriber_that_fails_with_too_many_changes_reloads_everything(
    clock: Clock, received: Changes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(change_feed, "MAX_OUTSTANDING", 2)

    def failing(kind: str, subjects: frozenset[str]) -> Deferred[None]:
        received.append((kind, subjects))
        return fail(StorageUnavailable("busy"))

    batches = [
        ChangeBatch(number + 1, ((kind, str(number)),))
        for number, kind in enumerate(["hook", "account", "token", "hook"])
    ]
    start(clock, FakeDatabase(0, *batches), failing)
    clock.advance(POLL_INTERVAL)
    assert received == [("hook", frozenset("0"))] * 2 + [("account", frozenset("1"))]
    received.clear()
    clock.pump([POLL_INTERVAL] * 2)
    assert received == [(ALL, frozenset())] * 2


def test_a_feed_without_a_mark_begins_with_a_reload(clock: Clock, received: Changes) -> None:
    feed = make_feed(clock, FakeDatabase(7), lambda *change: received.append(change))
    feed.startService()
    assert received == [(ALL, frozenset())]
    clock.advance(POLL_INTERVAL)
    assert received == [(ALL, frozenset())]


def test_stopping_waits_for_a_slow_subscriber(clock: Clock) -> None:
    slow: Deferred[None] = Deferred()
    feed = start(clock, FakeDatabase(0, hook_changes(1, "x")), lambda *_: slow)
    stopped = feed.stopService()
    assert not stopped.called
    slow.callback(None)
    assert stopped.called
    assert not feed.running
