"""What every database must do with attempts, limits and settings; run on SQLite and on PostgreSQL, as ``store_suite``."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from kazoo_bridge.interfaces import AccountLimits, Attempt, HookHealth
from kazoo_bridge.storage.attempts import AttemptStore, purge_older_than
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.limits import LimitStore
from kazoo_bridge.storage.settings import SettingStore

A, B = "a" * 32, "b" * 32
ONE, TWO = "1" * 32, "2" * 32


@pytest_twisted.async_yield_fixture
async def database(storage_uri: str) -> AsyncIterator[Database]:
    database = Database(reactor, storage_uri)
    await database.migrate()
    yield database
    await database.close()


@pytest.fixture
def store(database: Database) -> AttemptStore:
    return AttemptStore(database)


def attempt(
    hook_id: str = ONE,
    made: float = 100.0,
    *,
    account_id: str = A,
    failed: bool = True,
    revision: str = "1-x",
    **more: Any,
) -> Attempt:
    return Attempt(account_id, hook_id, revision, failed, made, {"at": made, **more})


async def numbers(
    store: AttemptStore, account_id: str, hook_id: str | None, before: int | None = None, count: int = 10
) -> list[float]:
    return [one.document["at"] for one in await store.page(account_id, hook_id, before, count)]


@pytest_twisted.ensureDeferred
async def test_attempts_come_newest_first(store: AttemptStore) -> None:
    await store.add([attempt(ONE, 1), attempt(TWO, 2), attempt(ONE, 3), attempt(ONE, 4, account_id=B)], {})
    assert await numbers(store, A, None) == [3, 2, 1]
    assert await numbers(store, A, ONE) == [3, 1]
    assert await numbers(store, B, ONE) == [4]
    newest = (await store.page(A, None, None, 1))[0]
    assert await numbers(store, A, None, newest.position) == [2, 1]
    assert await numbers(store, A, None, newest.position, 1) == [2]


@pytest_twisted.ensureDeferred
async def test_any_text_survives(store: AttemptStore) -> None:
    await store.add([attempt(body="a\0b\ud800 ž 🎧")], {})
    assert (await store.page(A, None, None, 1))[0].document["body"] == "a\0b\ud800 ž 🎧"


@pytest_twisted.ensureDeferred
async def test_health_keeps_the_latest_of_each(store: AttemptStore) -> None:
    assert await store.health([ONE]) == {}
    await store.add([], {ONE: HookHealth(5.0, None, 3, 0), TWO: HookHealth(None, 7.0, 0, 1)})
    await store.add([], {ONE: HookHealth(None, 6.0, 0, 2)})
    await store.add([], {ONE: HookHealth(4.0, 8.0, 1, 1)})
    assert await store.health([ONE, "3" * 32]) == {ONE: HookHealth(5.0, 8.0, 4, 3)}
    assert await store.health([TWO, ONE]) == {
        ONE: HookHealth(5.0, 8.0, 4, 3),
        TWO: HookHealth(None, 7.0, 0, 1),
    }


@pytest_twisted.ensureDeferred
async def test_failures_of_a_revision(store: AttemptStore) -> None:
    await store.add(
        [
            attempt(made=10),
            attempt(made=20),
            attempt(made=30, failed=False),
            attempt(made=40, revision="2-x"),
        ],
        {},
    )
    assert await store.failures({ONE: "1-x"}, 0) == {ONE: 2}
    assert await store.failures({ONE: "1-x"}, 10) == {ONE: 1}
    assert await store.failures({ONE: "2-x", TWO: "1-x"}, 0) == {ONE: 1}


@pytest_twisted.ensureDeferred
async def test_who_failed_too_often(store: AttemptStore) -> None:
    await store.add([attempt(ONE, 100 + number) for number in range(6)], {})
    await store.add([attempt(TWO, 100 + number) for number in range(5)], {})
    await store.add(
        [attempt("3" * 32, 100, failed=False)] * 9 + [attempt("4" * 32, 100, revision="")] * 9, {}
    )
    assert await store.hooks_over_failure_limit(110, 6, 60) == [(A, ONE, "1-x")]
    assert sorted(await store.hooks_over_failure_limit(110, 5, 60)) == [(A, ONE, "1-x"), (A, TWO, "1-x")]
    assert await store.hooks_over_failure_limit(161, 6, 60) == []


@pytest_twisted.ensureDeferred
async def test_an_accounts_own_limits(store: AttemptStore, database: Database) -> None:
    limits = LimitStore(database)
    await store.add(
        [
            attempt(ONE, 100),
            attempt(ONE, 200),
            attempt(TWO, 100, account_id=B),
            attempt(TWO, 200, account_id=B),
        ],
        {},
    )
    await limits.put(A, AccountLimits(attempt_failure_count=2))
    assert await store.hooks_over_failure_limit(201, 6, 60) == []
    assert await limits.shortest_expiry_ms() is None
    await limits.put("b" * 32, AccountLimits(attempt_failure_expiry_ms=200_000))
    await limits.put(A, AccountLimits(2, 150_000))
    assert await limits.shortest_expiry_ms() == 150_000
    assert await store.hooks_over_failure_limit(201, 6, 60) == [(A, ONE, "1-x")]
    assert await limits.get(A) == AccountLimits(2, 150_000)
    await limits.put(A, AccountLimits())
    assert await limits.get(A) == AccountLimits()
    assert await store.hooks_over_failure_limit(201, 6, 60) == []


@pytest_twisted.ensureDeferred
async def test_old_attempts_are_purged(store: AttemptStore, database: Database) -> None:
    await store.add([attempt(made=100), attempt(made=200)], {})
    assert await database.write(lambda connection: purge_older_than(50)(connection, 200)) == 1
    assert await numbers(store, A, None) == [200]


@pytest_twisted.ensureDeferred
async def test_the_first_to_ask_settles_a_setting(database: Database) -> None:
    settings = SettingStore(database)
    asked = await gatherResults(
        [settings.get_or_create("cluster_id", lambda number=number: str(number)) for number in range(5)]
    )
    assert set(asked) == {"0"}
    assert await settings.get_or_create("other", lambda: "x") == "x"
