from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from kazoo_bridge.webhooks.attempts.turn_stages import Stage, TurnStages


class Harness:
    """Two stages on a clock; `runs` are the stages that have run, with their items."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.stages = TurnStages(self.clock)
        self.runs: list[tuple[str, list[int]]] = []
        self.first = self._make("first")
        self.second = self._make("second")

    def _make(self, name: str) -> Stage[int]:
        def handle_all(items: list[int]) -> None:
            self.runs.append((name, items))
            self.on_run(name, items)

        return self.stages.make_stage(handle_all)

    def on_run(self, name: str, items: list[int]) -> None:
        """Overridden by tests: called while a stage runs."""

    @property
    def is_scheduled(self) -> bool:
        """Whether a call is due; each of them runs at once."""
        calls = self.clock.getDelayedCalls()
        assert all(call.getTime() == self.clock.seconds() for call in calls)
        assert len(calls) <= 1
        return bool(calls)


def test_stages_run_at_the_end_of_the_turn_in_the_order_in_which_they_were_made() -> None:
    harness = Harness()
    assert not harness.is_scheduled
    harness.second.add(1)
    harness.first.add(2)
    harness.second.add(3)
    assert harness.runs == []
    assert harness.is_scheduled
    harness.clock.advance(0)
    assert harness.runs == [("first", [2]), ("second", [1, 3])]
    assert not harness.is_scheduled


def test_they_run_after_the_calls_of_this_turn_and_before_those_of_the_next() -> None:
    harness = Harness()
    order: list[str] = []
    harness.on_run = lambda name, items: order.append("stage")  # type: ignore[method-assign]
    harness.clock.callLater(0, order.append, "due already")
    harness.first.add(1)
    harness.clock.callLater(0, order.append, "due later")
    harness.clock.advance(0)
    assert order == ["due already", "stage", "due later"]


def test_a_stage_without_items_does_not_run() -> None:
    harness = Harness()
    harness.first.add(1)
    harness.clock.advance(0)
    harness.second.add(2)
    harness.clock.advance(0)
    assert harness.runs == [("first", [1]), ("second", [2])]


def test_what_a_stage_adds_to_a_later_one_is_done_in_the_same_turn() -> None:
    harness = Harness()

    def on_run(name: str, items: list[int]) -> None:
        if name == "first":
            harness.second.add(10 * items[0])

    harness.on_run = on_run  # type: ignore[method-assign]
    harness.first.add(1)
    harness.clock.advance(0)
    assert harness.runs == [("first", [1]), ("second", [10])]
    assert not harness.is_scheduled


@pytest.mark.parametrize("adding", ["first", "second"])
def test_what_is_added_to_a_stage_that_has_run_is_done_after_the_others_had_their_turn(adding: str) -> None:
    harness = Harness()

    def on_run(name: str, items: list[int]) -> None:
        if name == adding and items in ([1], [2]):
            harness.clock.callLater(0, harness.runs.append, ("another call", []))
            harness.first.add(7)
            if adding == "second":
                harness.second.add(8)

    harness.on_run = on_run  # type: ignore[method-assign]
    harness.first.add(1)
    harness.second.add(2)
    harness.clock.advance(0)
    more = [("second", [8])] if adding == "second" else []
    assert harness.runs == [("first", [1]), ("second", [2]), ("another call", []), ("first", [7]), *more]
    assert not harness.is_scheduled


def test_a_stage_that_raises_does_not_keep_others_from_running_in_the_next_turn() -> None:
    harness = Harness()

    def on_run(name: str, items: list[int]) -> None:
        if name == "first":
            raise ZeroDivisionError("a defect")

    harness.on_run = on_run  # type: ignore[method-assign]
    harness.first.add(1)
    harness.second.add(2)
    with pytest.raises(ZeroDivisionError):
        harness.clock.advance(0)
    assert harness.is_scheduled
    harness.clock.advance(0)
    assert harness.runs == [("first", [1]), ("second", [2])]
    harness.second.add(3)
    harness.clock.advance(0)
    assert harness.runs[-1] == ("second", [3])


@pytest.mark.parametrize("when", ["before", "after"])
def test_nothing_is_done_after_stopping(when: str) -> None:
    harness = Harness()
    if when == "before":
        harness.first.add(1)
        harness.stages.stop()
    else:
        harness.first.add(1)
        harness.clock.advance(0)
        harness.stages.stop()
        harness.second.add(2)
    assert not harness.is_scheduled
    harness.stages.stop()
    assert harness.runs == ([] if when == "before" else [("first", [1])])


def test_a_stage_may_stop_them() -> None:
    harness = Harness()

    def on_run(name: str, items: list[int]) -> None:
        harness.stages.stop()
        harness.first.add(2)

    harness.on_run = on_run  # type: ignore[method-assign]
    harness.first.add(1)
    harness.clock.advance(0)
    assert harness.runs == [("first", [1])]
    assert not harness.is_scheduled


def test_many_items_cost_one_delayed_call() -> None:
    harness = Harness()
    for number in range(1000):
        harness.first.add(number)
        assert harness.is_scheduled
    harness.clock.advance(0)
    assert harness.runs == [("first", list(range(1000)))]
    assert harness.first.is_empty
