"""What one account can make the service store, read and hold in memory, over REST."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import sqlalchemy as sa
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.endpoints import HostnameEndpoint, connectProtocol
from twisted.internet.protocol import Protocol
from twisted.internet.task import deferLater

from kazoo_bridge.config import Config, Egress, Storage
from kazoo_bridge.interfaces import Attempt, Delivery, Occurrence
from kazoo_bridge.storage import tables
from kazoo_bridge.webhooks.attempts.attempt_document import AttemptInfo
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.http_request import build_request
from kazoo_bridge.webhooks.http.sender import Outcome
from tests.attacks.test_records import move
from tests.rest.harness import ACCOUNT, CHILD, LOOPBACK, STRANGER, RestHarness, hooks_path, running_node
from tests.storage.sqlite_template import make_migrated_database
from tests.webhooks.receiving import Receiver

pytestmark = pytest.mark.timeout(30)

MAX_PAGE_BYTES = 65_536

#: Bytes of JSON around the items of a list.
ENVELOPE_BYTES = 1000


@pytest_twisted.async_yield_fixture
async def rest(tmp_path: Path) -> AsyncIterator[RestHarness]:
    """A node with the smallest pages."""
    config = evolve(
        Config(),
        storage=Storage(make_migrated_database(tmp_path / "b.sqlite3")),
        http=evolve(LOOPBACK, max_page_bytes=MAX_PAGE_BYTES),
        egress=evolve(Egress(), allowed_networks=("127.0.0.0/8",)),
    )
    async with running_node(config) as harness:
        yield harness


async def list_all(rest: RestHarness, path: str) -> tuple[list[Any], int]:
    """Read all pages; returns the items, and the size of the largest page."""
    found: list[Any] = []
    largest, start_key = 0, ""
    while True:
        response = await rest("GET", path + start_key)
        assert response.code == 200, response.text_body
        found += response.json_body["data"]
        largest = max(largest, len(response.text_body))
        if "next_start_key" not in response.json_body:
            return found, largest
        start_key = f"&start_key={response.json_body['next_start_key']}"


def make_attempts(count: int, size: int) -> list[Attempt]:
    document = {"resp_body": "\ufffd" * (size // 6)}
    return [Attempt(ACCOUNT, "h", "1-x", True, 0.0, document | {"event_id": str(n)}) for n in range(count)]


@pytest_twisted.ensureDeferred
async def test_an_attempt_takes_bounded_space_whatever_hook_and_receiver_do(rest: RestHarness) -> None:
    custom_data = {f"k{number}": '"' * 4000 for number in range(7)}
    hook_id = await rest.create_hook(http_verb="get", custom_data=custom_data)
    webhooks = rest.node.webhooks
    stored = await webhooks.hooks.get(ACCOUNT, hook_id)
    assert stored is not None
    hook = Hook.from_document(stored, webhooks.catalogue)
    payload = Occurrence("channel_create", ACCOUNT, {"call_id": "\u2028" * 10_000}).payload
    answer = Outcome(False, 500, headers={"X": "\xff" * 28_000}, body=b"\xff" * 28_000)
    webhooks.recorder.record(hook, build_request(hook, payload, ""), answer, AttemptInfo("e", 0, 0))
    await webhooks.recorder.flush()
    size = sa.select(sa.func.length(tables.attempts.c.document))
    assert (await rest.node.database.read(lambda connection: connection.scalar(size)) or 0) < 30_000
    (listed,) = await rest.get_data(f"{hooks_path(hook_id=hook_id)}/attempts")
    assert listed["truncated"] == ["resp_body", "url", "resp_headers", "custom_data"]


@pytest.mark.parametrize("query", ["paginate=false", "page_size=1000"])
@pytest_twisted.ensureDeferred
async def test_a_page_of_attempts_is_bounded_and_none_is_missing(rest: RestHarness, query: str) -> None:
    # As an earlier version stored them: 10 MB, 40 KB each.
    await rest.node.webhooks.stores.attempts.add(make_attempts(250, 40_000), {})
    found, largest = await list_all(rest, f"{hooks_path()}/attempts?{query}")
    assert [int(one["event_id"]) for one in found] == list(range(249, -1, -1))
    assert largest < MAX_PAGE_BYTES + 45_000 + ENVELOPE_BYTES


@pytest_twisted.ensureDeferred
async def test_a_page_of_deliveries_is_bounded_and_none_is_missing(rest: RestHarness) -> None:
    payload = {"first": 1, **{f"k{number}": "\xe9" * 1000 for number in range(100)}}
    waiting = [
        (Delivery(f"d{number}", "h", ACCOUNT, "all", "e", payload, 0.0), 1e12, "") for number in range(30)
    ]
    await rest.node.webhooks.stores.deliveries.enqueue(waiting)
    found, largest = await list_all(rest, f"{hooks_path()}/deliveries?paginate=false")
    assert [one["id"] for one in found] == [f"d{number}" for number in range(29, -1, -1)]
    assert all(one["truncated"] == ["payload"] and one["payload"]["first"] == 1 for one in found)
    assert largest < MAX_PAGE_BYTES + 20_000 + ENVELOPE_BYTES


@pytest_twisted.ensureDeferred
async def test_filters_that_nothing_passes_read_a_bounded_part_at_a_time(rest: RestHarness) -> None:
    await rest.node.webhooks.stores.attempts.add(make_attempts(600, 40_000), {})
    response = await rest("GET", f"{hooks_path()}/attempts?filter_event_id=0&paginate=false")
    assert response.json_body["data"] == []
    found, _ = await list_all(rest, f"{hooks_path()}/attempts?filter_event_id=0&paginate=false")
    assert [one["event_id"] for one in found] == ["0"]


class SilentClient(Protocol):
    """Sends requests, and reads nothing of the answers."""

    def connectionMade(self) -> None:
        """See `IProtocol`."""
        transport: Any = self.transport
        transport.pauseProducing()


@pytest_twisted.ensureDeferred
async def test_a_client_that_reads_nothing_has_one_answer_waiting(
    rest: RestHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks = rest.node.webhooks.hooks
    reads: list[str] = []
    read = hooks.for_account

    async def counted(account_id: str) -> Any:
        reads.append(account_id)
        return await read(account_id)

    monkeypatch.setattr(type(hooks), "for_account", lambda _self, account_id: counted(account_id))
    for number in range(40):
        await rest.create_hook(name=f"{number}", uri="http://127.0.0.1:9/" + "x" * 2000)
    host, _, port = rest.node.http_host.partition(":")
    client: Any = await connectProtocol(HostnameEndpoint(reactor, host, int(port)), SilentClient())
    head = f"GET {hooks_path()} HTTP/1.1\r\nHost: x\r\nX-Auth-Token: {rest.token}\r\n\r\n"
    client.transport.write(head.encode() * 400)
    done = -1
    while done != len(reads):  # until nothing more is answered
        done = len(reads)
        await deferLater(reactor, 0.1)
    # 64 KB each: what the kernel takes, and one more.
    assert 0 < done < 200
    client.transport.abortConnection()


@pytest_twisted.ensureDeferred
async def test_samples_are_limited(rest: RestHarness) -> None:
    receiver = Receiver()
    await receiver.start()
    hook_id = await rest.create_hook(uri=receiver.url)
    responses = [await rest("POST", f"{hooks_path(hook_id=hook_id)}/test") for _ in range(17)]
    assert [response.code for response in responses] == [200] * 15 + [429] * 2
    (seconds,) = responses[-1].headers.getRawHeaders("Retry-After")
    assert 1 <= int(seconds) <= 4
    await receiver.stop()


@pytest_twisted.ensureDeferred
async def test_what_a_moved_account_has_done_is_not_shown_above_its_old_place(rest: RestHarness) -> None:
    hook_id = await rest.create_failing_hook(include_subaccounts=True)
    await rest.publish_calls(CHILD)
    path = f"{hooks_path(hook_id=hook_id)}"
    await rest.node.webhooks.recorder.flush()
    while not await rest.get_data(f"{path}/deliveries"):
        await deferLater(reactor, 0.02)
    assert await rest.get_data(f"{path}/attempts")
    await move(rest.node, CHILD, STRANGER)
    while rest.node.directory.ancestors(CHILD) != (STRANGER,):
        await deferLater(reactor, 0.02)
    for listed in ("attempts", "deliveries"):
        assert await rest.get_data(f"{path}/{listed}") == []
        assert await rest.get_data(f"{hooks_path()}/{listed}") == []
    # Its next attempt may be due already.
    for waiting in await rest.node.webhooks.stores.deliveries.page(ACCOUNT, None, "pending", None, 10):
        await rest("POST", f"{path}/deliveries/{waiting.delivery.id}/retry")
    dropped = 'kazoo_bridge_events_missed_total{reason="account_moved"} 1.0'
    while dropped not in (await rest("GET", "/metrics")).text_body:
        await deferLater(reactor, 0.1)
    while await rest.node.webhooks.stores.deliveries.page(ACCOUNT, None, "pending", None, 10):
        await deferLater(reactor, 0.02)
