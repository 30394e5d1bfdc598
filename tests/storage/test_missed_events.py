from __future__ import annotations

import pytest_twisted
from twisted.internet.defer import gatherResults
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import IMissedEventStore
from kazoo_bridge.storage.hooks import HookStore
from kazoo_bridge.storage.missed_events import MissedEventStore
from tests.storage.record_factories import ONE, THREE, TWO, A


class MissedEventStoreSuite:
    def test_it_implements_the_interface(self, missed_event_store: MissedEventStore) -> None:
        assert verifyObject(IMissedEventStore, missed_event_store)

    @pytest_twisted.ensureDeferred
    async def test_counts_are_added_by_hook_and_reason(self, missed_event_store: MissedEventStore) -> None:
        await missed_event_store.add({})
        await missed_event_store.add({(ONE, "disabled"): 2, (TWO, "disabled"): 5})
        await missed_event_store.add({(ONE, "disabled"): 3, (ONE, "undeliverable"): 1})
        assert await missed_event_store.counts([ONE, THREE]) == {ONE: {"disabled": 5, "undeliverable": 1}}
        assert await missed_event_store.counts([TWO]) == {TWO: {"disabled": 5}}

    @pytest_twisted.ensureDeferred
    async def test_nodes_that_count_at_once_lose_nothing(self, missed_event_store: MissedEventStore) -> None:
        both = {(ONE, "a"): 1, (TWO, "b"): 1}
        await gatherResults([missed_event_store.add(dict(reversed(both.items()))) for _ in range(5)])
        await gatherResults([missed_event_store.add(both) for _ in range(5)])
        assert await missed_event_store.counts([ONE, TWO]) == {ONE: {"a": 10}, TWO: {"b": 10}}

    @pytest_twisted.ensureDeferred
    async def test_the_counts_of_a_deleted_hook_are_deleted(
        self, missed_event_store: MissedEventStore, hook_store: HookStore
    ) -> None:
        deleted, of_account = await hook_store.create(A, {}), await hook_store.create(A, {})
        await missed_event_store.add({(deleted.id, "a"): 1, (of_account.id, "a"): 1, (TWO, "a"): 1})
        await hook_store.delete(deleted)
        assert set(await missed_event_store.counts([deleted.id, of_account.id])) == {of_account.id}
        await hook_store.delete_of_account(A)
        assert set(await missed_event_store.counts([of_account.id, TWO])) == {TWO}


class TestMissedEventStore(MissedEventStoreSuite):
    """On SQLite."""
