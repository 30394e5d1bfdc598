"""Metrics of all processes of a node, each sample with the label ``process``."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen
from prometheus_client import CollectorRegistry, Metric
from prometheus_client.registry import Collector

#: The metrics of one process, as they cross the link: name, text, type and samples of each.
Exported = Sequence[Sequence[Any]]


def export(registry: CollectorRegistry) -> list[list[Any]]:
    """Return all metrics of a registry in a form that is JSON; a value that is not finite becomes a text."""
    return [
        [
            metric.name,
            metric.documentation,
            metric.type,
            [[sample.name, sample.labels, _to_json(sample.value)] for sample in metric.samples],
        ]
        for metric in registry.collect()
    ]


def combine(processes: Mapping[int, Exported]) -> CollectorRegistry:
    """Return a registry with the metrics of these processes, by their numbers."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Combined(processes))
    return registry


@frozen(eq=False)
class _Combined(Collector):
    _processes: Mapping[int, Exported]

    def collect(self) -> Iterable[Metric]:
        """Return each metric once, with the samples of all processes."""
        metrics: dict[str, Metric] = {}
        for number, exported in self._processes.items():
            for name, documentation, kind, samples in exported:
                metric = metrics.setdefault(name, Metric(name, documentation, kind))
                for sample_name, labels, value in samples:
                    metric.add_sample(sample_name, {**labels, "process": str(number)}, float(value))
        return metrics.values()


def _to_json(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)
