from __future__ import annotations

import json
from typing import Any

import pytest
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import Attempt, HookHealth, IAttemptStore
from kazoo_bridge.storage.couchdb_hooks.attempts import (
    COLLECT_INTERVAL,
    MAX_WAITING,
    MISSING_INTERVAL,
    MISSING_TTL,
    RETRY_INTERVAL,
    AttemptCopier,
    CopiedAttemptStore,
    attempt_document,
)
from tests.directory.couchdb.harness import result_of
from tests.storage.couchdb_hooks.harness import GREGORIAN_NOW, HooksHarness
from tests.storage.record_factories import NOW, ONE, A, B

DATABASE = f"account/aa/aa/{'a' * 28}-202311"


def attempt(account_id: str = A, made_at: float = NOW, **more: Any) -> Attempt:
    document = {"hook_id": ONE, "hook_event": "channel_create", "result": "failure", **more}
    return Attempt(account_id, ONE, "1-x", True, made_at, document)


@pytest.fixture
def copier(harness: HooksHarness) -> AttemptCopier:
    harness.couch.create(DATABASE)
    copier = AttemptCopier(harness.clock, harness.client)
    copier.startService()
    return copier


def stop(copier: AttemptCopier, harness: HooksHarness) -> None:
    result_of(copier.stopService())
    assert harness.clock.getDelayedCalls() == []


def stored(harness: HooksHarness, database: str = DATABASE) -> list[dict[str, Any]]:
    return list(harness.couch.databases[database].values())


def test_the_document_is_kazoos() -> None:
    database, document = attempt_document(attempt(resp_status_code="500", retries=2, retries_left=1))
    assert database == DATABASE
    assert len(document.pop("_id")) == 32
    assert document == {
        "hook_id": ONE,
        "hook_event": "CHANNEL_CREATE",
        "result": "failure",
        "resp_status_code": "500",
        "retries": 2,
        "try": 2,
        "retries_left": 1,
        "pvt_account_db": f"{A}-202311",
        "pvt_account_id": A,
        "pvt_type": "webhook_attempt",
        "pvt_created": GREGORIAN_NOW,
        "pvt_modified": GREGORIAN_NOW,
    }
    assert "try" not in attempt_document(attempt(client_error="refused", retries=2))[1]
    assert attempt_document(attempt(hook_event="object"))[1]["hook_event"] == "object"
    # A month begins at midnight UTC.
    assert attempt_document(attempt(made_at=1_701_388_799.9))[0].endswith("-202311")
    assert attempt_document(attempt(made_at=1_701_388_800.0))[0].endswith("-202312")


def test_attempts_are_written_together(harness: HooksHarness, copier: AttemptCopier) -> None:
    copier.add([attempt(number=number) for number in range(300)])
    assert stored(harness) == []
    harness.clock.advance(COLLECT_INTERVAL)
    assert [one["number"] for one in stored(harness)] == list(range(300))
    assert harness.couch.count("POST") == 2
    assert copier.results == {"stored": 300}
    harness.clock.advance(COLLECT_INTERVAL)
    assert harness.couch.count("POST") == 2
    stop(copier, harness)


def test_while_couchdb_is_away_attempts_wait_and_the_oldest_are_lost(
    harness: HooksHarness, copier: AttemptCopier
) -> None:
    harness.couch.away = True
    copier.add([attempt(number=number) for number in range(MAX_WAITING)])
    harness.clock.advance(COLLECT_INTERVAL)
    with capturedLogs() as logs:
        copier.add([attempt(number=number) for number in range(MAX_WAITING, MAX_WAITING + 7)])
    assert copier.results == {"lost": 7}
    assert "more than 5000 wait (7)" in logs[0]["reason"]
    harness.couch.away = False
    for _ in range(int(RETRY_INTERVAL)):
        harness.clock.advance(1)
    assert [one["number"] for one in stored(harness)] == list(range(7, MAX_WAITING + 7))
    stop(copier, harness)


def test_a_write_whose_answer_did_not_come_stores_nothing_twice(
    harness: HooksHarness, copier: AttemptCopier
) -> None:
    copier.add([attempt()])

    def lose_the_answer(_: str) -> tuple[int, bytes] | None:
        harness.couch.answer_instead = lambda _: None
        return 504, b""

    harness.couch.answer_instead = lose_the_answer
    harness.clock.advance(COLLECT_INTERVAL)
    (document,) = copier._waiting[DATABASE]
    harness.couch.save(DATABASE, document)  # what the server had done
    harness.clock.pump([1.0] * int(RETRY_INTERVAL))
    assert len(stored(harness)) == 1
    assert copier.results == {"stored": 1}
    stop(copier, harness)


