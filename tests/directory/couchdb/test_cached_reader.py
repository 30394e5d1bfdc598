from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from kazoo_bridge.directory.couchdb.cached_reader import KNOWN_WAIT, CachedReader, Freshness
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.token_bucket import TokenBucket
from tests.directory.couchdb.harness import error_of, result_of


class Harness:
    """A reader of `values`; `asked` are the keys that it has read. `slow`: reads wait for `finish`."""

    def __init__(
        self, *, limit: int = 100, unknown: int = 50, again: int = 50, again_interval: float = 1000.0
    ) -> None:
        self.clock = Clock()
        self.values: dict[str, str] = {}
        self.asked: list[str] = []
        self.changed: list[str] = []
        self.away = self.slow = False
        self.waiting: list[Deferred[None]] = []
        self.reader: CachedReader[str] = CachedReader(
            self.clock,
            self.read,
            Freshness(new=5, usable=60),
            on_changed=self.changed.append,
            unknown=TokenBucket(unknown, 1000.0),
            again=TokenBucket(again, again_interval),
            limit=limit,
        )

    async def read(self, key: str) -> str | None:
        self.asked.append(key)
        value = self.values.get(key)
        if self.slow:
            waiting: Deferred[None] = Deferred()
            self.waiting.append(waiting)
            await waiting
        if self.away:
            raise StorageUnavailable("away")
        return value

    def finish(self) -> None:
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            one.callback(None)

    def get(self, key: str) -> str | None:
        return result_of(self.reader.get(key))


def test_a_new_value_is_read_once() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    assert harness.reader.peek("a") is None
    assert [harness.get("a"), harness.get("a")] == ["1", "1"]
    assert harness.reader.peek("a") == "1"
    harness.clock.advance(5)
    assert harness.reader.peek("a") is None
    assert harness.get("a") == "1"
    assert harness.asked == ["a", "a"]
    assert harness.changed == []


def test_a_changed_value_is_reported() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    harness.get("a")
    harness.values["a"] = "2"
    harness.clock.advance(5)
    assert harness.get("a") == "2"
    del harness.values["a"]
    harness.clock.advance(5)
    assert harness.get("a") is None
    assert harness.changed == ["a", "a"]


def test_what_does_not_exist_is_remembered_for_a_short_time() -> None:
    harness = Harness()
    assert [harness.get("a"), harness.get("a")] == [None, None]
    assert harness.asked == ["a"]
    harness.values["a"] = "1"
    harness.clock.advance(5)
    assert harness.get("a") == "1"
    assert harness.changed == []


def test_several_callers_share_one_read() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    harness.slow = True
    answers = [harness.reader.get("a") for _ in range(3)]
    harness.finish()
    assert [result_of(answer) for answer in answers] == ["1", "1", "1"]
    assert harness.asked == ["a"]


def test_several_callers_share_one_failure() -> None:
    harness = Harness()
    harness.slow = harness.away = True
    answers = [harness.reader.get("a") for _ in range(3)]
    harness.finish()
    assert [error_of(answer) for answer in answers] == ["away", "away", "away"]


def test_what_is_known_serves_on_for_a_time() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    harness.get("a")
    harness.away = True
    harness.clock.advance(59)
    assert harness.get("a") == "1"
    assert error_of(harness.reader.get("b")) == "away"
    harness.clock.advance(1)
    assert error_of(harness.reader.get("a")) == "away"
    assert harness.clock.getDelayedCalls() == []


def test_while_away_what_is_known_is_not_asked_for_all_the_time() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    harness.get("a")
    harness.away = True
    harness.clock.advance(10)
    for _ in range(10):
        assert harness.get("a") == "1"
    assert harness.asked == ["a", "a"]


def test_a_denial_does_not_serve_on() -> None:
    harness = Harness()
    assert harness.get("a") is None
    harness.away = True
    harness.clock.advance(5)
    assert error_of(harness.reader.get("a")) == "away"


def test_a_slow_answer_is_not_waited_for_long_when_a_value_is_known() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    harness.get("a")
    harness.clock.advance(10)
    harness.slow = True
    harness.values["a"] = "2"
    answer = harness.reader.get("a")
    harness.clock.advance(KNOWN_WAIT)
    assert result_of(answer) == "1"
    harness.finish()
    assert harness.get("a") == "2"
    assert harness.changed == ["a"]


def test_while_answers_are_slow_callers_do_not_all_wait() -> None:
    harness = Harness()
    harness.values = {"a": "1", "b": "1"}
    harness.get("a"), harness.get("b")
    harness.clock.advance(10)
    harness.slow = True
    answer = harness.reader.get("a")
    harness.clock.advance(KNOWN_WAIT)
    assert [result_of(answer), harness.get("a"), harness.get("b")] == ["1", "1", "1"]
    assert harness.asked == ["a", "b", "a"]
    harness.clock.advance(10)
    harness.reader.get("b")
    assert harness.asked == ["a", "b", "a", "b"]


def test_a_value_that_a_message_calls_changed_is_not_used_again() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    harness.get("a")
    assert harness.reader.mark_changed("a")
    assert harness.reader.peek("a") is None
    harness.away = True
    assert error_of(harness.reader.get("a")) == "away"
    harness.away = False
    harness.values["a"] = "2"
    assert harness.get("a") == "2"
    assert harness.changed == ["a"]
    assert not harness.reader.mark_changed("b")


def test_a_change_during_a_read_reads_again() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    harness.slow = True
    answer = harness.reader.get("a")
    harness.values["a"] = "2"
    harness.reader.mark_changed("a")
    harness.finish()
    harness.finish()
    assert result_of(answer) == "2"
    assert harness.asked == ["a", "a"]


