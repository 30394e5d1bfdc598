"""Over `DeliveryStore`, whose tests run the queries on PostgreSQL, too; here what they leave out."""

from __future__ import annotations

from functools import partial

import pytest_twisted

from kazoo_bridge.interfaces import UNTIL_ENABLED
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.delivery_queries import (
    count_by_hook,
    select_due_hooks,
    select_hooks_with,
    select_page,
)
from kazoo_bridge.storage.tables import deliveries
from tests.storage.record_factories import ONE, THREE, TWO, A, enqueue


@pytest_twisted.ensureDeferred
async def test_hooks_with_deliveries_of_a_status(database: Database, delivery_store: DeliveryStore) -> None:
    assert await database.read(partial(select_hooks_with, status="held")) == []
    await enqueue(delivery_store, "a", "b", due=UNTIL_ENABLED, hook_id=TWO)
    await enqueue(delivery_store, "c", due=UNTIL_ENABLED)
    await enqueue(delivery_store, "d", due=100.0, hook_id=THREE)
    assert await database.read(partial(select_hooks_with, status="held")) == [ONE, TWO]
    chosen = deliveries.c.id == "b"
    assert await database.read(lambda connection: select_hooks_with(connection, "held", chosen)) == [TWO]


@pytest_twisted.ensureDeferred
async def test_a_delivery_is_due_from_its_time_until_it_is_leased(
    database: Database, delivery_store: DeliveryStore
) -> None:
    await enqueue(delivery_store, "a", due=100.0)
    due = [await database.read(partial(select_due_hooks, now=now)) for now in (99.0, 100.0)]
    assert due == [[], [ONE]]
    await delivery_store.claim("me", 100.0, 150.0, {ONE: 1})
    due = [await database.read(partial(select_due_hooks, now=now)) for now in (149.0, 150.0)]
    assert due == [[], [ONE]]


@pytest_twisted.ensureDeferred
async def test_counts_and_pages(database: Database, delivery_store: DeliveryStore) -> None:
    await enqueue(delivery_store, "a", "b", due=100.0)
    await enqueue(delivery_store, "c", due=UNTIL_ENABLED, hook_id=TWO)
    count = partial(count_by_hook, hook_ids=[ONE, TWO, THREE])
    assert await database.read(partial(count, statuses=("pending",))) == {ONE: 2}
    assert await database.read(partial(count, statuses=("pending", "held"))) == {ONE: 2, TWO: 1}
    page = partial(select_page, account_id=A, hook_id=None, status="pending", before=None)
    found = await database.read(partial(page, count=2))
    assert [one.delivery.id for one in found] == ["c", "b"]
    rest = await database.read(partial(page, before=found[-1].position, count=2))
    assert [one.delivery.id for one in rest] == ["a"]
