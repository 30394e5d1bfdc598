"""Answers in memory: how long they count, and that a question is asked once."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock

from kazoo_bridge.directory.crossbar.answer_cache import PEEK_GRACE, AnswerCache, CacheTimes
from kazoo_bridge.directory.crossbar.availability import PAUSE_AFTER_FAILURE, Availability
from kazoo_bridge.interfaces import StorageUnavailable

TIMES = CacheTimes(fresh=60, stale=100, unknown=5)


class Harness:
    def __init__(self) -> None:
        self.clock = Clock()
        self.availability = Availability(self.clock)
        self.ended = 0
        self.cache: AnswerCache[str] = AnswerCache(self.clock, self.availability, TIMES, 3, self.on_ended)
        self.answers: list[Deferred[str | None]] = []

    def on_ended(self) -> None:
        self.ended += 1

    async def ask(self) -> str | None:
        answer: Deferred[str | None] = Deferred()
        self.answers.append(answer)
        return await answer

    def get(self, key: str = "key") -> list[Any]:
        """Ask for a key; the list gets the answer, or the error's type."""
        results: list[Any] = []
        self.cache.get(key, self.ask).addCallbacks(
            results.append, lambda failure: results.append(failure.type)
        )
        return results

    def answer(self, value: str | None) -> None:
        self.answers.pop(0).callback(value)

    def fail(self, away: bool = True) -> None:
        if away:
            self.availability.failed("away")
        self.answers.pop(0).errback(StorageUnavailable("away"))


@pytest.fixture
def harness() -> Harness:
    return Harness()


def test_all_who_wait_share_one_question(harness: Harness) -> None:
    waiting = [harness.get() for _ in range(1000)]
    assert len(harness.answers) == 1
    harness.answer("value")
    assert waiting == [["value"]] * 1000
    assert harness.get() == ["value"]
    assert (harness.cache.lookups.hits, harness.cache.lookups.misses) == (1, 1000)
    assert harness.answers == []


def test_all_who_wait_share_a_failure(harness: Harness) -> None:
    waiting = [harness.get() for _ in range(3)]
    harness.fail()
    assert waiting == [[StorageUnavailable]] * 3
    assert harness.get() == []
    assert len(harness.answers) == 1


def test_each_key_has_its_own_question(harness: Harness) -> None:
    first, second = harness.get("a"), harness.get("b")
    assert len(harness.answers) == 2
    harness.answer("of a")
    assert (first, second) == (["of a"], [])


def test_a_waiter_that_gives_up_leaves_the_question_to_the_others(harness: Harness) -> None:
    results: list[Any] = []
    leaving = harness.cache.get("key", harness.ask)
    leaving.addErrback(lambda failure: results.append(failure.type))
    staying = harness.get()
    leaving.cancel()
    assert results == [CancelledError]
    harness.answer("value")
    assert staying == ["value"]


@pytest.mark.parametrize(("value", "lifetime"), [("value", TIMES.fresh), (None, TIMES.unknown)])
def test_an_answer_is_asked_for_again_when_it_is_old(
    harness: Harness, value: str | None, lifetime: float
) -> None:
    harness.get()
    harness.answer(value)
    harness.clock.advance(lifetime - 1)
    assert harness.get() == [value]
    assert harness.cache.is_fresh("key")
    harness.clock.advance(1)
    assert not harness.cache.is_fresh("key")
    assert harness.get() == []
    harness.answer("newer")
    assert harness.get() == ["newer"]


def test_an_old_answer_counts_while_the_source_is_away(harness: Harness) -> None:
    harness.get()
    harness.answer("value")
    harness.clock.advance(TIMES.fresh)
    waiting = harness.get()
    harness.fail()
    assert waiting == ["value"]
    # Just after a failure there is no further question.
    assert harness.get() == ["value"]
    assert harness.answers == []
    harness.clock.advance(PAUSE_AFTER_FAILURE)
    waiting = harness.get()
    assert waiting == []
    harness.clock.advance(TIMES.stale - PAUSE_AFTER_FAILURE - 1)
    harness.fail()
    assert waiting == ["value"]
    harness.clock.advance(PAUSE_AFTER_FAILURE)
    waiting = harness.get()
    harness.fail()
    assert waiting == [StorageUnavailable]


def test_an_answer_that_is_an_error_stops_no_question(harness: Harness) -> None:
    harness.get()
    harness.answer("value")
    harness.clock.advance(TIMES.fresh)
    harness.get()
    harness.fail(away=False)
    assert harness.get() == []
    assert len(harness.answers) == 1


def test_what_is_unknown_is_not_used_when_it_is_old(harness: Harness) -> None:
    harness.get()
    harness.answer(None)
    harness.clock.advance(TIMES.unknown)
    waiting = harness.get()
    harness.fail()
    assert waiting == [StorageUnavailable]


def test_peeking_asks_nothing(harness: Harness) -> None:
    assert harness.cache.peek("key") is None
    harness.get()
    harness.answer("value")
    harness.clock.advance(TIMES.fresh + PEEK_GRACE - 1)
    assert harness.cache.peek("key") == "value"
    harness.clock.advance(1)
    assert harness.cache.peek("key") is None
    harness.availability.failed("away")
    assert harness.cache.peek("key") == "value"
    harness.clock.advance(TIMES.stale - PEEK_GRACE)
    assert harness.cache.peek("key") is None
    harness.cache.put("key", None)
    assert harness.cache.peek("key") is None


def test_it_notices_what_is_no_longer_so(harness: Harness) -> None:
    harness.cache.put("key", "value")
    harness.cache.put("key", "value")
    assert harness.ended == 0
    harness.cache.put("key", "other")
    assert harness.ended == 1
    harness.cache.put("key", None)
    assert harness.ended == 2
    harness.cache.put("key", "value")
    assert harness.ended == 2
    harness.cache.discard("key")
    harness.cache.discard("key")
    assert harness.ended == 3


def test_it_is_bounded(harness: Harness) -> None:
    for key in ("a", "b", "c"):
        harness.cache.put(key, key)
    assert harness.get("a") == ["a"]
    harness.cache.put("d", "d")
    assert len(harness.cache) == 3
    assert [harness.cache.peek(key) for key in "abcd"] == ["a", None, "c", "d"]
