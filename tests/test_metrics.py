from __future__ import annotations

from collections import Counter

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from kazoo_bridge.metrics import (
    Durations,
    register_counter,
    register_counters,
    register_gauge,
    register_histogram,
    register_labelled_counter,
    register_labelled_gauge,
)


def text_of(registry: CollectorRegistry) -> list[str]:
    return generate_latest(registry).decode().splitlines()


def test_a_gauge_is_read_at_each_scrape() -> None:
    registry, values = CollectorRegistry(), [1]
    register_gauge(registry, "things", "Things", lambda: len(values))
    assert text_of(registry) == [
        "# HELP kazoo_bridge_things Things",
        "# TYPE kazoo_bridge_things gauge",
        "kazoo_bridge_things 1.0",
    ]
    values.append(2)
    assert text_of(registry)[-1] == "kazoo_bridge_things 2.0"


def test_a_counter_is_read_at_each_scrape_and_has_no_time_of_creation() -> None:
    registry, events = CollectorRegistry(), Counter(all=3)
    register_counter(registry, "events", "Events", lambda: events["all"])
    assert text_of(registry) == [
        "# HELP kazoo_bridge_events_total Events",
        "# TYPE kazoo_bridge_events_total counter",
        "kazoo_bridge_events_total 3.0",
    ]
    events["all"] += 1
    assert text_of(registry)[-1] == "kazoo_bridge_events_total 4.0"


def test_a_labelled_counter_has_a_sample_for_each_value() -> None:
    registry, events = CollectorRegistry(), Counter[str]()
    register_labelled_counter(registry, "events", "Events", "kind", lambda: events)
    assert len(text_of(registry)) == 2
    events.update(b=2, a=1)
    assert text_of(registry)[2:] == [
        'kazoo_bridge_events_total{kind="a"} 1.0',
        'kazoo_bridge_events_total{kind="b"} 2.0',
    ]


def test_a_labelled_gauge_has_a_sample_for_each_value() -> None:
    registry, values = CollectorRegistry(), {"2": 0.0, "1": 1.0}
    register_labelled_gauge(registry, "zones", "Zones", "zone", lambda: values)
    assert text_of(registry)[1:] == [
        "# TYPE kazoo_bridge_zones gauge",
        'kazoo_bridge_zones{zone="1"} 1.0',
        'kazoo_bridge_zones{zone="2"} 0.0',
    ]


def test_counters_have_a_sample_for_each_tuple_of_labels() -> None:
    registry = CollectorRegistry()
    counts: dict[tuple[str, ...], float] = {("b", "2"): 4, ("a", "1"): 3}
    register_counters(registry, "requests", "Requests", ("route", "status"), lambda: counts)
    assert text_of(registry)[2:] == [
        'kazoo_bridge_requests_total{route="a",status="1"} 3.0',
        'kazoo_bridge_requests_total{route="b",status="2"} 4.0',
    ]


def test_durations_are_counted_in_the_bucket_whose_end_they_do_not_exceed() -> None:
    durations = Durations((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        durations.observe(seconds)
    assert durations.counts == [2, 1, 1]
    assert durations.total == pytest.approx(7.65)


def test_a_duration_below_zero_counts_as_zero() -> None:
    durations = Durations((0.1, 1.0))
    durations.observe(-3600.0)
    assert (durations.counts, durations.total) == ([1, 0, 0], 0.0)


@pytest.mark.parametrize("seconds", [[], [0.05, 0.1, 0.5, 7.0], [-3600.0, 0.5]])
def test_many_durations_are_counted_like_each(seconds: list[float]) -> None:
    one_by_one, together = Durations((0.1, 1.0)), Durations((0.1, 1.0))
    for one in seconds:
        one_by_one.observe(one)
    together.observe_all(seconds)
    assert together.counts == one_by_one.counts
    assert together.total == pytest.approx(one_by_one.total)


def test_a_histogram_is_read_at_each_scrape() -> None:
    registry, durations = CollectorRegistry(), Durations((0.5, 1.0))
    register_histogram(registry, "waits", "Waits", lambda: durations)
    durations.observe(0.75)
    assert text_of(registry)[1:] == [
        "# TYPE kazoo_bridge_waits histogram",
        'kazoo_bridge_waits_bucket{le="0.5"} 0.0',
        'kazoo_bridge_waits_bucket{le="1.0"} 1.0',
        'kazoo_bridge_waits_bucket{le="+Inf"} 1.0',
        "kazoo_bridge_waits_count 1.0",
        "kazoo_bridge_waits_sum 0.75",
    ]


def test_a_labelled_histogram_has_the_durations_of_each_value() -> None:
    registry, reads, writes = CollectorRegistry(), Durations((1.0,)), Durations((1.0,))
    register_histogram(registry, "waits", "Waits", lambda: {"write": writes, "read": reads}, "operation")
    writes.observe(2.0)
    counts = [line for line in text_of(registry) if "_count" in line]
    assert counts == [
        'kazoo_bridge_waits_count{operation="read"} 0.0',
        'kazoo_bridge_waits_count{operation="write"} 1.0',
    ]
