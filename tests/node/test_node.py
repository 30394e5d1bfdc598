from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_twisted
import treq
from attrs import evolve
from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.protocol import ServerFactory
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs

from kazoo_bridge.config import Http, Storage, Websockets
from kazoo_bridge.directory.base import BaseDirectory
from kazoo_bridge.interfaces import StorageUnavailable
from kazoo_bridge.node.assembly import build_node
from kazoo_bridge.node.node import Node
from kazoo_bridge.node.readiness import EMBEDDED
from kazoo_bridge.node.startup import StartupFailed, StoppedWhileStarting
from kazoo_bridge.node.tls_certificates import TlsCertificates
from kazoo_bridge.storage import engine
from kazoo_bridge.storage.change_feed import ALL
from tests.node.harness import make_config, make_node

reactor: Any = installed_reactor

pytestmark = pytest.mark.timeout(30)

ACCOUNT, CHILD = "a" * 32, "b" * 32


@pytest_twisted.ensureDeferred
async def test_a_started_node_serves_rest_and_is_ready(node: Node) -> None:
    assert await node.readiness_problems() == []
    response = await treq.get(f"http://{node.http_host}/readyz", persistent=False)
    assert response.code == 200
    assert await response.text() == f"ready\ndegraded: bus: {EMBEDDED}\n"


@pytest_twisted.ensureDeferred
async def test_a_node_is_not_ready_before_the_start_nor_without_its_storage(tmp_path: Path) -> None:
    node = make_node(tmp_path)
    await node.load()
    assert await node.readiness_problems() == ["bus: the node is still starting"]
    await node.close()
    _, storage = await node.readiness_problems()
    assert storage.startswith("storage: ")


class ClosingDirectory(BaseDirectory):
    closed = False

    async def close(self) -> None:
        self.closed = True


@pytest_twisted.ensureDeferred
async def test_a_node_that_only_loads_closes_its_directory(tmp_path: Path) -> None:
    node = make_node(tmp_path)
    await node.load()
    node.directory = directory = ClosingDirectory()
    await node.close()
    assert directory.closed


@pytest_twisted.ensureDeferred
async def test_a_node_is_not_ready_without_its_directory(node: Node) -> None:
    broken, degraded = BaseDirectory(), BaseDirectory()
    broken.problem = lambda: "crossbar has not answered yet"  # type: ignore[method-assign]
    degraded.degraded = lambda: ["crossbar does not answer"]  # type: ignore[method-assign]
    assert node.degradations() == [f"bus: {EMBEDDED}"]
    directory, node.directory = node.directory, broken
    assert await node.readiness_problems() == ["directory: crossbar has not answered yet"]
    node.directory = degraded
    assert await node.readiness_problems() == []
    assert node.degradations() == [f"bus: {EMBEDDED}", "directory: crossbar does not answer"]
    node.directory = directory


@pytest_twisted.ensureDeferred
async def test_a_node_starts_and_stops_its_directory(tmp_path: Path) -> None:
    node = make_node(tmp_path)
    await node.start()
    try:
        assert node.directory.running
    finally:
        await node.stop(Deferred())
    assert not node.directory.running


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("socket", ["index=9", "name=rest"])
async def test_a_socket_that_systemd_does_not_pass_fails_the_start(tmp_path: Path, socket: str) -> None:
    endpoint = f"systemd:domain=INET:{socket}"
    config = make_config(tmp_path)
    for key, changed in (
        ("http.endpoint", evolve(config, http=Http(endpoint))),
        ("websockets.endpoint", evolve(config, websockets=Websockets(endpoint))),
    ):
        node = build_node(reactor, changed)
        try:
            with pytest.raises(StartupFailed, match=f"^{key}: cannot listen on {endpoint}: systemd has not"):
                await node.start()
        finally:
            await node.stop(Deferred())


@pytest_twisted.ensureDeferred
async def test_a_port_in_use_fails_the_start_with_the_name_of_its_key(tmp_path: Path, node: Node) -> None:
    port = node.http_host.rpartition(":")[2]
    taken = f"tcp:{port}:interface=127.0.0.1"
    config = make_config(tmp_path / "..")
    for key, changed in (
        ("http.endpoint", evolve(config, http=Http(taken))),
        ("websockets.endpoint", evolve(config, websockets=Websockets(taken))),
    ):
        other = build_node(reactor, changed)
        try:
            with pytest.raises(StartupFailed, match=f"^{key}: cannot listen on {taken}: "):
                await other.start()
        finally:
            await other.stop(Deferred())


