from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from kazoo_bridge.couchdb.names import WEBHOOKS
from kazoo_bridge.interfaces import Secret
from kazoo_bridge.storage.couchdb_hooks.extras import HookExtras
from kazoo_bridge.storage.couchdb_hooks.orphans import DELAY, OrphanRemoval
from kazoo_bridge.storage.missed_events import MissedEventStore
from tests.directory.couchdb.harness import error_of, result_of
from tests.storage.couchdb_hooks.harness import HooksHarness
from tests.storage.record_factories import ONE, THREE, TWO, A

EXTRAS = HookExtras(secrets=(Secret("whsec_x"),))


def keep(harness: HooksHarness, *hook_ids: str) -> None:
    """Keep a secret of these hooks."""
    for hook_id in hook_ids:
        result_of(harness.extras.write(hook_id, A, EXTRAS))


def kept(harness: HooksHarness) -> set[str]:
    """Return the ids of the hooks of which something is kept."""
    return set(result_of(harness.extras.hook_ids()))


def removal(harness: HooksHarness) -> Deferred[int]:
    """Load the hooks, and start the removal."""
    harness.load()
    orphans = OrphanRemoval(harness.clock, harness.client, harness.store, harness.extras)
    return Deferred.fromCoroutine(orphans.run())


def test_what_is_kept_of_deleted_hooks_is_deleted(harness: HooksHarness) -> None:
    for hook_id in (ONE, TWO, THREE):
        harness.save(hook_id)
    keep(harness, ONE, TWO, THREE)
    harness.couch.delete(WEBHOOKS, TWO)
    harness.couch.update(WEBHOOKS, THREE, pvt_deleted=True)
    removing = removal(harness)
    harness.clock.advance(DELAY - 1)
    assert kept(harness) == {ONE, TWO, THREE}
    harness.clock.advance(1)
    assert result_of(removing) == 2
    assert kept(harness) == {ONE}


def test_nothing_is_asked_for_if_all_hooks_exist(harness: HooksHarness) -> None:
    harness.save(ONE)
    keep(harness, ONE)
    assert result_of(removal(harness)) == 0
    assert harness.clock.getDelayedCalls() == []


def test_a_document_that_cannot_be_used_keeps_what_it_has(harness: HooksHarness) -> None:
    harness.save(ONE, pvt_account_id="broken")
    keep(harness, ONE)
    removing = removal(harness)
    harness.clock.advance(DELAY)
    assert result_of(removing) == 0
    assert kept(harness) == {ONE}


def test_a_hook_that_couchdb_never_had_keeps_what_it_has(harness: HooksHarness) -> None:
    """The document may come yet: CouchDB is replicating, or was restored from an older backup."""
    harness.save(ONE)
    harness.save(THREE)
    harness.couch.delete(WEBHOOKS, THREE)
    keep(harness, ONE, TWO, THREE)
    # Events bring hooks of which CouchDB has no document.
    result_of(MissedEventStore(harness.database).add({("callflow", "undeliverable"): 1}))
    removing = removal(harness)
    harness.clock.advance(DELAY)
    assert result_of(removing) == 1
    assert kept(harness) == {ONE, TWO, "callflow"}


def test_a_hook_that_is_written_meanwhile_keeps_its_secrets(harness: HooksHarness) -> None:
    harness.save(ONE)
    keep(harness, ONE, TWO)
    removing = removal(harness)
    harness.save(TWO)
    harness.clock.advance(DELAY)
    assert result_of(removing) == 0
    assert kept(harness) == {ONE, TWO}


def test_another_couchdb_than_before_deletes_nothing(harness: HooksHarness) -> None:
    harness.save(THREE)
    keep(harness, ONE, TWO)
    removing = removal(harness)
    harness.clock.advance(DELAY)
    assert result_of(removing) == 0
    assert kept(harness) == {ONE, TWO}


@pytest.mark.parametrize("missing", [True, False])
def test_without_couchdb_nothing_is_deleted(harness: HooksHarness, missing: bool) -> None:
    keep(harness, ONE)
    removing = removal(harness)
    if missing:
        del harness.couch.databases[WEBHOOKS]
    harness.couch.away = not missing
    harness.clock.advance(DELAY)
    assert "CouchDB at" in error_of(removing)
    assert kept(harness) == {ONE}
