from __future__ import annotations

from attrs import define, field
from twisted.internet.task import Clock

from kazoo_bridge.websockets.server.reading_turns import PAUSE, UNITS_PER_READER, ReadingTurns


@define(eq=False)
class FakeReader:
    """Has `units` of work, and writes into `log` whenever it does some."""

    name: str
    units: int
    log: list[str]
    paused: int = 0
    fails: bool = False
    aborted: list[None] = field(factory=list)

    def parse(self, units: int) -> tuple[int, bool]:
        if self.fails:
            raise ZeroDivisionError
        self.log.append(self.name)
        done = min(units, self.units)
        self.units -= done
        return done, self.units > 0

    def pause_reading(self) -> None:
        self.paused += 1

    def abort(self) -> None:
        self.aborted.append(None)


class TurnsHarness:
    """Portions of 100 units."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.turns = ReadingTurns(self.clock, 100)
        self.log: list[str] = []

    def reader(self, name: str, units: int) -> FakeReader:
        return FakeReader(name, units, self.log)


def test_little_work_is_done_at_once_and_leaves_no_delayed_call() -> None:
    its = TurnsHarness()
    reader = its.reader("a", 5)
    its.turns.take(reader, "one")
    assert (reader.units, reader.paused, its.turns.delayed) == (0, 0, 0)
    its.clock.advance(PAUSE)
    assert not its.clock.getDelayedCalls()


def test_a_portion_is_a_bounded_amount_of_work() -> None:
    its = TurnsHarness()
    readers = [its.reader(str(number), 1000) for number in range(180)]
    for number, reader in enumerate(readers):
        its.turns.take(reader, str(number))
    assert [reader.paused for reader in readers] == [1] * 180
    most = 100 + UNITS_PER_READER
    assert sum(1000 - reader.units for reader in readers) <= most
    rounds = 0
    while len(its.turns):
        left = sum(reader.units for reader in readers)
        its.clock.advance(PAUSE)
        assert 0 < left - sum(reader.units for reader in readers) <= most
        rounds += 1
    assert rounds >= 180 * 1000 // most
    its.clock.advance(PAUSE)
    assert not its.clock.getDelayedCalls()


def test_groups_take_turns_whatever_the_number_of_their_readers() -> None:
    its = TurnsHarness()
    for _ in range(50):
        its.turns.take(its.reader("attacker", 100), "one")
    its.turns.take(its.reader("other", 10), "two")
    before = len(its.log)
    its.clock.advance(PAUSE)
    assert "other" in its.log[before : before + 2]


def test_readers_of_a_group_take_turns() -> None:
    its = TurnsHarness()
    first, second = its.reader("first", 500), its.reader("second", 500)
    its.turns.take(first, "one")
    its.turns.take(second, "one")
    its.clock.advance(PAUSE)
    its.clock.advance(PAUSE)
    assert its.log[1:6] == ["first", "second", "first", "second", "first"]


def test_new_work_waits_behind_what_waits() -> None:
    its = TurnsHarness()
    its.turns.take(its.reader("first", 200), "one")
    late = its.reader("late", 1)
    its.turns.take(late, "one")
    assert (late.units, late.paused) == (1, 1)
    its.clock.pump([PAUSE] * 3)
    assert late.units == 0


def test_a_reader_that_fails_is_aborted_and_delays_no_other() -> None:
    its = TurnsHarness()
    for _ in range(5):
        its.turns.take(its.reader("first", 100), "one")
    broken, other = its.reader("broken", 1), its.reader("other", 1)
    broken.fails = True
    its.turns.take(broken, "two")
    its.turns.take(other, "three")
    its.clock.advance(PAUSE)
    assert (broken.aborted, other.units) == ([None], 0)


def test_stopping_forgets_what_waits() -> None:
    its = TurnsHarness()
    its.turns.take(its.reader("first", 500), "one")
    its.turns.stop()
    assert not its.clock.getDelayedCalls()
    assert not len(its.turns)