@pytest_twisted.ensureDeferred
async def test_an_unavailable_storage_fails_the_start(tmp_path: Path) -> None:
    config = evolve(make_config(tmp_path), storage=Storage(f"sqlite:///{tmp_path}/no/such/folder/x.sqlite3"))
    node = build_node(reactor, config)
    try:
        with pytest.raises(StartupFailed, match=r"^storage\.uri: "):
            await node.start()
    finally:
        await node.stop(Deferred())


@pytest_twisted.ensureDeferred
async def test_a_node_waits_for_its_storage_and_answers_503_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "LOCK_TIMEOUT", 0.01)
    prepared = make_node(tmp_path)
    await prepared.database.migrate()
    await prepared.close()
    other = sqlite3.connect(tmp_path / "node.sqlite3", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    node = make_node(tmp_path)
    starting = Deferred.fromCoroutine(node.start())
    try:
        deadline = reactor.seconds() + 10
        while node.http_host.endswith(":0"):
            assert reactor.seconds() < deadline, "REST does not listen"
            await deferLater(reactor, 0.01)
        statuses = {}
        for path in ("/readyz", "/readyz?part=rest", "/healthz", "/v2/webhooks"):
            response = await treq.get(f"http://{node.http_host}{path}", persistent=False)
            statuses[path] = response.code
            text = await response.text()
            assert path != "/readyz?part=rest" or "is locked by another process" in text
        assert statuses == {"/readyz": 503, "/readyz?part=rest": 503, "/healthz": 200, "/v2/webhooks": 503}
        other.execute("ROLLBACK")
        await starting
        assert await node.readiness_problems() == []
    finally:
        other.close()
        await node.stop(Deferred())


@pytest_twisted.ensureDeferred
async def test_a_node_that_waits_for_its_storage_can_be_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = make_node(tmp_path)

    def refuse() -> Deferred[None]:
        return fail(StorageUnavailable("away"))

    monkeypatch.setattr(node.database, "migrate", refuse)
    starting = Deferred.fromCoroutine(node.start())
    try:
        assert await node.readiness_problems() == ["bus: the node is still starting", "storage: away"]
        node.give_up_start()
        with pytest.raises(CancelledError):
            await starting
    finally:
        await node.stop(Deferred())


@pytest_twisted.ensureDeferred
async def test_stop_leaves_no_delayed_call_no_port_and_no_running_service(tmp_path: Path) -> None:
    delayed_before, readers_before = set(reactor.getDelayedCalls()), set(reactor.getReaders())
    node = make_node(tmp_path)
    await node.start()
    await node.accounts.create(ACCOUNT)
    node.calls.watch(ACCOUNT, lambda change: None)
    event = {"Event-Category": "call_event", "Event-Name": "CHANNEL_CREATE", "Call-ID": "c"}
    await node.bus.publish("callevt", "call.CHANNEL_CREATE.c", event)
    response = await treq.get(f"http://{node.http_host}/healthz", persistent=False)
    await response.text()
    assert set(reactor.getReaders()) > readers_before
    await node.stop(Deferred())
    assert set(reactor.getDelayedCalls()) <= delayed_before
    assert not [reader for reader in reactor.getReaders() if reader not in readers_before]
    services: list[Any] = [node.bus, node.change_feed, node.retention, node.websockets.sessions]
    services.append(node.webhooks.recorder)
    assert not [service for service in services if service.running]
    with pytest.raises(StorageUnavailable):
        await node.tokens.create(ACCOUNT)


@pytest_twisted.ensureDeferred
async def test_a_node_that_was_never_started_can_be_stopped(tmp_path: Path) -> None:
    delayed_before = set(reactor.getDelayedCalls())
    await make_node(tmp_path).stop(Deferred())
    assert set(reactor.getDelayedCalls()) <= delayed_before


class SlowEndpoint:
    """An endpoint whose port opens when the test says so."""

    def __init__(self) -> None:
        self.opening: Deferred[Any] = Deferred()

    def listen(self, factory: Any) -> Deferred[Any]:
        return self.opening

    def open(self) -> None:
        self.opening.callback(reactor.listenTCP(0, ServerFactory(), interface="127.0.0.1"))


def is_anything_started(node: Node) -> bool:
    services: list[Any] = [
        node.bus, node.change_feed, node.retention, node.directory, node.hook_source, node.directory_watch,
        node.websockets.sessions, node.webhooks.recorder,
    ]  # fmt: skip
    return any(service.running for service in services)


@pytest.mark.parametrize("fails", [False, True])
@pytest_twisted.ensureDeferred
async def test_nothing_starts_after_a_stop_while_the_storage_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    node = make_node(tmp_path)
    reading: Deferred[None] = Deferred()
    monkeypatch.setattr(Node, "load", lambda _: reading)
    starting = Deferred.fromCoroutine(node.start())
    await node.stop(Deferred())
    reading.errback(StorageUnavailable("closed")) if fails else reading.callback(None)
    with pytest.raises(StoppedWhileStarting):
        await starting
    assert not is_anything_started(node)
    assert node.http_host == "localhost:0"


@pytest.mark.parametrize("slow", [0, 1], ids=["REST", "websockets"])
@pytest_twisted.ensureDeferred
async def test_no_port_stays_open_after_a_stop_while_it_opens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: int
) -> None:
    readers_before = set(reactor.getReaders())
    node, endpoint = make_node(tmp_path), SlowEndpoint()
    make_endpoint, made = node.certificates.make_endpoint, count()
    monkeypatch.setattr(
        TlsCertificates,
        "make_endpoint",
        lambda _, *arguments: endpoint if next(made) == slow else make_endpoint(*arguments),
    )
    starting = Deferred.fromCoroutine(node.start())
    deadline = reactor.seconds() + 10
    while not node.directory.running:
        assert reactor.seconds() < deadline, "the node does not start"
        await deferLater(reactor, 0.01)
    await node.stop(Deferred())
    endpoint.open()
    with pytest.raises(StoppedWhileStarting):
        await starting
    assert not is_anything_started(node)
    assert set(reactor.getReaders()) <= readers_before


