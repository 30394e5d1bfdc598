"""The change feed when the storage, or a subscriber, fails."""

from typing import Any

import pytest
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage import change_feed as feed_module
from kazoo_bridge.storage.change_feed import ALL, ChangeFeed
from kazoo_bridge.storage.change_log import ChangeBatch
from kazoo_bridge.storage.retention import RetentionService


class ScriptedDatabase:
    """Answers each read with the next of `answers`; then nothing new."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.position = 0

    def read(self, work: object) -> Deferred[Any]:
        answer = self.answers.pop(0) if self.answers else ChangeBatch(self.position)
        if isinstance(answer, Exception):
            return fail(answer)
        self.position = answer if isinstance(answer, int) else answer.position
        return succeed(answer)

    write = read


@pytest.fixture
def logged():
    events: list[dict[str, Any]] = []
    globalLogPublisher.addObserver(events.append)
    yield lambda: [event for event in events if event["log_level"] in (LogLevel.warn, LogLevel.critical)]
    globalLogPublisher.removeObserver(events.append)


def start(database: ScriptedDatabase, *subscribers: Any) -> tuple[Clock, ChangeFeed]:
    clock = Clock()
    feed = ChangeFeed(clock, database)  # type: ignore[arg-type]
    for subscriber in subscribers:
        feed.subscribe(subscriber)
    assert Deferred.fromCoroutine(feed.mark()).result == 0
    feed.startService()
    return clock, feed


def test_an_outage_is_logged_once_and_nothing_is_lost(logged) -> None:
    told: list[Any] = []
    trouble = [StorageUnavailable("gone")] * 5
    database = ScriptedDatabase(0, *trouble, ChangeBatch(1, (("hook", "x"),)), StorageUnavailable("again"))
    clock, feed = start(database, lambda *change: told.append(change))
    clock.pump([0.4] * 5)
    assert told == [("hook", frozenset("x"))]
    assert [event["reason"] for event in logged()] == ["gone"]
    clock.advance(0.4)
    assert [event["reason"] for event in logged()] == ["gone", "again"]
    feed.stopService()
    assert clock.getDelayedCalls() == []


def test_an_unexpected_failure_does_not_stop_the_feed(logged) -> None:
    told: list[Any] = []
    clock, _ = start(
        ScriptedDatabase(0, ZeroDivisionError(), ChangeBatch(1, (("hook", "x"),))),
        lambda *change: told.append(change),
    )
    clock.advance(0.4)
    assert told == [("hook", frozenset("x"))]
    assert len(logged()) == 1


def test_a_subscriber_that_failed_is_told_again_with_what_came_meanwhile(logged) -> None:
    told: list[Any] = []
    fine: list[Any] = []
    outcomes: list[Exception | None] = [StorageUnavailable("busy"), ZeroDivisionError(), None]

    def flaky(kind: str, subjects: frozenset[str]) -> Deferred[None] | None:
        told.append((kind, subjects))
        outcome = outcomes.pop(0)
        if isinstance(outcome, ZeroDivisionError):
            raise outcome
        return fail(outcome) if outcome else None

    looks = [ChangeBatch(1, (("hook", "x"),)), ChangeBatch(2, (("hook", "y"),)), ChangeBatch(2)]
    clock, _ = start(ScriptedDatabase(0, *looks), flaky, lambda *change: fine.append(change))
    clock.pump([0.4] * 5)
    assert told == [("hook", frozenset("x")), ("hook", frozenset("xy")), ("hook", frozenset("xy"))]
    assert fine == [("hook", frozenset("x")), ("hook", frozenset("y"))]
    assert len(logged()) == 1


def test_a_subscriber_that_fails_for_long_shall_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed_module, "MAX_OUTSTANDING", 2)
    told: list[Any] = []

    def failing(kind: str, subjects: frozenset[str]) -> Deferred[None]:
        told.append((kind, subjects))
        return fail(StorageUnavailable("busy"))

    looks = [
        ChangeBatch(number + 1, ((kind, str(number)),))
        for number, kind in enumerate(["hook", "account", "token", "hook"])
    ]
    clock, _ = start(ScriptedDatabase(0, *looks), failing)
    clock.pump([0.4] * 2)
    told.clear()
    clock.pump([0.4] * 2)
    assert told == [(ALL, frozenset())] * 2


def test_without_a_mark_everything_is_to_be_loaded() -> None:
    told: list[Any] = []
    clock = Clock()
    feed = ChangeFeed(clock, ScriptedDatabase(7))  # type: ignore[arg-type]
    feed.subscribe(lambda *change: told.append(change))
    feed.startService()
    assert told == [(ALL, frozenset())]


def test_stopping_waits_for_a_slow_subscriber() -> None:
    slow: Deferred[None] = Deferred()
    _, feed = start(ScriptedDatabase(0, ChangeBatch(1, (("hook", "x"),))), lambda *_: slow)
    stopped = feed.stopService()
    assert not stopped.called
    slow.callback(None)
    assert stopped.called


def test_housekeeping_goes_on_after_trouble(logged) -> None:
    clock = Clock()
    database = ScriptedDatabase(StorageUnavailable("busy"), 0, ZeroDivisionError(), 0)
    keeper = RetentionService(clock, database, interval=600)  # type: ignore[arg-type]
    keeper.startService()
    assert len(database.answers) == 2
    clock.advance(600)
    assert database.answers == []
    assert len(logged()) == 2
    keeper.stopService()
    assert clock.getDelayedCalls() == []
