from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs

from kazoo_bridge.interfaces import RevisionConflict, Secret, StoredHook, Suspension, TooManyHooks
from kazoo_bridge.webhooks.hooks import hook_service
from kazoo_bridge.webhooks.hooks.hook_document import InvalidDocument
from kazoo_bridge.webhooks.hooks.hook_secrets import DEFAULT_OVERLAP
from kazoo_bridge.webhooks.hooks.hook_service import TOO_MANY_FAILURES, HookService, patched
from kazoo_bridge.webhooks.hooks.registry import HookRegistry
from kazoo_bridge.webhooks.hooks.signing_keys import generate_secret
from tests.webhooks.fakes import FakeHookStore
from tests.webhooks.hook_factory import ACCOUNT, RULES

OTHER_ACCOUNT = "b" * 32
GOOD = {"name": "n", "uri": "http://u:hunter2@receiver.example/", "hook": "channel_create"}
NOW = 1000.0


class Harness:
    """A hook service on a store in memory.

    `uri_denial` is why URIs are denied; `changes` and `loaded` are the calls of its callbacks.
    """

    def __init__(self) -> None:
        self.store = FakeHookStore()
        self.registry = HookRegistry()
        self.uri_denial: str | None = None
        self.changes: list[tuple[str, str, str]] = []
        self.loaded: list[tuple[str, bool]] = []
        clock = Clock()
        clock.advance(NOW)
        self.service = HookService(
            clock, self.store, self.registry, RULES, self._check_uri, self._on_changed, self._on_loaded
        )

    async def _check_uri(self, _uri: str) -> str | None:
        return self.uri_denial

    def _on_changed(self, action: str, hook: StoredHook) -> None:
        self.changes.append((action, hook.id, hook.revision))

    def _on_loaded(self, hook_id: str, enabled: bool) -> None:
        self.loaded.append((hook_id, enabled))


@pytest.fixture
def harness() -> Harness:
    return Harness()


@pytest_twisted.ensureDeferred
async def test_a_created_hook_is_stored_registered_and_published(harness: Harness) -> None:
    hook = await harness.service.create(ACCOUNT, {**GOOD, "retries": 1.0})
    assert harness.store.hooks == {hook.id: hook}
    assert hook.document == RULES.validate({**GOOD, "retries": 1})
    registered = harness.registry.get(hook.id)
    assert registered is not None
    assert registered.revision == hook.revision
    assert harness.changes == [("doc_created", hook.id, "1-x")]
    assert harness.loaded == [(hook.id, False)]
    assert hook.secrets == ()


@pytest_twisted.ensureDeferred
async def test_an_invalid_document_is_not_stored(harness: Harness) -> None:
    with pytest.raises(InvalidDocument) as refused:
        await harness.service.create(ACCOUNT, {**GOOD, "retries": 9})
    assert list(refused.value.errors) == ["retries"]
    with pytest.raises(InvalidDocument) as refused:
        await harness.service.create(ACCOUNT, {**GOOD, "secret": "hunter2"})
    assert list(refused.value.errors) == ["secret"]
    assert not harness.store.hooks
    assert not harness.changes


@pytest_twisted.ensureDeferred
async def test_a_denied_uri_is_a_validation_error_without_credentials(harness: Harness) -> None:
    harness.uri_denial = "webhooks may not go to receiver.example"
    with pytest.raises(InvalidDocument) as refused:
        await harness.service.create(ACCOUNT, GOOD)
    assert refused.value.errors == {
        "uri": {
            "wrong_format": {"message": harness.uri_denial, "cause": "http://***@receiver.example/"},
        }
    }
    assert not harness.store.hooks


@pytest_twisted.ensureDeferred
async def test_an_account_may_have_so_many_hooks(harness: Harness) -> None:
    harness.store.max_hooks = 0
    with pytest.raises(TooManyHooks):
        await harness.service.create(ACCOUNT, GOOD)
    assert not harness.changes


