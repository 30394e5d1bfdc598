from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock, deferLater
from twisted.logger import capturedLogs, formatEvent

from kazoo_bridge.couchdb.names import ACCOUNTS
from kazoo_bridge.directory.couchdb import accounts as accounts_module
from kazoo_bridge.directory.couchdb.accounts import GONE_TTL, UNKNOWN_TTL, CouchAccounts
from tests.couchdb.fake_couch import FakeCouch
from tests.couchdb.kazoo_cluster import (
    CHILD,
    CUSTOMER,
    MASTER,
    RESELLER,
    TREES,
    KazooCluster,
    account_document,
)
from tests.directory.couchdb.harness import error_of, result_of


class Harness:
    """The accounts of a fake CouchDB. `ended` are the accounts whose rights may have ended."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.couch = FakeCouch()
        KazooCluster(self.couch, self.clock.seconds).populate()
        self.ended: list[str] = []
        self.accounts = CouchAccounts(self.clock, self.couch.client(self.clock), self.ended.append)

    def start(self) -> Harness:
        result_of(self.accounts.load())
        self.accounts.startService()
        return self

    def advance(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            if not self.couch.away:
                self.couch.heartbeat()
            self.couch.flush()

    def stop(self) -> None:
        result_of(self.accounts.stopService())
        assert self.clock.getDelayedCalls() == []


def test_all_accounts_are_read_and_followed() -> None:
    harness = Harness().start()
    assert len(harness.accounts) == len(TREES)
    harness.couch.save(ACCOUNTS, account_document("8" * 32))
    harness.couch.update(ACCOUNTS, CUSTOMER, name="Solberg & Co")
    record = harness.accounts.find(CUSTOMER)
    assert record is not None
    assert record.name == "Solberg & Co"
    assert harness.accounts.find("8" * 32) is not None
    assert harness.ended == []
    harness.couch.update(ACCOUNTS, CUSTOMER, pvt_enabled=False)
    harness.couch.delete(ACCOUNTS, "8" * 32)
    assert harness.ended == [CUSTOMER, "8" * 32]
    assert harness.accounts.find("8" * 32) is None
    harness.stop()


def test_changes_while_it_loads_are_not_lost() -> None:
    harness = Harness()
    result_of(harness.accounts.load())
    harness.couch.update(ACCOUNTS, CUSTOMER, pvt_enabled=False)
    harness.accounts.startService()
    harness.couch.flush()
    assert harness.ended == [CUSTOMER]
    harness.stop()


def test_the_ancestors_of_a_deleted_account_are_known_for_a_time() -> None:
    harness = Harness().start()
    harness.couch.update(ACCOUNTS, CHILD, pvt_deleted=True)
    assert harness.accounts.find(CHILD) is None
    assert harness.accounts.ancestors(CHILD) == (CUSTOMER, RESELLER, MASTER)
    assert result_of(harness.accounts.fetch(CHILD)) is None
    harness.clock.advance(GONE_TTL)
    assert harness.accounts.ancestors(CHILD) is None


def test_an_unknown_account_is_asked_for_once_in_a_while() -> None:
    harness = Harness().start()
    path = f"GET {ACCOUNTS}/{'9' * 32}"
    for _ in range(3):
        assert result_of(harness.accounts.fetch("9" * 32)) is None
    assert harness.couch.count(path) == 1
    harness.clock.advance(UNKNOWN_TTL)
    harness.couch.databases[ACCOUNTS]["9" * 32] = account_document("9" * 32)
    assert result_of(harness.accounts.fetch("9" * 32)) is not None
    harness.stop()


def test_callers_share_a_read_and_one_that_is_cancelled_harms_no_other() -> None:
    harness = Harness().start()
    harness.couch.databases[ACCOUNTS]["9" * 32] = account_document("9" * 32)
    released: Deferred[None] = Deferred()
    find, reads = harness.accounts._client.find, []

    async def find_later(database: str, document_id: str) -> Any:
        reads.append(document_id)
        await released
        return await find(database, document_id)

    harness.accounts._client.find = find_later  # type: ignore[method-assign]
    callers = [Deferred.fromCoroutine(harness.accounts.fetch("9" * 32)) for _ in range(3)]
    callers[0].addErrback(lambda failure: failure.trap(CancelledError) and None).cancel()
    released.callback(None)
    assert result_of(callers[0]) is None
    for caller in callers[1:]:
        record = result_of(caller)
        assert record is not None
        assert record.id == "9" * 32
    assert reads == ["9" * 32]
    harness.stop()


def test_unknown_accounts_are_asked_for_at_a_bounded_rate() -> None:
    harness = Harness().start()
    before = len(harness.couch.asked)
    for number in range(200):
        result_of(harness.accounts.fetch(f"{number:032x}"))
    assert "too many unknown accounts" in error_of(harness.accounts.fetch("9" * 32))
    assert len(harness.couch.asked) - before == 200
    harness.stop()


def test_a_broken_document_removes_the_account_and_harms_no_other() -> None:
    harness = Harness().start()
    with capturedLogs() as logs:
        harness.couch.update(ACCOUNTS, CUSTOMER, pvt_tree="broken")
    assert "account of CouchDB not used" in formatEvent(logs[0])
    assert harness.accounts.find(CUSTOMER) is None
    harness.couch.update(ACCOUNTS, CHILD, name="New")
    record = harness.accounts.find(CHILD)
    assert record is not None
    assert record.name == "New"
    harness.stop()


def test_couchdb_may_be_away_at_the_start() -> None:
    harness = Harness()
    harness.couch.away = True
    with capturedLogs() as logs:
        harness.start()
    assert "accounts of CouchDB not read" in formatEvent(logs[0])
    harness.advance(60)
    assert not harness.accounts.is_loaded
    assert "refused" in str(harness.accounts.problem())
    harness.couch.away = False
    harness.advance(60)
    assert harness.accounts.is_loaded
    assert harness.accounts.problem() is None
    assert len(harness.accounts) == len(TREES)
    harness.stop()


def test_it_stops_while_it_waits_for_couchdb() -> None:
    harness = Harness()
    harness.couch.away = True
    harness.start().stop()
    harness = Harness()
    del harness.couch.databases[ACCOUNTS]
    harness.start()
    assert "no database 'accounts'" in str(harness.accounts.problem())
    harness.stop()


def test_a_stream_that_is_away_for_a_moment_is_no_problem() -> None:
    harness = Harness().start()
    harness.advance(10)
    harness.couch.away = True
    harness.couch.drop_streams()
    harness.advance(3)
    assert harness.accounts.problem() is None
    harness.advance(3)
    assert "what is known serves on" in str(harness.accounts.problem())
    harness.couch.away = False
    harness.advance(20)
    assert harness.accounts.problem() is None
    harness.stop()


def test_names_are_collected_in_pieces_while_accounts_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_module, "NAMES_AT_ONCE", 1)
    harness = Harness().start()
    first = Deferred.fromCoroutine(harness.accounts.names())
    for account_id in TREES:
        harness.couch.update(ACCOUNTS, account_id, name=f"renamed {account_id}")
    harness.couch.delete(ACCOUNTS, CHILD)
    harness.couch.save(ACCOUNTS, account_document("8" * 32, name="new"))
    second = Deferred.fromCoroutine(harness.accounts.names())
    pauses = 0

    def pause(clock: Clock, delay: float) -> Deferred[None]:
        nonlocal pauses
        pauses += 1
        return deferLater(clock, delay)

    monkeypatch.setattr(accounts_module, "deferLater", pause)
    assert not first.called
    harness.clock.advance(0)
    assert pauses == len(TREES) - 1
    names = result_of(first)
    assert names is result_of(second) is result_of(harness.accounts.names())
    assert names.by_name("new") == ["8" * 32]
    for account_id in TREES:
        found = names.by_name(f"renamed {account_id}")
        assert found == ([] if account_id == CHILD else [account_id])
        assert names.by_name(account_document(account_id)["name"]) == []
    harness.stop()


def test_names_can_be_collected_again_after_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_module, "NAMES_AT_ONCE", 1)
    harness = Harness().start()
    asking = harness.accounts.names()
    collecting = Deferred.fromCoroutine(asking)
    harness.stop()
    assert "names" in error_of(collecting)
    monkeypatch.setattr(accounts_module, "NAMES_AT_ONCE", 100)
    assert result_of(harness.accounts.names()).by_realm("cccccc.sip.example.com") == [CUSTOMER]
