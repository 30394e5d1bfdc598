from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.batch_writer import BATCH_SIZE
from kazoo_bridge.config import Webhooks
from kazoo_bridge.interfaces import HookHealth, Occurrence
from kazoo_bridge.webhooks.attempts import attempt_recorder
from kazoo_bridge.webhooks.attempts.attempt_document import AttemptFormat, AttemptInfo
from kazoo_bridge.webhooks.attempts.attempt_recorder import AttemptRecorder
from kazoo_bridge.webhooks.http.http_request import build_request
from kazoo_bridge.webhooks.http.sender import Outcome
from tests.webhooks.fakes import FakeAttemptStore
from tests.webhooks.harness import results_of
from tests.webhooks.hook_factory import ACCOUNT, make_hook

OCCURRENCE = Occurrence("channel_create", ACCOUNT, {"call_id": "ž"})
SUCCESS = Outcome(True, 200, headers={"Content-Type": "text/plain"}, body=b"thanks")
BAD_STATUS = Outcome(False, 503, headers={"Retry-After": "9"}, body=b"not now")
NO_ANSWER = Outcome(False, error="ConnectionRefusedError: no")


def make_recorder(
    *, records_successes: bool = False, body_limit: int = 100
) -> tuple[AttemptRecorder, FakeAttemptStore, Clock]:
    clock, store = Clock(), FakeAttemptStore()
    clock.advance(1000)
    recorder = AttemptRecorder(clock, store, records_successes, AttemptFormat(body_limit, 1000))
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


def test_an_attempt_with_a_bad_status() -> None:
    recorder, store, clock = make_recorder()
    record(recorder, BAD_STATUS, custom_data={"own": "1"})
    clock.advance(1)
    (kept,) = store.stored
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


def test_an_attempt_without_answer() -> None:
    recorder, store, clock = make_recorder()
    record(recorder, NO_ANSWER, retries_left=0, http_verb="get")
    clock.advance(1)
    document = store.stored[0].document
    assert document["reason"] == "kazoo http client error"
    assert document["client_error"] == "ConnectionRefusedError: no"
    assert document["retries_left"] == "retries exceeded"
    assert document["url"] == "http://receiver.example/?call_id=%C5%BE"
    assert "resp_status_code" not in document


def test_credentials_in_the_uri_are_masked() -> None:
    recorder, store, clock = make_recorder()
    record(recorder, BAD_STATUS, uri="http://me:hunter2@receiver.example/", http_verb="get")
    clock.advance(1)
    assert store.stored[0].document["uri"] == "http://***@receiver.example/"
    assert "hunter2" not in str(store.stored[0].document)


def test_what_was_wrong_with_a_response_is_recorded() -> None:
    recorder, store, clock = make_recorder()
    record(recorder, Outcome(False, 302, "more redirects than 3"))
    clock.advance(1)
    assert store.stored[0].document["client_error"] == "more redirects than 3"


@pytest.mark.parametrize("recorded", [True, False])
def test_successes_are_recorded_if_configured(recorded: bool) -> None:
    recorder, store, clock = make_recorder(records_successes=recorded)
    record(recorder, SUCCESS)
    clock.advance(1)
    assert [one.document["result"] for one in store.stored] == ["success"] * recorded
    assert store.health_by_hook == {"h1": HookHealth(1000, None, 1, 0)}


def test_a_sample_is_recorded_but_does_not_count() -> None:
    recorder, store, clock = make_recorder()
    record(recorder, SUCCESS, test=True)
    record(recorder, BAD_STATUS, test=True)
    clock.advance(1)
    assert [one.revision for one in store.stored] == ["", ""]
    assert all(one.document["test"] and "retries" not in one.document for one in store.stored)


def test_attempts_are_written_together() -> None:
    recorder, store, clock = make_recorder()
    for _ in range(BATCH_SIZE + 1):
        record(recorder, BAD_STATUS)
    assert store.batches == []
    clock.advance(1)
    assert store.batches == [BATCH_SIZE, 1]


