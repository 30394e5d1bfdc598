"""What every database must do with deliveries; run on SQLite and on PostgreSQL, as ``store_suite``."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import Delivery, DeliveryResults
from kazoo_bridge.storage import delivery_retention
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.delivery_retention import expire_excess, expire_old, purge_dead
from kazoo_bridge.storage.hooks import HookStore
from kazoo_bridge.storage.retention import RetentionService

A, B = "a" * 32, "b" * 32
ONE, TWO = "1" * 32, "2" * 32


@pytest_twisted.async_yield_fixture
async def database(storage_uri: str) -> AsyncIterator[Database]:
    database = Database(reactor, storage_uri)
    await database.migrate()
    yield database
    await database.close()


@pytest.fixture
def kept(database: Database) -> DeliveryStore:
    return DeliveryStore(database)


def delivery(name: str, hook_id: str = ONE, account_id: str = A, **more: Any) -> Delivery:
    return Delivery(
        name, hook_id, account_id, "channel_create", f"event of {name}", {"call_id": name}, 50.0, **more
    )


async def keep(
    kept: DeliveryStore, *names: str, due: float = 100.0, hook_id: str = ONE, account_id: str = A, **more: Any
) -> None:
    await kept.enqueue([(delivery(name, hook_id, account_id, **more), due, "slow") for name in names])


def names(found: list[Delivery]) -> list[str]:
    return [one.id for one in found]


async def listed(kept: DeliveryStore, status: str = "pending", hook_id: str | None = None) -> list[str]:
    return [one.delivery.id for one in await kept.page(A, hook_id, status, None, 100)]


@pytest_twisted.ensureDeferred
async def test_what_is_kept_comes_back_whole(kept: DeliveryStore) -> None:
    odd = delivery("x", ordering_key="call-1", inline_hook={"uri": "http://x/"}, attempts=2)
    odd = evolve(odd, payload={"text": "a\0b\ud800 ž 🎧", "deep": {"list": [1, None, True]}})
    await kept.enqueue([(odd, 100.0, "refused")])
    (found,) = await kept.page(A, ONE, "pending", None, 10)
    assert (found.delivery, found.status, found.next_attempt, found.reason) == (
        odd,
        "pending",
        100.0,
        "refused",
    )
    assert await kept.claim("me", 100, 200, {ONE: 5}) == [odd]


@pytest_twisted.ensureDeferred
async def test_keeping_again_changes_nothing(kept: DeliveryStore) -> None:
    await keep(kept, "x", due=100)
    await kept.record_results(DeliveryResults(retry=[("x", 3, 500.0, "later")]), 60)
    await keep(kept, "x", due=100)
    (found,) = await kept.page(A, None, "pending", None, 10)
    assert (found.delivery.attempts, found.next_attempt) == (3, 500.0)


@pytest_twisted.ensureDeferred
async def test_hooks_with_something_due(kept: DeliveryStore) -> None:
    assert await kept.due_hooks(1000) == []
    await keep(kept, "a", "b", due=100)
    await keep(kept, "c", hook_id=TWO, due=200)
    await keep(kept, "d", hook_id="3" * 32, due=100)
    await kept.pause("3" * 32)
    assert sorted(await kept.due_hooks(100)) == [ONE]
    assert sorted(await kept.due_hooks(200)) == [ONE, TWO]
    assert await kept.due_hooks(99) == []
    await kept.claim("me", 200, 300, {ONE: 9, TWO: 9})
    assert await kept.due_hooks(200) == []
    assert sorted(await kept.due_hooks(300)) == [ONE, TWO]


@pytest_twisted.ensureDeferred
async def test_claims_take_turns_and_expire(kept: DeliveryStore) -> None:
    await keep(kept, "late", due=90)
    await keep(kept, "early", due=80)
    await keep(kept, "not yet", due=101)
    assert names(await kept.claim("me", 100, 200, {ONE: 1})) == ["early"]
    assert names(await kept.claim("you", 100, 200, {ONE: 5})) == ["late"]
    assert await kept.claim("you", 100, 200, {ONE: 5, TWO: 5}) == []
    assert sorted(names(await kept.claim("you", 200, 300, {ONE: 5}))) == ["early", "late", "not yet"]


@pytest_twisted.ensureDeferred
async def test_nothing_is_claimed_twice_at_once(storage_uri: str, kept: DeliveryStore) -> None:
    other = Database(reactor, storage_uri)
    await keep(kept, *(f"d{number}" for number in range(100)))
    stores = [kept, DeliveryStore(other)]
    claims = await gatherResults(
        [stores[number % 2].claim(str(number), 100, 200, {ONE: 20}) for number in range(10)]
    )
    claimed = [name for found in claims for name in names(found)]
    assert len(claimed) == len(set(claimed)) == 100
    await other.close()


@pytest_twisted.ensureDeferred
async def test_of_one_ordering_only_the_first_is_claimed(kept: DeliveryStore) -> None:
    await keep(kept, "a1", ordering_key="a", due=100)
    await keep(kept, "a2", ordering_key="a", due=50)
    await keep(kept, "b1", ordering_key="b", due=60)
    await keep(kept, "x1", "x2", due=70)
    assert names(await kept.claim("me", 100, 200, {ONE: 9})) == ["b1", "x1", "x2", "a1"]
    assert await kept.claim("me", 100, 200, {ONE: 9}) == []
    await kept.record_results(DeliveryResults(delivered=["a1"]), 110)
    assert names(await kept.claim("me", 110, 200, {ONE: 9})) == ["a2"]


@pytest_twisted.ensureDeferred
async def test_one_that_is_dead_blocks_nobody(kept: DeliveryStore) -> None:
    await keep(kept, "a1", ordering_key="a")
    await keep(kept, "a2", ordering_key="a")
    await kept.record_results(DeliveryResults(dead=[("a1", 9, "no answer")]), 110)
    assert names(await kept.claim("me", 110, 200, {ONE: 9})) == ["a2"]


@pytest_twisted.ensureDeferred
async def test_settling(kept: DeliveryStore) -> None:
    await keep(kept, "done", "again", "dead", "back", "silent")
    await kept.claim("me", 100, 200, {ONE: 9})
    settlement = DeliveryResults(
        delivered=["done"],
        retry=[("again", 2, 150.0, "refused")],
        dead=[("dead", 7, "gone")],
        released=["back"],
    )
    await kept.record_results(settlement, 120)
    assert await listed(kept) == ["silent", "back", "again"]
    (dead,) = await kept.page(A, ONE, "dead", None, 10)
    assert (dead.delivery.id, dead.delivery.attempts, dead.reason, dead.changed_at) == (
        "dead",
        7,
        "gone",
        120,
    )
    assert names(await kept.claim("me", 120, 200, {ONE: 9})) == ["back"]
    assert names(await kept.claim("me", 150, 200, {ONE: 9})) == ["again"]
    assert names(await kept.claim("me", 200, 300, {ONE: 9}))[-1:] != []
    assert await kept.waiting_counts([ONE]) == {ONE: 3}
    assert await kept.counts() == {"pending": 3, "held": 0, "dead": 1}
    await kept.record_results(DeliveryResults(delivered=["unknown"], retry=[("unknown", 1, 1.0, "")]), 120)


@pytest_twisted.ensureDeferred
async def test_a_disabled_hooks_deliveries_wait(kept: DeliveryStore) -> None:
    await keep(kept, "x")
    await kept.pause(ONE)
    assert await kept.claim("me", 100, 200, {ONE: 9}) == []
    assert await listed(kept) == ["x"]
    assert (await kept.page(A, None, "pending", None, 1))[0].status == "held"
    assert await kept.waiting_counts([ONE]) == {ONE: 1}
    assert await kept.counts() == {"pending": 0, "held": 1, "dead": 0}
    await kept.resume(ONE, 150)
    assert await kept.claim("me", 149, 200, {ONE: 9}) == []
    assert names(await kept.claim("me", 150, 200, {ONE: 9})) == ["x"]


@pytest_twisted.ensureDeferred
async def test_lists(kept: DeliveryStore) -> None:
    await keep(kept, "a", "b", "c")
    await keep(kept, "d", hook_id=TWO)
    await keep(kept, "e", hook_id=TWO, account_id=B)
    newest, *_ = await kept.page(A, None, "pending", None, 1)
    assert newest.delivery.id == "d"
    assert [one.delivery.id for one in await kept.page(A, None, "pending", newest.position, 2)] == ["c", "b"]
    assert await listed(kept, hook_id=TWO) == ["d"]
    assert await listed(kept, "dead") == []


@pytest_twisted.ensureDeferred
async def test_replaying(kept: DeliveryStore) -> None:
    await keep(kept, "x", "y", "waits", due=900)
    await kept.record_results(DeliveryResults(dead=[("x", 9, "r"), ("y", 9, "r")]), 110)
    assert await kept.retry(A, ONE, "x", 200)
    assert await kept.retry(A, ONE, "waits", 200)
    for account_id, hook_id, name in ((B, ONE, "y"), (A, TWO, "y"), (A, ONE, "z")):
        assert not await kept.retry(account_id, hook_id, name, 200)
    assert [(one.id, one.attempts) for one in await kept.claim("me", 200, 300, {ONE: 9})] == [
        ("x", 0),
        ("waits", 0),
    ]
    assert await kept.replay(A, ONE, 111, 300) == 0
    assert await kept.replay(A, ONE, 110, 300) == 1  # it came before that, and has been given up since
    assert await listed(kept, "dead") == []


@pytest_twisted.ensureDeferred
async def test_what_waits_too_long_or_is_too_much_is_given_up(
    kept: DeliveryStore, database: Database
) -> None:
    await keep(kept, "a", "b", "c")
    await kept.enqueue([(evolve(delivery("young"), created=100.0), 100.0, "")])
    assert await database.write(lambda connection: expire_excess(3)(connection, 110)) == 1
    assert await listed(kept, "dead") == ["a"]
    assert await database.write(lambda connection: expire_old(60)(connection, 111)) == 2
    assert await listed(kept) == ["young"]
    assert await database.write(lambda connection: purge_dead(1000, 2)(connection, 112)) == 1
    assert await database.write(lambda connection: purge_dead(1000, 2)(connection, 2000)) == 2
    assert await listed(kept, "dead") == []


@pytest_twisted.ensureDeferred
async def test_replaying_all_of_an_account(kept: DeliveryStore) -> None:
    await keep(kept, "x")
    await keep(kept, "y", hook_id=TWO)
    await keep(kept, "z", account_id=B)
    await kept.record_results(DeliveryResults(dead=[(name, 9, "r") for name in "xyz"]), 110)
    assert await kept.replay(A, None, 0, 300) == 2
    assert sorted(await listed(kept)) == ["x", "y"]


@pytest_twisted.ensureDeferred
async def test_what_is_replayed_may_wait_as_long_as_what_is_new(
    kept: DeliveryStore, database: Database
) -> None:
    await keep(kept, "x", "y")
    await kept.record_results(DeliveryResults(dead=[("x", 9, "r"), ("y", 9, "r")]), 110)
    assert await kept.retry(A, ONE, "x", 500)
    assert await kept.replay(A, ONE, 0, 500) == 1
    assert await database.write(lambda connection: expire_old(60)(connection, 559)) == 0
    assert await database.write(lambda connection: expire_old(60)(connection, 561)) == 2


@pytest_twisted.ensureDeferred
async def test_the_bounds_are_kept_however_fast_it_grows(
    kept: DeliveryStore, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_retention, "_BATCH_SIZE", 2)
    await keep(kept, *[f"d{number}" for number in range(9)])
    cleaner = RetentionService(Clock(), database, [expire_excess(1), purge_dead(1e9, 3)])
    cleaner.startService()
    while (len(await listed(kept)), len(await listed(kept, "dead"))) != (1, 3):
        pass  # or time out
    await cleaner.stopService()


@pytest_twisted.ensureDeferred
async def test_what_is_being_sent_is_not_given_up(kept: DeliveryStore, database: Database) -> None:
    await keep(kept, "a")
    await kept.claim("me", 100, 200, {ONE: 1})
    assert await database.write(lambda connection: expire_old(1)(connection, 199)) == 0
    assert await database.write(lambda connection: expire_excess(0)(connection, 199)) == 0


@pytest_twisted.ensureDeferred
async def test_a_hooks_deliveries_go_with_it(kept: DeliveryStore, database: Database) -> None:
    hooks = HookStore(Clock(), database)
    hook = await hooks.create(A, {})
    await keep(kept, "a", hook_id=hook.id)
    await keep(kept, "b")
    await hooks.delete(hook)
    assert await listed(kept) == ["b"]
    await hooks.delete_of_account(A)
    assert await listed(kept) == []
