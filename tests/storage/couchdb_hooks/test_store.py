from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred, gatherResults
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from kazoo_bridge.couchdb.changes import Change
from kazoo_bridge.couchdb.names import WEBHOOKS
from kazoo_bridge.interfaces import (
    HookAuthor,
    IHookStore,
    RevisionConflict,
    Secret,
    Suspension,
    TooManyHooks,
)
from kazoo_bridge.storage.couchdb_hooks.extras import HookExtras
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.missed_events import MissedEventStore
from tests.directory.couchdb.harness import error_of, result_of
from tests.storage.couchdb_hooks.harness import GREGORIAN_NOW, HooksHarness, hook_document
from tests.storage.record_factories import NOW, ONE, THREE, TWO, A, B, make_delivery

_now = SynchronousTestCase()

DOCUMENT = {
    "name": "Sales desk 2",
    "uri": "http://receiver.example/",
    "hook": "channel_create",
    "http_verb": "post",
    "format": "json",
    "enabled": True,
    "retries": 2,
    "include_subaccounts": False,
    "include_internal_legs": True,
}


def conflict_of(deferred: Deferred[Any]) -> str:
    return str(_now.failureResultOf(deferred, RevisionConflict).value)


def test_it_implements_the_interface(harness: HooksHarness) -> None:
    assert verifyObject(IHookStore, harness.store)


def test_all_hooks_are_read_in_batches_without_other_documents(harness: HooksHarness) -> None:
    for digit in "123456789":
        harness.save(digit * 32)
    harness.save("a" * 32, pvt_deleted=True)
    harness.couch.save(WEBHOOKS, {"_id": "_design/webhooks", "views": {}})
    harness.couch.save(WEBHOOKS, {"_id": "b" * 32, "pvt_type": "other"})
    harness.load()
    assert [hook.id[0] for hook in harness.hooks] == list("123456789")
    assert len(harness.store) == 9
    assert result_of(harness.store.for_account(B)) == []
    assert len(result_of(harness.store.for_account(A))) == 9


def test_two_readings_of_all_hooks_at_the_same_time(harness: HooksHarness) -> None:
    for digit in "123":
        harness.save(digit * 32)
    first, at = result_of(harness.store.batch(0, 1))
    other, other_at = result_of(harness.store.batch(0, 2))
    assert [hook.id[0] for hook in (*first, *other)] == ["1", "1", "2"]
    assert [hook.id[0] for hook in result_of(harness.store.batch(at, 5))[0]] == ["2", "3"]
    assert [hook.id[0] for hook in result_of(harness.store.batch(other_at, 5))[0]] == ["3"]


def test_a_new_hook_is_written_as_crossbar_writes_it(harness: HooksHarness) -> None:
    harness.load()
    hook = result_of(harness.store.create(A, DOCUMENT | {"group": "x"}))
    assert (len(hook.id), hook.account_id, hook.document) == (32, A, DOCUMENT | {"group": "x"})
    assert (hook.created, hook.modified) == (GREGORIAN_NOW, GREGORIAN_NOW)
    written = harness.document(hook.id)
    assert written == DOCUMENT | {
        "group": "x",
        "_id": hook.id,
        "_rev": hook.revision,
        "pvt_type": "webhook",
        "pvt_vsn": "1",
        "pvt_account_id": A,
        "pvt_account_db": "webhooks",
        "pvt_created": GREGORIAN_NOW,
        "pvt_modified": GREGORIAN_NOW,
        "pvt_node": "kazoo_bridge@host",
        "pvt_alphanum_name": "salesdesk2",
    }
    assert harness.hook(hook.id) == hook
    assert result_of(harness.store.for_account(A)) == [hook]


