"""Nodes that share an embedded bus."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, cast

import pytest
import pytest_twisted
from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.interfaces import BusUnavailable, IBus, InvalidMessage, Unroutable
from kazoo_bridge.kazoo import Event
from kazoo_bridge.pivot import cluster as cluster_module
from kazoo_bridge.pivot.cluster import PivotCluster
from kazoo_bridge.pivot.question import ClientAddress
from tests.bus.harness import until
from tests.pivot.fakes import FakeClients

ACCOUNT = "a" * 32


@define
class NodeOfTheTest:
    """A node with clients; `answers` and `clients_of_calls` are what it has received."""

    bus: EmbeddedBus
    node_id: str
    clock: Any = reactor
    clients: FakeClients = field(factory=FakeClients)
    answers: list[Mapping[str, Any]] = field(factory=list)
    clients_of_calls: list[tuple[str, str, ClientAddress]] = field(factory=list)
    cluster: PivotCluster = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.cluster = PivotCluster(
            self.clock,
            cast(IBus, self.bus),
            self.node_id,
            self._on_question,
            self._on_answer,
            self._on_client,
        )

    def _on_question(
        self, account_id: str, name: str, event: Mapping[str, Any] | None, only: Sequence[str] | None
    ) -> Sequence[str]:
        if event is None:
            return self.clients.candidates(account_id, name)
        return self.clients.ask(account_id, name, event, only)

    def _on_answer(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.answers.append(body)
        return {"Result": "answered"}

    def _on_client(self, *what: Any) -> None:
        self.clients_of_calls.append(what)


@pytest_twisted.async_yield_fixture
async def bus() -> AsyncIterator[EmbeddedBus]:
    bus = EmbeddedBus(reactor)
    bus.startService()
    yield bus
    bus.stopService()


async def start(bus: EmbeddedBus, *names: str) -> list[NodeOfTheTest]:
    nodes = [NodeOfTheTest(bus, name) for name in names]
    for node in nodes:
        node.cluster.start()
    await until(lambda: all(len(node.cluster.others) == len(nodes) - 1 for node in nodes), "all know all")
    return nodes


@pytest_twisted.ensureDeferred
async def test_clients_of_all_nodes_are_asked(bus: EmbeddedBus) -> None:
    one, two, three = await start(bus, "one", "two", "three")
    two.clients.connected, three.clients.connected = ["a", "b"], ["a"]
    found = await one.cluster.ask(ACCOUNT, "front-desk", None)
    remote = {ClientAddress("two", "a"), ClientAddress("two", "b"), ClientAddress("three", "a")}
    assert found == remote
    assert two.clients.asked == []
    assert await one.cluster.ask(ACCOUNT, "front-desk", {"k": 1}) == remote
    assert two.clients.asked == [("a", {"k": 1}), ("b", {"k": 1})]
    target = ClientAddress("two", "b")
    assert await one.cluster.ask(ACCOUNT, "front-desk", {"k": 2}, only=target) == {target}
    assert (two.clients.asked[2:], three.clients.asked) == ([("b", {"k": 2})], [("a", {"k": 1})])
    for node in (one, two, three):
        await node.cluster.stop()


@pytest_twisted.ensureDeferred
async def test_a_node_without_others_asks_no_client(bus: EmbeddedBus) -> None:
    (one,) = await start(bus, "one")
    assert await one.cluster.ask(ACCOUNT, "front-desk", {"k": 1}) == set()
    await one.cluster.stop()
    await one.cluster.stop()


def test_a_node_that_does_not_reply_is_waited_for_within_bounds() -> None:
    clock = Clock()
    bus = EmbeddedBus(clock)
    bus.startService()
    one, two = NodeOfTheTest(bus, "one", clock), NodeOfTheTest(bus, "two", clock)
    for node in (one, two):
        node.cluster.start()
    clock.advance(0)
    two.clients.connected = ["a"]
    one.cluster.others["dead"] = clock.seconds()
    found: list[set[ClientAddress]] = []
    Deferred.fromCoroutine(one.cluster.ask(ACCOUNT, "x", {"k": 1})).addCallback(found.append)
    clock.advance(cluster_module.ASK_TIMEOUT - 0.01)
    assert (found, set(one.cluster.others)) == ([], {"two", "dead"})
    clock.advance(0.01)
    assert found == [{ClientAddress("two", "a")}]
    Deferred.fromCoroutine(two.cluster.stop())
    clock.advance(0)
    assert list(one.cluster.others) == ["dead"]
    clock.advance(cluster_module.NODE_TIMEOUT)
    assert not one.cluster.others
    Deferred.fromCoroutine(one.cluster.stop())
    assert clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_answers_and_clients_of_calls(bus: EmbeddedBus) -> None:
    one, two = await start(bus, "one", "two")
    result = await one.cluster.send_answer("two", {"Pivot-ID": "two-1"})
    assert result is not None
    assert (result["Result"], two.answers[0]["Pivot-ID"]) == ("answered", "two-1")
    client = ClientAddress("one", "c")
    one.cluster.publish_client(ACCOUNT, "call", client)
    await until(lambda: two.clients_of_calls == [(ACCOUNT, "call", client)], "the client of the call")
    assert one.clients_of_calls == []
    await one.cluster.stop()
    await two.cluster.stop()


@pytest_twisted.ensureDeferred
async def test_without_the_bus_only_this_node_counts(bus: EmbeddedBus) -> None:
    one, two = await start(bus, "one", "two")
    bus.stopService()
    assert await one.cluster.ask(ACCOUNT, "x", {"k": 1}) == set()
    with pytest.raises(BusUnavailable):
        await one.cluster.send_answer("two", {})
    with capturedLogs() as logs:
        one.cluster.publish_event(ACCOUNT, "x", {"Event-Name": "pivot_answered"})
        one.cluster.publish_client(ACCOUNT, "call", ClientAddress("one", "c"))
    assert logs == []
    assert two.answers == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"Node-ID": 1},
        {"Node-ID": "x", "Event-Name": "client", "Account-ID": "a"},
        {"Node-ID": "x", "Event-Name": "ask_req", "Server-ID": "q", "Account-ID": "short", "Pivot-Name": "n"},
        {"Node-ID": "x", "Event-Name": "ask_req", "Server-ID": "q", "Account-ID": ACCOUNT},
    ],
)
def test_messages_that_cannot_be_used(body: dict[str, Any]) -> None:
    node = NodeOfTheTest(EmbeddedBus(reactor), "one")
    with pytest.raises(InvalidMessage):
        node.cluster._handle(Event("sysconf", "pivot.ask.x.y", body, b""))


def test_nodes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "MAX_NODES", 2)
    node = NodeOfTheTest(EmbeddedBus(reactor), "one")
    for number in range(5):
        node.cluster._handle(Event("sysconf", "pivot.node.here", {"Node-ID": f"n{number}"}, b""))
    assert len(node.cluster.others) == 2


def until_arrived(clock: Clock) -> None:
    for _ in range(5):
        clock.advance(0)


@define
class NodesOnAClock:
    """Nodes on one bus whose time the test passes."""

    clock: Clock = field(factory=Clock)
    bus: EmbeddedBus = field(init=False)

    def __attrs_post_init__(self) -> None:
        self.bus = EmbeddedBus(self.clock)
        self.bus.startService()

    def start(self, name: str) -> NodeOfTheTest:
        node = NodeOfTheTest(self.bus, name, self.clock)
        node.cluster.start()
        until_arrived(self.clock)
        return node

    def ask(self, node: NodeOfTheTest) -> list[set[ClientAddress]]:
        """Ask; return a list that receives the result."""
        found: list[set[ClientAddress]] = []
        ensureDeferred(node.cluster.ask(ACCOUNT, "x", {"k": 1})).addCallback(found.append)
        return found

    def stop(self, *nodes: NodeOfTheTest) -> None:
        for node in nodes:
            ensureDeferred(node.cluster.stop())
        until_arrived(self.clock)
        assert self.clock.getDelayedCalls() == []


def test_a_node_that_did_not_reply_once_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = NodesOnAClock()
    one, two = nodes.start("one"), nodes.start("two")
    two.clients.connected = ["a"]
    with monkeypatch.context() as patch:
        patch.setattr(PivotCluster, "_reply", lambda *given: None)
        first = nodes.ask(one)
        nodes.clock.advance(cluster_module.ASK_TIMEOUT)
    assert first == [set()]
    second = nodes.ask(one)
    until_arrived(nodes.clock)
    assert second == [{ClientAddress("two", "a")}]
    nodes.stop(one, two)


def test_nodes_that_are_not_known_receive_questions_and_are_known_then() -> None:
    nodes = NodesOnAClock()
    one, two = nodes.start("one"), nodes.start("two")
    two.clients.connected = ["a"]
    one.cluster.others.clear()
    assert nodes.ask(one) == [set()]  # nothing to wait for
    until_arrived(nodes.clock)
    assert (two.clients.names, list(one.cluster.others)) == (["a"], ["two"])
    nodes.stop(one, two)


def test_a_node_that_is_silent_is_forgotten_and_comes_back() -> None:
    nodes = NodesOnAClock()
    one, two = nodes.start("one"), nodes.start("two")
    for _ in range(20):
        nodes.clock.advance(cluster_module.ANNOUNCE_INTERVAL)
        until_arrived(nodes.clock)
    assert list(one.cluster.others) == ["two"]
    two.cluster._announcing.stop()  # it is killed
    for _ in range(5):
        nodes.clock.advance(cluster_module.ANNOUNCE_INTERVAL)
    assert list(one.cluster.others) == []
    two.cluster._announce()
    until_arrived(nodes.clock)
    assert list(one.cluster.others) == ["two"]
    nodes.stop(one, two)


def test_a_new_node_takes_the_place_of_the_one_that_is_silent_for_longest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster_module, "MAX_NODES", 2)
    node = NodeOfTheTest(EmbeddedBus(reactor), "one")
    for name in ("n1", "n2", "n1", "n3"):
        node.cluster._handle(Event("sysconf", "pivot.node.here", {"Node-ID": name}, b""))
    assert list(node.cluster.others) == ["n1", "n3"]


def test_the_end_of_the_waiting_leaves_the_question_and_the_stop_leaves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(PivotCluster, "_reply", lambda *given: None)
    nodes = NodesOnAClock()
    one, two = nodes.start("one"), nodes.start("two")
    asking = ensureDeferred(one.cluster.ask(ACCOUNT, "x", {"k": 1}))
    asking.addErrback(lambda failure: failure.trap(CancelledError))
    two.clients.connected = ["a"]
    asking.cancel()
    until_arrived(nodes.clock)
    assert two.clients.names == ["a"]
    assert len(one.cluster._requests) == 1
    with capturedLogs() as logs:
        nodes.stop(one, two)
    assert (one.cluster._requests, logs) == (set(), [])


@pytest_twisted.ensureDeferred
async def test_an_answer_to_a_node_that_does_not_exist_fails_at_once(bus: EmbeddedBus) -> None:
    (one,) = await start(bus, "one")
    with pytest.raises(Unroutable):
        await one.cluster.send_answer("gone", {"Pivot-ID": "gone-1"})
    await one.cluster.stop()
