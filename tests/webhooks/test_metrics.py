from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest
import pytest_twisted
from attrs import define
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import IDeliveryStore, StorageUnavailable
from kazoo_bridge.webhooks.metrics import (
    COUNT_INTERVAL,
    MAX_COUNT_SHARE,
    AttemptMetrics,
    StoredDeliveryMetrics,
)


@define
class FakeCounts:
    """The counts of a delivery store, which take `seconds`; None: the storage is unavailable."""

    clock: Clock
    stored: Mapping[str, int] | None
    seconds: float = 0
    count: int = 0

    def counts(self) -> Deferred[Mapping[str, int]]:
        self.count += 1
        self.clock.advance(self.seconds)
        return fail(StorageUnavailable("away")) if self.stored is None else succeed(self.stored)


def test_both_results_are_exported_before_the_first_attempt() -> None:
    registry = CollectorRegistry()
    AttemptMetrics().register(registry)
    for result in ("success", "failure"):
        assert registry.get_sample_value("kazoo_bridge_attempts_total", {"result": result}) == 0
    assert registry.get_sample_value("kazoo_bridge_attempt_seconds_count") == 0


def test_attempts_are_counted_by_result_and_duration() -> None:
    registry, metrics = CollectorRegistry(), AttemptMetrics()
    metrics.register(registry)
    metrics.observe(True, 0.25)
    metrics.observe(False, 60)
    metrics.observe(False, 0.001)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"kazoo_bridge_{name}", labels)

    assert (value("attempts_total", result="success"), value("attempts_total", result="failure")) == (1, 2)
    assert value("attempt_seconds_sum") == pytest.approx(60.251)
    buckets = {le: value("attempt_seconds_bucket", le=le) for le in ("0.005", "0.1", "0.25", "10.0", "+Inf")}
    assert buckets == {"0.005": 1, "0.1": 1, "0.25": 2, "10.0": 2, "+Inf": 3}


class CountHarness:
    """The metric of stored deliveries, with a store and a clock."""

    def __init__(self, **stored: int) -> None:
        self.clock = Clock()
        self.store = FakeCounts(self.clock, stored)
        self._registry = CollectorRegistry()
        self.metrics = StoredDeliveryMetrics(self._registry, cast(IDeliveryStore, self.store), self.clock)

    @property
    def samples(self) -> dict[Any, float]:
        (family,) = self._registry.collect()
        return {sample.labels["status"]: sample.value for sample in family.samples}


@pytest_twisted.ensureDeferred
async def test_stored_deliveries_are_counted_at_most_every_interval() -> None:
    harness = CountHarness(pending=3, dead=1)
    assert harness.samples == {}
    await harness.metrics.update()
    assert harness.samples == {"pending": 3, "dead": 1}
    harness.store.stored = {"pending": 4}
    harness.clock.advance(COUNT_INTERVAL - 1)
    await harness.metrics.update()
    assert (harness.samples, harness.store.count) == ({"pending": 3, "dead": 1}, 1)
    harness.clock.advance(1)
    await harness.metrics.update()
    assert (harness.samples, harness.store.count) == ({"pending": 4}, 2)


@pytest_twisted.ensureDeferred
async def test_counting_takes_a_bounded_part_of_the_time() -> None:
    harness = CountHarness(pending=3)
    harness.store.seconds = 10
    await harness.metrics.update()
    harness.clock.advance(10 / MAX_COUNT_SHARE - 1)
    await harness.metrics.update()
    assert harness.store.count == 1
    harness.clock.advance(1)
    await harness.metrics.update()
    assert harness.store.count == 2


@pytest_twisted.ensureDeferred
async def test_without_the_storage_there_are_no_counts() -> None:
    harness = CountHarness(pending=3)
    await harness.metrics.update()
    harness.metrics.clear()
    assert harness.samples == {}
    harness.store.stored = None
    await harness.metrics.update()
    assert harness.samples == {}
    harness.store.stored = {"pending": 4}
    await harness.metrics.update()
    assert harness.samples == {"pending": 4}
