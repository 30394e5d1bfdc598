from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from kazoo_bridge.websockets.subscriptions.release_queue import INTERVAL, MAX_PER_INTERVAL, ReleaseQueue


class Harness:
    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.removed: list[Any] = []
        self.queue = ReleaseQueue(self.clock, lambda *removed: self.removed.append(removed))

    def add(self, session: Any, count: int) -> None:
        subscriptions: Any = [("account", number) for number in range(count)]
        self.queue.add(session, subscriptions)


def test_few_are_released_at_once() -> None:
    its = Harness()
    its.add("s", 2)
    assert its.removed == [("s", "account", 0), ("s", "account", 1)]
    assert not its.clock.getDelayedCalls()


def test_thousands_at_once_are_released_an_interval_at_a_time() -> None:
    its = Harness()
    for number in range(25):
        its.add(number, MAX_PER_INTERVAL // 10)
    assert (len(its.removed), len(its.queue)) == (MAX_PER_INTERVAL, 1.5 * MAX_PER_INTERVAL)
    its.clock.advance(INTERVAL)
    assert len(its.removed) == 2 * MAX_PER_INTERVAL
    its.clock.advance(INTERVAL)
    assert [session for session, _, _ in its.removed[:: MAX_PER_INTERVAL // 10]] == list(range(25))
    assert not its.clock.getDelayedCalls()


def test_finishing_releases_the_rest() -> None:
    its = Harness()
    its.add("s", 3 * MAX_PER_INTERVAL)
    its.queue.finish()
    assert len(its.removed) == 3 * MAX_PER_INTERVAL
    assert not its.clock.getDelayedCalls()