def test_a_month_that_kazoo_has_not_begun_is_waited_for(harness: HooksHarness, copier: AttemptCopier) -> None:
    copier.add([attempt(B), attempt(A)])
    harness.clock.advance(COLLECT_INTERVAL)
    assert (len(stored(harness)), copier.results) == (1, {"stored": 1})
    asked = harness.couch.count("POST")
    harness.clock.pump([1.0] * 10)
    assert harness.couch.count("POST") == asked
    created = f"account/bb/bb/{'b' * 28}-202311"
    harness.couch.create(created)
    harness.clock.pump([1.0] * int(MISSING_INTERVAL))
    assert len(stored(harness, created)) == 1
    stop(copier, harness)


def test_a_month_that_kazoo_never_begins_is_given_up(harness: HooksHarness, copier: AttemptCopier) -> None:
    copier.add([attempt(B)])
    with capturedLogs() as logs:
        harness.clock.pump([1.0] * (MISSING_TTL + 2 * int(MISSING_INTERVAL)))
    assert copier.results == {"no_database": 1}
    assert [f"KAZOO has not created account/bb/bb/{'b' * 28}-202311 (1)"] == [line["reason"] for line in logs]
    assert not copier._waiting
    stop(copier, harness)


def test_what_couchdb_refuses_is_counted(harness: HooksHarness, copier: AttemptCopier) -> None:
    answer = json.dumps([{"id": "x", "error": "forbidden", "reason": "no"}]).encode()
    harness.couch.answer_instead = lambda _: (201, answer)
    copier.add([attempt()])
    harness.clock.advance(COLLECT_INTERVAL)
    assert copier.results == {"lost": 1, "stored": 0}
    stop(copier, harness)


def test_a_document_that_couchdb_refuses_harms_no_other(
    harness: HooksHarness, copier: AttemptCopier, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = harness.couch._answer

    def refuse(method: str, parts: list[str], query: dict[str, str], body: Any) -> tuple[int, Any]:
        if any(document["number"] == 5 for document in body["docs"]):
            return 400, {"error": "bad_request", "reason": "invalid UTF-8 JSON"}
        return answer(method, parts, query, body)

    monkeypatch.setattr(harness.couch, "_answer", refuse)
    copier.add([attempt(number=number) for number in range(9)])
    with capturedLogs() as logs:
        harness.clock.advance(COLLECT_INTERVAL)
    assert [one["number"] for one in stored(harness)] == [0, 1, 2, 3, 4, 6, 7, 8]
    assert copier.results == {"stored": 8, "lost": 1}
    assert "invalid UTF-8 JSON" in logs[0]["reason"]
    stop(copier, harness)


def test_nothing_is_lost_if_couchdb_goes_away_then(harness: HooksHarness, copier: AttemptCopier) -> None:
    answers = [(400, b"{}"), (503, b"{}")]
    harness.couch.answer_instead = lambda _: answers.pop(0) if answers else None
    copier.add([attempt(number=number) for number in range(9)])
    harness.clock.pump([1.0] * (1 + int(RETRY_INTERVAL)))
    assert sorted(one["number"] for one in stored(harness)) == list(range(9))
    assert copier.results == {"stored": 9}
    stop(copier, harness)


def test_stopping_writes_what_waits_and_counts_the_rest(harness: HooksHarness, copier: AttemptCopier) -> None:
    copier.add([attempt()])
    stop(copier, harness)
    assert len(stored(harness)) == 1
    copier.startService()
    harness.couch.away = True
    copier.add([attempt(), attempt()])
    stop(copier, harness)
    assert copier.results == {"stored": 1, "lost": 2}


def test_the_own_store_has_them_first(harness: HooksHarness, copier: AttemptCopier) -> None:
    store = CopiedAttemptStore(harness.attempts, copier)
    assert verifyObject(IAttemptStore, store)
    result_of(store.add([attempt()], {ONE: HookHealth(failures=1)}))
    harness.clock.advance(COLLECT_INTERVAL)
    assert len(stored(harness)) == 1
    (listed,) = result_of(store.page(A, ONE, None, 10))
    assert result_of(store.get(A, ONE, listed.position)) is not None
    assert result_of(store.health([ONE]))[ONE].failures == 1
    assert result_of(store.failures({ONE: "1-x"}, NOW - 1)) == {ONE: 1}
    assert result_of(store.hooks_over_failure_limit(NOW, 1, 60)) == [(A, ONE, "1-x")]
    stop(copier, harness)
