from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from twisted.logger import capturedLogs

from kazoo_bridge.couchdb.names import WEBHOOKS
from kazoo_bridge.interfaces import Attempt, Secret
from kazoo_bridge.storage.couchdb_hooks.extras import HookExtras
from kazoo_bridge.storage.couchdb_hooks.orphans import DELAY
from tests.directory.couchdb.harness import result_of
from tests.storage.couchdb_hooks.harness import HooksHarness
from tests.storage.record_factories import NOW, ONE, THREE, TWO, A


def test_hooks_are_read_then_followed(harness: HooksHarness) -> None:
    harness.save(ONE)
    harness.start()
    assert [hook.id for hook in harness.hooks] == [ONE]
    assert (harness.times_loaded, harness.source.problem()) == (1, None)
    harness.save(TWO)
    harness.save(TWO, name="again")
    harness.couch.save(WEBHOOKS, {"_id": "_design/webhooks"})
    harness.couch.delete(WEBHOOKS, ONE)
    harness.couch.flush()
    assert set().union(*harness.reloads) == {ONE, TWO}
    assert [hook.id for hook in result_of(harness.store.for_account(A))] == [TWO]


def test_a_change_of_this_node_is_no_change(harness: HooksHarness) -> None:
    harness.save(ONE)
    harness.start()
    hook = harness.hook()
    result_of(harness.store.replace(hook, dict(hook.document) | {"name": "mine"}))
    created = result_of(harness.store.create(A, dict(hook.document)))
    result_of(harness.store.delete(created))
    harness.couch.flush()
    assert harness.reloads == []


def test_what_is_kept_of_a_hook_ends_with_it(harness: HooksHarness) -> None:
    hook_ids = [ONE, TWO, THREE]
    for hook_id in hook_ids:
        harness.save(hook_id)
    harness.start()
    for hook_id in hook_ids:
        hook = harness.hook(hook_id)
        result_of(harness.store.replace(hook, hook.document, (Secret("whsec_x"),)))
    harness.couch.update(WEBHOOKS, ONE, pvt_deleted=True)
    harness.couch.update(WEBHOOKS, TWO, pvt_account_id="not one any more")
    harness.couch.delete(WEBHOOKS, THREE)
    assert list(result_of(harness.extras.read(hook_ids))) == [TWO]
    assert (len(harness.store), harness.memory) == (0, {})
    result_of(harness.store.delete_of_account(A))
    assert result_of(harness.extras.read(hook_ids)) == {}


def test_a_deletion_is_news_until_it_is_stored(harness: HooksHarness) -> None:
    harness.save(ONE)
    harness.start()
    result_of(harness.store.replace(harness.hook(), harness.hook().document, (Secret("whsec_x"),)))
    harness.database.away = True
    harness.couch.delete(WEBHOOKS, ONE)
    assert harness.memory == {}
    harness.database.away = False
    harness.advance(20)
    assert result_of(harness.extras.read([ONE])) == {}
    assert len(harness.store) == 0


def test_what_is_kept_of_hooks_that_were_deleted_meanwhile_is_deleted(harness: HooksHarness) -> None:
    for hook_id in (ONE, TWO):
        harness.save(hook_id)
        result_of(harness.extras.write(hook_id, A, HookExtras({"ordered": True})))
    harness.couch.delete(WEBHOOKS, TWO)
    harness.start()
    harness.advance(int(DELAY))
    assert list(result_of(harness.extras.read([ONE, TWO]))) == [ONE]


def test_without_the_storage_what_is_kept_of_deleted_hooks_stays(harness: HooksHarness) -> None:
    harness.save(ONE)
    result_of(harness.extras.write(ONE, A, HookExtras({"ordered": True})))
    harness.couch.delete(WEBHOOKS, ONE)
    harness.start()
    harness.database.away = True
    with capturedLogs() as logs:
        harness.advance(int(DELAY))
    assert "stay until the next start" in logs[-1]["log_format"]
    assert list(result_of(harness.extras.read([ONE]))) == [ONE]


def test_a_document_that_cannot_be_used_harms_no_other(harness: HooksHarness) -> None:
    harness.save(ONE)
    harness.save(TWO, pvt_account_id=7)
    with capturedLogs() as logs:
        harness.start()
        harness.save(THREE, name="x" * 300_000)
        harness.save(ONE, name="fine")
    assert [line["hook_id"] for line in logs if "hook_id" in line] == [TWO, THREE]
    assert harness.hook(ONE).document["name"] == "fine"
    assert len(result_of(harness.store.for_account(A))) == 1


def test_without_couchdb_at_the_start_the_hooks_are_read_later(harness: HooksHarness) -> None:
    harness.save(ONE)
    harness.couch.away = True
    with capturedLogs() as logs:
        harness.start()
    assert "hooks of CouchDB not read, trying again" in logs[-1]["log_format"]
    assert "CouchDB at http://couch.example:15984" in (harness.source.problem() or "")
    assert (harness.source.running, harness.times_loaded) == (1, 0)
    harness.clock.advance(5)
    assert harness.times_loaded == 0
    harness.couch.away = False
    harness.advance(20)
    assert (harness.times_loaded, harness.source.problem()) == (1, None)
    assert [hook.id for hook in harness.hooks] == [ONE]
    harness.save(TWO)
    assert harness.reloads == [{TWO}]


def test_it_stops_while_it_waits_for_couchdb(harness: HooksHarness) -> None:
    harness.couch.away = True
    harness.start()
    harness.stop()


@pytest.mark.parametrize("there", [True, False])
def test_a_missing_database_says_so(harness: HooksHarness, there: bool) -> None:
    if not there:
        del harness.couch.databases[WEBHOOKS]
    harness.load()
    problem = harness.source.problem()
    assert problem is None if there else "has no database 'webhooks'; crossbar creates it" in (problem or "")


def test_without_couchdb_later_the_hooks_serve_on_and_readiness_says_so(harness: HooksHarness) -> None:
    harness.save(ONE)
    harness.start()
    harness.couch.away = True
    harness.couch.drop_streams()
    harness.advance(2)
    assert harness.source.problem() is None
    harness.advance(5)
    assert (harness.source.problem() or "").startswith("what is in memory serves on")
    harness.couch.away = False
    harness.couch.save(WEBHOOKS, harness.document() | {"name": "meanwhile"})
    harness.advance(30)
    assert harness.source.problem() is None
    assert harness.reloads == [{ONE}]


def test_metrics_and_the_last_attempts(harness: HooksHarness) -> None:
    harness.save(ONE)
    database = f"account/aa/aa/{'a' * 28}-202311"
    harness.couch.create(database)
    harness.load()
    registry = CollectorRegistry()
    harness.source.register_metrics(registry)
    result_of(harness.source.attempts.add([Attempt(A, ONE, "1-x", True, NOW, {"hook_id": ONE})], {}))
    result_of(harness.source.close())
    assert len(harness.couch.databases[database]) == 1
    exported = generate_latest(registry).decode()
    assert "kazoo_bridge_couchdb_hooks 1.0" in exported
    assert 'kazoo_bridge_couchdb_attempts_total{result="stored"} 1.0' in exported
    assert 'kazoo_bridge_couchdb_attempts_total{result="no_database"} 0.0' in exported
