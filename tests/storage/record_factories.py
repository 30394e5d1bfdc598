"""Makes records of the storage for tests, with fixed ids and times."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from twisted.internet import reactor
from twisted.internet.task import deferLater

from kazoo_bridge.interfaces import Delivery
from kazoo_bridge.storage import change_log
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.retention import Purge

#: Account ids.
A, B, C = "a" * 32, "b" * 32, "c" * 32

#: Hook ids.
ONE, TWO, THREE, FOUR = "1" * 32, "2" * 32, "3" * 32, "4" * 32

NOW = 1_700_000_000.0


async def until(condition: Callable[[], Any], advance: Callable[[], Any] = lambda: None) -> None:
    """Wait until `condition` holds, at most ten seconds, calling `advance` meanwhile."""
    deadline = reactor.seconds() + 10
    while not condition():
        assert reactor.seconds() < deadline, "the condition never came true"
        advance()
        await deferLater(reactor, 0.005)


def record_change(subject: str) -> Callable[[Connection], None]:
    """A transaction that records a change of the hook `subject`."""
    return lambda connection: change_log.record(connection, "hook", [subject], NOW)


async def recorded_changes(database: Database) -> list[tuple[str, str]]:
    return list((await database.read(lambda connection: change_log.since(connection, 0))).changes)


async def run_purge(database: Database, purge: Purge, now: float) -> int:
    return await database.write(lambda connection: purge(connection, now))


def make_delivery(name: str, hook_id: str = ONE, account_id: str = A, **more: Any) -> Delivery:
    more = {"created": 50.0, **more}
    return Delivery(
        name, hook_id, account_id, "channel_create", f"event of {name}", {"call_id": name}, **more
    )


async def enqueue(
    store: DeliveryStore,
    *names: str,
    due: float = 100.0,
    hook_id: str = ONE,
    account_id: str = A,
    **more: Any,
) -> None:
    """Store deliveries of these ids, whose next attempt is at the time `due`."""
    await store.enqueue([(make_delivery(name, hook_id, account_id, **more), due, "slow") for name in names])


async def delivery_ids(
    store: DeliveryStore, status: str = "pending", hook_id: str | None = None, account_id: str = A
) -> list[str]:
    """The ids of the account's deliveries of this status, newest first."""
    return [one.delivery.id for one in await store.page(account_id, hook_id, status, None, 100)]
