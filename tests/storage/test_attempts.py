from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import AccountLimits, Attempt, HookHealth, IAttemptStore
from kazoo_bridge.storage import attempt_limits, attempts, engine
from kazoo_bridge.storage.attempt_limits import AttemptLimits
from kazoo_bridge.storage.attempts import AttemptStore, purge_older_than
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.settings import LimitStore
from tests.storage.record_factories import FOUR, ONE, THREE, TWO, A, B, run_purge


def make_attempt(
    hook_id: str = ONE,
    made: float = 100.0,
    *,
    account_id: str = A,
    failed: bool = True,
    revision: str = "1-x",
    **more: Any,
) -> Attempt:
    return Attempt(account_id, hook_id, revision, failed, made, {"at": made, **more})


async def times(
    store: AttemptStore, account_id: str, hook_id: str | None, before: int | None = None, count: int = 10
) -> list[float]:
    """When the attempts on a page were made."""
    return [one.document["at"] for one in await store.page(account_id, hook_id, before, count)]


class AttemptStoreSuite:
    def test_it_implements_the_interface(self, attempt_store: AttemptStore) -> None:
        assert verifyObject(IAttemptStore, attempt_store)

    @pytest_twisted.ensureDeferred
    async def test_attempts_are_listed_newest_first(self, attempt_store: AttemptStore) -> None:
        made = [
            make_attempt(ONE, 1),
            make_attempt(TWO, 2),
            make_attempt(ONE, 3),
            make_attempt(ONE, 4, account_id=B),
        ]
        await attempt_store.add(made, {})
        assert await times(attempt_store, A, None) == [3, 2, 1]
        assert await times(attempt_store, A, ONE) == [3, 1]
        assert await times(attempt_store, B, ONE) == [4]

    @pytest_twisted.ensureDeferred
    async def test_one_attempt_is_read_with_what_a_replay_needs(self, attempt_store: AttemptStore) -> None:
        kept = evolve(make_attempt(ONE, 1), replay='{"id": "msg_1"}', event_account_id=B)
        await attempt_store.add([kept, make_attempt(TWO, 2)], {})
        newest, oldest = await attempt_store.page(A, None, None, 2)
        assert oldest.replay == ""
        for hook_id in (None, ONE):
            found = await attempt_store.get(A, hook_id, oldest.position)
            assert found == evolve(oldest, replay='{"id": "msg_1"}')
        assert await attempt_store.get(A, TWO, newest.position) == newest
        assert await attempt_store.get(A, TWO, oldest.position) is None
        assert await attempt_store.get(B, None, oldest.position) is None
        assert await attempt_store.get(A, None, 10**18 - 1) is None

    @pytest_twisted.ensureDeferred
    async def test_pages_continue_below_a_position(self, attempt_store: AttemptStore) -> None:
        await attempt_store.add([make_attempt(made=made) for made in (1, 2, 3)], {})
        (newest,) = await attempt_store.page(A, None, None, 1)
        assert (newest.made_at, newest.document) == (3, {"at": 3})
        assert await times(attempt_store, A, None, newest.position) == [2, 1]
        assert await times(attempt_store, A, None, newest.position, 1) == [2]

    @pytest_twisted.ensureDeferred
    async def test_any_text_is_read_back(self, attempt_store: AttemptStore) -> None:
        await attempt_store.add([make_attempt(body="a\0b\ud800 ž 🎧")], {})
        assert (await attempt_store.page(A, None, None, 1))[0].document["body"] == "a\0b\ud800 ž 🎧"

    @pytest_twisted.ensureDeferred
    async def test_health_is_added_up_and_keeps_the_latest_times(self, attempt_store: AttemptStore) -> None:
        assert await attempt_store.health([ONE]) == {}
        await attempt_store.add([], {ONE: HookHealth(5.0, None, 3, 0), TWO: HookHealth(None, 7.0, 0, 1)})
        await attempt_store.add([], {ONE: HookHealth(None, 6.0, 0, 2)})
        await attempt_store.add([], {ONE: HookHealth(4.0, 8.0, 1, 1)})
        assert await attempt_store.health([ONE, THREE]) == {ONE: HookHealth(5.0, 8.0, 4, 3)}
        assert await attempt_store.health([TWO, ONE]) == {
            ONE: HookHealth(5.0, 8.0, 4, 3),
            TWO: HookHealth(None, 7.0, 0, 1),
        }

    @pytest_twisted.ensureDeferred
    async def test_nothing_to_add(self, attempt_store: AttemptStore) -> None:
        await attempt_store.add([], {})
        assert await attempt_store.page(A, None, None, 1) == []

    @pytest_twisted.ensureDeferred
    async def test_failures_of_a_revision_are_counted(self, attempt_store: AttemptStore) -> None:
        made = [
            make_attempt(made=10),
            make_attempt(made=20),
            make_attempt(made=30, failed=False),
            make_attempt(made=40, revision="2-x"),
        ]
        await attempt_store.add(made, {})
        assert await attempt_store.failures({ONE: "1-x"}, 0) == {ONE: 2}
        assert await attempt_store.failures({ONE: "1-x"}, 10) == {ONE: 1}
        assert await attempt_store.failures({ONE: "2-x", TWO: "1-x"}, 0) == {ONE: 1}

    @pytest_twisted.ensureDeferred
    async def test_hooks_over_the_failure_limit(self, attempt_store: AttemptStore) -> None:
        await attempt_store.add([make_attempt(ONE, 100 + number) for number in range(6)], {})
        await attempt_store.add([make_attempt(TWO, 100 + number) for number in range(5)], {})
        assert await attempt_store.hooks_over_failure_limit(110, 6, 60) == [(A, ONE, "1-x")]
        both = [(A, ONE, "1-x"), (A, TWO, "1-x")]
        assert sorted(await attempt_store.hooks_over_failure_limit(110, 5, 60)) == both
        assert await attempt_store.hooks_over_failure_limit(159, 6, 60) == [(A, ONE, "1-x")]
        assert await attempt_store.hooks_over_failure_limit(160, 6, 60) == []

    @pytest_twisted.ensureDeferred
    async def test_successes_and_test_attempts_do_not_count_as_failures(
        self, attempt_store: AttemptStore
    ) -> None:
        await attempt_store.add(
            [make_attempt(THREE, failed=False)] * 9 + [make_attempt(FOUR, revision="")] * 9, {}
        )
        assert await attempt_store.hooks_over_failure_limit(110, 6, 60) == []

    @pytest_twisted.ensureDeferred
    async def test_the_limits_of_an_account_override_the_general_ones(
        self, attempt_store: AttemptStore, limit_store: LimitStore
    ) -> None:
        made = [
            make_attempt(hook_id, made, account_id=account_id)
            for hook_id, account_id in ((ONE, A), (TWO, B))
            for made in (100, 200)
        ]
        await attempt_store.add(made, {})
        await limit_store.put(A, AccountLimits(attempt_failure_count=2))
        assert await attempt_store.hooks_over_failure_limit(201, 6, 60) == []
        assert await attempt_store.hooks_over_failure_limit(201, 6, 102) == [(A, ONE, "1-x")]
        await limit_store.put(B, AccountLimits(attempt_failure_expiry_ms=200_000))
        await limit_store.put(A, AccountLimits(2, 150_000))
        assert await attempt_store.hooks_over_failure_limit(201, 6, 60) == [(A, ONE, "1-x")]
        assert await attempt_store.hooks_over_failure_limit(250, 6, 60) == []
        await limit_store.put(A, AccountLimits(2, 99_999))
        assert await attempt_store.hooks_over_failure_limit(201, 6, 1000) == []
        await limit_store.put(A, AccountLimits())
        assert await attempt_store.hooks_over_failure_limit(201, 6, 60) == []

    @pytest_twisted.ensureDeferred
    async def test_the_oldest_attempts_beyond_the_limits_are_deleted(self, database: Database) -> None:
        store = AttemptStore(database, AttemptLimits(per_hook=20, per_account=30))
        for made in range(101):
            await store.add([make_attempt(ONE, made)], {})
        assert await times(store, A, ONE, count=100) == list(range(100, 80, -1))
        await store.add([make_attempt(TWO, made) for made in range(101, 116)], {})
        assert await times(store, A, None, count=100) == list(range(115, 85, -1))
        await store.add([make_attempt(TWO, 200, account_id=B)], {})
        assert await times(store, B, None, count=100) == [200]

    @pytest_twisted.ensureDeferred
    async def test_one_write_deletes_a_bounded_number(
        self, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(attempt_limits, "BATCH_SIZE", 2)
        await AttemptStore(database).add([make_attempt(made=made) for made in range(10)], {})
        store = AttemptStore(database, AttemptLimits(per_hook=5, per_account=100))
        await store.add([make_attempt(made=10)], {})
        assert await times(store, A, None, count=100) == list(range(10, 1, -1))

    @pytest_twisted.ensureDeferred
    async def test_large_attempts_come_in_small_numbers(
        self, attempt_store: AttemptStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine, "MAX_READ_CHARACTERS", 250)
        await attempt_store.add([make_attempt(made=made, body="x" * 100) for made in range(5)], {})
        assert await times(attempt_store, A, None) == [4, 3, 2]

    @pytest_twisted.ensureDeferred
    async def test_the_account_of_the_event_is_kept(self, attempt_store: AttemptStore) -> None:
        await attempt_store.add([evolve(make_attempt(), event_account_id=B), make_attempt()], {})
        page = await attempt_store.page(A, None, None, 5)
        assert [one.event_account_id for one in page] == [None, B]

    @pytest_twisted.ensureDeferred
    async def test_old_attempts_are_purged(self, attempt_store: AttemptStore, database: Database) -> None:
        await attempt_store.add([make_attempt(made=made) for made in (100, 150, 200)], {})
        assert await run_purge(database, purge_older_than(50), 200) == 1
        assert await times(attempt_store, A, None) == [200, 150]

    @pytest_twisted.ensureDeferred
    async def test_old_attempts_are_purged_in_batches(
        self, attempt_store: AttemptStore, database: Database, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(attempts, "BATCH_SIZE", 2)
        await attempt_store.add([make_attempt()] * 3, {})
        assert [await run_purge(database, purge_older_than(50), 200) for _ in range(3)] == [2, 1, 0]


class TestAttemptStore(AttemptStoreSuite):
    """On SQLite."""
