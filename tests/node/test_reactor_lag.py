from __future__ import annotations

from prometheus_client import CollectorRegistry
from twisted.internet.task import Clock

from kazoo_bridge.node.reactor_lag import INTERVAL, ReactorLag


class Harness:
    """A running measurement, with the clock of its calls and the monotonic time."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.late = 0.0
        self.lag = ReactorLag(self.clock, lambda: self.clock.seconds() + self.late)
        self._registry = CollectorRegistry()
        self.lag.register_metrics(self._registry)
        self.lag.startService()

    def value(self, name: str, **labels: str) -> float | None:
        return self._registry.get_sample_value(f"kazoo_bridge_reactor_lag_seconds_{name}", labels)


def test_a_reactor_that_is_not_late_has_no_lag() -> None:
    harness = Harness()
    harness.clock.pump([INTERVAL] * 3)
    assert (harness.value("count"), harness.value("sum")) == (3, 0)
    assert harness.value("bucket", le="0.001") == 3


def test_the_lag_is_how_late_a_call_is() -> None:
    harness = Harness()
    harness.late = 0.75
    harness.clock.advance(INTERVAL)
    harness.clock.advance(INTERVAL)
    assert (harness.value("count"), harness.value("sum")) == (2, 0.75)
    assert (harness.value("bucket", le="0.5"), harness.value("bucket", le="1.0")) == (1, 2)


def test_it_leaves_no_call_when_it_stops() -> None:
    harness = Harness()
    harness.clock.advance(INTERVAL)
    harness.lag.stopService()
    assert harness.clock.getDelayedCalls() == []