@pytest_twisted.ensureDeferred
async def test_a_replaced_hook_matches_its_new_event(harness: Harness) -> None:
    hook = await harness.service.create(ACCOUNT, GOOD)
    await harness.service.replace(hook, {**GOOD, "hook": "channel_answer"})
    assert not list(harness.registry.matching("channel_create", ACCOUNT, ()))
    assert [one.revision for one in harness.registry.matching("channel_answer", ACCOUNT, ())] == ["2-x"]
    assert harness.changes[1:] == [("doc_edited", hook.id, "2-x")]
    with pytest.raises(RevisionConflict):
        await harness.service.replace(hook, GOOD)


@pytest_twisted.ensureDeferred
async def test_a_patch_replaces_and_removes_keys(harness: Harness) -> None:
    hook = await harness.service.create(ACCOUNT, {**GOOD, "custom_data": {"a": "1", "b": "2"}, "group": "g"})
    changes = {"custom_data": {"c": "3"}, "group": None, "enabled": False}
    hook = await harness.service.patch(hook, changes)
    assert hook.document["custom_data"] == {"c": "3"}
    assert "group" not in hook.document
    assert len(harness.registry) == 0


@pytest_twisted.ensureDeferred
async def test_secrets_are_set_replaced_and_removed(harness: Harness) -> None:
    first, second, third = (generate_secret() for _ in range(3))
    hook = await harness.service.create(ACCOUNT, {**GOOD, "secret": first})
    assert hook.secrets == (Secret(first),)
    hook = await harness.service.patch(hook, {"name": "m"})
    assert hook.secrets == (Secret(first),)
    hook = await harness.service.patch(hook, {"secret": second})
    assert hook.secrets == (Secret(second), Secret(first, NOW + DEFAULT_OVERLAP))
    hook = await harness.service.rotate_secret(hook, {"secret": third, "secret_overlap_seconds": 0})
    assert hook.secrets == (Secret(third),)
    hook = await harness.service.patch(hook, {"secret": None})
    assert hook.secrets == ()
    assert "secret" not in hook.document


@pytest_twisted.ensureDeferred
async def test_a_deleted_hook_leaves_storage_and_registry(harness: Harness) -> None:
    hook = await harness.service.create(ACCOUNT, GOOD)
    with pytest.raises(RevisionConflict):
        await harness.service.delete(evolve(hook, revision="0-x"))
    assert len(harness.registry) == 1
    await harness.service.delete(hook)
    assert not harness.store.hooks
    assert len(harness.registry) == 0
    assert harness.changes[1:] == [("doc_deleted", hook.id, "1-x")]


@pytest_twisted.ensureDeferred
async def test_a_hook_is_disabled_once_and_at_its_revision_only(harness: Harness) -> None:
    hook = await harness.service.create(ACCOUNT, GOOD)
    disable = harness.service.disable
    assert not await disable(ACCOUNT, hook.id, "0-x", "r")
    assert not await disable(OTHER_ACCOUNT, hook.id, hook.revision, "r")
    assert len(harness.registry) == 1
    assert await disable(ACCOUNT, hook.id, hook.revision, "r")
    assert not await disable(ACCOUNT, hook.id, "2-x", "r")
    assert harness.store.hooks[hook.id].document["disable_reason"] == "r"
    assert len(harness.registry) == 0


@pytest_twisted.ensureDeferred
async def test_a_disabled_hook_keeps_its_reason_until_it_is_enabled(harness: Harness) -> None:
    hook = await harness.service.create(ACCOUNT, GOOD)
    await harness.service.disable(ACCOUNT, hook.id, hook.revision, TOO_MANY_FAILURES)
    hook = await harness.service.patch(harness.store.hooks[hook.id], {"name": "m"})
    assert hook.document["disable_reason"] == TOO_MANY_FAILURES
    hook = await harness.service.patch(hook, {"enabled": True})
    assert "disable_reason" not in hook.document
    assert harness.loaded[-1] == (hook.id, True)