async def publish_account_deleted(node: Node, account_id: str) -> None:
    body = {
        "Event-Category": "configuration",
        "Event-Name": "doc_deleted",
        "Type": "account",
        "ID": account_id,
    }
    await node.bus.publish("configuration", f"doc_deleted.accounts.account.{account_id}", body)


@pytest_twisted.ensureDeferred
async def test_an_account_that_kazoo_deletes_is_deleted_here(node: Node) -> None:
    await node.accounts.create(ACCOUNT)
    await publish_account_deleted(node, ACCOUNT)
    deadline = reactor.seconds() + 10
    while await node.accounts.by_ids([ACCOUNT]):
        assert reactor.seconds() < deadline, "the account is still there"
        await deferLater(reactor, 0.01)


@pytest_twisted.ensureDeferred
async def test_an_account_with_sub_accounts_stays_when_kazoo_deletes_it(node: Node) -> None:
    await node.accounts.create(ACCOUNT)
    await node.accounts.create(CHILD, parent_id=ACCOUNT)
    with capturedLogs() as logged:
        await publish_account_deleted(node, ACCOUNT)
        deadline = reactor.seconds() + 10
        while not [event for event in logged if event.get("account_id") == ACCOUNT]:
            assert reactor.seconds() < deadline, "nothing is logged"
            await deferLater(reactor, 0.01)
    assert await node.accounts.by_ids([ACCOUNT])


@pytest_twisted.ensureDeferred
async def test_all_hooks_are_read_in_the_context_for_loading(tmp_path: Path) -> None:
    steps: list[str] = []

    @contextmanager
    def loading() -> Iterator[None]:
        steps.append("begin")
        with capturedLogs() as logs:
            yield
        steps.extend(entry["log_format"].partition(" ")[0] for entry in logs)
        steps.append("end")

    node = make_node(tmp_path, loading)
    await node.start()
    try:
        assert steps == ["begin", "directory", "end", "begin", "hooks", "end"]
        steps.clear()
        for kind in ("hook", ALL):
            await cast(Deferred[None], node.storage_changes.apply(kind, frozenset({"a" * 32})))
        assert steps == ["begin", "hooks", "end"]
    finally:
        await node.stop(Deferred())