def test_what_couchdb_cannot_hold_stays_here(harness: HooksHarness) -> None:
    harness.load()
    document = DOCUMENT | {"ordered": True, "headers": {"x-key": "********"}, "timeout_ms": 500}
    secrets = (Secret("whsec_hunter2", None),)
    hook = result_of(harness.store.create(A, document, secrets, {"x-key": "hunter3"}))
    assert (hook.document, hook.secrets, hook.headers) == (document, secrets, {"x-key": "hunter3"})
    assert "hunter" not in str(harness.couch.databases)
    assert not {"ordered", "headers", "timeout_ms"} & harness.document(hook.id).keys()
    assert harness.hook(hook.id) == hook
    replaced = result_of(harness.store.replace(hook, DOCUMENT | {"ordered": True}))
    assert (replaced.secrets, replaced.headers) == (secrets, {"x-key": "hunter3"})
    assert replaced.document == DOCUMENT | {"ordered": True}
    # KAZOO's own API replaces the document, and knows nothing of this.
    harness.couch.update(WEBHOOKS, hook.id, name="Renamed")
    assert harness.hook(hook.id).document == DOCUMENT | {"ordered": True, "name": "Renamed"}
    assert harness.hook(hook.id).secrets == secrets


def test_a_hook_is_replaced_with_its_private_keys(harness: HooksHarness) -> None:
    harness.save(unknown="kept?", pvt_other={"n": 1}, ordered="theirs")
    harness.load()
    harness.clock.advance(5)
    hook = harness.hook()
    assert hook.document["unknown"] == "kept?"
    assert "ordered" not in hook.document
    replaced = result_of(harness.store.replace(hook, {**hook.document} | {"name": "New"}))
    written = harness.document()
    assert written["_rev"] == replaced.revision != hook.revision
    assert (written["name"], written["unknown"], written["pvt_other"]) == ("New", "kept?", {"n": 1})
    assert (written["pvt_created"], written["pvt_modified"]) == (63667898685, GREGORIAN_NOW + 5)
    assert (written["pvt_auth_account_id"], written["ordered"]) == (A, "theirs")


def test_disabling_and_enabling_as_kazoo_writes_it(harness: HooksHarness) -> None:
    harness.save()
    harness.load()
    hook = harness.hook()
    off = {**hook.document} | {"enabled": False, "disable_reason": "too many failed attempts"}
    disabled = result_of(harness.store.replace(hook, off, suspension=Suspension(NOW, NOW + 30)))
    assert disabled.suspension == Suspension(NOW, NOW + 30)
    written = harness.document()
    assert (written["enabled"], written["pvt_disabled_message"]) == (False, "too many failed attempts")
    assert "disable_reason" not in written
    assert harness.hook() == disabled
    enabled = {name: value for name, value in off.items() if name != "disable_reason"} | {"enabled": True}
    assert result_of(harness.store.replace(disabled, enabled)).suspension is None
    assert harness.document()["enabled"] is True
    assert "pvt_disabled_message" not in harness.document()
    assert result_of(harness.extras.read([ONE])) == {}


def test_who_writes_first_wins(harness: HooksHarness) -> None:
    harness.save()
    harness.load()
    hook = harness.hook()
    harness.save(name="By KAZOO")
    assert "no longer at revision" in conflict_of(harness.store.replace(hook, hook.document))
    assert "no longer at revision" in conflict_of(harness.store.delete(hook))
    assert harness.document()["name"] == "By KAZOO"
    # CouchDB itself says so, if the change comes between reading and writing.
    current = harness.hook()
    harness.couch.answer_instead = lambda asked: (409, b"{}") if asked.startswith("PUT") else None
    assert "has just been changed" in conflict_of(harness.store.replace(current, current.document))


def test_writes_of_one_hook_come_after_each_other(harness: HooksHarness) -> None:
    harness.save()
    harness.load()
    hook = harness.hook()
    harness.couch.frozen = True
    one = harness.store.replace(hook, {**hook.document} | {"name": "one"})
    asked = len(harness.couch.headers)
    two = harness.store.by_ids([ONE])
    assert len(harness.couch.headers) == asked
    harness.couch.frozen = False
    harness.clock.advance(11)
    assert "no whole answer within" in error_of(one)
    assert [found.document["name"] for found in result_of(two)] == ["Calls"]
    assert len(harness.store._locks) == 0


def test_a_hook_is_deleted_softly_like_crossbar(harness: HooksHarness) -> None:
    harness.save()
    harness.load()
    hook = result_of(harness.store.replace(harness.hook(), DOCUMENT, (Secret("whsec_x"),)))
    deliveries = DeliveryStore(harness.database)
    result_of(deliveries.enqueue([(make_delivery("m"), NOW, "")]))
    result_of(harness.store.delete(hook))
    written = harness.document()
    assert (written["pvt_deleted"], written["pvt_modified"], written["uri"]) == (
        True,
        GREGORIAN_NOW,
        "http://receiver.example/",
    )
    assert result_of(harness.store.get(A, ONE)) is None
    assert result_of(harness.store.by_ids([ONE])) == result_of(harness.store.for_account(A)) == []
    assert result_of(harness.extras.read([ONE])) == {}
    assert result_of(deliveries.waiting_counts([ONE])) == {}