@pytest_twisted.ensureDeferred
async def test_only_hooks_that_were_disabled_because_of_failures_are_enabled_again(harness: Harness) -> None:
    service = harness.service
    failed, other = [await service.create(account, GOOD) for account in (ACCOUNT, OTHER_ACCOUNT)]
    for hook in (failed, other):
        await service.disable(hook.account_id, hook.id, hook.revision, TOO_MANY_FAILURES)
    by_owner = await service.create(ACCOUNT, {**GOOD, "enabled": False})
    assert await service.re_enable([ACCOUNT]) == 1
    assert harness.registry.get(failed.id) is not None
    assert "disable_reason" not in harness.store.hooks[failed.id].document
    assert harness.registry.get(by_owner.id) is None
    assert harness.registry.get(other.id) is None


@pytest.mark.parametrize("meanwhile", [{"name": "other"}, {"enabled": True}, {"enabled": False}])
@pytest_twisted.ensureDeferred
async def test_a_hook_that_is_changed_while_it_is_enabled_again(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, meanwhile: dict[str, Any]
) -> None:
    service, store = harness.service, harness.store
    hook = await service.create(ACCOUNT, GOOD)
    await service.disable(ACCOUNT, hook.id, hook.revision, TOO_MANY_FAILURES)
    stale = store.hooks[hook.id]

    def replace_after_another(_: object, *arguments: Any, **more: Any) -> Deferred[StoredHook]:
        monkeypatch.undo()
        # Another program writes first.
        changed = {**stale.document, **meanwhile}
        if "enabled" in meanwhile:
            del changed["disable_reason"]
        store.hooks[hook.id] = evolve(stale, document=changed, revision="9-x")
        return store.replace(*arguments, **more)

    monkeypatch.setattr(FakeHookStore, "replace", replace_after_another)
    assert await service.re_enable([ACCOUNT]) == (1 if "name" in meanwhile else 0)
    document = store.hooks[hook.id].document
    assert (document["enabled"], document["name"]) == (
        meanwhile.get("enabled", True),
        meanwhile.get("name", "n"),
    )


@pytest_twisted.ensureDeferred
async def test_changes_of_other_nodes_are_loaded(harness: Harness) -> None:
    kept, edited, deleted = [await harness.service.create(ACCOUNT, GOOD) for _ in range(3)]
    created = harness.store.add(ACCOUNT, RULES.validate(GOOD))
    await harness.store.replace(edited, {**edited.document, "enabled": False})
    await harness.store.delete(deleted)
    harness.changes.clear()
    harness.loaded.clear()
    await harness.service.reload([kept.id, edited.id, deleted.id, created.id])
    assert [harness.registry.get(one.id) is not None for one in (kept, edited, deleted, created)] == [
        True,
        False,
        False,
        True,
    ]
    assert harness.loaded == [(edited.id, False), (created.id, True)]
    assert not harness.changes


@pytest_twisted.ensureDeferred
async def test_the_hooks_of_a_deleted_account_are_deleted(harness: Harness) -> None:
    await harness.service.create(ACCOUNT, GOOD)
    other = await harness.service.create(OTHER_ACCOUNT, GOOD)
    await harness.service.account_deleted(ACCOUNT)
    assert list(harness.store.hooks) == [other.id]
    assert len(harness.registry) == 1


@pytest_twisted.ensureDeferred
async def test_a_document_that_cannot_be_used_is_logged_and_left_out(harness: Harness) -> None:
    broken = harness.store.add(ACCOUNT, {"name": "n"})
    good = harness.store.add(ACCOUNT, RULES.validate(GOOD))
    with capturedLogs() as logs:
        await harness.service.load()
    (error,) = [event for event in logs if event["log_level"] is LogLevel.error]
    assert (error["hook_id"], error["account_id"]) == (broken.id, ACCOUNT)
    assert harness.registry.get(broken.id) is None
    assert harness.registry.get(good.id) is not None


@pytest_twisted.ensureDeferred
async def test_a_hook_that_becomes_unusable_does_not_serve_on(harness: Harness) -> None:
    hook = await harness.service.create(ACCOUNT, GOOD)
    # As another program, such as KAZOO, may write it.
    document = {**hook.document, "http_verb": "patch"}
    harness.store.hooks[hook.id] = evolve(harness.store.hooks[hook.id], document=document, revision="2-x")
    await harness.service.reload([hook.id])
    assert harness.registry.find(hook.id) is None


