from __future__ import annotations

import json
from types import MappingProxyType
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import (
    UNTIL_ENABLED,
    IHookStore,
    RevisionConflict,
    Secret,
    StoredHook,
    Suspension,
    TooManyHooks,
)
from kazoo_bridge.kazoo import to_gregorian
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.hooks import HookStore, copy_json
from tests.storage.record_factories import NOW, A, B, C, delivery_ids, enqueue, recorded_changes


async def all_hooks(store: HookStore) -> list[StoredHook]:
    hooks, _ = await store.batch(0, 1000)
    return hooks


class HookStoreSuite:
    def test_it_implements_the_interface(self, hook_store: HookStore) -> None:
        assert verifyObject(IHookStore, hook_store)

    @pytest_twisted.ensureDeferred
    async def test_a_hook_is_stored(self, hook_store: HookStore) -> None:
        document = {"name": "naïve \ud800 \u0000", "custom_data": {"n": [1, 2.5, None, True]}}
        hook = await hook_store.create(A, document)
        assert (len(hook.id), hook.account_id, hook.document) == (32, A, document)
        assert (hook.created, hook.modified) == (to_gregorian(NOW), to_gregorian(NOW))
        assert hook.revision.startswith("1-")
        assert await hook_store.get(A, hook.id) == hook

    @pytest_twisted.ensureDeferred
    async def test_values_of_headers_are_kept_until_they_are_replaced(self, hook_store: HookStore) -> None:
        hook = await hook_store.create(A, {}, (), {"x-a": "hunter2"})
        assert hook.headers == {"x-a": "hunter2"}
        assert await hook_store.get(A, hook.id) == hook
        assert "hunter2" not in repr(hook)
        hook = await hook_store.replace(hook, {"n": 1})
        assert hook.headers == {"x-a": "hunter2"}
        hook = await hook_store.replace(hook, {"n": 2}, None, {})
        assert hook.headers == {}
        assert await hook_store.get(A, hook.id) == hook

    @pytest_twisted.ensureDeferred
    async def test_a_hook_is_found_by_its_account_and_id_only(self, hook_store: HookStore) -> None:
        hook = await hook_store.create(A, {})
        await hook_store.create(A, {})
        assert await hook_store.get(A, hook.id) == hook
        assert await hook_store.get(B, hook.id) is None
        assert await hook_store.by_ids([hook.id, "unknown", C]) == [hook]

    @pytest.mark.parametrize("odd", ["unknown", "", "\0", "\ud800", "A" * 33])
    @pytest_twisted.ensureDeferred
    async def test_a_text_that_cannot_be_an_id_finds_nothing(self, hook_store: HookStore, odd: str) -> None:
        hook = await hook_store.create(A, {})
        assert await hook_store.get(A, odd) is None
        assert await hook_store.get(odd, hook.id) is None
        assert await hook_store.by_ids([odd]) == []

    @pytest_twisted.ensureDeferred
    async def test_hooks_are_listed_oldest_first(self, hook_store: HookStore) -> None:
        made = [
            await hook_store.create(account, {"n": number}) for number, account in enumerate([A, B, A, B, A])
        ]
        assert await all_hooks(hook_store) == made
        assert await hook_store.for_account(A) == made[::2]

    @pytest_twisted.ensureDeferred
    async def test_hooks_are_read_in_batches(self, hook_store: HookStore) -> None:
        made = [await hook_store.create(account, {"n": account}) for account in (A, B, C)]
        first, position = await hook_store.batch(0, 2)
        await hook_store.delete(made[1])
        second, end = await hook_store.batch(position, 2)
        assert (first, second) == (made[:2], made[2:])
        assert await hook_store.batch(end, 2) == ([], end)

    @pytest.mark.parametrize(
        "document",
        [
            {"n": [10**18, 10**19, -(2**70), 1.5, 1e300, True, None]},
            {"text": "12345678901234567890 ž 🎧"},
            {"surrogate": "\ud800"},
        ],
    )
    @pytest_twisted.ensureDeferred
    async def test_every_document_is_read_as_it_was_written(
        self, hook_store: HookStore, document: dict[str, Any]
    ) -> None:
        hook = await hook_store.create(A, document)
        stored = await hook_store.get(A, hook.id)
        assert stored is not None
        assert stored.document == document
        assert json.dumps(stored.document) == json.dumps(document)  # 1 is equal to 1.0 and True

    @pytest.mark.parametrize("odd", [{"n": -(2**70)}, {"n": "\ud800"}])
    @pytest_twisted.ensureDeferred
    async def test_one_odd_document_changes_no_other(
        self, hook_store: HookStore, odd: dict[str, Any]
    ) -> None:
        documents = [{"n": 123456789}, {"n": 1234567890}, odd, {"n": 1.0}]
        for document in documents:
            await hook_store.create(A, document)
        hooks, _ = await hook_store.batch(0, 9)
        assert json.dumps([hook.document for hook in hooks]) == json.dumps(documents)

    @pytest_twisted.ensureDeferred
    async def test_many_ids_at_once(self, hook_store: HookStore) -> None:
        made = [await hook_store.create(account, {}) for account in (A, B, C)]
        unknown = [f"{number:032x}" for number in range(1200)]
        found = await hook_store.by_ids([made[0].id, *unknown, made[1].id])
        assert {hook.id for hook in found} == {made[0].id, made[1].id}
        found = await hook_store.for_accounts([B, *unknown, C])
        assert {hook.id for hook in found} == {made[1].id, made[2].id}

    @pytest_twisted.ensureDeferred
    async def test_a_replaced_hook_has_a_new_revision(self, hook_store: HookStore, clock: Clock) -> None:
        first = await hook_store.create(A, {"n": 1})
        clock.advance(5)
        second = await hook_store.replace(first, {"n": 2})
        assert (second.id, second.document) == (first.id, {"n": 2})
        assert (second.created, second.modified) == (first.created, first.created + 5)
        assert second.revision.startswith("2-")
        assert await hook_store.get(A, first.id) == second

    @pytest_twisted.ensureDeferred
    async def test_a_replaced_hook_keeps_its_secrets_unless_it_gets_others(
        self, hook_store: HookStore
    ) -> None:
        secrets = (Secret("whsec_new"), Secret("whsec_old", 123.5))
        first = await hook_store.create(A, {}, secrets)
        second = await hook_store.replace(first, {"n": 2})
        third = await hook_store.replace(second, {"n": 3}, ())
        assert (first.secrets, second.secrets, third.secrets) == (secrets, secrets, ())
        assert await hook_store.get(A, first.id) == third

    @pytest_twisted.ensureDeferred
    async def test_a_suspension_lasts_until_a_replacement_without_it(self, hook_store: HookStore) -> None:
        suspension = Suspension(100.0, 130.5, 2)
        hook = await hook_store.create(A, {})
        suspended = await hook_store.replace(hook, {}, suspension=suspension)
        assert suspended.suspension == suspension
        assert await hook_store.get(A, hook.id) == suspended
        await hook_store.replace(suspended, {})
        (ended,) = await all_hooks(hook_store)
        assert ended.suspension is None

    @pytest_twisted.ensureDeferred
    async def test_a_probe_is_due_at_its_time_if_a_delivery_is_held(
        self, hook_store: HookStore, delivery_store: DeliveryStore
    ) -> None:
        late, early, waiting_for_nothing, enabled = [await hook_store.create(A, {}) for _ in range(4)]
        for hook, due in ((late, 130.0), (early, 120.0), (waiting_for_nothing, 120.0)):
            await hook_store.replace(hook, {}, suspension=Suspension(100.0, due))
        for hook in (late, early, enabled):
            await enqueue(delivery_store, f"of {hook.id}", due=UNTIL_ENABLED, hook_id=hook.id)
        assert await hook_store.due_probes(119.0) == []
        assert [hook.id for hook in await hook_store.due_probes(120.0)] == [early.id]
        assert [hook.id for hook in await hook_store.due_probes(130.0)] == [early.id, late.id]
        await delivery_store.claim_held(early.id, "me", 130.0, 140.0, 0)
        assert [hook.id for hook in await hook_store.due_probes(130.0)] == [late.id]

    @pytest_twisted.ensureDeferred
    async def test_a_probe_is_claimed_once(self, hook_store: HookStore) -> None:
        hook = await hook_store.create(A, {})
        assert not await hook_store.claim_probe(hook, 190.0)
        hook = await hook_store.replace(hook, {}, suspension=Suspension(100.0, 130.0, 1))
        assert await gatherResults([hook_store.claim_probe(hook, 190.0) for _ in range(3)]) == [
            True,
            False,
            False,
        ]
        advanced = await hook_store.get(A, hook.id)
        assert advanced == evolve(hook, suspension=Suspension(100.0, 190.0, 2))
        assert advanced is not None
        await hook_store.replace(advanced, {}, suspension=advanced.suspension)
        assert not await hook_store.claim_probe(advanced, 300.0)

    @pytest_twisted.ensureDeferred
    async def test_a_probe_that_was_not_made_is_returned(self, hook_store: HookStore) -> None:
        hook = await hook_store.create(A, {})
        await hook_store.return_probe(hook, 100.0)
        hook = await hook_store.replace(hook, {}, suspension=Suspension(100.0, 130.0, 1))
        await hook_store.return_probe(hook, 135.0)  # not claimed
        assert await hook_store.get(A, hook.id) == hook
        await hook_store.claim_probe(hook, 190.0)
        await hook_store.return_probe(hook, 135.0)
        assert await hook_store.get(A, hook.id) == evolve(hook, suspension=Suspension(100.0, 135.0, 1))

    @pytest_twisted.ensureDeferred
    async def test_only_the_current_revision_can_be_replaced_or_deleted(self, hook_store: HookStore) -> None:
        other = await hook_store.create(A, {})
        first = await hook_store.create(A, {"n": 1})
        second = await hook_store.replace(first, {"n": 2})
        with pytest.raises(RevisionConflict, match=first.id):
            await hook_store.replace(first, {"n": 3})
        with pytest.raises(RevisionConflict):
            await hook_store.delete(first)
        assert await hook_store.get(A, first.id) == second
        await hook_store.delete(second)
        assert await all_hooks(hook_store) == [other]
        with pytest.raises(RevisionConflict):
            await hook_store.replace(second, {"n": 4})

    @pytest_twisted.ensureDeferred
    async def test_of_concurrent_writers_one_wins(self, hook_store: HookStore) -> None:
        hook = await hook_store.create(A, {})
        results: list[Deferred[Any]] = [hook_store.replace(hook, {"n": number}) for number in range(5)]
        outcomes = [await one.addErrback(lambda failure: failure.value) for one in results]
        assert [isinstance(one, RevisionConflict) for one in outcomes] == [False, True, True, True, True]
        assert await hook_store.get(A, hook.id) == outcomes[0]

    @pytest_twisted.ensureDeferred
    async def test_the_number_of_hooks_of_an_account_is_limited(
        self, clock: Clock, database: Database
    ) -> None:
        hook_store = HookStore(clock, database, max_per_account=2)
        first = await hook_store.create(A, {})
        await hook_store.create(A, {})
        with pytest.raises(TooManyHooks) as refused:
            await hook_store.create(A, {})
        assert refused.value.limit == 2
        assert len(await recorded_changes(database)) == 2
        await hook_store.create(B, {})
        await hook_store.delete(await hook_store.replace(first, {"n": 1}))
        await hook_store.create(A, {})
        assert len(await hook_store.for_account(A)) == 2

    @pytest_twisted.ensureDeferred
    async def test_nodes_that_create_hooks_at_once_do_not_exceed_the_limit(
        self, clock: Clock, database: Database, storage_uri: str
    ) -> None:
        others = [Database(reactor, storage_uri) for _ in range(3)]
        stores = [HookStore(clock, one, max_per_account=5) for one in (database, *others)]
        results: list[Deferred[Any]] = [
            store.create(A, {}).addErrback(lambda failure: failure.value)
            for _ in range(5)
            for store in stores
        ]
        outcomes = await gatherResults(results)
        assert sum(isinstance(one, StoredHook) for one in outcomes) == 5
        assert sum(isinstance(one, TooManyHooks) for one in outcomes) == 15
        assert len(await stores[0].for_account(A)) == 5
        for one in others:
            await one.close()

    @pytest_twisted.ensureDeferred
    async def test_every_write_of_a_hook_is_recorded(self, hook_store: HookStore, database: Database) -> None:
        hook = await hook_store.create(A, {})
        await hook_store.delete(await hook_store.replace(hook, {"x": 1}))
        assert await recorded_changes(database) == [("hook", hook.id)] * 3

    @pytest_twisted.ensureDeferred
    async def test_the_hooks_of_an_account_are_deleted_together(
        self, hook_store: HookStore, database: Database
    ) -> None:
        made = [await hook_store.create(A, {}) for _ in range(3)]
        other = await hook_store.create(B, {})
        assert await hook_store.delete_of_account(A) == 3
        assert await all_hooks(hook_store) == [other]
        assert sorted((await recorded_changes(database))[4:]) == sorted(("hook", hook.id) for hook in made)

    @pytest_twisted.ensureDeferred
    async def test_deleting_a_hook_deletes_its_deliveries_and_no_others(
        self, hook_store: HookStore, delivery_store: DeliveryStore
    ) -> None:
        hook = await hook_store.create(A, {})
        await enqueue(delivery_store, "a", hook_id=hook.id)
        await enqueue(delivery_store, "b")
        await enqueue(delivery_store, "c", account_id=B)
        await hook_store.delete(hook)
        assert await delivery_ids(delivery_store) == ["b"]
        await hook_store.delete_of_account(A)
        assert await delivery_ids(delivery_store) == []
        assert await delivery_ids(delivery_store, account_id=B) == ["c"]


class TestHookStore(HookStoreSuite):
    """On SQLite."""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON))
def test_any_json_object_is_read_back_unchanged(document: dict[str, Any]) -> None:
    assert copy_json(document) == document


def test_read_only_mappings_become_objects() -> None:
    inner = MappingProxyType({"x": MappingProxyType({"y": 1})})
    assert copy_json(MappingProxyType({"custom_data": inner})) == {"custom_data": {"x": {"y": 1}}}


@pytest.mark.parametrize("document", [{"x": float("nan")}, {"x": object()}, {"x": b"bytes"}])
def test_a_value_that_json_cannot_express_is_refused(document: dict[str, Any]) -> None:
    with pytest.raises((ValueError, TypeError)):
        copy_json(document)
