from __future__ import annotations

from functools import partial

import pytest_twisted
from twisted.internet.defer import gatherResults
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import AccountLimits, ILimitStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.settings import LimitStore, SettingStore
from tests.storage.record_factories import A, B


class SettingsSuite:
    def test_the_limit_store_implements_the_interface(self, limit_store: LimitStore) -> None:
        assert verifyObject(ILimitStore, limit_store)

    @pytest_twisted.ensureDeferred
    async def test_the_first_caller_creates_a_setting(self, database: Database) -> None:
        settings = SettingStore(database)
        values = await gatherResults(
            [settings.get_or_create("cluster_id", partial(str, number)) for number in range(5)]
        )
        assert values == ["0"] * 5
        assert await settings.get_or_create("other", lambda: "x") == "x"
        assert await settings.get_or_create("cluster_id", lambda: "x") == "0"

    @pytest_twisted.ensureDeferred
    async def test_limits_are_replaced(self, limit_store: LimitStore) -> None:
        assert await limit_store.get(A) == AccountLimits()
        await limit_store.put(A, AccountLimits(2, 150_000))
        await limit_store.put(B, AccountLimits(3))
        await limit_store.put(A, AccountLimits(attempt_failure_expiry_ms=0))
        assert await limit_store.get(A) == AccountLimits(None, 0)
        assert await limit_store.get(B) == AccountLimits(3)
        await limit_store.put(A, AccountLimits())
        assert await limit_store.get(A) == AccountLimits()
        assert await limit_store.get(B) == AccountLimits(3)

    @pytest_twisted.ensureDeferred
    async def test_the_shortest_expiry_of_all_accounts(self, limit_store: LimitStore) -> None:
        assert await limit_store.shortest_expiry_ms() is None
        await limit_store.put(A, AccountLimits(attempt_failure_count=2))
        assert await limit_store.shortest_expiry_ms() is None
        await limit_store.put(A, AccountLimits(2, 200_000))
        await limit_store.put(B, AccountLimits(None, 150_000))
        assert await limit_store.shortest_expiry_ms() == 150_000


class TestSettings(SettingsSuite):
    """On SQLite."""