@pytest_twisted.ensureDeferred
async def test_stored_numbers_are_coerced_when_they_are_read(harness: Harness) -> None:
    stored = harness.store.add(ACCOUNT, {**RULES.validate(GOOD), "retries": "3"})
    (listed,) = await harness.service.for_account(ACCOUNT)
    assert listed.document["retries"] == 3
    got = await harness.service.get(ACCOUNT, stored.id)
    assert got == listed
    assert await harness.service.get(OTHER_ACCOUNT, stored.id) is None


@pytest.mark.parametrize(
    ("document", "changes", "result"),
    [
        ({"a": 1}, {}, {"a": 1}),
        ({"a": 1}, {"a": None, "b": 2}, {"b": 2}),
        ({"a": 1}, {"absent": None}, {"a": 1}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"d": 3}}, {"a": {"d": 3}}),
        ({"a": {"b": 1}}, {"a": {}}, {"a": {}}),
        (
            {"headers": {"b": "1", "c": "2"}},
            {"headers": {"b": None, "d": "3"}},
            {"headers": {"c": "2", "d": "3"}},
        ),
        ({"headers": {"b": "1"}}, {"headers": None}, {}),
        ({}, {"headers": {"b": None}}, {"headers": {}}),
        ({"a": 1}, {"a": {"b": 2}}, {"a": {"b": 2}}),
        ({"a": {"b": 1}}, {"a": [1]}, {"a": [1]}),
    ],
)
def test_patches(document: dict[str, Any], changes: dict[str, Any], result: dict[str, Any]) -> None:
    before = repr(document)
    assert patched(document, changes) == result
    assert repr(document) == before


SUSPENSION = Suspension(NOW - 50, NOW + 70, 2)


async def make_suspended(harness: Harness) -> StoredHook:
    hook = await harness.service.create(ACCOUNT, GOOD)
    assert await harness.service.disable(ACCOUNT, hook.id, hook.revision, TOO_MANY_FAILURES, SUSPENSION)
    suspended = harness.store.hooks[hook.id]
    assert suspended.suspension == SUSPENSION
    return suspended


@pytest_twisted.ensureDeferred
async def test_a_suspended_hook_listens_but_is_not_enabled(harness: Harness) -> None:
    hook = await make_suspended(harness)
    known = harness.registry.find(hook.id)
    assert known is not None
    assert (known.enabled, known.suspended, harness.registry.get(hook.id)) == (False, True, None)
    assert harness.loaded[-1] == (hook.id, False)


@pytest_twisted.ensureDeferred
async def test_a_suspended_hook_recovers_once(harness: Harness) -> None:
    hook = await make_suspended(harness)
    assert await harness.service.recover(ACCOUNT, hook.id)
    recovered = harness.store.hooks[hook.id]
    assert recovered.document["enabled"] is True
    assert ("disable_reason" in recovered.document, recovered.suspension) == (False, None)
    assert harness.loaded[-1] == (hook.id, True)
    assert harness.changes[-1] == ("doc_edited", hook.id, recovered.revision)
    assert not await harness.service.recover(ACCOUNT, hook.id)
    assert not await harness.service.recover(ACCOUNT, "f" * 32)


