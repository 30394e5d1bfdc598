from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from sqlalchemy import Connection, event

from kazoo_bridge.interfaces import Attempt
from kazoo_bridge.storage import trace_records
from kazoo_bridge.storage.attempts import AttemptStore
from kazoo_bridge.storage.database import Database
from kazoo_bridge.storage.deliveries import DeliveryStore
from kazoo_bridge.storage.trace_records import TraceRecords, find_records
from tests.storage.record_factories import ONE, TWO, A, B, make_delivery

EVENT_ID = "msg_" + "1" * 32


def make_attempt(made: float, account_id: str = A, **document: Any) -> Attempt:
    return Attempt(account_id, ONE, "1-x", True, made, {"event_id": "other", **document})


async def find(
    database: Database, text: str, event_ids: Collection[str] = (), accounts: Collection[str] | None = None
) -> TraceRecords:
    return await database.read(partial(find_records, text=text, event_ids=event_ids, accounts=accounts))


class TraceRecordSuite:
    @pytest_twisted.ensureDeferred
    async def test_attempts_are_found_by_what_was_sent(
        self, database: Database, attempt_store: AttemptStore
    ) -> None:
        await attempt_store.add(
            [
                make_attempt(1, req_body='{"call_id": "call_1%x"}'),
                make_attempt(2, event_id=EVENT_ID + ".1"),
                make_attempt(3, req_headers={"webhook-id": "msg_abc"}),
                make_attempt(4, B, req_body="callX1-x"),
            ],
            {},
        )
        found = await find(database, "call_1%x")
        assert [one.made_at for one in found.attempts] == [1]
        assert found.attempts[0].document["account_id"] == A
        found = await find(database, "call_1%x", [EVENT_ID])
        assert [one.made_at for one in found.attempts] == [1, 2]
        assert found.event_ids == {"other", EVENT_ID}
        assert [one.made_at for one in (await find(database, "msg_abc")).attempts] == [3]
        assert (await find(database, "unknown")).attempts == []

    @pytest_twisted.ensureDeferred
    async def test_deliveries_are_found_by_their_ids_and_payloads(
        self, database: Database, delivery_store: DeliveryStore
    ) -> None:
        first = make_delivery("msg_first")
        await delivery_store.enqueue([(first, 100.0, "slow"), (make_delivery("msg_other", TWO, B), None, "")])
        for wanted in ("msg_first", "event of msg_first"):
            (found,) = (await find(database, wanted)).deliveries
            assert (found.delivery.id, found.status, found.reason) == ("msg_first", "pending", "slow")
        (dead,) = (await find(database, "unknown", ["event of msg_other"])).deliveries
        assert (dead.delivery.id, dead.status) == ("msg_other", "dead")

    @pytest_twisted.ensureDeferred
    async def test_records_of_other_accounts(
        self, database: Database, attempt_store: AttemptStore, delivery_store: DeliveryStore
    ) -> None:
        await attempt_store.add([make_attempt(1, body="call-1"), make_attempt(2, B, body="call-1")], {})
        await delivery_store.enqueue([(make_delivery("msg_call-1"), 100.0, "")])
        found = await find(database, "call-1", accounts={B})
        assert ([one.made_at for one in found.attempts], found.deliveries) == ([2], [])
        assert (await find(database, "call-1", accounts=())).attempts == []
        assert len((await find(database, "call-1", accounts=(A, B))).attempts) == 2

    @pytest_twisted.ensureDeferred
    async def test_the_newest_are_searched_and_answered(
        self, database: Database, attempt_store: AttemptStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await attempt_store.add([make_attempt(made, body="call-1") for made in range(5)], {})
        monkeypatch.setattr(trace_records, "MAX_RECORDS", 2)
        assert [one.made_at for one in (await find(database, "call-1")).attempts] == [3, 4]
        monkeypatch.setattr(trace_records, "MAX_SEARCHED", 1)
        assert [one.made_at for one in (await find(database, "call-1")).attempts] == [4]

    @pytest_twisted.ensureDeferred
    async def test_short_ids_are_not_searched(self, database: Database, attempt_store: AttemptStore) -> None:
        await attempt_store.add([make_attempt(1, body="call-1")], {})
        assert (await find(database, "call-")).attempts == []

    @pytest_twisted.ensureDeferred
    async def test_payloads_are_searched_and_not_read(
        self, database: Database, attempt_store: AttemptStore, delivery_store: DeliveryStore
    ) -> None:
        large = evolve(make_delivery("msg_large"), payload={"call_id": "call-1", "x": "x" * 100_000})
        await delivery_store.enqueue([(large, 100.0, "")])
        await attempt_store.add([evolve(make_attempt(1, body="call-1"), replay="x" * 100_000)], {})
        read: list[str] = []

        def find_and_listen(connection: Connection) -> TraceRecords:
            event.listen(connection, "before_cursor_execute", lambda *args: read.append(args[2]))
            return find_records(connection, "call-1", (), None)

        found = await database.read(find_and_listen)
        assert [one.delivery.payload for one in found.deliveries] == [{}]
        assert len(found.attempts) == 1
        columns = [one.partition("FROM")[0] for one in read]
        assert len(columns) == 2
        assert not [one for one in columns if ".payload" in one or ".replay" in one]

    @pytest_twisted.ensureDeferred
    async def test_few_events_are_searched_in_attempts(
        self, database: Database, attempt_store: AttemptStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        await attempt_store.add([make_attempt(made, event_id=f"msg_event{made}") for made in range(3)], {})
        monkeypatch.setattr(trace_records, "MAX_SEARCHED_EVENTS", 2)
        found = await find(database, "unknown", ["msg_event2", "msg_event0", "msg_event1"])
        assert [one.made_at for one in found.attempts] == [0, 2]


class TestTraceRecords(TraceRecordSuite):
    pass
