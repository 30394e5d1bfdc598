from __future__ import annotations

from attrs import define, field
from twisted.internet.task import Clock
from twisted.logger import LogEvent, Logger, LogLevel, formatEvent

from kazoo_bridge.node.log.repeats import MAX_KINDS, MAX_REPEATS, REPEAT_INTERVAL, RepeatFilter


@define
class Harness:
    clock: Clock = field(factory=Clock)
    events: list[LogEvent] = field(factory=list)
    repeats: RepeatFilter = field(init=False)
    log: Logger = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.repeats = RepeatFilter(self.clock, self.events.append)
        self.log = Logger("kazoo_bridge.x", observer=self.repeats)

    def fail(self, count: int = 1, reason: str = "away") -> None:
        for number in range(count):
            self.log.warn("failed hook_id={hook_id} reason={reason}", hook_id=str(number), reason=reason)

    def texts(self) -> list[str]:
        texts = [formatEvent(event) for event in self.events]
        self.events.clear()
        return texts


def test_the_first_warnings_are_written_and_the_others_summarised_with_the_latest() -> None:
    harness = Harness()
    harness.fail(MAX_REPEATS + 7)
    assert harness.texts() == [f"failed hook_id={number} reason=away" for number in range(MAX_REPEATS)]
    harness.clock.advance(REPEAT_INTERVAL)
    last = f"failed hook_id={MAX_REPEATS + 6} reason=away"
    assert harness.texts() == [f"{last} (the latest of 7 more like it)"]


def test_what_goes_on_has_one_line_in_each_interval_until_it_pauses() -> None:
    harness = Harness()
    harness.fail(MAX_REPEATS + 1)
    harness.clock.advance(REPEAT_INTERVAL)
    harness.texts()
    harness.fail(3)
    assert harness.texts() == []
    harness.clock.advance(REPEAT_INTERVAL)
    assert harness.texts() == ["failed hook_id=2 reason=away (the latest of 3 more like it)"]
    harness.clock.advance(REPEAT_INTERVAL)
    harness.fail()
    assert harness.texts() == ["failed hook_id=0 reason=away"]


def test_another_reason_is_another_kind() -> None:
    harness = Harness()
    harness.fail(MAX_REPEATS + 1)
    harness.texts()
    harness.fail(1, "full")
    assert harness.texts() == ["failed hook_id=0 reason=full"]


def test_lines_of_lower_levels_are_all_written() -> None:
    harness = Harness()
    for _ in range(50):
        harness.log.info("said")
    assert len(harness.events) == 50
    assert harness.clock.getDelayedCalls() == []


def test_failures_are_of_one_kind_if_their_exceptions_are_equal() -> None:
    harness = Harness()
    for number in range(20):
        try:
            raise ValueError(number % 2)
        except ValueError:
            harness.log.failure("odd")
    assert len(harness.events) == 2 * MAX_REPEATS
    harness.events.clear()
    harness.clock.advance(REPEAT_INTERVAL)
    assert [event["log_level"] for event in harness.events] == [LogLevel.critical] * 2
    assert harness.texts() == ["odd (the latest of 5 more like it)"] * 2


def test_beyond_the_bound_of_kinds_values_do_not_tell_events_apart() -> None:
    harness = Harness()
    for number in range(MAX_KINDS):
        harness.fail(1, str(number))
    harness.texts()
    for number in range(MAX_REPEATS + 3):
        harness.fail(1, f"new {number}")
    assert len(harness.events) == MAX_REPEATS
    harness.texts()
    harness.log.warn("another")
    assert harness.texts() == ["another"]


def test_lines_of_the_older_log_repeat_too() -> None:
    harness = Harness()
    for second in range(MAX_REPEATS + 3):
        harness.log.error("said", time=1000.0 + second)
    assert len(harness.events) == MAX_REPEATS


def test_a_value_without_a_text_is_written() -> None:
    class Broken:
        def __str__(self) -> str:
            raise ValueError

    harness = Harness()
    harness.log.warn("odd value={value}", value=Broken())
    assert len(harness.events) == 1


def test_stop_writes_what_was_held_back_and_leaves_no_delayed_call() -> None:
    harness = Harness()
    harness.fail(MAX_REPEATS + 1)
    harness.texts()
    harness.repeats.stop()
    assert harness.texts() == [f"failed hook_id={MAX_REPEATS} reason=away (the latest of 1 more like it)"]
    assert harness.clock.getDelayedCalls() == []
