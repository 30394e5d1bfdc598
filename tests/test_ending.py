"""Whatever does not end is left behind after a while."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.node.graceful_shutdown import MINIMUM_TIMEOUT, STEP_TIMEOUT, TOTAL_TIMEOUT, ShutdownSequence


async def waits_for(one: Deferred[None]) -> None:
    await one


class Steps:
    """Several things that end one after another, each as told."""

    def __init__(self, *things: Deferred[None]) -> None:
        self.clock, self.hurry = Clock(), Deferred[None]()
        self.ending = ShutdownSequence(self.clock, self.hurry)
        self.passed: list[float] = []
        self.done = Deferred.fromCoroutine(self._all(things))

    async def _all(self, things: tuple[Deferred[None], ...]) -> None:
        for number, one in enumerate(things):
            await self.ending.run_step(f"thing {number}", waits_for(one))
            self.passed.append(self.clock.seconds())


def test_what_ends_costs_only_its_time() -> None:
    first, second = Deferred[None](), Deferred[None]()
    steps = Steps(first, second)
    steps.clock.advance(2)
    first.callback(None)
    second.callback(None)
    assert steps.passed == [2, 2]
    assert not steps.clock.getDelayedCalls()


def test_what_never_ends_is_left_behind_and_all_together_are_bounded() -> None:
    never = [Deferred[None]() for _ in range(6)]
    steps = Steps(*never)
    for _ in range(100):
        steps.clock.advance(0.5)
    assert steps.passed[:3] == [STEP_TIMEOUT, 2 * STEP_TIMEOUT, 3 * STEP_TIMEOUT]
    assert steps.passed[-1] == TOTAL_TIMEOUT + 3 * MINIMUM_TIMEOUT
    assert not steps.clock.getDelayedCalls()
    for one in never:
        one.callback(None)  # too late, and no harm


def test_in_a_hurry_hardly_anything_is_waited_for() -> None:
    steps = Steps(*[Deferred[None]() for _ in range(3)])
    steps.clock.advance(2)
    steps.hurry.callback(None)
    for _ in range(20):
        steps.clock.advance(0.5)
    assert steps.passed == [2 + MINIMUM_TIMEOUT, 2 + 2 * MINIMUM_TIMEOUT, 2 + 3 * MINIMUM_TIMEOUT]


def test_what_fails_stops_nothing() -> None:
    first, second = Deferred[None](), Deferred[None]()
    steps = Steps(first, second)
    first.errback(ValueError("odd"))
    second.callback(None)
    assert steps.passed == [0, 0]
