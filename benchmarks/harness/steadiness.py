"""Whether a process stays as it is under a steady load: its memory, its descriptors and its timers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

import requests

from benchmarks.harness.processes import cpu_seconds, resident_bytes

_DELAYED_CALLS = re.compile(r"^kazoo_bridge_delayed_calls (\S+)$", re.MULTILINE)


class Reading(NamedTuple):
    """What a process has at one time: bytes that are resident, open descriptors, and timers; and the
    processor time that it has taken so far."""

    resident: int
    descriptors: int
    delayed_calls: int
    cpu: float


class Tolerance(NamedTuple):
    """The growth that is none: of the memory in bytes, and in numbers."""

    resident: int
    descriptors: int
    delayed_calls: int


class Growth(NamedTuple):
    """One quantity: its median in the first and in the last third of the readings."""

    name: str
    first: float
    last: float
    tolerance: float

    @property
    def is_steady(self) -> bool:
        """Whether it has grown by no more than the tolerance."""
        return self.last - self.first <= self.tolerance


def read(pid: int, http_port: int) -> Reading:
    """Read a node's process, and its ``/metrics``."""
    text = requests.get(f"http://127.0.0.1:{http_port}/metrics", timeout=60).text
    found = _DELAYED_CALLS.search(text)
    if found is None:
        raise RuntimeError("/metrics has no kazoo_bridge_delayed_calls")
    return Reading(
        resident_bytes([pid]),
        len(list(Path(f"/proc/{pid}/fd").iterdir())),
        int(float(found[1])),
        cpu_seconds([pid]),
    )


def growths(readings: Sequence[Reading], tolerance: Tolerance) -> list[Growth]:
    """Compare the first third of the readings with the last. Raises ValueError for fewer than three."""
    if len(readings) < 3:
        raise ValueError(f"{len(readings)} readings show no growth")
    third = len(readings) // 3
    return [
        Growth(
            name,
            median(getattr(one, name) for one in readings[:third]),
            median(getattr(one, name) for one in readings[-third:]),
            getattr(tolerance, name),
        )
        for name in Tolerance._fields
    ]
