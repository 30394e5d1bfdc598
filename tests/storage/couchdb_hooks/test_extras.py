from __future__ import annotations

import pytest_twisted
from attrs import evolve

from kazoo_bridge.interfaces import Secret, Suspension
from kazoo_bridge.storage.couchdb_hooks.extras import NO_EXTRAS, HookExtras, HookExtrasStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.missed_events import MissedEventStore
from tests.storage.record_factories import NOW, ONE, THREE, TWO, A, B, make_delivery, recorded_changes

SUSPENSION = Suspension(NOW, NOW + 30)
EXTRAS = HookExtras(
    {"ordered": True, "retry_schedule_s": [1, 2]},
    (Secret("whsec_hunter2", NOW), Secret("whsk_other")),
    {"x-key": "hunter2"},
    SUSPENSION,
)


async def suspend_two_hooks(store: HookExtrasStore, database: Database) -> None:
    """Suspend two hooks with a held delivery each; the probe of the second one is due earlier."""
    await store.write(ONE, A, EXTRAS)
    await store.write(TWO, A, evolve(EXTRAS, suspension=evolve(SUSPENSION, next_probe=NOW + 20)))
    deliveries = DeliveryStore(database)
    for hook_id in (ONE, TWO):
        await deliveries.enqueue([(make_delivery(hook_id, hook_id=hook_id), NOW, "")])
        await deliveries.pause(hook_id)


class HookExtrasStoreSuite:
    @pytest_twisted.ensureDeferred
    async def test_what_is_written_is_read(
        self, hook_extras_store: HookExtrasStore, database: Database
    ) -> None:
        await hook_extras_store.write(ONE, A, EXTRAS)
        await hook_extras_store.write(TWO, A, NO_EXTRAS)
        assert await hook_extras_store.read([ONE, TWO, THREE]) == {ONE: EXTRAS}
        assert "hunter2" not in repr(EXTRAS)
        await hook_extras_store.write(ONE, A, evolve(EXTRAS, headers={}))
        assert (await hook_extras_store.read([ONE]))[ONE].headers == {}
        await hook_extras_store.write(ONE, A, NO_EXTRAS)
        assert await hook_extras_store.read([ONE]) == await hook_extras_store.read([]) == {}
        assert await recorded_changes(database) == [("hook", hook_id) for hook_id in (ONE, TWO, ONE, ONE)]

    @pytest_twisted.ensureDeferred
    async def test_deleting_a_hook_deletes_its_deliveries(
        self, hook_extras_store: HookExtrasStore, database: Database
    ) -> None:
        deliveries = DeliveryStore(database)
        kept = make_delivery("kept", hook_id=TWO)
        await deliveries.enqueue([(make_delivery("gone"), NOW, ""), (kept, NOW, "")])
        await hook_extras_store.write(ONE, A, EXTRAS)
        await hook_extras_store.delete([ONE])
        assert await hook_extras_store.read([ONE]) == {}
        assert await deliveries.waiting_counts([ONE, TWO]) == {TWO: 1}
        assert await recorded_changes(database) == [("hook", ONE)] * 2

    @pytest_twisted.ensureDeferred
    async def test_deleting_an_account_deletes_what_is_kept_of_its_hooks(
        self, hook_extras_store: HookExtrasStore, database: Database
    ) -> None:
        deliveries = DeliveryStore(database)
        await deliveries.enqueue([(make_delivery("gone", hook_id=THREE), NOW, "")])
        await hook_extras_store.write(ONE, A, EXTRAS)
        await hook_extras_store.write(TWO, B, EXTRAS)
        missed = MissedEventStore(database)
        await missed.add({(hook_id, "disabled"): 1 for hook_id in (ONE, TWO, THREE)})
        await hook_extras_store.delete_of_account(A, [THREE])
        assert list(await hook_extras_store.read([ONE, TWO])) == [TWO]
        assert await deliveries.waiting_counts([THREE]) == {}
        assert await missed.counts([ONE, TWO, THREE]) == {TWO: {"disabled": 1}}
        assert (await recorded_changes(database))[2:] == [("hook", ONE), ("hook", THREE)]

    @pytest_twisted.ensureDeferred
    async def test_the_hooks_of_which_something_is_kept(
        self, hook_extras_store: HookExtrasStore, database: Database
    ) -> None:
        assert await hook_extras_store.hook_ids() == frozenset()
        await hook_extras_store.write(ONE, A, EXTRAS)
        await MissedEventStore(database).add({(ONE, "disabled"): 1, (TWO, "disabled"): 1, (TWO, "x"): 1})
        assert await hook_extras_store.hook_ids() == {ONE, TWO}

    @pytest_twisted.ensureDeferred
    async def test_a_suspension_alone_is_written(
        self, hook_extras_store: HookExtrasStore, database: Database
    ) -> None:
        await hook_extras_store.write(ONE, A, evolve(EXTRAS, suspension=None))
        for hook_id in (ONE, TWO):
            await hook_extras_store.suspend(hook_id, A, SUSPENSION)
        assert await hook_extras_store.read([ONE, TWO]) == {
            ONE: EXTRAS,
            TWO: HookExtras(suspension=SUSPENSION),
        }
        assert await recorded_changes(database) == [("hook", ONE)]

    @pytest_twisted.ensureDeferred
    async def test_the_probes_that_are_due_longest_come_first(
        self, hook_extras_store: HookExtrasStore, database: Database
    ) -> None:
        await suspend_two_hooks(hook_extras_store, database)
        assert list(await hook_extras_store.due_probes(NOW + 25)) == [TWO]
        due = await hook_extras_store.due_probes(NOW + 30)
        assert (list(due), due[ONE]) == ([TWO, ONE], SUSPENSION)
        await DeliveryStore(database).delete(ONE)
        assert list(await hook_extras_store.due_probes(NOW + 30)) == [TWO]

    @pytest_twisted.ensureDeferred
    async def test_a_probe_is_claimed_once_and_can_be_given_back(
        self, hook_extras_store: HookExtrasStore, database: Database
    ) -> None:
        await suspend_two_hooks(hook_extras_store, database)
        other = Suspension(NOW - 1, NOW)
        claims = [
            await hook_extras_store.claim_probe(ONE, suspension, NOW + 90)
            for suspension in (SUSPENSION, SUSPENSION, other)
        ]
        assert claims == [True, False, False]
        await hook_extras_store.return_probe(ONE, SUSPENSION, NOW + 40)
        found = await hook_extras_store.read([ONE])
        assert found[ONE].suspension == Suspension(NOW, NOW + 40, 0)

    @pytest_twisted.ensureDeferred
    async def test_a_suspension_that_ended_leaves_what_else_is_kept(
        self, hook_extras_store: HookExtrasStore, database: Database
    ) -> None:
        await suspend_two_hooks(hook_extras_store, database)
        await hook_extras_store.end_suspensions({ONE: SUSPENSION, TWO: Suspension(NOW - 1, NOW)})
        found = await hook_extras_store.read([ONE, TWO])
        assert found[ONE] == evolve(EXTRAS, suspension=None)
        assert found[TWO].suspension is not None


class TestHookExtrasStore(HookExtrasStoreSuite):
    pass
