"""The receiver of webhooks, a C program in a process of its own, and what it has recorded."""

from __future__ import annotations

import mmap
import struct
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.harness.folders import BENCHMARKS, compiled

_HEADER = struct.Struct("<8Q")
_RECORD = struct.Struct("<QQIHH")
_WHOLE_NUMBERS = struct.Struct("<Q")

#: Where the header has how many different events have been delivered.
_DELIVERED_AT = 8


class ReceiverOptions(NamedTuple):
    """`fail_percent` of the events get 500 once; each answer comes after `delay_ms`; `hang`: none comes."""

    fail_percent: int = 0
    delay_ms: int = 0
    hang: bool = False


class Arrival(NamedTuple):
    """A request. `at` is monotonic, in seconds; `status` is 0 if it was not answered."""

    at: float
    webhook_id: int
    event: int
    port: int
    status: int


class Account(NamedTuple):
    """`losses`: events that never got a 200; `duplicates`: further 200s for events that had one;
    `changed_ids`: events whose requests had different webhook-ids, or none.
    """

    requests: int
    delivered: int
    losses: int
    duplicates: int
    failures: int
    changed_ids: int


class Receiver:
    """For events with the numbers below `events`, on each of the `ports`."""

    def __init__(self, ports: Sequence[int], events: int, options: ReceiverOptions) -> None:
        self.ports = ports
        self.events = events
        self.options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it listens."""
        program = compiled(BENCHMARKS / "harness" / "receiver.c")
        options = self.options
        capacity = self.events * 3 + 10_000
        with tempfile.TemporaryDirectory(prefix="kazoo-bridge-benchmark-") as folder:
            path = Path(folder) / "records"
            ports = ",".join(map(str, self.ports))
            arguments = [path, capacity, ports, self.events, options.fail_percent, options.delay_ms]
            self._process = subprocess.Popen(
                [program, *map(str, arguments), str(int(options.hang))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert self._process.stdout is not None
            if not self._process.stdout.readline():
                raise RuntimeError("the receiver did not start")
            with path.open("rb") as file:
                self._memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    @property
    def delivered(self) -> int:
        """How many different events have got a 200."""
        return int(_WHOLE_NUMBERS.unpack_from(self._memory, _DELIVERED_AT)[0])

    @property
    def connections(self) -> int:
        """How many connections have been accepted."""
        return int(_HEADER.unpack_from(self._memory)[2])

    @property
    def unreadable(self) -> int:
        """How many requests had no number, or broke the rules of HTTP."""
        return int(_HEADER.unpack_from(self._memory)[3])

    @property
    def open(self) -> int:
        """How many connections are open."""
        return int(_HEADER.unpack_from(self._memory)[4])

    def arrivals(self) -> Iterator[Arrival]:
        """Yield all requests, in their order."""
        count = _HEADER.unpack_from(self._memory)[0]
        begin, end = _HEADER.size, _HEADER.size + count * _RECORD.size
        for at, webhook_id, event, port, status in _RECORD.iter_unpack(self._memory[begin:end]):
            yield Arrival(at / 1e9, webhook_id, event, port, status)

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.communicate()
            self._process = None
            self._memory.close()


def account_for(arrivals: list[Arrival], wanted: int) -> Account:
    """Compare what has arrived with the `wanted` events, whose numbers are 0 and up."""
    delivered = Counter(one.event for one in arrivals if one.status == 200)
    ids: dict[int, set[int]] = {}
    for one in arrivals:
        ids.setdefault(one.event, set()).add(one.webhook_id)
    return Account(
        requests=len(arrivals),
        delivered=len(delivered),
        losses=wanted - len(delivered),
        duplicates=delivered.total() - len(delivered),
        failures=sum(one.status != 200 for one in arrivals),
        changed_ids=sum(len(found) > 1 or 0 in found for found in ids.values()),
    )


def delivery_times(arrivals: list[Arrival]) -> list[float]:
    """Return the times of the first 200 of each event, in their order."""
    seen: set[int] = set()
    times = []
    for one in arrivals:
        if one.status == 200 and one.event not in seen:
            seen.add(one.event)
            times.append(one.at)
    return times
