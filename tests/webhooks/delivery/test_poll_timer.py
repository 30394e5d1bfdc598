from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.webhooks.delivery.poll_timer import POLL_INTERVAL, PollTimer
from tests.webhooks.harness import results_of


class Poller:
    """Records when it is called; with `slow` set, a call lasts until `finish`."""

    def __init__(self, slow: bool = False) -> None:
        self.clock = Clock()
        self.timer = PollTimer(self.clock)
        self.calls: list[float] = []
        self.slow = slow
        self._active: list[Deferred[None]] = []

    async def poll(self) -> None:
        self.calls.append(self.clock.seconds())
        if self.slow:
            self._active.append(Deferred())
            await self._active[-1]

    def finish(self) -> None:
        self._active.pop().callback(None)


def test_polls_at_once_and_in_intervals() -> None:
    poller = Poller()
    poller.timer.start(poller.poll)
    for _ in range(4):
        poller.clock.advance(POLL_INTERVAL / 2)
    assert poller.calls == [0, POLL_INTERVAL, 2 * POLL_INTERVAL]


def test_polls_earlier_when_woken() -> None:
    poller = Poller()
    poller.timer.start(poller.poll)
    poller.timer.wake(0.3)
    poller.timer.wake(0.6)
    poller.clock.advance(0.2)
    assert poller.calls == [0]
    poller.clock.advance(0.1)
    assert poller.calls == [0, pytest.approx(0.3)]
    poller.timer.wake(-5.0)
    poller.clock.advance(0)
    assert poller.calls == [0, pytest.approx(0.3), pytest.approx(0.3)]


def test_an_earlier_time_replaces_a_later_one() -> None:
    poller = Poller()
    poller.timer.start(poller.poll)
    poller.timer.wake(0.6)
    poller.timer.wake(0.2)
    poller.clock.advance(0.2)
    assert poller.calls == [0, 0.2]
    assert len(poller.clock.getDelayedCalls()) == 1


def test_a_time_far_away_does_not_delay_the_next_poll() -> None:
    poller = Poller()
    poller.timer.start(poller.poll)
    poller.timer.wake(1000.0)
    poller.clock.advance(POLL_INTERVAL)
    assert poller.calls == [0, POLL_INTERVAL]


def test_at_most_one_poll_is_active_and_a_wake_meanwhile_is_not_lost() -> None:
    poller = Poller(slow=True)
    poller.timer.start(poller.poll)
    poller.clock.advance(5)
    poller.timer.wake(5.0)
    poller.timer.wake(50.0)
    poller.clock.advance(5)
    assert poller.calls == [0]
    poller.finish()
    poller.clock.advance(0)
    assert poller.calls == [0, 10]


def test_after_a_slow_poll_the_interval_begins_anew() -> None:
    poller = Poller(slow=True)
    poller.timer.start(poller.poll)
    poller.clock.advance(5)
    poller.timer.wake(5.5)
    poller.finish()
    poller.clock.advance(0)
    assert poller.calls == [0]
    poller.clock.advance(POLL_INTERVAL)
    assert poller.calls == [0, 5 + POLL_INTERVAL]


def test_stop_waits_for_the_active_poll() -> None:
    poller = Poller(slow=True)
    poller.timer.start(poller.poll)
    stopped = results_of(poller.timer.stop())
    assert stopped == []
    poller.finish()
    assert stopped == [None]
    poller.timer.wake(0.0)
    assert (poller.timer.running, poller.clock.getDelayedCalls()) == (False, [])


def test_stop_between_polls() -> None:
    poller = Poller()
    poller.timer.start(poller.poll)
    assert poller.timer.running
    assert results_of(poller.timer.stop()) == [None]
    assert poller.clock.getDelayedCalls() == []


def test_does_nothing_before_it_is_started() -> None:
    poller = Poller()
    poller.timer.wake(0.0)
    assert results_of(poller.timer.stop()) == [None]
    assert poller.clock.getDelayedCalls() == []


def test_an_exception_is_logged_and_polling_goes_on() -> None:
    poller = Poller()

    async def failing() -> None:
        await poller.poll()
        raise RuntimeError("a defect")

    with capturedLogs() as logs:
        poller.timer.start(failing)
        poller.clock.advance(POLL_INTERVAL)
    assert poller.calls == [0, POLL_INTERVAL]
    assert [str(log["log_failure"].value) for log in logs] == ["a defect"] * 2
