from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from kazoo_bridge.metrics import register_counter, register_gauge, register_labelled_counter


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def scrape(registry: CollectorRegistry) -> list[str]:
    return generate_latest(registry).decode().splitlines()


def test_a_gauge_is_read_at_each_scrape(registry: CollectorRegistry) -> None:
    values = iter((3, 0.5))
    register_gauge(registry, "open", "Open things", lambda: next(values))
    assert scrape(registry) == [
        "# HELP kazoo_bridge_open Open things",
        "# TYPE kazoo_bridge_open gauge",
        "kazoo_bridge_open 3.0",
    ]
    assert scrape(registry)[-1] == "kazoo_bridge_open 0.5"


def test_a_counter_is_read_at_each_scrape(registry: CollectorRegistry) -> None:
    count = 0
    register_counter(registry, "sent", "Sent things", lambda: count)
    assert scrape(registry) == [
        "# HELP kazoo_bridge_sent_total Sent things",
        "# TYPE kazoo_bridge_sent_total counter",
        "kazoo_bridge_sent_total 0.0",
    ]
    count = 7
    assert scrape(registry)[-1] == "kazoo_bridge_sent_total 7.0"


def test_a_labelled_counter_has_a_sample_for_each_value(registry: CollectorRegistry) -> None:
    counts: dict[str, float] = {}
    register_labelled_counter(registry, "closed", "Closed things", "code", lambda: counts)
    assert scrape(registry) == [
        "# HELP kazoo_bridge_closed_total Closed things",
        "# TYPE kazoo_bridge_closed_total counter",
    ]
    counts |= {"4401": 2, "1000": 1}
    assert scrape(registry)[2:] == [
        'kazoo_bridge_closed_total{code="1000"} 1.0',
        'kazoo_bridge_closed_total{code="4401"} 2.0',
    ]
