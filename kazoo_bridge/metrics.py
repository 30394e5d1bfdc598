"""Figures of a node for whoever watches it: counted where things happen, read when somebody asks."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Literal

from attrs import define, field, frozen


@frozen
class Figure:
    """One figure. `values`: for each value of the label (empty: there is no label) how much it is.

    A ``counter`` only grows, from 0 at the start of the process; a ``gauge`` is how it stands now.
    """

    name: str
    meaning: str
    kind: Literal["counter", "gauge"]
    values: Mapping[str, float]
    label: str = ""


def counter(name: str, meaning: str, value: float) -> Figure:
    """A counter without a label."""
    return Figure(name, meaning, "counter", {"": value})


def gauge(name: str, meaning: str, value: float) -> Figure:
    """A gauge without a label."""
    return Figure(name, meaning, "gauge", {"": value})


@define(eq=False)
class Durations:
    """How long something took, in seconds, counted in buckets; `bounds` are their upper ends."""

    name: str
    meaning: str
    bounds: Sequence[float] = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
    counts: list[int] = field(init=False)
    total: float = field(init=False, default=0.0)

    def __attrs_post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def add(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.total += seconds