def test_a_hook_is_deleted_for_good_if_the_client_asks_for_it(harness: HooksHarness) -> None:
    harness.save()
    harness.load()
    hook = result_of(harness.store.replace(harness.hook(), DOCUMENT, (Secret("whsec_x"),)))
    harness.couch.answer_instead = lambda asked: (409, b"{}") if asked.startswith("DELETE") else None
    assert "has just been changed" in conflict_of(harness.store.delete(hook, soft=False))
    harness.couch.answer_instead = lambda _: None
    result_of(harness.store.delete(hook, soft=False))
    assert ONE not in harness.couch.databases[WEBHOOKS]
    assert result_of(harness.store.by_ids([ONE])) == result_of(harness.store.for_account(A)) == []
    assert result_of(harness.extras.read([ONE])) == {}


def test_a_document_says_who_has_written_it_last_like_crossbars(harness: HooksHarness) -> None:
    harness.load()
    user, account = HookAuthor(A, "u1", "r1"), HookAuthor(B, None, "r2")

    def author(hook_id: str) -> tuple[Any, ...]:
        keys = ("pvt_is_authenticated", "pvt_auth_account_id", "pvt_auth_user_id", "pvt_request_id")
        return tuple(harness.document(hook_id).get(key) for key in keys)

    hook = result_of(harness.store.create(A, DOCUMENT, author=user))
    assert author(hook.id) == (True, A, "u1", "r1")
    # The service itself: who has asked for the last change stays.
    hook = result_of(harness.store.replace(hook, DOCUMENT | {"enabled": False}))
    assert author(hook.id) == (True, A, "u1", "r1")
    harness.couch.update(WEBHOOKS, hook.id, pvt_original_auth_account_id=A)
    hook = result_of(harness.store.replace(harness.hook(hook.id), DOCUMENT, author=account))
    assert author(hook.id) == (True, B, None, "r2")
    assert "pvt_original_auth_account_id" not in harness.document(hook.id)
    result_of(harness.store.delete(hook, author=user))
    assert author(hook.id) == (True, A, "u1", "r1")


def test_the_hooks_of_a_deleted_account_are_deleted(harness: HooksHarness) -> None:
    harness.save(ONE)
    harness.save(TWO)
    harness.save(THREE, B)
    harness.load()
    harness.couch.delete(WEBHOOKS, TWO)  # KAZOO is deleting them, too
    assert result_of(harness.store.delete_of_account(A)) == 1
    assert list(harness.couch.databases[WEBHOOKS]) == [THREE]
    assert result_of(harness.store.delete_of_account(A)) == 0
    assert len(harness.store) == 1


def test_the_events_that_hooks_of_a_deleted_account_have_missed_are_deleted(harness: HooksHarness) -> None:
    harness.save(ONE)
    harness.save(TWO, B)
    harness.load()
    missed = MissedEventStore(harness.database)
    result_of(missed.add({(ONE, "disabled"): 1, (TWO, "disabled"): 1}))
    assert result_of(harness.store.delete_of_account(A)) == 1
    assert list(result_of(missed.counts([ONE, TWO]))) == [TWO]


def test_reading_a_hook_does_not_mean_that_the_hook_in_memory_is_new(harness: HooksHarness) -> None:
    harness.save()
    harness.load()
    harness.couch.update(WEBHOOKS, ONE, enabled=False)
    change = Change(ONE, harness.document())
    result_of(harness.store.by_ids([ONE]))
    result_of(harness.store.batch(0, 10))
    assert result_of(harness.store.news([change])) == [change]
    result_of(harness.store.applied([change]))
    assert result_of(harness.store.news([change])) == []


