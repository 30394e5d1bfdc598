from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import PivotAnswer
from kazoo_bridge.pivot import recorder as recorder_module
from kazoo_bridge.pivot.question import ANSWERED, TIMEOUT, ClientAddress, PivotOutcome
from kazoo_bridge.pivot.recorder import MAX_RECORDED_FLOW, MAX_WAITING_PER_POINT, PivotRecorder
from tests.pivot.fakes import FakePivotStore
from tests.pivot.test_question import make_question


def make_recorder(**store: Any) -> tuple[Clock, FakePivotStore, PivotRecorder]:
    clock, fake = Clock(), FakePivotStore(**store)
    recorder = PivotRecorder(clock, fake)
    recorder.startService()
    return clock, fake, recorder


def test_what_a_record_says() -> None:
    clock, store, recorder = make_recorder()
    question = make_question(clock)
    question.asked.add(ClientAddress("n", "c"))
    answer = PivotAnswer({"module": "hangup"}, answered_by={"name": "Ingrid"}, client="c")
    recorder.record(question, PivotOutcome(ANSWERED, answer), 0.01234)
    assert store.written == []
    clock.advance(0.5)
    record = store.written[0]
    assert (record.account_id, record.pivot_point_id) == ("a" * 32, "1" * 32)
    assert {key: record.document[key] for key in record.document if key != "timestamp"} == {
        "pivot_id": "n-1",
        "result": "answered",
        "duration_ms": 12.3,
        "clients_asked": 1,
        "request": {"call_id": "c1", "event_name": "x", "pivot_id": "y"},
        "answered_by": {"name": "Ingrid"},
        "flow": {"module": "hangup"},
    }


def test_large_answers_are_left_out_or_cut() -> None:
    clock, store, recorder = make_recorder()
    question = make_question(clock)
    large = "x" * (MAX_RECORDED_FLOW + 1)
    recorder.record(question, PivotOutcome(ANSWERED, PivotAnswer({"module": large})), 0)
    recorder.record(question, PivotOutcome(ANSWERED, PivotAnswer(twiml=large)), 0)
    clock.advance(1)
    assert "flow" not in store.written[0].document
    assert len(store.written[1].document["twiml"]) == MAX_RECORDED_FLOW


@pytest_twisted.ensureDeferred
async def test_records_wait_for_the_storage_within_bounds() -> None:
    clock, store, recorder = make_recorder(available=False)
    with capturedLogs() as logs:
        await recorder.flush()
    assert logs == []  # nothing was written
    question = make_question(clock)
    for _ in range(MAX_WAITING_PER_POINT):
        recorder.record(question, PivotOutcome(TIMEOUT), 0)
    clock.advance(1)
    for _ in range(10):
        recorder.record(question, PivotOutcome(TIMEOUT), 1)
    store.available = True
    await recorder.stopService()
    assert len(store.written) == MAX_WAITING_PER_POINT
    assert [record.document["duration_ms"] for record in store.written[-11:]] == [0, *[1000] * 10]


@pytest_twisted.ensureDeferred
async def test_beyond_the_bound_the_oldest_record_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "MAX_WAITING", 3)
    clock, store, recorder = make_recorder()
    question = make_question(clock)
    for seconds in range(5):
        recorder.record(question, PivotOutcome(TIMEOUT), seconds)
    await recorder.stopService()
    assert [record.document["duration_ms"] for record in store.written] == [2000, 3000, 4000]


@pytest_twisted.ensureDeferred
async def test_a_busy_pivot_point_leaves_the_records_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder_module, "MAX_WAITING", MAX_WAITING_PER_POINT + 5)
    clock, store, recorder = make_recorder(available=False)
    quiet, busy = make_question(clock), make_question(clock)
    busy.point = evolve(busy.point, id="2" * 32)
    for _ in range(5):
        recorder.record(quiet, PivotOutcome(TIMEOUT), 0)
    for _ in range(3 * MAX_WAITING_PER_POINT):
        recorder.record(busy, PivotOutcome(TIMEOUT), 0)
    await recorder.flush()
    store.available = True
    await recorder.stopService()
    written = Counter(record.pivot_point_id for record in store.written)
    assert written == {quiet.point.id: 5, busy.point.id: MAX_WAITING_PER_POINT}


def test_after_the_stop_nothing_is_scheduled() -> None:
    clock, _, recorder = make_recorder()
    recorder.stopService()
    question = make_question(clock)
    question.close()
    recorder.record(question, PivotOutcome(TIMEOUT), 0)
    assert clock.getDelayedCalls() == []
