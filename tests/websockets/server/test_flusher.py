from __future__ import annotations

import pytest
from attrs import define, field
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.websockets.server.flusher import MAX_FLUSH_PAUSE, MIN_FLUSH_PAUSE, Flusher


@define(eq=False)
class FakeBuffer:
    """Counts its flushes, each of which takes `seconds` of the processor that `clock` counts."""

    clock: Clock
    seconds: float = 0.0
    flushes: int = field(init=False, default=0)

    def flush(self) -> None:
        self.flushes += 1
        self.clock.advance(self.seconds)


class FailingBuffer(FakeBuffer):
    """A flush fails."""

    def flush(self) -> None:
        raise RuntimeError("a fault")


class FlusherHarness:
    """A flusher on a clock, and one buffer."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.processor = Clock()
        self.flusher = Flusher(self.clock, self.processor.seconds)
        self.buffer = FakeBuffer(self.processor)

    def schedule(self) -> float:
        """Schedule the buffer; returns the seconds until it is flushed."""
        self.flusher.schedule(self.buffer)
        (call,) = self.clock.getDelayedCalls()
        return call.getTime() - self.clock.seconds()


def test_after_a_pause_the_flush_is_immediate() -> None:
    its = FlusherHarness()
    assert its.schedule() == 0
    its.clock.advance(MIN_FLUSH_PAUSE)
    its.clock.advance(MIN_FLUSH_PAUSE)
    assert its.schedule() == 0
    its.clock.advance(0)
    assert its.buffer.flushes == 2


def test_a_short_flush_is_followed_by_the_shortest_pause() -> None:
    its = FlusherHarness()
    its.schedule()
    its.clock.advance(0)
    assert its.schedule() == pytest.approx(MIN_FLUSH_PAUSE)
    its.clock.advance(MIN_FLUSH_PAUSE / 2)
    assert its.schedule() == pytest.approx(MIN_FLUSH_PAUSE / 2)
    its.clock.advance(MIN_FLUSH_PAUSE / 2)
    assert its.buffer.flushes == 2
    assert not its.clock.getDelayedCalls()


@pytest.mark.parametrize(
    ("seconds", "pause"), [(0.01, 0.01), (MAX_FLUSH_PAUSE, MAX_FLUSH_PAUSE), (1.0, 0.02)]
)
def test_a_long_flush_is_followed_by_as_long_a_pause(seconds: float, pause: float) -> None:
    its = FlusherHarness()
    its.buffer.seconds = seconds
    its.schedule()
    its.clock.advance(0)
    assert its.schedule() == pytest.approx(pause)


def test_time_that_other_processes_take_does_not_prolong_the_pause() -> None:
    its = FlusherHarness()
    its.buffer.clock = its.clock
    its.buffer.seconds = 1.0
    its.schedule()
    its.clock.advance(0)
    assert its.schedule() == pytest.approx(MIN_FLUSH_PAUSE)


def test_all_buffers_share_one_delayed_call() -> None:
    its = FlusherHarness()
    other = FakeBuffer(its.clock)
    its.flusher.schedule(other)
    its.schedule()
    its.clock.advance(0)
    assert (its.buffer.flushes, other.flushes) == (1, 1)


def test_a_failure_does_not_concern_the_other_buffers() -> None:
    its = FlusherHarness()
    its.flusher.schedule(FailingBuffer(its.clock))
    its.schedule()
    with capturedLogs() as logs:
        its.clock.advance(0)
    assert its.buffer.flushes == 1
    assert len([entry for entry in logs if "log_failure" in entry]) == 1


def test_stopping_flushes_and_leaves_no_delayed_call() -> None:
    its = FlusherHarness()
    its.schedule()
    its.flusher.stop()
    assert its.buffer.flushes == 1
    assert not its.clock.getDelayedCalls()
