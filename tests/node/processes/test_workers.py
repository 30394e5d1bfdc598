from __future__ import annotations

from typing import Any

from attrs import define, field
from prometheus_client import CollectorRegistry, Gauge
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.node.processes.worker_process import WorkerProcess
from kazoo_bridge.node.processes.workers import (
    ANSWER_TIMEOUT,
    FIRST_PAUSE,
    FORCED_STOP_TIMEOUT,
    LONGEST_PAUSE,
    SETTLED_AFTER,
    SILENCE_LIMIT,
    STOP_TIMEOUT,
    WATCH_INTERVAL,
    Workers,
)
from tests.node.processes.fakes import FakeProcess


@define
class Harness:
    """A node of `processes`; `spawned` are the runs of workers, in their order."""

    processes: int = 2
    clock: Clock = field(factory=Clock)
    spawned: list[tuple[int, FakeProcess]] = field(factory=list)
    log: list[bytes] = field(factory=list)
    workers: Workers = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.workers = Workers(self.clock, self.processes, self._spawn, self.log.append)
        self.workers.start()

    def _spawn(self, number: int, worker: WorkerProcess) -> None:
        process = FakeProcess(worker)
        self.spawned.append((number, process))
        worker.makeConnection(process)

    @property
    def process(self) -> FakeProcess:
        return self.spawned[-1][1]

    def stop(self) -> tuple[list[None], Deferred[None]]:
        """Stop; return a list that receives an item at the end, and what forces the stop."""
        ended: list[None] = []
        forced: Deferred[None] = Deferred()
        ensureDeferred(self.workers.stop(forced)).addCallback(ended.append)
        return ended, forced


def test_a_node_of_one_process_has_no_workers() -> None:
    harness = Harness(processes=1)
    own = CollectorRegistry()
    results: list[Any] = []
    ensureDeferred(harness.workers.add_metrics(own)).addCallback(results.append)
    ensureDeferred(harness.workers.look()).addCallback(results.append)
    assert results == [own, None]
    assert (harness.spawned, harness.workers.problems()) == ([], [])
    assert harness.stop()[0] == [None]
    assert harness.clock.getDelayedCalls() == []


def test_workers_are_started_and_report_what_is_wrong() -> None:
    harness = Harness(processes=3)
    assert [number for number, _ in harness.spawned] == [2, 3]
    assert harness.workers.problems() == [
        "process 2: it is still starting",
        "process 3: it is still starting",
    ]
    harness.spawned[0][1].send(problem=None)
    harness.spawned[1][1].send(problem="the broker is away")
    assert harness.workers.problems() == ["process 3: the broker is away"]


def test_a_worker_that_ends_is_started_again_later_each_time() -> None:
    harness = Harness()
    pauses = []
    with capturedLogs() as logs:
        for _ in range(7):
            count = len(harness.spawned)
            harness.process.end()
            assert harness.workers.problems() == ["process 2: it has ended"]
            waited = 0.0
            while len(harness.spawned) == count:
                harness.clock.advance(1)
                waited += 1
            pauses.append(waited)
    assert pauses == [FIRST_PAUSE, 2, 4, 8, 16, LONGEST_PAUSE, LONGEST_PAUSE]
    assert "process 2 of this node has ended" in str(formatEvent(logs[0]))
    assert "next start in 1.0 s" in str(formatEvent(logs[0]))


def test_the_start_after_a_long_run_is_soon() -> None:
    harness = Harness()
    for _ in range(5):
        harness.process.end()
        harness.clock.advance(LONGEST_PAUSE)
    for _ in range(int(SETTLED_AFTER)):
        harness.clock.advance(1)
        harness.process.send(problem=None)
    count = len(harness.spawned)
    harness.process.end()
    harness.clock.advance(FIRST_PAUSE)
    assert len(harness.spawned) == count + 1


def test_a_worker_without_signs_of_life_is_killed() -> None:
    harness = Harness(processes=3)
    quiet, alive = (process for _, process in harness.spawned)
    for _ in range(int(SILENCE_LIMIT + WATCH_INTERVAL) + 1):
        harness.clock.advance(1)
        alive.send(problem=None)
    assert quiet.signals[:1] == ["KILL"]
    assert alive.signals == []
    quiet.has_exited = True
    harness.clock.advance(WATCH_INTERVAL)


def test_orders_reach_all_workers() -> None:
    harness = Harness(processes=3)
    harness.workers.order("reload")
    assert [process.received() for _, process in harness.spawned] == [[{"do": "reload"}]] * 2


def test_a_look_waits_for_all_workers_within_bounds() -> None:
    harness = Harness(processes=3)
    ended: list[None] = []
    ensureDeferred(harness.workers.look()).addCallback(ended.append)
    first, second = (process for _, process in harness.spawned)
    (order,) = first.received()
    assert order["do"] == "look"
    first.send(id=order["id"])
    assert ended == []
    harness.clock.advance(ANSWER_TIMEOUT)
    assert ended == [None]
    (order,) = second.received()
    second.send(id=order["id"])  # too late


def test_a_worker_that_ends_is_waited_for_no_longer() -> None:
    harness = Harness()
    ended: list[None] = []
    ensureDeferred(harness.workers.look()).addCallback(ended.append)
    harness.process.end()
    assert ended == [None]


def test_metrics_of_workers_that_answer_are_added() -> None:
    harness = Harness(processes=3)
    own = CollectorRegistry(auto_describe=False)
    Gauge("depth", "Depth", registry=own).set(1)
    results: list[CollectorRegistry] = []
    ensureDeferred(harness.workers.add_metrics(own)).addCallback(results.append)
    answering = harness.spawned[1][1]
    (order,) = answering.received()
    answering.send(id=order["id"], metrics=[["depth", "Depth", "gauge", [["depth", {}, 3.0]]]])
    harness.clock.advance(ANSWER_TIMEOUT)
    values = [results[0].get_sample_value("depth", {"process": str(number)}) for number in (1, 2, 3)]
    assert values == [1, None, 3]


def test_the_stop_waits_for_the_workers() -> None:
    harness = Harness(processes=3)
    ended, _ = harness.stop()
    for _, process in harness.spawned:
        assert process.received() == [{"do": "stop"}]
        assert ended == []
        process.end()
    assert ended == [None]
    assert harness.clock.getDelayedCalls() == []
    assert len(harness.spawned) == 2


def test_a_worker_that_does_not_stop_is_killed() -> None:
    harness = Harness()
    harness.stop()
    harness.clock.advance(STOP_TIMEOUT)
    assert harness.process.signals == ["KILL"]


def test_a_forced_stop_is_passed_on_and_short() -> None:
    harness = Harness()
    _, forced = harness.stop()
    forced.callback(None)
    assert harness.process.received() == [{"do": "stop"}, {"do": "force"}]
    harness.clock.advance(FORCED_STOP_TIMEOUT)
    assert harness.process.signals == ["KILL"]


def test_the_stop_cancels_the_next_start() -> None:
    harness = Harness()
    harness.process.end()
    ended, _ = harness.stop()
    assert ended == [None]
    assert harness.clock.getDelayedCalls() == []
