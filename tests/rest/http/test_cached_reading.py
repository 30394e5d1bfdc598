from __future__ import annotations

import pytest
from attrs import define, field
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.rest.http.cached_reading import CachedReading


@define
class SlowSource:
    """A value that a test delivers by firing the latest of `readings`."""

    readings: list[Deferred[int]] = field(factory=list)

    def read(self) -> Deferred[int]:
        self.readings.append(Deferred())
        return self.readings[-1]


class Harness:
    def __init__(self) -> None:
        self.clock, self.source = Clock(), SlowSource()
        self.reading = CachedReading(self.clock, self.source.read, 1.0)
        self.values: list[int] = []
        self.errors: list[type[BaseException]] = []

    def ask(self) -> Deferred[None]:
        return self.reading.get().addCallbacks(self.values.append, lambda f: self.errors.append(f.type))


def test_clients_that_ask_meanwhile_wait_for_the_same_reading() -> None:
    harness = Harness()
    for _ in range(40):
        harness.ask()
    assert (harness.values, len(harness.source.readings)) == ([], 1)
    harness.source.readings[0].callback(7)
    assert harness.values == [7] * 40


def test_a_value_is_kept_for_a_while() -> None:
    harness = Harness()
    harness.ask()
    harness.clock.advance(5)
    harness.source.readings[0].callback(7)
    harness.clock.advance(0.9)
    harness.ask()
    assert (harness.values, len(harness.source.readings)) == ([7, 7], 1)
    harness.clock.advance(0.1)
    harness.ask()
    harness.source.readings[1].callback(8)
    assert harness.values == [7, 7, 8]


def test_a_failure_goes_to_all_and_is_not_kept() -> None:
    harness = Harness()
    harness.ask()
    harness.ask()
    harness.source.readings[0].errback(ValueError())
    assert harness.errors == [ValueError] * 2
    harness.ask()
    harness.source.readings[1].callback(7)
    assert harness.values == [7]


def test_a_client_that_disconnects_disturbs_no_other() -> None:
    harness = Harness()
    first = harness.ask()
    harness.ask()
    first.cancel()
    assert harness.errors == [CancelledError]
    harness.source.readings[0].callback(7)
    assert harness.values == [7]


@pytest.mark.parametrize("fails", [False, True])
def test_the_last_client_disconnects_before_there_is_a_value(fails: bool) -> None:
    harness = Harness()
    harness.ask().cancel()
    with capturedLogs() as logs:
        if fails:
            harness.source.readings[0].errback(ValueError())
        else:
            harness.source.readings[0].callback(7)
    assert len(logs) == fails
    harness.ask()
    assert len(harness.source.readings) == 1 + fails
