"""The client, against a real server of the protocol and a fake one that answers wrongly."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from kazoo_bridge.couchdb.changes import Change
from kazoo_bridge.couchdb.client import (
    BATCH_SIZE,
    BulkResult,
    CouchClient,
    DatabaseMissing,
    DocumentConflict,
    Presence,
    Row,
)
from kazoo_bridge.interfaces import StorageUnavailable
from tests.couchdb.fake_couch import FakeCouch
from tests.couchdb.server import CouchServer

_now = SynchronousTestCase()
DB = "numbers/+1415"


@pytest_twisted.async_yield_fixture
async def client(couchdb: CouchServer) -> AsyncIterator[CouchClient]:
    client = CouchClient.from_uri(reactor, couchdb.uri)
    yield client
    await client.close()


async def all_pages(
    client: CouchClient, database: str, view: str | None = None, **options: Any
) -> list[list[Row]]:
    return [page async for page in client.pages(database, view, **options)]


class TestWithAServer:
    @pytest_twisted.ensureDeferred
    async def test_databases_are_listed_and_counted(self, client: CouchClient) -> None:
        for name in ("numbers/+4722", DB, "accounts"):
            await client.create_database(name)
        await client.put(DB, {"_id": "+14155550100"})
        assert await client.databases("numbers/") == [DB, "numbers/+4722"]
        assert (await client.count(DB), await client.count("accounts")) == (1, 0)
        with pytest.raises(DatabaseMissing):
            await client.count("webhooks")

    @pytest_twisted.ensureDeferred
    async def test_documents_are_written_read_and_deleted(self, client: CouchClient) -> None:
        assert await client.find(DB, "+14155550100") is None
        assert await client.create_database(DB)
        assert not await client.create_database(DB)
        revision = await client.put(DB, {"_id": "+14155550100", "pvt_state": "in_service"})
        assert await client.find(DB, "+14155550100") == {
            "_id": "+14155550100",
            "_rev": revision,
            "pvt_state": "in_service",
        }
        with pytest.raises(DocumentConflict):
            await client.put(DB, {"_id": "+14155550100"})
        newer = await client.put(DB, {"_id": "+14155550100", "_rev": revision})
        with pytest.raises(DocumentConflict):
            await client.put(DB, {"_id": "+14155550100", "_rev": revision})
        with pytest.raises(DocumentConflict):
            await client.delete(DB, "+14155550100", revision)
        await client.delete(DB, "+14155550100", newer)
        assert await client.find(DB, "+14155550100") is None
        await client.delete(DB, "+14155550199", revision)

    @pytest_twisted.ensureDeferred
    async def test_many_documents(self, client: CouchClient, couchdb: CouchServer) -> None:
        couchdb.create("webhooks")
        documents = [{"_id": f"hook{number:04}", "n": number} for number in range(BATCH_SIZE + 5)]
        results = await client.bulk("webhooks", documents)
        assert [result.id for result in results] == [document["_id"] for document in documents]
        assert all(result.rev and not result.error for result in results)
        again = await client.bulk("webhooks", [{"_id": "hook0000"}, {"_id": "new"}])
        assert again[0] == BulkResult("hook0000", None, "conflict")
        assert again[1].rev is not None
        couchdb.delete("webhooks", "hook0002")
        ids = [f"hook{number:04}" for number in range(BATCH_SIZE + 5)]
        found = await client.find_many("webhooks", [*ids, "never"])
        assert sorted(found) == [one for one in ids if one != "hook0002"]
        assert found["hook0204"]["n"] == 204
        presence = await client.presence("webhooks", ["hook0001", "hook0002", "never", "new"])
        assert presence == Presence(frozenset({"hook0001", "new"}), frozenset({"hook0002"}))
        assert await client.presence("webhooks", []) == Presence(frozenset(), frozenset())

    @pytest_twisted.ensureDeferred
    async def test_pages_have_every_row_once(self, client: CouchClient, couchdb: CouchServer) -> None:
        couchdb.save_many("accounts", [{"_id": f"{number:03}"} for number in range(10)])
        pages = await all_pages(client, "accounts", page_size=3)
        assert [[row.id for row in page] for page in pages] == [
            ["000", "001", "002"],
            ["003", "004", "005"],
            ["006", "007", "008"],
            ["009"],
        ]
        assert pages[0][0].doc is not None
        assert pages[0][0].doc["_id"] == "000"
        assert [len(page) for page in await all_pages(client, "accounts", page_size=5)] == [5, 5]
        rest = await all_pages(client, "accounts", start_key="008", include_docs=False)
        assert [(row.id, row.doc) for page in rest for row in page] == [("008", None), ("009", None)]

    @pytest_twisted.ensureDeferred
    async def test_pages_of_a_view(self, client: CouchClient, couchdb: CouchServer) -> None:
        couchdb.save_many("webhooks", [{"_id": f"h{number}", "uri": f"u{number}"} for number in range(5)])
        view = {"map": "function (doc) { emit([doc.uri], doc.uri); }"}
        couchdb.save("webhooks", {"_id": "_design/webhooks", "views": {"by_uri": view}})
        pages = await all_pages(
            client, "webhooks", "webhooks/by_uri", page_size=2, options={"endkey": ["u3"]}
        )
        assert [[row.value for row in page] for page in pages] == [["u0", "u1"], ["u2", "u3"]]
        with pytest.raises(DatabaseMissing):
            await all_pages(client, "webhooks", "webhooks/none")

    @pytest_twisted.ensureDeferred
    async def test_attachments(self, client: CouchClient, couchdb: CouchServer) -> None:
        assert await client.attachment("system_auth", "kid", "private_key.pem") is None
        couchdb.save("system_auth", {"_id": "kid"})
        assert await client.attachment("system_auth", "kid", "private_key.pem") is None
        couchdb.attach("system_auth", "kid", "private_key.pem", b"-----BEGIN\n", "application/x-pem-file")
        assert await client.attachment("system_auth", "kid", "private_key.pem") == b"-----BEGIN\n"

    @pytest_twisted.ensureDeferred
    async def test_a_database_that_does_not_exist(self, client: CouchClient) -> None:
        for attempt in (
            client.put("none", {"_id": "x"}),
            client.bulk("none", [{"_id": "x"}]),
            client.find_many("none", ["x"]),
            client.presence("none", ["x"]),
            client.update_sequence("none"),
            all_pages(client, "none"),
        ):
            with pytest.raises(DatabaseMissing, match="'none'"):
                await attempt

    @pytest_twisted.ensureDeferred
    async def test_the_sequence_grows_with_changes(self, client: CouchClient, couchdb: CouchServer) -> None:
        await client.ping()
        couchdb.create("accounts")
        before = await client.update_sequence("accounts")
        couchdb.save("accounts", {"_id": "a"})
        assert await client.update_sequence("accounts") != before


WRONG: list[tuple[Callable[[CouchClient], Awaitable[Any]], bytes]] = [
    (lambda client: client.find("db", "x"), b"[]"),
    (lambda client: client.find("db", "x"), b"<html>"),
    (lambda client: client.put("db", {"_id": "x"}), b"{}"),
    (lambda client: client.put("db", {"_id": "x"}), b'{"rev": 7}'),
    (lambda client: client.bulk("db", [{"_id": "x"}]), b"[]"),
    (lambda client: client.bulk("db", [{"_id": "x"}]), b"[7]"),
    (lambda client: client.bulk("db", [{"_id": "x"}]), b"{}"),
    (lambda client: client.find_many("db", ["x"]), b'{"rows": 7}'),
    (lambda client: client.update_sequence("db"), b"{}"),
    (lambda client: client.update_sequence("db"), b'{"update_seq": null}'),
    (lambda client: all_pages(client, "db"), b"[]"),
    (lambda client: all_pages(client, "db", page_size=1), b'{"rows": [{"id": "a"}, {"id": "b"}]}'),
]


@pytest.mark.parametrize(("ask", "answer"), WRONG)
def test_a_wrong_answer_says_that_the_storage_is_unavailable(
    ask: Callable[[CouchClient], Awaitable[Any]], answer: bytes
) -> None:
    couch = FakeCouch()
    couch.answer_instead = lambda _: (200, answer)
    asked: Any = ask(couch.client(Clock()))
    _now.failureResultOf(ensureDeferred(asked), StorageUnavailable)


def test_a_refusal_says_so() -> None:
    couch = FakeCouch()
    couch.answer_instead = lambda _: (400, b'{"reason": "bad id"}')
    asked: Any = couch.client(Clock()).put("db", {"_id": "_x"})
    error = _now.failureResultOf(ensureDeferred(asked), StorageUnavailable).value
    assert str(error) == "CouchDB at http://couch.example:15984: status 400 'bad id'"


def test_documents_are_in_no_log() -> None:
    row = Row("one", "s3cret", {"pvt_signature_secret": "s3cret"}, {"pvt_api_key": "s3cret"})
    assert repr(row) == "Row(id='one')"
    assert "s3cret" not in repr(Change("one", {"pvt_api_key": "s3cret"}))
