from __future__ import annotations

from collections import Counter

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from kazoo_bridge.metrics import (
    register_counter,
    register_gauge,
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