def test_an_account_has_a_largest_number_of_hooks(tmp_path: Path) -> None:
    harness = HooksHarness(tmp_path, max_per_account=2)
    harness.save()
    harness.load()
    result_of(harness.store.create(A, DOCUMENT))
    refused = _now.failureResultOf(harness.store.create(A, DOCUMENT), TooManyHooks).value
    assert refused.limit == 2
    result_of(harness.store.create(B, DOCUMENT))
    result_of(harness.database.close())


def test_a_hook_of_another_account_is_not_found(harness: HooksHarness) -> None:
    harness.save()
    for account_id, hook_id in ((B, ONE), (A, TWO), (A, "../_all_docs"), (A, "\x00"), (A, "")):
        assert result_of(harness.store.get(account_id, hook_id)) is None
    assert result_of(harness.store.by_ids(["\x00", "_design/x", TWO])) == []


def test_without_couchdb_everything_says_so(harness: HooksHarness) -> None:
    harness.save()
    assert "not been read yet" in error_of(harness.store.for_account(A))
    harness.load()
    hook = harness.hook()
    harness.couch.away = True
    calls: list[Deferred[Any]] = [
        harness.store.get(A, ONE),
        harness.store.for_account(A),
        harness.store.by_ids([ONE]),
        harness.store.create(A, DOCUMENT),
        harness.store.replace(hook, DOCUMENT),
        harness.store.delete(hook),
        harness.store.delete_of_account(A),
        harness.store.batch(0, 10),
    ]
    for call in calls:
        assert "CouchDB at http://couch.example:15984" in error_of(call)
    assert len(harness.store._locks) == 0


def test_changes_that_are_known_are_no_news(harness: HooksHarness) -> None:
    harness.save()
    harness.load()
    changed = harness.document() | {"_rev": "2-b"}
    for change, is_news in (
        (Change(ONE, harness.document()), False),
        (Change(ONE, changed), True),
        (Change(TWO, changed | {"_id": TWO}), True),
        (Change(ONE, changed | {"pvt_deleted": True}), True),
        (Change(ONE, None, deleted=True), True),
        (Change(TWO, None, deleted=True), False),
        (Change("_design/webhooks", {"_id": "_design/webhooks"}), False),
    ):
        assert result_of(harness.store.news([change])) == ([change] if is_news else [])
    created = result_of(harness.store.create(A, DOCUMENT))
    assert result_of(harness.store.news([Change(created.id, harness.document(created.id))])) == []


def test_the_latest_change_of_a_hook_counts(harness: HooksHarness) -> None:
    harness.save()
    harness.load()
    theirs = Change(ONE, harness.document() | {"_rev": "2-b"})
    latest = Change(ONE, harness.document() | {"_rev": "3-b"})
    assert result_of(harness.store.news([theirs, latest])) == [latest]
    result_of(harness.store.delete(harness.hook()))
    # This node has deleted the hook since.
    assert result_of(harness.store.news([theirs, Change(ONE, harness.document())])) == []


class TestWithoutTheStorage:
    """CouchDB has taken the write, but the storage fails: the change that CouchDB brings must be news."""

    @pytest.fixture(autouse=True)
    def started(self, harness: HooksHarness) -> None:
        harness.save()
        harness.start()
        result_of(harness.store.replace(harness.hook(), DOCUMENT, (Secret("whsec_x"),)))
        result_of(harness.source._reload_hooks([ONE]))
        harness.reloads.clear()
        harness.database.away = True

    def back(self, harness: HooksHarness) -> None:
        harness.database.away = False
        harness.advance(20)

    def test_a_hook_that_was_changed_does_not_serve_on(self, harness: HooksHarness) -> None:
        secrets = (Secret("whsec_y"),)
        failed = harness.store.replace(harness.hook(), DOCUMENT | {"enabled": False}, secrets)
        assert error_of(failed) == "no storage"
        harness.couch.flush()
        assert harness.memory[ONE].document["enabled"] is False
        self.back(harness)
        assert harness.memory[ONE] == harness.hook()

    def test_a_hook_that_was_deleted_does_not_serve_on(self, harness: HooksHarness) -> None:
        assert error_of(harness.store.delete(harness.hook())) == "no storage"
        harness.couch.flush()
        assert harness.memory == {}
        self.back(harness)
        assert len(harness.store) == 0
        assert result_of(harness.extras.read([ONE])) == {}

    def test_hooks_of_a_deleted_account_do_not_serve_on(self, harness: HooksHarness) -> None:
        assert error_of(harness.store.delete_of_account(A)) == "no storage"
        harness.couch.flush()
        assert harness.memory == {}
        self.back(harness)
        assert len(harness.store) == 0
        assert result_of(harness.extras.read([ONE])) == {}

    def test_a_hook_is_not_disabled_without_its_suspension(self, harness: HooksHarness) -> None:
        off = DOCUMENT | {"enabled": False, "disable_reason": "too many failed attempts"}
        failed = harness.store.replace(harness.hook(), off, suspension=Suspension(NOW, NOW + 30))
        assert error_of(failed) == "no storage"
        assert harness.document()["enabled"] is True

    def test_a_hook_that_cannot_be_created_is_not_there(self, harness: HooksHarness) -> None:
        assert error_of(harness.store.create(A, DOCUMENT, (Secret("whsec_z"),))) == "no storage"
        assert list(harness.couch.databases[WEBHOOKS]) == [ONE]


