from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import pytest
import pytest_twisted
from attrs import define, field
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred, fail, succeed

from kazoo_bridge.interfaces import IDeliveryStore, StorageUnavailable
from kazoo_bridge.webhooks.metrics import AttemptMetrics, StoredDeliveryMetrics


@define
class FakeCounts:
    """The counts of a delivery store; None: the storage is unavailable."""

    stored: Mapping[str, int] | None = field(factory=dict)

    def counts(self) -> Deferred[Mapping[str, int]]:
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
    metrics.observe(success=True, seconds=0.25)
    metrics.observe(success=False, seconds=60)
    metrics.observe(success=False, seconds=0.001)

    def value(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"kazoo_bridge_{name}", labels)

    assert (value("attempts_total", result="success"), value("attempts_total", result="failure")) == (1, 2)
    assert value("attempt_seconds_sum") == pytest.approx(60.251)
    buckets = {le: value("attempt_seconds_bucket", le=le) for le in ("0.005", "0.1", "0.25", "10.0", "+Inf")}
    assert buckets == {"0.005": 1, "0.1": 1, "0.25": 2, "10.0": 2, "+Inf": 3}


@pytest_twisted.ensureDeferred
async def test_stored_deliveries_are_those_of_the_last_update() -> None:
    registry, store = CollectorRegistry(), FakeCounts({"pending": 3, "dead": 1})
    metrics = StoredDeliveryMetrics(registry, cast(IDeliveryStore, store))

    def samples() -> dict[Any, float]:
        (family,) = registry.collect()
        return {sample.labels["status"]: sample.value for sample in family.samples}

    assert samples() == {}
    await metrics.update()
    assert samples() == {"pending": 3, "dead": 1}
    store.stored = None
    await metrics.update()
    assert samples() == {}
    store.stored = {"pending": 4}
    await metrics.update()
    assert samples() == {"pending": 4}
