"""Tables in Markdown: medians, their spread and ratios, the machine, the commits."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.harness.broker import broker_version
from benchmarks.harness.folders import BENCHMARKS, commit, run

#: More processor time of other programs than this, in cores, makes a round doubtful.
MAX_OTHERS = 0.2


def spread(values: Sequence[float], form: str = ",.0f") -> str:
    """Return the median, with the least and the greatest value if they differ: ``9 (8-11)``."""
    texts = [format(value, form) for value in (median(values), min(values), max(values))]
    return texts[0] if len(values) < 2 else f"{texts[0]} ({texts[1]}-{texts[2]})"


def ratio(values: Sequence[float], baseline: Sequence[float]) -> str:
    """Return the ratio of the medians."""
    return f"{median(values) / median(baseline):.2f}" if median(baseline) else "-"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table in Markdown; all columns but the first are aligned to the right."""
    lines = [head, ["---", *["--:"] * (len(head) - 1)], *([str(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def heading(title: str, trees: Mapping[str, Path]) -> str:
    """Return the top of a report: what was measured, when, on what, and the load before.

    `trees` are those whose commits were measured, by the name of the contender.
    """
    cores, memory = os.cpu_count(), os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    lines = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **{f"commit of {name}": commit(tree) for name, tree in trees.items()},
        "machine": f"{cores} cores, {_processor()}, {memory:.0f} GB, Linux {platform.release()}",
        "versions": f"Python {platform.python_version()}, Node {node_version()}, RabbitMQ {broker_version()}",
        "load average before": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }
    return "\n".join([f"# {title}\n", *(f"- {name}: {text}" for name, text in lines.items())])


def write(name: str, text: str) -> None:
    """Write a report into the folder of results."""
    folder = BENCHMARKS / "results"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.md").write_text(text + "\n", encoding="utf-8")


def node_version() -> str:
    """Return the version of Node.js, or ``none``."""
    with suppress(RuntimeError, FileNotFoundError):
        return run(["node", "--version"]).strip().removeprefix("v")
    return "none"


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1].strip() if found else platform.machine()
