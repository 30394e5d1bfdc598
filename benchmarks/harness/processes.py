"""The processor time and the memory of processes, read from ``/proc``."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


def exit_on_sigterm() -> None:
    """Make SIGTERM raise SystemExit, so that what a benchmark has started is stopped."""
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))


def family(pids: Iterable[int]) -> list[int]:
    """Return the processes and all their descendants that run now."""
    parents: dict[int, int] = {}
    for path in _PROC.glob("[0-9]*/stat"):
        with suppress(OSError):
            parents[int(path.parent.name)] = int(_fields(path)[1])
    found = list(pids)
    for pid in found:
        found += [child for child, parent in parents.items() if parent == pid]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """Return the processor time of processes so far, in their own code and in the kernel, of all threads."""
    ticks = 0
    for pid in pids:
        with suppress(OSError):
            fields = _fields(_PROC / str(pid) / "stat")
            ticks += int(fields[11]) + int(fields[12])
    return ticks / _TICKS


def resident_bytes(pids: Iterable[int]) -> int:
    """Return the memory of processes that is resident; what they share counts for each."""
    pages = 0
    for pid in pids:
        with suppress(OSError):
            pages += int((_PROC / str(pid) / "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def busy_seconds() -> float:
    """Return the processor time that all programs together have taken so far, on all cores."""
    user, nice, system, _idle, _iowait, irq, softirq = (_PROC / "stat").read_text().split()[1:8]
    return sum(map(int, (user, nice, system, irq, softirq))) / _TICKS


def _fields(path: Path) -> list[str]:
    """Return the fields after the name, which may contain spaces."""
    return path.read_text().rpartition(")")[2].split()