@pytest_twisted.ensureDeferred
async def test_a_hook_recovers_although_its_owner_changes_its_secret(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    hook = await make_suspended(harness)
    replace = FakeHookStore.replace

    def replace_after_another(store: FakeHookStore, read: StoredHook, *given: Any, **more: Any) -> Any:
        monkeypatch.undo()
        replace(store, read, read.document, (Secret("whsec_" + "A" * 44),), suspension=read.suspension)
        return replace(store, read, *given, **more)

    monkeypatch.setattr(FakeHookStore, "replace", replace_after_another)
    assert await harness.service.recover(ACCOUNT, hook.id)
    recovered = harness.store.hooks[hook.id]
    assert (recovered.document["enabled"], len(recovered.secrets)) == (True, 1)


@pytest_twisted.ensureDeferred
async def test_a_hook_that_is_given_up_stays_disabled(harness: Harness) -> None:
    hook = await make_suspended(harness)
    assert await harness.service.give_up(ACCOUNT, hook.id)
    given_up = harness.store.hooks[hook.id]
    assert (given_up.document, given_up.suspension) == (hook.document, None)
    known = harness.registry.find(hook.id)
    assert known is not None
    assert known.failed
    assert not await harness.service.give_up(ACCOUNT, hook.id)


@pytest_twisted.ensureDeferred
async def test_an_edit_keeps_a_hook_suspended_and_lets_it_be_probed_at_once(harness: Harness) -> None:
    hook = await make_suspended(harness)
    edited = await harness.service.patch(hook, {"name": "new"})
    assert edited.suspension == Suspension(SUSPENSION.since, NOW, 0)
    echoed = await harness.service.replace(edited, edited.document)
    assert echoed.suspension is not None
    rotated = await harness.service.rotate_secret(echoed, {"secret": generate_secret()})
    assert rotated.suspension == echoed.suspension


@pytest.mark.parametrize("verb", ["patch", "replace"])
@pytest_twisted.ensureDeferred
async def test_a_person_who_disables_a_suspended_hook_ends_the_suspension(
    harness: Harness, verb: str
) -> None:
    hook = await make_suspended(harness)
    change = {"enabled": False} if verb == "patch" else {**GOOD, "enabled": False}
    disabled = await getattr(harness.service, verb)(hook, change)
    assert (disabled.suspension, disabled.document["disable_reason"]) == (None, TOO_MANY_FAILURES)


@pytest_twisted.ensureDeferred
async def test_enabling_ends_the_suspension(harness: Harness) -> None:
    hook = await make_suspended(harness)
    enabled = await harness.service.patch(hook, {"enabled": True})
    assert (enabled.suspension, enabled.document["enabled"]) == (None, True)
    other = await make_suspended(harness)
    assert await harness.service.re_enable([ACCOUNT]) == 1
    assert harness.store.hooks[other.id].suspension is None


@pytest_twisted.ensureDeferred
async def test_without_self_healing_a_suspended_hook_has_failed(harness: Harness) -> None:
    hook = await make_suspended(harness)
    harness.service._self_healing = False
    await harness.service.load()
    known = harness.registry.find(hook.id)
    assert known is not None
    assert (known.suspended, known.failed, harness.registry.suspended) == (False, True, 0)


@pytest_twisted.ensureDeferred
async def test_hooks_are_loaded_in_batches(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook_service, "BATCH_SIZE", 2)
    hooks = [harness.store.add(ACCOUNT, RULES.validate(GOOD)) for _ in range(5)]
    await harness.service.load()
    matching = harness.registry.matching(GOOD["hook"], ACCOUNT, ())
    assert [hook.id for hook in matching] == [hook.id for hook in hooks]


@pytest_twisted.ensureDeferred
async def test_what_changes_while_hooks_are_loaded_is_not_undone(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited, deleted, foreign = [
        await harness.service.create(account, GOOD) for account in (ACCOUNT, ACCOUNT, OTHER_ACCOUNT)
    ]
    read = Deferred[tuple[list[StoredHook], int]]()
    batches = iter([read, succeed(([], 3))])
    monkeypatch.setattr(FakeHookStore, "batch", lambda *_: next(batches))
    loading = Deferred.fromCoroutine(harness.service.load())
    as_read = list(harness.store.hooks.values())
    await harness.service.patch(edited, {"uri": "http://new.example/"})
    created = await harness.service.create(ACCOUNT, GOOD)
    await harness.service.delete(deleted)
    await harness.service.account_deleted(OTHER_ACCOUNT)
    read.callback((as_read, 3))
    await loading
    found = {hook.id: hook.uri for hook in harness.registry.matching(GOOD["hook"], ACCOUNT, ())}
    assert found == {edited.id: "http://new.example/", created.id: GOOD["uri"]}
    assert harness.registry.find(foreign.id) is None
