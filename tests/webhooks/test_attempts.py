from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import HookHealth, Occurrence
from kazoo_bridge.webhooks.attempts import attempt_recorder
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptInfo, AttemptRecorder
from kazoo_bridge.webhooks.http.http_request import build_request
from kazoo_bridge.webhooks.http.sender import Outcome
from tests.webhooks.hook_factory import ACCOUNT, make_hook
from tests.webhooks.kept_attempts import KeptAttempts

OCCURRENCE = Occurrence("channel_create", ACCOUNT, {"call_id": "ž"})
GOOD = Outcome(True, 200, headers={"Content-Type": "text/plain"}, body=b"thanks")
BAD = Outcome(False, 503, headers={"Retry-After": "9"}, body=b"not now")
UNREACHABLE = Outcome(False, error="ConnectionRefusedError: no")


def made(
    *, keeps_successes: bool = False, body_limit: int = 100
) -> tuple[AttemptRecorder, KeptAttempts, Clock]:
    clock, store = Clock(), KeptAttempts()
    clock.advance(1000)
    recorder = AttemptRecorder(clock, store, keeps_successes, body_limit)
    recorder.startService()
    return recorder, store, clock


def record(
    recorder: AttemptRecorder, outcome: Outcome, retries_left: int = 1, test: bool = False, **document: Any
) -> None:
    hook = make_hook(**document)
    recorder.record(
        hook,
        build_request(hook, OCCURRENCE.payload, ""),
        outcome,
        AttemptInfo("event-1", 2, retries_left, test),
    )


def test_a_bad_answer_in_kazoos_form() -> None:
    recorder, store, clock = made()
    record(recorder, BAD, custom_data={"own": "1"})
    clock.advance(1)
    (kept,) = store.attempts
    assert (kept.account_id, kept.hook_id, kept.revision, kept.failed, kept.made_at) == (
        ACCOUNT,
        "h1",
        "1-x",
        True,
        1000,
    )
    assert kept.document == {
        "hook_id": "h1",
        "hook_event": "channel_create",
        "event_id": "event-1",
        "custom_data": {"own": "1"},
        "method": "post",
        "uri": "http://receiver.example/",
        "req_headers": {
            "x-hook-id": "h1",
            "x-account-id": ACCOUNT,
            "content-type": "application/x-www-form-urlencoded",
        },
        "req_body": "call_id=%C5%BE&own=1",
        "result": "failure",
        "reason": "bad response code",
        "resp_status_code": "503",
        "resp_headers": {"retry-after": "9"},
        "resp_body": "not now",
        "retries": 2,
        "retries_left": 1,
    }


def test_no_answer_in_kazoos_form() -> None:
    recorder, store, clock = made()
    record(recorder, UNREACHABLE, retries_left=0, http_verb="get")
    clock.advance(1)
    document = store.attempts[0].document
    assert document["reason"] == "kazoo http client error"
    assert document["client_error"] == "ConnectionRefusedError: no"
    assert document["retries_left"] == "retries exceeded"
    assert document["url"] == "http://receiver.example/?call_id=%C5%BE"
    assert "resp_status_code" not in document


def test_credentials_in_the_uri_are_not_kept() -> None:
    recorder, store, clock = made()
    record(recorder, BAD, uri="http://me:hunter2@receiver.example/", http_verb="get")
    clock.advance(1)
    assert store.attempts[0].document["uri"] == "http://***@receiver.example/"
    assert "hunter2" not in str(store.attempts[0].document)


def test_what_was_wrong_with_an_answer_is_told() -> None:
    recorder, store, clock = made()
    record(recorder, Outcome(False, 302, "more redirects than 3"))
    clock.advance(1)
    assert store.attempts[0].document["client_error"] == "more redirects than 3"


@pytest.mark.parametrize("keeps", [True, False])
def test_successes_are_kept_if_asked_for(keeps: bool) -> None:
    recorder, store, clock = made(keeps_successes=keeps)
    record(recorder, GOOD)
    clock.advance(1)
    assert [one.document["result"] for one in store.attempts] == ["success"] * keeps
    assert store.latest == {"h1": HookHealth(1000, None, 1, 0)}


def test_long_bodies_are_cut() -> None:
    recorder, store, clock = made(body_limit=3)
    record(recorder, Outcome(False, 500, body="aběcd".encode()))
    clock.advance(1)
    assert store.attempts[0].document["resp_body"] == "ab�"
    assert store.attempts[0].document["req_body"] == "cal"


def test_a_test_is_kept_and_does_not_count() -> None:
    recorder, store, clock = made()
    record(recorder, GOOD, test=True)
    record(recorder, BAD, test=True)
    clock.advance(1)
    assert [one.revision for one in store.attempts] == ["", ""]
    assert all(one.document["test"] and "retries" not in one.document for one in store.attempts)


def test_attempts_are_written_together() -> None:
    recorder, store, clock = made()
    for _ in range(attempt_recorder._BATCH_SIZE + 1):
        record(recorder, BAD)
    assert store.batches == []
    clock.advance(1)
    assert store.batches == [attempt_recorder._BATCH_SIZE, 1]


def test_reading_sees_what_has_just_been_recorded() -> None:
    recorder, _, _ = made()
    record(recorder, BAD)
    found: list[Any] = []
    Deferred.fromCoroutine(recorder.page(ACCOUNT, None, None, 10)).addCallback(found.append)
    assert [one.made_at for one in found[0]] == [1000]


def test_while_the_storage_refuses_attempts_wait_and_the_oldest_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempt_recorder, "_MAX_WAITING", 3)
    recorder, store, clock = made()
    store.down = True
    with capturedLogs() as logs:
        for number in range(3):
            record(recorder, BAD, retries_left=number + 1)
        clock.advance(1)
        record(recorder, BAD, retries_left=4)
        clock.advance(1)
        store.down = False
        clock.advance(1)
    assert [one.document["retries_left"] for one in store.attempts] == [2, 3, 4]
    warnings = [log["log_format"] for log in logs if log["log_level"].name == "warn"]
    assert len(warnings) == 1
    assert [log["lost"] for log in logs if "lost" in log] == [1]


def test_stopping_writes_what_there_is_and_leaves_nothing_behind() -> None:
    recorder, store, clock = made()
    record(recorder, BAD)
    recorder.stopService()
    assert len(store.attempts) == 1
    assert not clock.getDelayedCalls()


def test_stopping_while_the_storage_refuses_leaves_nothing_behind() -> None:
    recorder, store, clock = made()
    store.down = True
    record(recorder, BAD)
    recorder.stopService()
    assert not clock.getDelayedCalls()


def test_of_hooks_that_events_bring_no_health_is_kept() -> None:
    recorder, store, clock = made()
    hook = evolve(make_hook(), revision="")
    recorder.record(hook, build_request(hook, OCCURRENCE.payload, ""), BAD, AttemptInfo("event-1", 2, 1))
    clock.advance(1)
    assert len(store.attempts) == 1
    assert store.latest == {}
