from __future__ import annotations

from typing import Any

import pytest
from attrs import define, field
from twisted.internet.error import ProcessDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from kazoo_bridge.node.processes.link import MESSAGES
from kazoo_bridge.node.processes.worker_process import PIPES_TIMEOUT, QUIET_CHECKS, WorkerProcess
from tests.node.processes.fakes import FakeProcess


@define
class Harness:
    clock: Clock = field(factory=Clock)
    log: list[bytes] = field(factory=list)
    ended: list[Failure] = field(factory=list)
    worker: WorkerProcess = field(init=False)
    process: FakeProcess = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.worker = WorkerProcess(self.clock, self.log.append, self.ended.append)
        self.process = FakeProcess(self.worker)
        self.worker.makeConnection(self.process)


def test_questions_have_answers_of_their_own() -> None:
    harness = Harness()
    answers: list[Any] = []
    for what in ("look", "metrics"):
        harness.worker.ask(what, 1).addCallback(answers.append)
    first, second = harness.process.received()
    assert (first["do"], second["do"]) == ("look", "metrics")
    harness.process.send(id=second["id"], metrics=[])
    harness.process.send(id=first["id"])
    assert answers == [{"id": second["id"], "metrics": []}, {"id": first["id"]}]
    assert harness.clock.getDelayedCalls() == []


def test_an_answer_that_is_late_is_none() -> None:
    harness = Harness()
    answers: list[Any] = []
    harness.worker.ask("look", 1).addCallback(answers.append)
    harness.clock.advance(1)
    (order,) = harness.process.received()
    harness.process.send(id=order["id"])
    assert answers == [None]


def test_nothing_waits_for_a_process_that_has_ended() -> None:
    harness = Harness()
    answers: list[Any] = []
    harness.worker.ask("look", 1).addCallback(answers.append)
    harness.process.end()
    harness.worker.ask("look", 1).addCallback(answers.append)
    harness.clock.advance(1)
    assert answers == [None, None]
    assert len(harness.ended) == 1
    assert harness.clock.getDelayedCalls() == []


def test_signs_of_life_are_noted() -> None:
    harness = Harness()
    seen = [harness.worker.problem]
    for problem in ("the broker is away", None):
        harness.process.send(problem=problem)
        seen.append(harness.worker.problem)
    assert seen == ["it is still starting", "the broker is away", None]
    assert [harness.worker.check_life() for _ in range(QUIET_CHECKS + 1)] == [1, 2]
    assert harness.worker.problem == "it shows no sign of life"
    assert not harness.worker.can_answer
    harness.process.send(problem=None)
    assert harness.worker.problem is None
    assert harness.worker.can_answer
    assert harness.worker.check_life() == 1


def test_a_process_whose_pipes_stay_open_after_its_end_is_let_go() -> None:
    harness = Harness()
    harness.worker.processExited(Failure(ProcessDone(0)))
    assert harness.process.closed == []
    harness.clock.advance(PIPES_TIMEOUT)
    assert harness.process.closed == [0, 1, 2, MESSAGES]
    harness.process.end()
    assert len(harness.ended) == 1


def test_the_pipes_of_a_process_that_ends_are_read_to_their_end() -> None:
    harness = Harness()
    harness.worker.processExited(Failure(ProcessDone(0)))
    harness.process.end()
    assert harness.clock.getDelayedCalls() == []
    assert harness.process.closed == []


def test_a_process_that_does_not_follow_orders_yet_is_ended() -> None:
    harness = Harness()
    harness.worker.stop()
    assert (harness.process.received(), harness.process.signals) == ([{"do": "stop"}], ["TERM"])
    harness.process.has_exited = True
    harness.worker.stop()
    harness = Harness()
    harness.process.send(problem="the node is still starting")
    harness.worker.stop()
    assert (harness.process.received(), harness.process.signals) == ([{"do": "stop"}], [])


def test_a_process_is_killed_unless_it_has_ended() -> None:
    harness = Harness()
    assert harness.worker.kill()
    harness.process.has_exited = True
    assert not harness.worker.kill()
    assert harness.process.signals == ["KILL"]


def test_what_the_worker_prints_is_passed_on_in_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kazoo_bridge.node.processes.worker_process._MAX_LINE_BYTES", 10)
    harness = Harness()
    for descriptor, data in (
        (1, b"one\ntw"),
        (2, b"error\n"),
        (1, b"o\n"),
        (1, b"a line without an end"),
        (1, b"rest"),
    ):
        harness.worker.childDataReceived(descriptor, data)
    harness.process.end()
    assert harness.log == [b"one\n", b"error\n", b"two\n", b"a line without an end\n", b"rest\n"]
