"""Over `kazoo_bridge.cli`, which is what uses it; here what its tests do not reach."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest_twisted
from attrs import evolve

from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.hooks import HookStore
from kazoo_bridge.storage.operations import recover_deliveries, retry_deliveries, select_deliveries
from tests.storage.record_factories import ONE, A, make_delivery


async def statuses(database: Database) -> dict[str, str]:
    found = await database.read(
        partial(select_deliveries, status=None, account_id=None, hook_id=None, count=9)
    )
    return {one.delivery.id: one.status for one in found}


@pytest_twisted.ensureDeferred
async def test_deliveries_of_disabled_hooks_stay_dead(
    database: Database, hook_store: HookStore, delivery_store: DeliveryStore
) -> None:
    document: dict[str, Any] = {
        "name": "n",
        "uri": "http://x/",
        "hook": "all",
        "custom_data": {"enabled": False, "note": '"enabled":false'},
    }
    on = await hook_store.create(A, document | {"enabled": True})
    off = await hook_store.create(A, document | {"enabled": False})
    made = [make_delivery("on", on.id), make_delivery("off", off.id), make_delivery("inline", ONE)]
    await delivery_store.enqueue([(evolve(one), None, "") for one in made])
    recover = partial(recover_deliveries, account_id=None, since=0.0, now=60.0)
    assert await database.write(partial(recover, hook_id=None)) == 2
    assert await statuses(database) == {"on": "pending", "off": "dead", "inline": "pending"}
    assert await database.write(partial(recover, hook_id=off.id)) == 1


@pytest_twisted.ensureDeferred
async def test_a_stored_copy_says_nothing_about_a_hook_of_couchdb(
    database: Database, hook_store: HookStore, delivery_store: DeliveryStore
) -> None:
    copy = await hook_store.create(A, {"name": "n", "uri": "http://x/", "hook": "all", "enabled": False})
    await delivery_store.enqueue([(make_delivery("x", copy.id), None, "")])
    recover = partial(recover_deliveries, account_id=None, hook_id=None, since=0.0, now=60.0)
    assert await database.write(recover) == 0
    assert await database.write(partial(recover, hooks_are_stored=False)) == 1


@pytest_twisted.ensureDeferred
async def test_many_deliveries_are_tried_again(database: Database, delivery_store: DeliveryStore) -> None:
    ids = [f"msg_{number}" for number in range(600)]
    await delivery_store.enqueue([(make_delivery(one), None, "") for one in ids])
    assert await database.write(partial(retry_deliveries, ids=[*ids, "other"], now=60.0)) == 600


@pytest_twisted.ensureDeferred
async def test_deliveries_of_many_hooks_are_recovered(
    database: Database, delivery_store: DeliveryStore
) -> None:
    await delivery_store.enqueue([(make_delivery(f"msg_{n}", f"{n:032x}"), None, "") for n in range(600)])
    recover = partial(recover_deliveries, account_id=None, hook_id=None, since=0.0, now=60.0)
    assert await database.write(recover) == 600
