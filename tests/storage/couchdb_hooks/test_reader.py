from __future__ import annotations

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.logger import capturedLogs

from kazoo_bridge.couchdb.client import BATCH_SIZE, DatabaseMissing
from kazoo_bridge.couchdb.names import WEBHOOKS
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.storage.couchdb_hooks.reader import TolerantReader, available, gather
from tests.directory.couchdb.harness import error_of, result_of
from tests.storage.couchdb_hooks.harness import HooksHarness

IDS = [f"{number:032x}" for number in range(1, 8)]


def test_a_document_that_is_too_large_harms_no_other(harness: HooksHarness) -> None:
    for hook_id in IDS:
        harness.save(hook_id)
    harness.save(IDS[3], name="x" * 200_000)
    reader = TolerantReader(harness.couch.client(harness.clock, max_answer_bytes=100_000), WEBHOOKS)
    with capturedLogs() as logs:
        found = result_of(reader.read([*IDS, "unknown"]))
    assert list(found) == [*IDS[:3], *IDS[4:]]
    (line,) = logs
    assert (line["id"], "100000 bytes" in str(line["reason"])) == (IDS[3], True)


def test_a_document_that_no_parser_reads_harms_no_other(harness: HooksHarness) -> None:
    for hook_id in IDS:
        harness.save(hook_id)
    readings = 0

    def answer(asked: str) -> tuple[int, bytes] | None:
        nonlocal readings
        if not asked.endswith("_all_docs"):
            return None
        readings += 1
        # The third request is for the broken document alone.
        return (200, b"[" * 5000) if readings <= 3 else None

    harness.couch.answer_instead = answer
    with capturedLogs() as logs:
        assert list(result_of(TolerantReader(harness.client, WEBHOOKS).read(IDS[:3]))) == IDS[1:3]
    assert [line["id"] for line in logs if "id" in line] == [IDS[0]]


def test_what_is_no_couchdb_is_not_the_fault_of_documents(harness: HooksHarness) -> None:
    harness.couch.answer_instead = lambda _: (200, b"<html>a proxy in maintenance</html>")
    assert "something else than JSON" in error_of(TolerantReader(harness.client, WEBHOOKS).read(IDS))


def test_many_documents_are_read_in_several_requests(harness: HooksHarness) -> None:
    ids = [f"{number:032x}" for number in range(4 * BATCH_SIZE + 1)]
    for hook_id in ids[::7]:
        harness.save(hook_id)
    found = result_of(TolerantReader(harness.client, WEBHOOKS).read(ids))
    assert sorted(found) == ids[::7]
    assert harness.couch.count("POST webhooks/_all_docs") == 5


def test_gathered_work_runs_to_its_end_and_fails_with_its_first_failure() -> None:
    waiting: Deferred[str] = Deferred()

    async def fail() -> str:
        raise StorageUnavailable("away")

    async def wait() -> str:
        return await waiting

    async def succeed() -> str:
        return "b"

    assert result_of(gather([])) == []
    assert result_of(gather([succeed(), succeed()])) == ["b", "b"]
    gathered = ensureDeferred(gather([fail(), wait()]))
    assert not gathered.called
    waiting.callback("a")
    assert error_of(gathered) == "away"


def test_a_missing_database_is_not_available() -> None:
    async def read(*, missing: bool) -> str:
        if missing:
            raise DatabaseMissing("CouchDB has no database 'webhooks'")
        return "read"

    assert result_of(available(read(missing=False))) == "read"
    assert "crossbar creates it" in error_of(available(read(missing=True)))
