from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import pytest
import pytest_twisted
from attrs import define, evolve, field
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import Delivery, IDeliveryStore, StorageUnavailable
from kazoo_bridge.webhooks.http.failure_reasons import FAILURE_REASONS
from kazoo_bridge.webhooks.metrics import (
    COUNT_INTERVAL,
    COUNT_TIMEOUT,
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
    oldest: Mapping[str, float] = field(factory=dict)
    hanging: Deferred[Mapping[str, int]] | None = None

    def counts(self) -> Deferred[Mapping[str, int]]:
        self.count += 1
        self.clock.advance(self.seconds)
        if self.hanging is not None:
            return self.hanging
        return fail(StorageUnavailable("away")) if self.stored is None else succeed(self.stored)

    def oldest_waiting(self) -> Deferred[Mapping[str, float]]:
        return succeed(self.oldest)


def _delivery(created: float, replayed_at: float | None = None) -> Delivery:
    return Delivery("id", "hook", "account", "event", "event id", {}, created, replayed_at=replayed_at)


def registered() -> tuple[AttemptMetrics, Callable[..., float | None]]:
    """Metrics of attempts, and a function that returns the value of one of their samples."""
    registry, metrics = CollectorRegistry(), AttemptMetrics()
    metrics.register(registry)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"kazoo_bridge_{name}", labels)

    return metrics, value


def test_results_and_reasons_are_exported_before_the_first_attempt() -> None:
    _, value = registered()
    for result in ("success", "failure"):
        assert value("attempts_total", result=result) == 0
    for reason in FAILURE_REASONS:
        assert value("attempt_failures_total", reason=reason) == 0
    for name in ("attempt", "first_attempt_delay", "delivery_delay"):
        assert value(f"{name}_seconds_count") == 0


def test_attempts_are_counted_by_result_reason_and_duration() -> None:
    metrics, value = registered()
    delivery = _delivery(created=100.0)
    metrics.observe_success(delivery, 100.0, 100.25)
    metrics.observe_failure(delivery, 100.0, 160.0, "timeout")
    metrics.observe_failure(delivery, 100.0, 100.001, "5xx")
    assert (value("attempts_total", result="success"), value("attempts_total", result="failure")) == (1, 2)
    assert value("attempt_failures_total", reason="timeout") == 1
    assert value("attempt_failures_total", reason="5xx") == 1
    assert value("attempt_failures_total", reason="4xx") == 0
    assert value("attempt_seconds_sum") == pytest.approx(60.251)
    buckets = {le: value("attempt_seconds_bucket", le=le) for le in ("0.005", "0.1", "0.25", "10.0", "+Inf")}
    assert buckets == {"0.005": 1, "0.1": 1, "0.25": 2, "10.0": 2, "+Inf": 3}


def test_delays_are_counted_from_the_reception_of_the_event() -> None:
    metrics, value = registered()
    delivery = _delivery(created=100.0)
    metrics.observe_failure(delivery, 102.0, 103.0, "5xx")
    metrics.observe_success(evolve(delivery, attempts=1), 130.0, 131.0)
    assert (value("first_attempt_delay_seconds_count"), value("first_attempt_delay_seconds_sum")) == (1, 2)
    assert (value("delivery_delay_seconds_count"), value("delivery_delay_seconds_sum")) == (1, 31)


def test_many_successes_are_all_counted() -> None:
    metrics, value = registered()
    for _ in range(1500):
        metrics.observe_success(_delivery(created=100.0), 100.5, 102.0)
    assert value("attempts_total", result="success") == 1500
    for name, total in (("attempt", 2250), ("first_attempt_delay", 750), ("delivery_delay", 3000)):
        assert (value(f"{name}_seconds_count"), value(f"{name}_seconds_sum")) == (1500, total)


def test_the_delay_of_a_replay_is_not_counted() -> None:
    metrics, value = registered()
    replayed = _delivery(created=100.0, replayed_at=9000.0)
    metrics.observe_success(replayed, 9001.0, 9002.0)
    metrics.observe_failure(replayed, 9001.0, 9002.0, "5xx")
    assert value("attempt_seconds_count") == 2
    assert value("first_attempt_delay_seconds_count") == value("delivery_delay_seconds_count") == 0


class CountHarness:
    """The metric of stored deliveries, with a store and a clock."""

    def __init__(self, **stored: int) -> None:
        self.clock = Clock()
        self.store = FakeCounts(self.clock, stored)
        self._registry = CollectorRegistry()
        self.metrics = StoredDeliveryMetrics(self._registry, cast(IDeliveryStore, self.store), self.clock)

    @property
    def samples(self) -> dict[Any, float]:
        return self._samples_of("kazoo_bridge_deliveries_stored")

    @property
    def ages(self) -> dict[Any, float]:
        return self._samples_of("kazoo_bridge_oldest_delivery_seconds")

    def _samples_of(self, name: str) -> dict[Any, float]:
        [family] = [family for family in self._registry.collect() if family.name == name]
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


@pytest_twisted.ensureDeferred
async def test_the_oldest_waiting_delivery_grows_older_between_counts() -> None:
    harness = CountHarness(pending=3)
    assert harness.ages == {}
    harness.clock.advance(1000)
    harness.store.oldest = {"pending": 400.0}
    await harness.metrics.update()
    assert harness.ages == {"pending": 600, "held": 0}
    harness.clock.advance(5)
    assert harness.ages == {"pending": 605, "held": 0}
    harness.metrics.clear()
    assert harness.ages == {}


def test_a_scrape_does_not_wait_for_a_slow_count() -> None:
    harness = CountHarness(pending=3)
    harness.store.hanging = Deferred()
    first = Deferred.fromCoroutine(harness.metrics.update())
    harness.clock.advance(COUNT_TIMEOUT)
    assert first.called
    second = Deferred.fromCoroutine(harness.metrics.update())
    assert (second.called, harness.store.count, harness.samples) == (False, 1, {})
    harness.store.hanging.callback({"pending": 4})
    assert second.called
    assert harness.samples == {"pending": 4}
