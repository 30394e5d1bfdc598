from __future__ import annotations

import gc
from typing import Any

import pytest
from attrs import define, field
from prometheus_client import CollectorRegistry, Gauge
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.config import ConfigError
from kazoo_bridge.node.processes.worker_process import WorkerProcess
from kazoo_bridge.node.processes.workers import (
    ANSWER_TIMEOUT,
    FIRST_PAUSE,
    FORCED_STOP_TIMEOUT,
    KILL_TIMEOUT,
    LONGEST_PAUSE,
    MAX_QUIET_CHECKS,
    MAX_START_CHECKS,
    SETTLED_AFTER,
    STOP_TIMEOUT,
    WATCH_INTERVAL,
    Workers,
)
from tests.node.processes.fakes import FakeProcess

DRAIN_TIMEOUT = 120.0


@define
class Harness:
    """A node of `processes`; `spawned` are the runs of workers, in their order. `signs`: they show some."""

    processes: int = 2
    clock: Clock = field(factory=Clock)
    spawned: list[tuple[int, FakeProcess]] = field(factory=list)
    log: list[bytes] = field(factory=list)
    spawn_error: Exception | None = None
    signs: bool = True
    workers: Workers = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.workers = Workers(
            self.clock, self.processes, self._spawn, self.log.append, drain_timeout=DRAIN_TIMEOUT
        )
        self.workers.start()

    def _spawn(self, number: int, worker: WorkerProcess) -> None:
        if self.spawn_error is not None:
            raise self.spawn_error
        process = FakeProcess(worker)
        self.spawned.append((number, process))
        worker.makeConnection(process)
        if self.signs:
            process.send(problem="the node is still starting")

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
    ensureDeferred(harness.workers.add_metrics(succeed(own))).addCallback(results.append)
    ensureDeferred(harness.workers.look()).addCallback(results.append)
    assert results == [own, None]
    assert (harness.spawned, harness.workers.problems()) == ([], [])
    assert harness.stop()[0] == [None]
    assert harness.clock.getDelayedCalls() == []


def test_workers_are_started_and_report_what_is_wrong() -> None:
    harness = Harness(processes=3, signs=False)
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
    for _ in range(MAX_QUIET_CHECKS + 1):
        assert quiet.signals == []
        harness.clock.advance(WATCH_INTERVAL)
        alive.send(problem=None)
    assert quiet.signals[:1] == ["KILL"]
    assert alive.signals == []
    assert harness.workers.problems() == ["process 2: it shows no sign of life"]
    quiet.has_exited = True
    harness.clock.advance(WATCH_INTERVAL)


def test_a_worker_has_more_time_to_start() -> None:
    harness = Harness(signs=False)
    for _ in range(MAX_START_CHECKS):
        harness.clock.advance(WATCH_INTERVAL)
    assert harness.process.signals == []
    assert harness.workers.problems() == ["process 2: it is still starting"]
    harness.clock.advance(WATCH_INTERVAL)
    assert harness.process.signals == ["KILL"]


def test_workers_that_start_or_hang_are_not_asked() -> None:
    harness = Harness(signs=False)
    ended: list[None] = []
    ensureDeferred(harness.workers.look()).addCallback(ended.append)
    assert ended == [None]
    harness.process.send(problem=None)
    for _ in range(MAX_QUIET_CHECKS):
        harness.clock.advance(WATCH_INTERVAL)
    ensureDeferred(harness.workers.look()).addCallback(ended.append)
    assert ended == [None, None]
    assert harness.process.received() == []


def test_a_clock_that_is_set_kills_no_worker() -> None:
    harness = Harness()
    harness.process.send(problem=None)
    harness.clock.advance(100 * MAX_QUIET_CHECKS * WATCH_INTERVAL)
    assert harness.process.signals == []


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BlockingIOError(11, "no more processes"), "[Errno 11] no more processes"),
        (
            ConfigError(["amqp.uri has changed and needs a restart"]),
            "amqp.uri has changed and needs a restart",
        ),
    ],
)
def test_a_worker_that_cannot_be_started_is_started_later(error: Exception, reason: str) -> None:
    harness = Harness()
    harness.spawn_error = error
    harness.process.end()
    with capturedLogs() as logs:
        harness.clock.advance(FIRST_PAUSE)
    assert harness.workers.problems() == ["process 2: it has ended"]
    assert [formatEvent(one) for one in logs] == [
        f"process 2 of this node has ended ({reason}), next start in 2.0 s"
    ]
    harness.spawn_error = None
    harness.clock.advance(2 * FIRST_PAUSE)
    assert len(harness.spawned) == 2


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


def test_a_client_that_goes_cancels_its_look() -> None:
    harness = Harness(processes=3)
    errors: list[Any] = []
    looking = ensureDeferred(harness.workers.look())
    looking.addErrback(lambda failure: errors.append(failure.type))
    with capturedLogs() as logs:
        looking.cancel()
        for _, process in harness.spawned:
            (order,) = process.received()
            process.send(id=order["id"])
        gc.collect()
    assert errors == [CancelledError]
    assert logs == []


def test_workers_that_drain_are_not_looked_for() -> None:
    harness = Harness()
    harness.stop()
    ended: list[None] = []
    ensureDeferred(harness.workers.look()).addCallback(ended.append)
    assert ended == [None]
    assert harness.process.received() == [{"do": "stop"}]


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
    reading: Deferred[CollectorRegistry] = Deferred()
    ensureDeferred(harness.workers.add_metrics(reading)).addCallback(results.append)
    answering = harness.spawned[1][1]
    (order,) = answering.received()
    answering.send(id=order["id"], metrics=[["depth", "Depth", "gauge", [["depth", {}, 3.0]]]])
    harness.clock.advance(ANSWER_TIMEOUT)
    assert results == []
    reading.callback(own)  # the workers were asked meanwhile
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
    ended, _ = harness.stop()
    harness.clock.advance(DRAIN_TIMEOUT)
    assert harness.process.signals == []
    harness.clock.advance(STOP_TIMEOUT)
    assert harness.process.signals == ["KILL"]
    harness.process.end()
    assert ended == [None]
    assert harness.clock.getDelayedCalls() == []


def test_a_worker_that_cannot_be_killed_is_not_waited_for() -> None:
    harness = Harness(processes=3)
    ended, forced = harness.stop()
    harness.spawned[1][1].end()
    with capturedLogs() as logs:
        harness.clock.advance(DRAIN_TIMEOUT + STOP_TIMEOUT)
        forced.callback(None)  # makes it no longer
        harness.clock.advance(KILL_TIMEOUT)
    assert ended == [None]
    assert harness.spawned[1][1].signals == []
    assert [formatEvent(one) for one in logs] == [
        "process 2 of this node hangs and is killed",
        "process 2 of this node does not end",
    ]
    harness.spawned[0][1].end()  # much later


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
