from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs

from kazoo_bridge.token_bucket import TokenBucket
from kazoo_bridge.websockets.sessions import rights_sweep
from kazoo_bridge.websockets.sessions.authorization import RightsCheck
from kazoo_bridge.websockets.sessions.rights_sweep import RightsSweep
from kazoo_bridge.websockets.sessions.session import Session


class Harness:
    """A sweep; `checked` are the names of checked sessions. A session in `answers` waits for its Deferred."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.checked: list[str] = []
        self.checks: list[RightsCheck] = []
        self.answers: dict[str, Deferred[None]] = {}
        self.sweep = RightsSweep(self.clock, self._begin_check, self._check_session)
        self.sessions = [
            Session(f"s{number}", "host", "host", 0.0, TokenBucket(1, 1.0), 0.0) for number in range(10)
        ]

    def _begin_check(self) -> RightsCheck:
        directory: Any = None
        self.checks.append(RightsCheck(self.clock, directory))
        return self.checks[-1]

    async def _check_session(self, session: Session, check: RightsCheck) -> None:
        self.checked.append(session.id)
        if session.id in self.answers:
            check.lookups += 1
            await self.answers[session.id]


def test_sessions_are_checked_at_once() -> None:
    its = Harness()
    its.sessions[1].ended = True
    its.sweep.check(its.sessions[:3])
    assert its.checked == ["s0", "s2"]
    assert not its.clock.getDelayedCalls()


def test_many_sessions_are_checked_with_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights_sweep, "MAX_AT_ONCE", 4)
    its = Harness()
    its.sweep.check(its.sessions)
    assert len(its.checked) == 4
    its.clock.advance(0)
    assert its.checked == [session.id for session in its.sessions]
    assert not its.clock.getDelayedCalls()


def test_a_check_asks_for_a_bounded_number_of_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights_sweep, "MAX_LOOKUPS", 3)
    its = Harness()
    for session in its.sessions:
        its.answers[session.id] = Deferred()
        its.answers[session.id].callback(None)
    its.sweep.check(its.sessions)
    assert its.checked == ["s0", "s1", "s2"]
    its.sweep.check(its.sessions[:1])
    assert its.checked[3:] == ["s3", "s4", "s5"]


def test_tokens_in_doubt_are_checked_before_the_others_beyond_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rights_sweep, "MAX_LOOKUPS", 2)
    monkeypatch.setattr(rights_sweep, "MAX_DOUBTFUL_LOOKUPS", 4)
    doubtful = {"s5", "s7", "s8"}
    monkeypatch.setattr(RightsCheck, "is_in_doubt", lambda _, session: session.id in doubtful)
    its = Harness()
    for session in its.sessions:
        its.answers[session.id] = Deferred()
        its.answers[session.id].callback(None)
    its.sweep.check(its.sessions)
    assert its.checked == ["s0", "s1", "s5", "s7"]
    its.sweep.check([])
    assert its.checked[4:] == ["s2", "s3", "s8"]
    its.sweep.check([])
    assert its.checked[7:] == ["s4", "s6"]
    its.sweep.check([])
    assert its.checked[9:] == ["s9"]
    its.sweep.check(its.sessions)
    its.sweep.stop()
    its.sweep.check([])
    assert len(its.checked) == 14


def test_one_session_is_checked_at_a_time_and_later_ones_with_newer_answers() -> None:
    its = Harness()
    its.answers["s0"] = Deferred()
    its.sweep.check(its.sessions[:2])
    its.sweep.check(its.sessions[:2])
    assert its.checked == ["s0"]
    its.answers.pop("s0").callback(None)
    assert its.checked == ["s0", "s1", "s0"]
    assert len(its.checks) == 2


def test_a_failure_is_logged_and_the_others_are_checked_next_time() -> None:
    its = Harness()
    its.answers["s0"] = Deferred()
    with capturedLogs() as logs:
        its.sweep.check(its.sessions[:2])
        its.answers["s0"].errback(ZeroDivisionError())
    assert [log["log_level"] for log in logs] == [LogLevel.critical]
    its.sweep.check([])
    assert its.checked == ["s0", "s1"]


def test_stopping_leaves_no_delayed_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rights_sweep, "MAX_AT_ONCE", 4)
    its = Harness()
    its.sweep.check(its.sessions)
    its.sweep.stop()
    assert not its.clock.getDelayedCalls()
    assert len(its.checked) == 4
