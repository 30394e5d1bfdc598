from __future__ import annotations

import math

import orjson
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, generate_latest

from kazoo_bridge.node.processes.combined_metrics import combine, export


def make_registry(value: float) -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=False)
    Counter("events", "Events", ["category"], registry=registry).labels("call").inc(value)
    Gauge("depth", "Depth", registry=registry).set(value)
    Histogram("seconds", "Seconds", buckets=(1.0,), registry=registry).observe(value)
    Info("build", "Build", registry=registry).info({"version": "1"})
    return registry


def test_each_sample_has_the_number_of_its_process() -> None:
    crossed = orjson.loads(orjson.dumps(export(make_registry(2))))
    registry = combine({1: export(make_registry(1)), 2: crossed})
    assert [
        registry.get_sample_value("events_total", {"category": "call", "process": number})
        for number in ("1", "2", "3")
    ] == [1, 2, None]
    assert registry.get_sample_value("seconds_bucket", {"le": "1.0", "process": "2"}) == 0
    assert registry.get_sample_value("build_info", {"version": "1", "process": "2"}) == 1
    text = generate_latest(registry).decode()
    assert text.count("# TYPE events_total counter") == 1
    assert 'events_total{category="call",process="2"} 2.0' in text


def test_values_that_json_does_not_have_cross_the_link() -> None:
    crossed = orjson.loads(orjson.dumps(export(make_registry(math.nan))))
    value = combine({2: crossed}).get_sample_value("depth", {"process": "2"})
    assert value is not None
    assert math.isnan(value)
