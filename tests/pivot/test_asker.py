"""Which clients a question goes to. Other nodes are those of a fake cluster."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from attrs import define, field
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import PivotAnswer, UnknownPivotRequest
from kazoo_bridge.pivot import asker as asker_module
from kazoo_bridge.pivot.asker import NoClients, PivotAsker
from kazoo_bridge.pivot.call_parameters import CallParameters
from kazoo_bridge.pivot.question import (
    ANSWERED,
    GONE,
    NO_CLIENT,
    STOPPED,
    TIMEOUT,
    ClientAddress,
    PivotOutcome,
)
from tests.pivot.fakes import FakeClients
from tests.pivot.test_point import make_point

FLOW = {"module": "hangup"}


@define
class FakeCluster:
    """Clients of other nodes; `asked` has whom each question with an event went to."""

    node_id: str = "here"
    remote: list[ClientAddress] = field(factory=list)
    asked: list[str] = field(factory=list)

    async def ask(
        self, account_id: str, name: str, event: Mapping[str, Any] | None, only: ClientAddress | None = None
    ) -> set[ClientAddress]:
        found = {client for client in self.remote if only is None or client == only}
        if event is not None:
            self.asked += sorted(client.client for client in found)
        return found


class Harness:
    def __init__(self, *connected: str, remote: tuple[str, ...] = ()) -> None:
        self.clock = Clock()
        self.cluster = FakeCluster(remote=[ClientAddress("there", client) for client in remote])
        cluster: Any = self.cluster
        self.asker = PivotAsker(self.clock, cluster)
        self.clients = self.asker.clients = FakeClients(list(connected))
        self.ended: list[PivotOutcome] = []

    def ask(self, call_id: str = "c1", **document: Any) -> str:
        """Ask; return the pivot id, empty if the question has ended at once."""
        call = CallParameters({"Call-ID": call_id})
        asking: Deferred[Any] = ensureDeferred(self.asker.ask(make_point(**document), call))
        asking.addCallback(lambda result: self.ended.append(result[1]))
        return next(reversed(self.asker.questions), "")

    def answer(self, pivot_id: str, client: str = "a", node: str = "here") -> None:
        self.asker.answer("a" * 32, pivot_id, PivotAnswer(FLOW), ClientAddress(node, client))

    @property
    def kinds(self) -> list[str]:
        return [outcome.kind for outcome in self.ended]


def test_the_clients_of_all_nodes_are_asked() -> None:
    harness = Harness("a", "b", remote=("c",))
    pivot_id = harness.ask()
    assert pivot_id.startswith("here-")
    assert (harness.clients.names, harness.cluster.asked) == (["a", "b"], ["c"])
    harness.answer(pivot_id)
    assert harness.kinds == [ANSWERED]
    with pytest.raises(UnknownPivotRequest):
        harness.answer(pivot_id)
    assert harness.clock.getDelayedCalls() == []


def test_without_a_client_it_ends_at_once() -> None:
    harness = Harness()
    assert harness.ask() == ""
    assert harness.ask(strategy="rotate") == ""
    assert harness.kinds == [NO_CLIENT, NO_CLIENT]
    assert harness.clock.getDelayedCalls() == []
    assert (NoClients().candidates("a", "b"), NoClients().ask("a", "b", {}, None)) == ((), ())


def test_another_account_cannot_answer() -> None:
    harness = Harness("a")
    pivot_id = harness.ask()
    with pytest.raises(UnknownPivotRequest):
        harness.asker.answer("b" * 32, pivot_id, PivotAnswer(FLOW), ClientAddress("here", "a"))
    harness.clock.advance(3)
    assert harness.kinds == [TIMEOUT]


class TestTurns:
    def test_each_has_a_share_of_the_time(self) -> None:
        harness = Harness("a", "b", remote=("c",))
        harness.ask(strategy="rotate", timeout_ms=3000)
        assert (harness.clients.names, harness.cluster.asked) == (["a"], [])
        harness.clock.advance(1)
        assert harness.clients.names == ["a", "b"]
        harness.clock.advance(1)
        assert harness.cluster.asked == ["c"]
        harness.clock.advance(1)
        assert harness.kinds == [TIMEOUT]
        assert harness.clock.getDelayedCalls() == []

    def test_a_client_that_does_not_answer_is_passed_over(self) -> None:
        harness = Harness("silent", "ready")
        pivot_id = harness.ask(strategy="rotate", timeout_ms=1000)
        assert harness.clients.names == ["silent"]
        harness.clock.advance(0.5)
        assert harness.clients.names == ["silent", "ready"]
        harness.answer(pivot_id, "ready")
        assert harness.kinds == [ANSWERED]
        assert harness.clock.getDelayedCalls() == []

    def test_who_was_not_asked_lately_is_next(self) -> None:
        harness = Harness("a", "b", "c")
        for number, expected in enumerate("abcab"):
            harness.answer(harness.ask(f"c{number}", strategy="rotate"))
            assert harness.clients.names[-1] == expected
        harness.clients.connected.insert(0, "new")
        harness.ask("last", strategy="rotate")
        assert harness.clients.names[-1] == "new"

    def test_a_client_that_has_gone_meanwhile_takes_no_time(self) -> None:
        harness = Harness("a", "b")
        harness.ask(strategy="rotate", timeout_ms=1000)
        harness.clients.connected.remove("b")
        harness.clock.advance(0.5)
        assert (harness.clients.names, harness.kinds) == (["a"], [])

    def test_the_memory_of_turns_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(asker_module, "MAX_TURNS_KEPT", 1)
        harness = Harness("a", "b")
        for number in range(4):
            harness.answer(harness.ask(f"c{number}", strategy="rotate"))
        assert len(harness.asker._turns) == 1


class TestCalls:
    def test_a_call_keeps_its_client(self) -> None:
        harness = Harness("a", "b", remote=("c",))
        harness.answer(harness.ask(), "c", "there")
        harness.clients.asked.clear()
        harness.cluster.asked.clear()
        harness.ask()
        assert (harness.clients.names, harness.cluster.asked) == ([], ["c"])
        harness.ask("another")
        assert harness.clients.names == ["a", "b"]

    def test_until_it_has_gone(self) -> None:
        harness = Harness("a", "b")
        harness.answer(harness.ask(), "b")
        harness.clients.connected.remove("b")
        harness.clients.asked.clear()
        harness.ask()
        assert harness.clients.names == ["a"]

    def test_or_the_call_has_ended(self) -> None:
        harness = Harness("a", "b")
        harness.answer(harness.ask(), "b")
        harness.asker.forget_call("a" * 32, "c1")
        harness.clients.asked.clear()
        harness.ask()
        assert harness.clients.names == ["a", "b"]

    def test_answers_over_rest_have_no_client(self) -> None:
        harness = Harness("a")
        harness.answer(harness.ask(), "")
        assert not harness.asker._clients_of_calls

    def test_the_memory_of_calls_is_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(asker_module, "MAX_CALLS", 2)
        harness = Harness("a")
        for number in range(3):
            harness.answer(harness.ask(f"c{number}"))
        assert [call_id for _, call_id in harness.asker._clients_of_calls] == ["c1", "c2"]


def test_questions_of_other_nodes() -> None:
    harness = Harness("a", "b")
    assert list(harness.asker.ask_for_other_node("x", "y", None, None)) == ["a", "b"]
    assert harness.clients.asked == []
    assert list(harness.asker.ask_for_other_node("x", "y", {"k": 1}, ["b"])) == ["b"]
    assert harness.clients.asked == [("b", {"k": 1})]


def test_a_node_that_stops_ends_all_questions() -> None:
    harness = Harness("a")
    harness.ask("c1")
    harness.ask("c2", strategy="rotate")
    harness.asker.stop()
    assert harness.kinds == [STOPPED, STOPPED]
    assert harness.clock.getDelayedCalls() == []


def test_kazoo_gives_up() -> None:
    harness = Harness("a")
    call = CallParameters({"Call-ID": "c1"})
    asking: Deferred[Any] = ensureDeferred(harness.asker.ask(make_point(), call))
    ended: list[Any] = []
    asking.addCallback(lambda result: ended.append(result[1].kind))
    asking.cancel()
    assert (ended, harness.asker.questions, harness.clock.getDelayedCalls()) == ([GONE], {}, [])


def test_a_client_that_answers_counts_as_asked() -> None:
    harness = Harness("a")
    asking = ensureDeferred(harness.asker.ask(make_point(), CallParameters({"Call-ID": "c1"})))
    asked: list[set[ClientAddress]] = []
    asking.addCallback(lambda result: asked.append(result[0].asked))
    harness.answer(next(iter(harness.asker.questions)), "c", "there")
    assert asked == [{ClientAddress("here", "a"), ClientAddress("there", "c")}]


def test_an_answer_is_bound_to_its_pivot_point() -> None:
    harness = Harness("a")
    pivot_id = harness.ask()
    answer, source = PivotAnswer(FLOW), ClientAddress("here", "")
    with pytest.raises(UnknownPivotRequest):
        harness.asker.answer("a" * 32, pivot_id, answer, source, "2" * 32)
    harness.asker.answer("a" * 32, pivot_id, answer, source, make_point().id)
    assert harness.kinds == [ANSWERED]
