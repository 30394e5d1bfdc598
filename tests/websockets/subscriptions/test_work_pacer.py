from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.websockets.subscriptions.work_pacer import FEW, INTERVAL, MAX_PER_INTERVAL, WorkPacer

ONE, TWO = "a" * 32, "b" * 32
HALF = MAX_PER_INTERVAL // 2


class Harness:
    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.pacer = WorkPacer(self.clock)
        self.granted: list[str] = []

    def take(self, name: str, account_id: str = ONE, units: int = HALF) -> None:
        taking = Deferred.fromCoroutine(self.pacer.take(account_id, units))
        taking.addCallback(lambda _: self.granted.append(name))


def test_work_is_granted_at_once_while_the_interval_has_room() -> None:
    its = Harness()
    for name in "abc":
        its.take(name)
    assert its.granted == ["a", "b"]
    its.clock.advance(INTERVAL)
    assert its.granted == ["a", "b", "c"]
    assert not its.clock.getDelayedCalls()
    its.clock.advance(2 * INTERVAL)
    its.take("d")
    assert its.granted[-1] == "d"
    assert not its.clock.getDelayedCalls()


def test_accounts_take_turns() -> None:
    its = Harness()
    for number in range(10):
        its.take(f"one-{number}")
    its.take("two", TWO)
    its.clock.advance(INTERVAL)
    assert its.granted == ["one-0", "one-1", "one-2", "two"]
    its.clock.pump([INTERVAL] * 4)
    assert len(its.granted) == 11
    assert not its.clock.getDelayedCalls()


def test_later_work_does_not_overtake_what_waits() -> None:
    its = Harness()
    for name in "abc":
        its.take(name)
    its.take("d", units=FEW + 1)
    assert its.granted == ["a", "b"]
    its.clock.advance(INTERVAL)
    assert its.granted == ["a", "b", "c", "d"]


def test_a_message_with_few_bindings_does_not_wait() -> None:
    its = Harness()
    for name in "abc":
        its.take(name)
    its.take("d", units=FEW)
    assert its.granted == ["a", "b", "d"]
    its.pacer.finish()


def test_after_finishing_nothing_waits() -> None:
    its = Harness()
    for name in "abcdefg":
        its.take(name)
    its.pacer.finish()
    its.take("h")
    assert its.granted == list("abcdefgh")
    assert not its.clock.getDelayedCalls()


def test_even_a_single_unit_waits_if_none_is_too_few() -> None:
    its = Harness()
    its.pacer = WorkPacer(its.clock, max_per_interval=2, few=0)
    for name in "abc":
        its.take(name, units=1)
    assert its.granted == ["a", "b"]
    its.clock.advance(INTERVAL)
    assert its.granted == ["a", "b", "c"]