def test_a_page_has_what_has_just_been_recorded() -> None:
    recorder, _, _ = make_recorder()
    record(recorder, BAD_STATUS)
    (page,) = results_of(Deferred.fromCoroutine(recorder.page(ACCOUNT, None, None, 10)))
    assert [one.made_at for one in page] == [1000]


def test_health_has_what_has_just_been_recorded() -> None:
    recorder, _, clock = make_recorder()
    record(recorder, BAD_STATUS)
    clock.advance(5)
    record(recorder, SUCCESS)
    (health,) = results_of(Deferred.fromCoroutine(recorder.health(["h1", "unknown"])))
    assert health == {"h1": HookHealth(1005, 1000, 1, 1)}


def test_health_is_not_lost_while_the_storage_is_unavailable() -> None:
    recorder, store, clock = make_recorder()
    store.down = True
    record(recorder, BAD_STATUS)
    clock.advance(1)
    record(recorder, BAD_STATUS)
    store.down = False
    clock.advance(1)
    assert store.health_by_hook == {"h1": HookHealth(None, 1001, 0, 2)}


def test_the_request_without_its_signature_is_recorded() -> None:
    recorder, store, clock = make_recorder()
    hook = make_hook()
    request = evolve(
        build_request(hook, OCCURRENCE.payload, ""),
        headers={"Webhook-Id": "msg_1", "Webhook-Signature": "v1,secret"},
    )
    recorder.record(hook, request, BAD_STATUS, AttemptInfo("event-1", 2, 1))
    clock.advance(1)
    assert store.stored[0].document["req_headers"] == {"webhook-id": "msg_1"}


def test_configured_recorder() -> None:
    config = Webhooks(log_successful_attempts=True, attempt_body_limit=3)
    store = FakeAttemptStore()
    recorder = AttemptRecorder.from_config(Clock(), config, store)
    record(recorder, Outcome(True, 200, body=b"thanks"))
    results_of(recorder.flush())
    assert [one.document["resp_body"] for one in store.stored] == ["tha"]


def test_while_the_storage_is_unavailable_attempts_wait_and_the_oldest_are_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attempt_recorder, "_MAX_WAITING", 3)
    recorder, store, clock = make_recorder()
    store.down = True
    with capturedLogs() as logs:
        for number in range(3):
            record(recorder, BAD_STATUS, retries_left=number + 1)
        clock.advance(1)
        record(recorder, BAD_STATUS, retries_left=4)
        clock.advance(1)
        store.down = False
        clock.advance(1)
    assert [one.document["retries_left"] for one in store.stored] == [2, 3, 4]
    warnings = [log["log_format"] for log in logs if log["log_level"].name == "warn"]
    assert len(warnings) == 2  # the storage is unavailable, attempts were lost
    assert [log["count"] for log in logs if "count" in log] == [1]


def test_stopping_writes_what_has_been_recorded() -> None:
    recorder, store, clock = make_recorder()
    record(recorder, BAD_STATUS)
    recorder.stopService()
    assert len(store.stored) == 1
    assert not clock.getDelayedCalls()


def test_stopping_while_the_storage_is_unavailable_leaves_no_delayed_call() -> None:
    recorder, store, clock = make_recorder()
    store.down = True
    record(recorder, BAD_STATUS)
    recorder.stopService()
    assert not clock.getDelayedCalls()


def test_inline_hooks_have_no_health() -> None:
    recorder, store, clock = make_recorder()
    hook = evolve(make_hook(), revision="")
    recorder.record(
        hook, build_request(hook, OCCURRENCE.payload, ""), BAD_STATUS, AttemptInfo("event-1", 2, 1)
    )
    clock.advance(1)
    assert len(store.stored) == 1
    assert store.health_by_hook == {}
