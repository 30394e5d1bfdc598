from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
import sqlalchemy as sa
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs

from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage import change_log, retention, tables
from kazoo_bridge.storage.accounts import AccountStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.retention import RetentionService
from kazoo_bridge.storage.tokens import TokenStore
from tests.storage.record_factories import A


class RetentionSuite:
    @pytest_twisted.ensureDeferred
    async def test_by_default_old_changes_and_expired_tokens_are_deleted(
        self, account_store: AccountStore, token_store: TokenStore, clock: Clock, database: Database
    ) -> None:
        await account_store.create(A)
        await token_store.create(A, ttl=1)
        clock.advance(change_log.RETENTION + 1)
        service = RetentionService(clock, database)
        service.startService()
        await service.stopService()

        def count(connection: Connection) -> list[int]:
            return [
                connection.scalar(sa.select(sa.func.count()).select_from(table)) or 0
                for table in (tables.changes, tables.tokens)
            ]

        assert await database.read(count) == [1, 0]
        assert clock.getDelayedCalls() == []


class TestRetention(RetentionSuite):
    """On SQLite."""


class FakeDatabase:
    """Runs the work of a write at once, without a connection; or holds the results back."""

    def __init__(self) -> None:
        self.delayed: list[Deferred[int]] | None = None

    def write(self, work: Any) -> Deferred[int]:
        if self.delayed is not None:
            self.delayed.append(Deferred())
            return self.delayed[-1]
        try:
            return succeed(work(None))
        except Exception:
            return fail()


class FakePurge:
    """A purge that returns or raises the next of `results`, then 0."""

    def __init__(self, *results: int | Exception) -> None:
        self.results = list(results)
        self.times: list[float] = []

    def __call__(self, connection: object, now: float) -> int:
        self.times.append(now)
        result = self.results.pop(0) if self.results else 0
        if isinstance(result, Exception):
            raise result
        return result


def make_service(clock: Clock, database: FakeDatabase, *purges: FakePurge) -> RetentionService:
    named = {f"p{number}": purge for number, purge in enumerate(purges)}
    return RetentionService(clock, database, named, interval=600)  # type: ignore[arg-type] # a fake database


def test_each_purge_is_repeated_until_nothing_is_left_and_then_at_intervals(clock: Clock) -> None:
    start = clock.seconds()
    many, few = FakePurge(5, 5, 2), FakePurge()
    service = make_service(clock, FakeDatabase(), many, few)
    service.startService()
    assert (len(many.times), len(few.times)) == (4, 1)
    clock.advance(599)
    assert len(few.times) == 1
    clock.advance(1)
    assert (many.times[-1], few.times) == (start + 600, [start, start + 600])
    service.stopService()
    assert clock.getDelayedCalls() == []


def test_a_purge_that_never_ends_does_not_block_the_others(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "MAX_CALLS", 3)
    endless, other = FakePurge(*[1] * 9), FakePurge()
    make_service(clock, FakeDatabase(), endless, other).startService()
    assert (len(endless.times), len(other.times)) == (3, 1)


def test_a_failed_purge_is_logged_and_tried_again(clock: Clock) -> None:
    failing, broken, fine = (
        FakePurge(StorageUnavailable("busy"), 3),
        FakePurge(ZeroDivisionError()),
        FakePurge(),
    )
    service = make_service(clock, FakeDatabase(), failing, broken, fine)
    with capturedLogs() as logged:
        service.startService()
    assert [event["log_level"] for event in logged] == [LogLevel.warn, LogLevel.critical]
    assert logged[0]["reason"] == "busy"
    assert len(fine.times) == 1
    with capturedLogs() as logged:
        clock.advance(600)
    assert logged == []
    assert (len(failing.times), len(broken.times)) == (3, 2)


def test_stopping_waits_for_the_transaction_in_progress_and_begins_no_other_of_its_purge(
    clock: Clock,
) -> None:
    database = FakeDatabase()
    transactions: list[Deferred[int]] = []
    database.delayed = transactions
    service = make_service(clock, database, FakePurge(), FakePurge())
    service.startService()
    stopped = service.stopService()
    assert not stopped.called
    transactions[0].callback(5)
    assert len(transactions) == 2
    transactions[1].callback(5)
    assert stopped.called
    assert len(transactions) == 2
    assert not service.running


def test_a_service_can_be_started_again(clock: Clock) -> None:
    purge = FakePurge()
    service = make_service(clock, FakeDatabase(), purge)
    service.startService()
    service.stopService()
    purge.results = [1, 1]
    service.startService()
    assert len(purge.times) == 4
