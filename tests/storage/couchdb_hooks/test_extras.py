from __future__ import annotations

import pytest
from attrs import evolve

from kazoo_bridge.interfaces import Secret, Suspension
from kazoo_bridge.storage import change_log
from kazoo_bridge.storage.couchdb_hooks.extras import NO_EXTRAS, HookExtras, HookExtrasStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from tests.directory.couchdb.harness import result_of
from tests.storage.couchdb_hooks.harness import HooksHarness
from tests.storage.record_factories import NOW, ONE, THREE, TWO, A, make_delivery

SUSPENSION = Suspension(NOW, NOW + 30)
EXTRAS = HookExtras(
    {"ordered": True, "retry_schedule_s": [1, 2]},
    (Secret("whsec_hunter2", NOW), Secret("whsk_other")),
    {"x-key": "hunter2"},
    SUSPENSION,
)


@pytest.fixture
def extras(harness: HooksHarness) -> HookExtrasStore:
    return harness.extras


def changed(database: Database) -> list[str]:
    changes = result_of(database.read(lambda connection: change_log.since(connection, 0))).changes
    assert all(kind == "hook" for kind, _ in changes)
    return [subject for _, subject in changes]


def test_what_is_written_is_read(extras: HookExtrasStore, harness: HooksHarness) -> None:
    result_of(extras.write(ONE, A, EXTRAS))
    result_of(extras.write(TWO, A, NO_EXTRAS))
    assert result_of(extras.read([ONE, TWO, THREE])) == {ONE: EXTRAS}
    assert "hunter2" not in repr(EXTRAS)
    result_of(extras.write(ONE, A, evolve(EXTRAS, headers={})))
    assert result_of(extras.read([ONE]))[ONE].headers == {}
    result_of(extras.write(ONE, A, NO_EXTRAS))
    assert result_of(extras.read([ONE])) == result_of(extras.read([])) == {}
    assert changed(harness.database) == [ONE, TWO, ONE, ONE]


def test_deleting_a_hook_deletes_its_deliveries(extras: HookExtrasStore, harness: HooksHarness) -> None:
    deliveries = DeliveryStore(harness.database)
    kept = make_delivery("kept", hook_id=TWO)
    result_of(deliveries.enqueue([(make_delivery("gone"), NOW, ""), (kept, NOW, "")]))
    result_of(extras.write(ONE, A, EXTRAS))
    result_of(extras.delete([ONE]))
    assert result_of(extras.read([ONE])) == {}
    assert result_of(deliveries.waiting_counts([ONE, TWO])) == {TWO: 1}
    assert changed(harness.database) == [ONE, ONE]


class TestProbes:
    @pytest.fixture(autouse=True)
    def two_suspended_hooks(self, extras: HookExtrasStore, harness: HooksHarness) -> None:
        result_of(extras.write(ONE, A, EXTRAS))
        later = evolve(SUSPENSION, next_probe=NOW + 20)
        result_of(extras.write(TWO, A, evolve(EXTRAS, suspension=later)))
        deliveries = DeliveryStore(harness.database)
        for hook_id in (ONE, TWO):
            result_of(deliveries.enqueue([(make_delivery(hook_id, hook_id=hook_id), NOW, "")]))
            result_of(deliveries.pause(hook_id))

    def test_the_longest_due_come_first(self, extras: HookExtrasStore) -> None:
        assert list(result_of(extras.due_probes(NOW + 25))) == [TWO]
        assert list(result_of(extras.due_probes(NOW + 30))) == [TWO, ONE]
        assert result_of(extras.due_probes(NOW + 30))[ONE] == SUSPENSION

    def test_a_hook_without_a_held_delivery_is_not_due(
        self, extras: HookExtrasStore, harness: HooksHarness
    ) -> None:
        result_of(DeliveryStore(harness.database).delete(ONE))
        assert list(result_of(extras.due_probes(NOW + 30))) == [TWO]

    def test_a_probe_is_claimed_once_and_can_be_given_back(self, extras: HookExtrasStore) -> None:
        assert result_of(extras.claim_probe(ONE, SUSPENSION, NOW + 90)) is True
        assert result_of(extras.claim_probe(ONE, SUSPENSION, NOW + 90)) is False
        assert result_of(extras.claim_probe(ONE, Suspension(NOW - 1, NOW), NOW + 90)) is False
        result_of(extras.return_probe(ONE, SUSPENSION, NOW + 40))
        assert result_of(extras.read([ONE]))[ONE].suspension == Suspension(NOW, NOW + 40, 0)

    def test_a_suspension_that_ended_leaves_what_else_is_kept(self, extras: HookExtrasStore) -> None:
        result_of(extras.end_suspensions({ONE: SUSPENSION, TWO: Suspension(NOW - 1, NOW)}))
        found = result_of(extras.read([ONE, TWO]))
        assert found[ONE] == evolve(EXTRAS, suspension=None)
        assert found[TWO].suspension is not None