class TestProbes:
    @pytest.fixture(autouse=True)
    def suspended(self, harness: HooksHarness) -> None:
        harness.save()
        harness.load()
        hook = harness.hook()
        off = {**hook.document} | {"enabled": False, "disable_reason": "too many failed attempts"}
        result_of(harness.store.replace(hook, off, suspension=Suspension(NOW, NOW + 30)))
        deliveries = DeliveryStore(harness.database)
        result_of(deliveries.enqueue([(make_delivery("m"), NOW, "")]))
        result_of(deliveries.pause(ONE))

    def test_one_node_makes_each_probe(self, harness: HooksHarness) -> None:
        assert result_of(harness.store.due_probes(NOW + 29)) == []
        (hook,) = result_of(harness.store.due_probes(NOW + 30))
        assert hook == harness.hook()
        claims = [harness.store.claim_probe(hook, NOW + 90) for _ in range(2)]
        assert result_of(gatherResults(claims)) == [True, False]
        assert harness.hook().suspension == Suspension(NOW, NOW + 90, 1)
        result_of(harness.store.return_probe(hook, NOW + 60))
        assert harness.hook().suspension == Suspension(NOW, NOW + 60, 0)

    def test_a_suspension_is_written_before_the_document(self, harness: HooksHarness) -> None:
        harness.couch.update(WEBHOOKS, ONE, enabled=True)
        result_of(harness.extras.write(ONE, A, HookExtras(secrets=(Secret("whsec_x"),))))
        seen: list[Suspension | None] = []

        def look(asked: str) -> tuple[int, bytes] | None:
            if asked.startswith("PUT"):
                seen.append(result_of(harness.extras.read([ONE]))[ONE].suspension)
            return None

        harness.couch.answer_instead = look
        hook = harness.hook()
        off = {**hook.document} | {"enabled": False, "disable_reason": "too many failed attempts"}
        disabled = result_of(harness.store.replace(hook, off, suspension=Suspension(NOW + 1, NOW + 31)))
        assert seen == [disabled.suspension] == [Suspension(NOW + 1, NOW + 31)]
        assert harness.hook() == disabled
        assert disabled.secrets == (Secret("whsec_x"),)

    def test_without_the_document_there_is_no_suspension(self, harness: HooksHarness) -> None:
        enabled = {**DOCUMENT, "enabled": True}
        result_of(harness.store.replace(harness.hook(), enabled))
        hook = harness.hook()
        harness.couch.answer_instead = lambda asked: (409, b"{}") if asked.startswith("PUT") else None
        off = {**hook.document} | {"enabled": False, "disable_reason": "too many failed attempts"}
        conflict_of(harness.store.replace(hook, off, suspension=Suspension(NOW, NOW + 30)))
        assert [extras.suspension for extras in result_of(harness.extras.read([ONE])).values()] == [None]

    def test_a_hook_that_kazoo_enables_is_suspended_no_more(self, harness: HooksHarness) -> None:
        document = hook_document(enabled=True)
        harness.couch.save(WEBHOOKS, document)
        assert harness.hook().suspension is None
        assert result_of(harness.store.due_probes(NOW + 30)) == []
        assert result_of(harness.extras.due_probes(NOW + 30)) == {}
        harness.couch.update(WEBHOOKS, ONE, enabled=False)
        assert harness.hook().suspension is None
