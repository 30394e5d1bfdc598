"""A node whose hooks are the documents of KAZOO's CouchDB: both sides write them, both see them."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
import treq
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import capturedLogs

from kazoo_bridge.config import Couchdb, Webhooks
from kazoo_bridge.couchdb.names import WEBHOOKS, account_database, monthly_database
from kazoo_bridge.interfaces import HookAuthor, IBus, RevisionConflict, StorageUnavailable
from kazoo_bridge.node.assembly import build_node
from kazoo_bridge.storage.couchdb_hooks.store import CouchHookStore
from kazoo_bridge.webhooks.hooks.hook import Hook
from tests.couchdb.server import CouchServer
from tests.node.harness import make_config
from tests.storage.couchdb_hooks.harness import hook_document
from tests.storage.record_factories import ONE, TWO, A, until
from tests.webhooks.receiving import Receiver

pytestmark = pytest.mark.timeout(60)

THREE, FOUR, FIVE, SIX = (digit * 32 for digit in "3456")

#: As KAZOO's ``core/kazoo_modb`` creates it.
ATTEMPTS_VIEW = {
    "_id": "_design/webhooks",
    "language": "javascript",
    "views": {
        "attempts_by_hook_listing": {
            "map": "function(doc) { if (doc.pvt_type == 'webhook_attempt' && !doc.pvt_deleted)"
            " emit([doc.hook_id, doc.pvt_created], null); }"
        }
    },
}


def month() -> str:
    now = datetime.now(UTC)
    return monthly_database(A, now.year, now.month)


class Sides:
    """A node, KAZOO's CouchDB, and a receiver. Hooks of the account `A` are sent to the receiver."""

    def __init__(self, folder: Path, couchdb: CouchServer) -> None:
        config = make_config(folder)
        self.config = evolve(
            config,
            webhooks=Webhooks(source="couchdb", request_timeout_ms=1000, attempt_failure_count=2),
            couchdb=Couchdb(uri=couchdb.uri, request_timeout_ms=2000),
        )
        self.couchdb = couchdb
        self.receiver = Receiver()
        self.node = build_node(reactor, self.config)

    async def start(self) -> None:
        """Start the node, which knows the account."""
        await self.node.database.migrate()
        await self.node.accounts.create(A)
        await self.node.start()

    async def kazoo(self, method: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
        """Do what blocks in a thread."""
        return await deferToThread(method, *arguments, **more)

    async def save(self, hook_id: str, **more: Any) -> None:
        """Write a hook like KAZOO."""
        document = hook_document(hook_id, A, **{"uri": self.receiver.url, **more})
        await self.kazoo(self.couchdb.save, WEBHOOKS, document)

    async def document(self, hook_id: str) -> dict[str, Any]:
        """Read a hook like KAZOO."""
        found: dict[str, Any] = await self.kazoo(self.couchdb.get, WEBHOOKS, hook_id)
        return found

    async def call(self) -> None:
        """Let a call begin."""
        event = {
            "Event-Category": "call_event",
            "Event-Name": "CHANNEL_CREATE",
            "App-Name": "t",
            "App-Version": "1",
            "Msg-ID": "m",
            "Call-ID": f"call-{time.monotonic_ns()}",
            "Custom-Channel-Vars": {"Account-ID": A},
        }
        await cast(IBus, self.node.bus).publish("callevt", f"call.CHANNEL_CREATE.{event['Call-ID']}", event)

    def hooks_called(self) -> set[str]:
        """Return the ids of the hooks that the receiver has got requests of."""
        return {one.headers["x-hook-id"] for one in self.receiver.received}

    def registered(self, hook_id: str) -> Hook:
        hook = self.node.webhooks.registry.get(hook_id)
        assert hook is not None
        return hook

    def known_hooks(self) -> int:
        return len(cast(CouchHookStore, self.node.hook_source.hooks))

    def has_sent_or_suspended(self, requests: int) -> bool:
        return self.node.webhooks.registry.suspended > 0 or len(self.receiver.received) >= requests

    def listens(self, hook_id: str) -> bool:
        return self.node.webhooks.registry.get(hook_id) is not None


@pytest_twisted.async_yield_fixture
async def sides(tmp_path: Path, couchdb_server: CouchServer) -> AsyncIterator[Sides]:
    """Both sides, with one hook in the old spelling that KAZOO migrates; the node is started."""
    sides = Sides(tmp_path, couchdb_server)
    await sides.receiver.start()
    await sides.kazoo(couchdb_server.wipe)
    await sides.kazoo(couchdb_server.create, WEBHOOKS)
    await sides.kazoo(couchdb_server.save, month(), ATTEMPTS_VIEW)
    await sides.save(ONE, hook="CHANNEL_CREATE", http_verb="POST", pvt_vsn=None)
    await sides.start()
    yield sides
    await sides.node.stop(Deferred())
    await sides.receiver.stop()


@pytest_twisted.ensureDeferred
async def test_a_hook_written_on_either_side_is_live_on_the_other(sides: Sides) -> None:
    assert await sides.node.readiness_problems() == []
    assert sides.listens(ONE)

    await sides.save(TWO, retries=0)
    await until(lambda: sides.listens(TWO))
    await sides.call()
    await until(lambda: sides.hooks_called() == {ONE, TWO})

    service = sides.node.webhooks.hooks
    given = {"name": "Mine", "uri": sides.receiver.url, "hook": "channel_create", "rate_limit": 5}
    mine = await service.create(A, given)
    written = await sides.document(mine.id)
    assert (written["_rev"], written["pvt_type"], written["name"]) == (mine.revision, "webhook", "Mine")
    assert "rate_limit" not in written

    await sides.kazoo(sides.couchdb.update, WEBHOOKS, mine.id, enabled=False)
    await sides.kazoo(sides.couchdb.update, WEBHOOKS, TWO, pvt_deleted=True)
    await sides.kazoo(sides.couchdb.delete, WEBHOOKS, ONE)
    await until(lambda: len(sides.node.webhooks.registry) == 0)
    assert [hook.id for hook in await service.for_account(A)] == [mine.id]
    stale = await service.get(A, mine.id)
    assert stale is not None
    assert (stale.document["enabled"], stale.document["rate_limit"]) == (False, 5)

    await sides.kazoo(sides.couchdb.update, WEBHOOKS, mine.id, name="Theirs")
    with pytest.raises(RevisionConflict):
        await service.patch(stale, {"name": "Mine again"})
    fresh = await service.get(A, mine.id)
    assert fresh is not None
    await service.patch(fresh, {"enabled": True})
    assert (await sides.document(mine.id))["name"] == "Theirs"
    assert sides.listens(mine.id)
    await service.delete(await service.get(A, mine.id) or fresh)
    assert (await sides.document(mine.id))["pvt_deleted"] is True
    author = HookAuthor(A, "u1")
    third = await service.create(A, {"name": "Third", "uri": sides.receiver.url, "hook": "all"}, author)
    third = await service.patch(third, {"name": "3"}, author)
    assert (await sides.document(third.id))["pvt_auth_user_id"] == "u1"
    await service.delete(third, author, soft=False)
    assert await sides.kazoo(sides.couchdb.get, WEBHOOKS, third.id) is None


@pytest_twisted.ensureDeferred
async def test_a_failing_hook_is_disabled_as_kazoo_does_and_both_list_its_attempts(sides: Sides) -> None:
    sides.receiver.statuses = [500]
    await sides.kazoo(sides.couchdb.update, WEBHOOKS, ONE, retries=0)
    await until(lambda: sides.registered(ONE).retries == 0)
    for number in range(1, 4):
        await sides.call()
        await until(partial(sides.has_sent_or_suspended, number))
    await sides.node.webhooks.auto_disabler.check()
    written = await sides.document(ONE)
    assert (written["enabled"], written["pvt_disabled_message"]) == (False, "too many failed attempts")
    assert written["hook"] == "channel_create"
    hook = await sides.node.webhooks.hooks.get(A, ONE)
    assert hook is not None
    assert hook.document["disable_reason"] == "too many failed attempts"
    assert hook.suspension is not None

    listed = await sides.node.webhooks.recorder.page(A, ONE, None, 100)
    await cast(Any, sides.node.hook_source)._copier.flush()
    client = cast(Any, sides.node.hook_source)._client
    rows = [row async for page in client.pages(month(), "webhooks/attempts_by_hook_listing") for row in page]
    assert len(rows) == len(listed) >= 2
    assert {row.key[0] for row in rows} == {ONE}
    assert rows[0].doc["hook_event"] == "CHANNEL_CREATE"
    assert (rows[0].doc["result"], rows[0].doc["resp_status_code"]) == ("failure", "500")

    # KAZOO's operator enables it: the suspension ends here, too.
    enabled = {name: value for name, value in written.items() if name != "pvt_disabled_message"}
    sides.receiver.statuses = [200]
    await sides.kazoo(sides.couchdb.save, WEBHOOKS, enabled | {"enabled": True})
    await until(lambda: sides.listens(ONE))
    assert sides.node.webhooks.registry.suspended == 0


@pytest_twisted.ensureDeferred
async def test_hostile_documents_harm_no_other(sides: Sides) -> None:
    with capturedLogs() as logs:
        await sides.save(TWO, uri=None, name=["x"])
        await sides.save(THREE, custom_data={"type": ["a"]}, hook={"a": 1})
        await sides.save(FOUR, pvt_account_id="../../etc", modifiers="x")
        await sides.save(FIVE, custom_data={str(number): "x" * 1000 for number in range(400)})
        await sides.save(SIX, retries="many", enabled="yes", format=[1], modifiers=[{}], http_verb=7)
        await sides.save("7" * 32, custom_data=["a"], modifiers=7, group={})
        bad = ("not a uri", "", "javascript:alert(1)", "http://[::x", "//x", "http://h:99999/")
        for number, uri in enumerate(bad):
            await sides.save(f"8{number}" * 16, uri=uri)
        await sides.save("9" * 32, modifiers={"a": {"$regex": "("}, "b": [{}, [1]], "c": None})
        await until(lambda: sides.listens("7" * 32))
        await until(lambda: sides.known_hooks() == 12)
        await sides.call()
        await until(lambda: sides.hooks_called() == {ONE, "7" * 32, "9" * 32})
    ignored = [line["hook_id"] for line in logs if "ignored" in str(line.get("log_format"))]
    assert sorted(ignored) == [TWO, THREE, FOUR, FIVE, SIX, *(f"8{number}" * 16 for number in range(6))]
    assert [line for line in logs if line.get("log_failure")] == []


@pytest_twisted.ensureDeferred
async def test_without_couchdb_hooks_serve_on_and_writing_says_so(sides: Sides) -> None:
    service = sides.node.webhooks.hooks
    hook = await service.get(A, ONE)
    assert hook is not None
    await sides.kazoo(sides.couchdb.stop)
    try:
        await sides.call()
        await until(lambda: sides.hooks_called() == {ONE})
        with pytest.raises(StorageUnavailable, match="CouchDB at"):
            await service.patch(hook, {"name": "x"})
    finally:
        await sides.kazoo(sides.couchdb.start)
    await sides.kazoo(sides.couchdb.create, account_database(A))


@pytest_twisted.ensureDeferred
async def test_without_couchdb_at_the_start_the_node_waits(
    tmp_path: Path, couchdb_server: CouchServer
) -> None:
    sides = Sides(tmp_path, couchdb_server)
    await sides.receiver.start()
    await sides.kazoo(couchdb_server.wipe)
    await sides.start()
    try:
        (problem,) = await sides.node.readiness_problems()
        assert problem.startswith("hooks: CouchDB at http://127.0.0.1")
        assert "has no database 'webhooks'" in problem
        answer = await treq.get(f"http://{sides.node.http_host}/readyz", persistent=False)
        assert answer.code == 503
        # What happens meanwhile stays in the queue.
        await sides.save(ONE)
        await until(lambda: sides.listens(ONE))
        assert await sides.node.readiness_problems() == []
        await sides.call()
        await until(lambda: sides.hooks_called() == {ONE})
    finally:
        await sides.node.stop(Deferred())
        await sides.receiver.stop()


@pytest_twisted.ensureDeferred
async def test_deliveries_rest_while_the_source_is_another_one(sides: Sides) -> None:
    sides.receiver.statuses = [500]
    await sides.call()
    await sides.receiver.arrived(1)
    await sides.node.stop(Deferred())

    sides.node = build_node(reactor, evolve(sides.config, webhooks=Webhooks(source="storage")))
    with capturedLogs() as logs:
        await sides.node.start()
        await until(lambda: [log["hook_id"] for log in logs if "rest" in str(log.get("log_format"))] == [ONE])
    assert (await sides.node.webhooks.stores.deliveries.counts())["held"] == 1
    await sides.node.stop(Deferred())

    sides.receiver.statuses, sides.receiver.received = [200], []
    sides.node = build_node(reactor, sides.config)
    await sides.node.start()
    await sides.receiver.arrived(1)
    assert sides.hooks_called() == {ONE}
