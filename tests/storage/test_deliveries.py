from __future__ import annotations

from typing import Any

import pytest
import pytest_twisted
import sqlalchemy as sa
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.logger import capturedLogs
from zope.interface.verify import verifyObject

from kazoo_bridge.interfaces import UNTIL_ENABLED, Delivery, DeliveryResults, IDeliveryStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.tables import deliveries
from tests.storage.record_factories import ONE, THREE, TWO, A, B, delivery_ids, enqueue, make_delivery


def ids(deliveries: list[Delivery]) -> list[str]:
    return [one.id for one in deliveries]


class DeliveryStoreSuite:
    def test_it_implements_the_interface(self, delivery_store: DeliveryStore) -> None:
        assert verifyObject(IDeliveryStore, delivery_store)

    @pytest_twisted.ensureDeferred
    async def test_one_statement_leases_the_deliveries_of_many_hooks(
        self, delivery_store: DeliveryStore, database: Database
    ) -> None:
        hooks = [f"{number:032x}" for number in range(20)]
        await delivery_store.enqueue(
            [(make_delivery(f"x{hook_id}", hook_id=hook_id), 0.0, "") for hook_id in hooks]
        )
        updates = []

        @sa.event.listens_for(database.engine, "before_cursor_execute")
        def count(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            updates.extend([statement] if statement.startswith("UPDATE") else [])

        claimed = await delivery_store.claim("me", 100, 200, dict.fromkeys(hooks, 2))
        sa.event.remove(database.engine, "before_cursor_execute", count)
        assert [one.hook_id for one in claimed] == hooks
        assert len(updates) == 1
        assert await delivery_store.claim("other", 150, 250, dict.fromkeys(hooks, 2)) == []

    # -- enqueue

    @pytest_twisted.ensureDeferred
    async def test_a_delivery_is_read_back_whole(self, delivery_store: DeliveryStore) -> None:
        delivery = evolve(
            make_delivery("x", ordering_key="call-1", inline_hook={"uri": "http://x/"}, attempts=2),
            payload={"text": "a\0b\ud800 ž 🎧", "deep": {"list": [1, None, True]}},
        )
        await delivery_store.enqueue([(delivery, 100.0, "refused")])
        (found,) = await delivery_store.page(A, ONE, "pending", None, 10)
        assert (found.delivery, found.status) == (delivery, "pending")
        assert (found.next_attempt, found.reason, found.changed_at) == (100.0, "refused", 50.0)
        assert await delivery_store.claim("me", 100, 200, {ONE: 5}) == [delivery]

    @pytest_twisted.ensureDeferred
    async def test_a_delivery_without_a_next_attempt_is_dead(self, delivery_store: DeliveryStore) -> None:
        await delivery_store.enqueue([(make_delivery("x"), None, "gone"), (make_delivery("y"), 0.0, "")])
        assert await delivery_ids(delivery_store, "dead") == ["x"]
        assert await delivery_ids(delivery_store) == ["y"]

    @pytest_twisted.ensureDeferred
    async def test_a_stored_delivery_stays_as_it_is(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "x", due=100)
        await delivery_store.record_results(DeliveryResults(retry=[("x", 3, 500.0, "later")]), 60)
        await enqueue(delivery_store, "x", "y", due=100)
        new, old = await delivery_store.page(A, None, "pending", None, 10)
        assert (old.delivery.attempts, old.next_attempt) == (3, 500.0)
        assert (new.delivery.id, new.next_attempt) == ("y", 100.0)

    @pytest_twisted.ensureDeferred
    async def test_the_order_of_a_batch_is_kept_whatever_the_ids(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "z", "a", "m", ordering_key="call")
        assert await delivery_ids(delivery_store) == ["m", "a", "z"]
        claimed = []
        for _ in range(3):
            (delivery,) = await delivery_store.claim("me", 100, 200, {ONE: 9})
            claimed.append(delivery.id)
            await delivery_store.record_results(DeliveryResults(delivered=[delivery.id]), 100)
        assert claimed == ["z", "a", "m"]

    # -- claim

    @pytest_twisted.ensureDeferred
    async def test_hooks_with_due_deliveries(self, delivery_store: DeliveryStore) -> None:
        assert await delivery_store.due_hooks(1000) == []
        await enqueue(delivery_store, "a", "b", due=100)
        await enqueue(delivery_store, "c", hook_id=TWO, due=200)
        await enqueue(delivery_store, "d", hook_id=THREE, due=100)
        await delivery_store.pause(THREE)
        assert await delivery_store.due_hooks(99) == []
        assert await delivery_store.due_hooks(100) == [ONE]
        assert sorted(await delivery_store.due_hooks(200)) == [ONE, TWO]
        await delivery_store.claim("me", 200, 300, {ONE: 9, TWO: 9})
        assert await delivery_store.due_hooks(299) == []
        assert sorted(await delivery_store.due_hooks(300)) == [ONE, TWO]

    @pytest_twisted.ensureDeferred
    async def test_the_earliest_deliveries_are_claimed_first(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "late", due=90)
        await enqueue(delivery_store, "early", due=80)
        await enqueue(delivery_store, "not yet", due=101)
        await enqueue(delivery_store, "of another hook", hook_id=TWO)
        assert ids(await delivery_store.claim("me", 100, 200, {ONE: 1})) == ["early"]
        assert ids(await delivery_store.claim("you", 100, 200, {ONE: 5})) == ["late"]
        assert await delivery_store.claim("you", 100, 200, {ONE: 5}) == []
        assert ids(await delivery_store.claim("you", 101, 200, {ONE: 5})) == ["not yet"]

    @pytest_twisted.ensureDeferred
    async def test_each_hook_has_its_own_limit(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "a", "b", "c")
        await enqueue(delivery_store, "x", "y", "z", hook_id=TWO)
        claimed = await delivery_store.claim("me", 100, 200, {TWO: 1, ONE: 2, THREE: 3})
        assert ids(claimed) == ["a", "b", "x"]

    @pytest.mark.parametrize("payload", ["{", "[1]", "null", "", "[" * 100_000])
    @pytest.mark.parametrize("column", ["payload", "own_hook"])
    @pytest_twisted.ensureDeferred
    async def test_a_delivery_that_cannot_be_read_is_dead_and_holds_up_nothing(
        self, database: Database, delivery_store: DeliveryStore, column: str, payload: str
    ) -> None:
        if (column, payload) == ("own_hook", "null"):
            return
        await enqueue(delivery_store, "broken", "good", due=100)
        spoil = sa.update(deliveries).where(deliveries.c.id == "broken").values({column: payload})
        await database.write(lambda connection: connection.execute(spoil))
        with capturedLogs() as logs:
            assert ids(await delivery_store.claim("me", 100, 200, {ONE: 5})) == ["good"]
            assert await delivery_store.claim("me", 300, 400, {ONE: 5}) != []
        (dead,) = await delivery_store.page(A, None, "dead", None, 10)
        assert (dead.delivery.id, dead.reason) == ("broken", "the stored delivery cannot be read")
        assert dead.delivery.payload == {}
        assert [log["delivery_id"] for log in logs if "log_failure" in log] == ["broken"]

    @pytest_twisted.ensureDeferred
    async def test_a_lease_expires(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "x")
        assert ids(await delivery_store.claim("me", 100, 200, {ONE: 9})) == ["x"]
        assert await delivery_store.claim("you", 199, 300, {ONE: 9}) == []
        assert ids(await delivery_store.claim("you", 200, 300, {ONE: 9})) == ["x"]

    @pytest_twisted.ensureDeferred
    async def test_concurrent_claims_do_not_overlap(
        self, storage_uri: str, delivery_store: DeliveryStore
    ) -> None:
        other = Database(reactor, storage_uri)
        await enqueue(delivery_store, *(f"d{number}" for number in range(100)))
        stores = [delivery_store, DeliveryStore(other)]
        claims = await gatherResults(
            [stores[number % 2].claim(str(number), 100, 200, {ONE: 20}) for number in range(10)]
        )
        claimed = [name for found in claims for name in ids(found)]
        assert len(claimed) == len(set(claimed)) == 100
        await other.close()

    @pytest_twisted.ensureDeferred
    async def test_only_the_first_delivery_of_an_ordering_key_is_claimed(
        self, delivery_store: DeliveryStore
    ) -> None:
        await enqueue(delivery_store, "a0", hook_id=TWO, ordering_key="a", due=900)
        await enqueue(delivery_store, "a1", ordering_key="a", due=100)
        await enqueue(delivery_store, "a2", ordering_key="a", due=50)
        await enqueue(delivery_store, "b1", ordering_key="b", due=60)
        await enqueue(delivery_store, "x1", "x2", due=70)
        assert ids(await delivery_store.claim("me", 100, 200, {ONE: 9})) == ["b1", "x1", "x2", "a1"]
        assert await delivery_store.claim("me", 100, 200, {ONE: 9}) == []
        await delivery_store.record_results(DeliveryResults(delivered=["a1"]), 110)
        assert ids(await delivery_store.claim("me", 110, 200, {ONE: 9})) == ["a2"]

    @pytest_twisted.ensureDeferred
    async def test_a_dead_delivery_does_not_block_its_ordering_key(
        self, delivery_store: DeliveryStore
    ) -> None:
        await enqueue(delivery_store, "a1", "a2", ordering_key="a")
        await delivery_store.record_results(DeliveryResults(dead=[("a1", 9, "no answer")]), 110)
        assert ids(await delivery_store.claim("me", 110, 200, {ONE: 9})) == ["a2"]

    # -- results

    @pytest_twisted.ensureDeferred
    async def test_results_are_recorded(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "delivered", "retry", "dead", "released", "silent")
        await delivery_store.claim("me", 100, 200, {ONE: 9})
        results = DeliveryResults(
            delivered=["delivered"],
            retry=[("retry", 2, 150.0, "refused")],
            dead=[("dead", 7, "gone")],
            released=["released"],
        )
        await delivery_store.record_results(results, 120)
        _, _, retry = await delivery_store.page(A, ONE, "pending", None, 10)
        assert (retry.delivery.id, retry.delivery.attempts, retry.next_attempt) == ("retry", 2, 150.0)
        assert (retry.reason, retry.changed_at) == ("refused", 120)
        (dead,) = await delivery_store.page(A, ONE, "dead", None, 10)
        assert (dead.delivery.id, dead.delivery.attempts) == ("dead", 7)
        assert (dead.reason, dead.changed_at) == ("gone", 120)
        assert await delivery_ids(delivery_store) == ["silent", "released", "retry"]
        assert ids(await delivery_store.claim("me", 120, 200, {ONE: 9})) == ["released"]
        assert ids(await delivery_store.claim("me", 150, 200, {ONE: 9})) == ["retry"]
        assert "silent" in ids(await delivery_store.claim("me", 200, 300, {ONE: 9}))
        assert await delivery_store.counts() == {"pending": 3, "held": 0, "dead": 1}

    @pytest_twisted.ensureDeferred
    async def test_results_of_unknown_deliveries_are_ignored(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "x")
        unknown = DeliveryResults(
            delivered=["unknown"],
            retry=[("unknown", 1, 1.0, "")],
            dead=[("unknown", 1, "")],
            released=["unknown"],
        )
        await delivery_store.record_results(unknown, 120)
        (found,) = await delivery_store.page(A, None, "pending", None, 10)
        assert (found.delivery.id, found.changed_at) == ("x", 50.0)

    # -- the whole hook

    @pytest_twisted.ensureDeferred
    async def test_the_deliveries_of_a_paused_hook_are_held(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "x", due=1)
        await enqueue(delivery_store, "y", hook_id=TWO)
        await delivery_store.enqueue([(make_delivery("dead"), None, "gone")])
        assert await delivery_store.paused_hooks() == []
        await delivery_store.pause(ONE)
        assert await delivery_store.paused_hooks() == [ONE]
        assert ids(await delivery_store.claim("me", 100, 200, {ONE: 9, TWO: 9})) == ["y"]
        assert await delivery_ids(delivery_store) == ["y", "x"]
        assert (await delivery_store.page(A, ONE, "pending", None, 1))[0].status == "held"
        assert await delivery_store.waiting_counts([ONE]) == {ONE: 1}
        assert await delivery_store.counts() == {"pending": 1, "held": 1, "dead": 1}

    @pytest_twisted.ensureDeferred
    async def test_the_held_deliveries_of_a_resumed_hook_are_due(self, delivery_store: DeliveryStore) -> None:
        for hook_id, name in ((ONE, "x"), (TWO, "y")):
            await enqueue(delivery_store, name, hook_id=hook_id, due=1)
            await delivery_store.pause(hook_id)
        await enqueue(delivery_store, "new", due=100)
        await delivery_store.resume(ONE, 150)
        assert ids(await delivery_store.claim("me", 149, 200, {ONE: 9, TWO: 9})) == ["new"]
        assert ids(await delivery_store.claim("me", 150, 200, {ONE: 9, TWO: 9})) == ["x"]
        assert await delivery_store.paused_hooks() == [TWO]

    @pytest_twisted.ensureDeferred
    async def test_resumed_deliveries_keep_only_their_first_attempt(
        self, delivery_store: DeliveryStore
    ) -> None:
        for attempts in (0, 1, 7):
            await enqueue(delivery_store, f"x{attempts}", due=UNTIL_ENABLED, attempts=attempts)
        assert await delivery_store.resume(ONE, 100.0) == 3
        assert await delivery_store.resume(ONE, 100.0) == 0
        claimed = await delivery_store.claim("me", 100, 200, {ONE: 9})
        assert [(one.id, one.attempts) for one in claimed] == [("x0", 0), ("x1", 1), ("x7", 1)]

    @pytest_twisted.ensureDeferred
    async def test_a_delivery_can_be_held_from_the_beginning(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "x", due=UNTIL_ENABLED)
        (found,) = await delivery_store.page(A, ONE, "pending", None, 10)
        assert (found.status, found.next_attempt) == ("held", 0.0)
        assert await delivery_store.due_hooks(1e12) == []

    @pytest_twisted.ensureDeferred
    async def test_the_oldest_held_delivery_is_claimed_by_one(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "pending", due=100.0)
        await enqueue(delivery_store, "x", "y", "z", due=UNTIL_ENABLED)
        await enqueue(delivery_store, "other", due=UNTIL_ENABLED, hook_id=TWO)

        async def claim(now: float, skip: int = 0) -> str | None:
            found = await delivery_store.claim_held(ONE, "me", now, now + 50, skip)
            return None if found is None else found.id

        assert [await claim(100), await claim(100, 5), await claim(100), await claim(100)] == [
            "x",
            "z",
            "y",
            None,
        ]
        assert await claim(150, 1) == "y"
        await delivery_store.record_results(DeliveryResults(delivered=["x"], released=["y"]), 150)
        assert await claim(151) == "y"
        assert await delivery_store.resume(ONE, 160.0) == 2

    @pytest_twisted.ensureDeferred
    async def test_a_probe_never_takes_a_delivery_before_an_earlier_one_of_its_call(
        self, delivery_store: DeliveryStore
    ) -> None:
        await enqueue(delivery_store, "a1", "a2", due=UNTIL_ENABLED, ordering_key="a")
        await enqueue(delivery_store, "b1", due=500.0, ordering_key="b")
        await enqueue(delivery_store, "b2", due=UNTIL_ENABLED, ordering_key="b")
        await enqueue(delivery_store, "c1", due=UNTIL_ENABLED, ordering_key="c")
        claimed = [await delivery_store.claim_held(ONE, "me", 100, 150, 7) for _ in range(3)]
        assert [one and one.id for one in claimed] == ["c1", "a1", None]
        await delivery_store.record_results(DeliveryResults(delivered=["a1", "c1"]), 100)
        after_it = await delivery_store.claim_held(ONE, "me", 100, 150, 7)
        assert after_it is not None
        assert after_it.id == "a2"

    @pytest_twisted.ensureDeferred
    async def test_a_probe_passes_over_a_delivery_that_cannot_be_read(
        self, database: Database, delivery_store: DeliveryStore
    ) -> None:
        await enqueue(delivery_store, "broken", "good", due=UNTIL_ENABLED)
        spoil = sa.update(deliveries).where(deliveries.c.id == "broken").values(payload="{")
        await database.write(lambda connection: connection.execute(spoil))
        with capturedLogs() as logs:
            claimed = await delivery_store.claim_held(ONE, "me", 100, 150, 0)
        assert claimed is not None
        assert claimed.id == "good"
        assert await delivery_ids(delivery_store, "dead") == ["broken"]
        assert [log["delivery_id"] for log in logs if "log_failure" in log] == ["broken"]

    @pytest_twisted.ensureDeferred
    async def test_old_held_deliveries_are_dropped_together(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "leased", "old", due=UNTIL_ENABLED)
        await enqueue(delivery_store, "pending", due=100.0)
        await enqueue(delivery_store, "other", due=UNTIL_ENABLED, hook_id=TWO)
        await enqueue(delivery_store, "new", due=UNTIL_ENABLED, created=60.0)
        await enqueue(delivery_store, "replayed", due=UNTIL_ENABLED, replayed_at=90.0)
        await delivery_store.claim_held(ONE, "me", 100, 150, 0)
        assert [await delivery_store.drop_held(ONE, 60.0, 100) for _ in range(2)] == [1, 0]
        assert await delivery_ids(delivery_store) == ["replayed", "new", "other", "pending", "leased"]

    @pytest_twisted.ensureDeferred
    async def test_what_waits_for_a_hook_is_given_up(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "a", "b", due=UNTIL_ENABLED)
        await enqueue(delivery_store, "c", due=100.0)
        await enqueue(delivery_store, "other", due=100.0, hook_id=TWO)
        assert await delivery_store.give_up(ONE, 500.0, "three days") == 3
        dead = await delivery_store.page(A, ONE, "dead", None, 10)
        assert [(one.delivery.id, one.changed_at, one.reason) for one in dead] == [
            (name, 500.0, "three days") for name in ("c", "b", "a")
        ]
        assert await delivery_store.dead_counts([ONE, TWO]) == {ONE: 3}
        assert await delivery_store.waiting_counts([ONE, TWO]) == {TWO: 1}

    @pytest_twisted.ensureDeferred
    async def test_deleting_the_deliveries_of_a_hook_leaves_those_of_others(
        self, delivery_store: DeliveryStore
    ) -> None:
        await enqueue(delivery_store, "a", "b")
        await enqueue(delivery_store, "c", hook_id=TWO)
        await delivery_store.enqueue([(make_delivery("dead"), None, "gone")])
        await delivery_store.delete(ONE)
        assert await delivery_ids(delivery_store) == ["c"]
        assert await delivery_store.counts() == {"pending": 1, "held": 0, "dead": 0}

    @pytest_twisted.ensureDeferred
    async def test_waiting_deliveries_are_counted_by_hook(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "a", "b")
        await enqueue(delivery_store, "c", hook_id=TWO)
        await delivery_store.enqueue([(make_delivery("dead"), None, "gone")])
        assert await delivery_store.waiting_counts([ONE, THREE]) == {ONE: 2}
        assert await delivery_store.waiting_counts([ONE, TWO]) == {ONE: 2, TWO: 1}

    @pytest_twisted.ensureDeferred
    async def test_the_oldest_waiting_delivery_is_read_by_status(self, delivery_store: DeliveryStore) -> None:
        assert await delivery_store.oldest_waiting() == {}
        await delivery_store.enqueue(
            [
                (make_delivery("dead", created=10.0), None, "gone"),
                (make_delivery("new", created=90.0), 100, "r"),
                (make_delivery("old", created=80.0), 900, "r"),
                (make_delivery("held", created=20.0), UNTIL_ENABLED, "r"),
            ]
        )
        assert await delivery_store.oldest_waiting() == {"pending": 80.0, "held": 20.0}
        assert await delivery_store.retry(A, ONE, "old", 85.0) is True
        assert await delivery_store.oldest_waiting() == {"pending": 85.0, "held": 20.0}

    # -- lists

    @pytest_twisted.ensureDeferred
    async def test_deliveries_are_listed_newest_first(self, delivery_store: DeliveryStore) -> None:
        await enqueue(delivery_store, "a", "b", "c")
        await enqueue(delivery_store, "d", hook_id=TWO)
        await enqueue(delivery_store, "e", hook_id=TWO, account_id=B)
        (newest,) = await delivery_store.page(A, None, "pending", None, 1)
        assert newest.delivery.id == "d"
        second = await delivery_store.page(A, None, "pending", newest.position, 2)
        assert [one.delivery.id for one in second] == ["c", "b"]
        assert await delivery_ids(delivery_store, hook_id=TWO) == ["d"]
        assert await delivery_ids(delivery_store, "dead") == []

    # -- replay

    @pytest_twisted.ensureDeferred
    async def test_one_delivery_is_retried_with_its_attempts_counted_anew(
        self, delivery_store: DeliveryStore
    ) -> None:
        await enqueue(delivery_store, "x", "y", "waits", due=900)
        await delivery_store.record_results(DeliveryResults(dead=[("x", 9, "r"), ("y", 9, "r")]), 110)
        assert await delivery_store.retry(A, ONE, "x", 200) is True
        assert await delivery_store.retry(A, ONE, "waits", 200) is True
        for account_id, hook_id, name in ((B, ONE, "y"), (A, TWO, "y"), (A, ONE, "z")):
            assert await delivery_store.retry(account_id, hook_id, name, 200) is False
        claimed = await delivery_store.claim("me", 200, 300, {ONE: 9})
        assert [(one.id, one.attempts) for one in claimed] == [("x", 0), ("waits", 0)]
        assert await delivery_ids(delivery_store, "dead") == ["y"]

    @pytest_twisted.ensureDeferred
    async def test_the_dead_deliveries_of_a_hook_are_replayed_from_a_time_on(
        self, delivery_store: DeliveryStore
    ) -> None:
        await enqueue(delivery_store, "x", "waits", due=900)
        await enqueue(delivery_store, "of another hook", hook_id=TWO)
        await enqueue(delivery_store, "of another account", account_id=B)
        dead = [(name, 9, "r") for name in ("x", "of another hook", "of another account")]
        await delivery_store.record_results(DeliveryResults(dead=dead), 110)
        assert await delivery_store.replay(A, ONE, 111, 300) == 0
        # It was created before 110, but it died then.
        assert await delivery_store.replay(A, ONE, 110, 300) == 1
        assert await delivery_ids(delivery_store, "dead") == ["of another hook"]
        assert await delivery_ids(delivery_store, "dead", account_id=B) == ["of another account"]
        assert ids(await delivery_store.claim("me", 300, 400, {ONE: 9})) == ["x"]

    @pytest_twisted.ensureDeferred
    async def test_the_dead_deliveries_of_an_account_are_replayed(
        self, delivery_store: DeliveryStore
    ) -> None:
        await enqueue(delivery_store, "x")
        await enqueue(delivery_store, "y", hook_id=TWO)
        await enqueue(delivery_store, "z", account_id=B)
        await delivery_store.record_results(DeliveryResults(dead=[(name, 9, "r") for name in "xyz"]), 110)
        assert await delivery_store.replay(A, None, 0, 300, [ONE]) == 1
        assert await delivery_store.replay(A, None, 0, 300) == 1
        assert await delivery_ids(delivery_store) == ["y", "x"]

    # -- sources of hooks

    @pytest_twisted.ensureDeferred
    async def test_deliveries_of_another_source_of_hooks_are_held_and_found_again(
        self, database: Database
    ) -> None:
        own, couchdb = DeliveryStore(database, "storage"), DeliveryStore(database, "couchdb")
        await enqueue(couchdb, "due", "dead")
        await enqueue(couchdb, "of another hook", hook_id=TWO)
        await couchdb.record_results(DeliveryResults(dead=[("dead", 9, "r")]), 110)
        await enqueue(own, "own")
        # The source is now the storage, which has no such hook.
        assert await own.delete(ONE) == 2
        assert await delivery_ids(own) == ["of another hook", "due"]
        assert await own.due_hooks(200) == [TWO]
        assert await own.paused_hooks() == [ONE]
        # It is CouchDB again, which has it.
        assert await couchdb.resume(ONE, 200) == 1
        assert ids(await couchdb.claim("me", 200, 300, {ONE: 9})) == ["due"]
        assert await delivery_ids(couchdb, "dead") == ["dead"]
        assert await couchdb.delete(ONE) == 0
        assert await delivery_ids(couchdb) == ["of another hook"]

    @pytest_twisted.ensureDeferred
    async def test_deliveries_of_an_unknown_source_are_deleted_with_their_hook(
        self, database: Database, delivery_store: DeliveryStore
    ) -> None:
        await enqueue(delivery_store, "of an older version")
        assert await DeliveryStore(database, "couchdb").delete(ONE) == 0
        assert await delivery_ids(delivery_store) == []


class TestDeliveryStore(DeliveryStoreSuite):
    """On SQLite."""