def test_values_that_may_have_changed_are_read_again() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    harness.get("a"), harness.get("b")
    harness.reader.mark_all_old()
    assert harness.reader.peek("a") is None
    harness.values["a"] = harness.values["b"] = "2"
    assert [harness.get("a"), harness.get("b")] == ["2", "2"]
    assert harness.changed == ["a"]
    assert harness.reader.peek("a") == "2"
    assert harness.asked == ["a", "b"] * 2


def test_values_that_may_have_changed_serve_on_while_they_cannot_be_read() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    harness.get("a"), harness.get("b")
    harness.away = True
    harness.reader.mark_all_old()
    assert harness.get("a") == "1"
    assert error_of(harness.reader.get("b")) == "away"
    harness.clock.advance(60)
    assert error_of(harness.reader.get("a")) == "away"


def test_a_read_that_is_older_than_the_mark_is_read_again() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    harness.slow = True
    answer = harness.reader.get("a")
    harness.values["a"] = "2"
    harness.reader.mark_all_old()
    harness.finish()
    harness.finish()
    assert result_of(answer) == "2"
    assert harness.asked == ["a", "a"]


def test_a_caller_that_is_cancelled_harms_no_other() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    harness.slow = True
    first, second = harness.reader.get("a"), harness.reader.get("a")
    first.addErrback(lambda _: None).cancel()
    harness.finish()
    assert result_of(second) == "1"


def test_reads_of_unknown_keys_are_bounded() -> None:
    harness = Harness(unknown=2)
    harness.values["a"] = "1"
    assert [harness.get("a"), harness.get("b")] == ["1", None]
    assert "too many" in error_of(harness.reader.get("c"))
    assert harness.get("a") == "1"
    harness.clock.advance(1000)
    assert harness.get("c") is None


def test_beyond_the_bound_of_reading_again_the_known_value_is_used() -> None:
    harness = Harness(again=1)
    harness.values["a"] = "1"
    harness.get("a")
    for _ in range(3):
        harness.clock.advance(6)
        assert harness.get("a") == "1"
    assert harness.asked == ["a", "a"]


def test_beyond_the_bound_each_value_in_use_is_read_again_in_its_turn() -> None:
    harness = Harness(again=2, again_interval=1.0)
    keys = [f"k{number}" for number in range(20)]
    harness.values = dict.fromkeys(keys, "1")
    for key in keys:
        harness.get(key)
    harness.clock.advance(5)
    harness.asked.clear()
    for _ in range(60):
        for key in keys:
            harness.get(key)
        harness.clock.advance(1)
    # Nearly one read a second, and none of a key twice before another one once.
    assert 55 <= len(harness.asked) <= 62
    assert [harness.asked.count(key) for key in keys] == sorted(map(harness.asked.count, keys), reverse=True)
    assert {harness.asked.count(key) for key in keys} <= {2, 3, 4}
    harness.values["k19"] = "2"
    seconds = 0
    while harness.get("k19") == "1":
        for key in keys:
            harness.get(key)
        harness.clock.advance(1)
        seconds += 1
    assert seconds <= 21
    harness.reader.stop()
    assert harness.clock.getDelayedCalls() == []


def test_what_waits_to_be_read_again_waits_while_couchdb_is_away() -> None:
    harness = Harness(again=1, again_interval=1.0)
    harness.values = dict.fromkeys("abc", "1")
    for key in "abc":
        harness.get(key)
    harness.clock.advance(5)
    for key in "abc":
        harness.get(key)
    harness.asked.clear()
    harness.away = True
    for _ in range(3):
        harness.clock.advance(1)
    assert harness.asked == ["b"]
    harness.away = False
    harness.clock.advance(1)
    assert harness.asked == ["b", "c"]
    assert harness.clock.getDelayedCalls() == []


def test_a_fault_of_a_read_that_has_waited_is_logged() -> None:
    harness = Harness(again=1, again_interval=1.0)
    harness.values = {"a": "1", "b": "1"}
    harness.get("a"), harness.get("b")
    harness.clock.advance(5)

    async def fault(_key: str) -> Any:
        raise RuntimeError("fault")

    harness.get("a"), harness.get("b")
    harness.reader._read = fault
    with capturedLogs() as logs:
        harness.clock.advance(1)
    assert [formatEvent(log) for log in logs] == ["value of CouchDB not read again"]


def test_only_what_a_message_has_called_changed_is_doubtful() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    harness.get("a"), harness.get("none")
    assert not harness.reader.is_doubtful("a")
    for key in ("a", "none", "unknown"):
        harness.reader.mark_changed(key)
    assert [harness.reader.is_doubtful(key) for key in ("a", "none", "unknown")] == [True, False, False]
    harness.get("a")
    assert not harness.reader.is_doubtful("a")


def test_the_values_used_longest_ago_are_dropped() -> None:
    harness = Harness(limit=2)
    for key in ("a", "b", "a", "c", "a"):
        harness.get(key)
    assert harness.asked == ["a", "b", "c"]
    harness.get("b")
    assert harness.asked == ["a", "b", "c", "b"]


def test_a_fault_of_the_read_reaches_the_caller() -> None:
    harness = Harness()
    harness.values["a"] = "1"
    harness.get("a")
    harness.clock.advance(6)

    async def fault(_key: str) -> Any:
        raise RuntimeError("fault")

    harness.reader._read = fault
    SynchronousTestCase().failureResultOf(harness.reader.get("a"), RuntimeError)
    assert harness.clock.getDelayedCalls() == []
