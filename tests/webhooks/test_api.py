"""The front door of webhooks, on a real node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from time import time

import pytest
import pytest_twisted
from attrs import evolve
from zope.interface.verify import verifyObject

from kazoo_bridge.config import Config, Egress, Storage
from kazoo_bridge.interfaces import AccountLimits, Delivery, IWebhooks, RevisionConflict
from kazoo_bridge.webhooks.api import WebhookApi
from tests.rest.harness import ACCOUNT, HOOK_DOCUMENT, LOOPBACK, RestHarness, running_node
from tests.storage.sqlite_template import make_migrated_database


@pytest_twisted.async_yield_fixture
async def harness(tmp_path: Path) -> AsyncIterator[RestHarness]:
    config = evolve(
        Config(),
        storage=Storage(make_migrated_database(tmp_path / "b.sqlite3")),
        http=LOOPBACK,
        egress=evolve(Egress(), allowed_networks=("127.0.0.0/8",)),
    )
    async with running_node(config) as harness:
        yield harness


@pytest.fixture
def api(harness: RestHarness) -> WebhookApi:
    return harness.node.webhooks.api


def test_it_provides_its_interface(api: WebhookApi) -> None:
    assert verifyObject(IWebhooks, api)
    listed = [hook_type.id for hook_type in api.hook_types]
    assert "channel_create" in listed
    assert listed[-1] == "everything"
    assert "channel_create" in api.document_schema["properties"]["hook"]["enum"]
    assert set(api.secret_schemas) == {"secret", "secret_overlap_seconds", "signature"}


@pytest_twisted.ensureDeferred
async def test_hooks_are_created_changed_and_deleted(api: WebhookApi) -> None:
    created = await api.create_hook(ACCOUNT, HOOK_DOCUMENT)
    assert await api.hooks(ACCOUNT) == [created]
    replaced = await api.replace_hook(created, {**HOOK_DOCUMENT, "name": "replaced"})
    patched = await api.patch_hook(replaced, {"group": "g"})
    assert (patched.document["name"], patched.document["group"]) == ("replaced", "g")
    with pytest.raises(RevisionConflict):
        await api.delete_hook(created)
    signed = await api.update_secret(patched, {"secret": True})
    assert len(signed.secrets) == 1
    assert await api.hook(ACCOUNT, created.id) == signed
    health = (await api.health([signed]))[created.id]
    assert (health["failures"], health["deliveries_waiting"]) == (0, 0)
    await api.delete_hook(signed)
    assert await api.hook(ACCOUNT, created.id) is None


@pytest_twisted.ensureDeferred
async def test_a_sample_is_an_attempt(api: WebhookApi) -> None:
    hook = await api.create_hook(ACCOUNT, HOOK_DOCUMENT)
    sent = await api.send_sample(hook)
    assert (sent["result"], sent["test"]) == ("failure", True)
    (attempt,) = await api.attempts(ACCOUNT, hook.id, None, 10)
    assert attempt.document["event_id"] == sent["event_id"]
    assert await api.attempts(ACCOUNT, hook.id, attempt.position, 10) == []


@pytest_twisted.ensureDeferred
async def test_disabled_hooks_are_enabled(harness: RestHarness, api: WebhookApi) -> None:
    hook = await api.create_hook(ACCOUNT, HOOK_DOCUMENT)
    await harness.disable_hook(hook.id)
    assert await api.enable_hooks([ACCOUNT]) == 1
    enabled = await api.hook(ACCOUNT, hook.id)
    assert enabled is not None
    assert enabled.document["enabled"]


@pytest_twisted.ensureDeferred
async def test_dead_deliveries_are_retried_and_replayed(harness: RestHarness, api: WebhookApi) -> None:
    hook = await api.create_hook(ACCOUNT, {**HOOK_DOCUMENT, "enabled": False})
    dead = [
        (Delivery(name, hook.id, ACCOUNT, "channel_create", name, {}, time()), None, "refused")
        for name in ("a", "b", "c")
    ]
    await harness.node.webhooks.stores.deliveries.enqueue(dead)
    assert [one.delivery.id for one in await api.deliveries(ACCOUNT, hook.id, "dead", None, 2)] == ["c", "b"]
    assert await api.replay_deliveries(ACCOUNT, None, 0) == 0, "the hook is disabled"
    assert await api.retry_delivery(ACCOUNT, hook.id, "c")
    assert not await api.retry_delivery(ACCOUNT, hook.id, "unknown")
    await api.patch_hook(hook, {"enabled": True})
    assert await api.replay_deliveries(ACCOUNT, None, 0) == 2
    assert await api.deliveries(ACCOUNT, hook.id, "dead", None, 10) == []


@pytest_twisted.ensureDeferred
async def test_limits_are_replaced(api: WebhookApi) -> None:
    limits = AccountLimits(attempt_failure_count=3)
    await api.set_limits(ACCOUNT, limits)
    assert await api.limits(ACCOUNT) == limits
