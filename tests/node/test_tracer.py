from __future__ import annotations

from collections.abc import Collection
from typing import Any, cast

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.event_traces import EventTraces
from kazoo_bridge.interfaces import Delivery, InvalidMessage, StoredAttempt, StoredDelivery
from kazoo_bridge.kazoo import Event
from kazoo_bridge.node import tracer
from kazoo_bridge.node.node_queries import REPLY_TIMEOUT, NodeQueryClient, NodeReply
from kazoo_bridge.node.tracer import ANSWER_TIMEOUT, MAX_IDS, Tracer, TraceResponder
from kazoo_bridge.storage.trace_records import TraceRecords
from kazoo_bridge.webhooks.event_explainer import EventExplainer
from tests.deferreds import result_of

ACCOUNT = "a" * 32


class FakeExplainer:
    """Knows one event."""

    def __init__(self) -> None:
        self.asked: list[Any] = []

    async def explain(self, ids: Any, accounts: Any) -> list[dict[str, Any]]:
        self.asked.append((list(ids), accounts))
        return [{"msg_id": "m1", "event_id": "msg_1"}]


class TestResponder:
    def make(self) -> tuple[FakeExplainer, TraceResponder]:
        explainer, clock = FakeExplainer(), Clock()
        webhooks, sockets = EventTraces(clock.seconds, 5), EventTraces(clock.seconds, 5)
        for message_id in ("m1", "m2"):
            event = Event("callevt", "k", {"Msg-ID": message_id, "Call-ID": "c1"}, b"")
            sockets.add(event, "", 3)
        webhooks.add(Event("callevt", "k", {}, b""), "", ())
        return explainer, TraceResponder(cast(EventExplainer, explainer), webhooks, sockets)

    def test_events_and_sockets(self) -> None:
        explainer, responder = self.make()
        answered = result_of(responder.answer({"IDs": ["c1"]}))
        assert explainer.asked == [(["c1"], None)]
        assert [(one["msg_id"], one["sockets"]) for one in answered["sockets"]] == [("m1", 3), ("m2", 3)]
        assert (answered["kept_events"], answered["kept_since"]) == (1, 0.0)

    def test_of_one_account_the_sockets_are_those_of_its_events(self) -> None:
        explainer, responder = self.make()
        answered = result_of(responder.answer({"IDs": ["c1"], "Account-IDs": [ACCOUNT]}))
        assert explainer.asked == [(["c1"], {ACCOUNT})]
        assert [one["msg_id"] for one in answered["sockets"]] == ["m1"]

    @pytest.mark.parametrize("ids", ["c1", [1], ["x" * 256], ["x"] * (MAX_IDS + 1)])
    def test_a_wrong_query(self, ids: Any) -> None:
        _, responder = self.make()
        with pytest.raises(InvalidMessage, match="IDs: expected a list"):
            result_of(responder.answer({"IDs": ids}))


class FakeNodes:
    """Nodes that say `replies`; those in `silent` are there and say nothing."""

    def __init__(self, *replies: NodeReply, silent: Collection[str] = ()) -> None:
        self.replies = list(replies)
        self.silent = silent
        self.asked: list[Any] = []
        self.waits: list[Any] = []

    async def names(self) -> frozenset[str]:
        return frozenset({reply.node for reply in self.replies}.union(self.silent))

    async def ask(
        self, name: str, arguments: Any, timeout: float, expected: Collection[str]
    ) -> list[NodeReply]:
        self.asked.append((name, arguments))
        self.waits.append((timeout, set(expected)))
        return self.replies


class Records:
    """A storage that knows an attempt and a delivery of ``msg_1``."""

    def __init__(self) -> None:
        self.read: list[Any] = []
        document = {
            "event_id": "msg_1",
            "hook_id": "h1",
            "result": "failure",
            "req_body": "secret",
            "req_headers": {"webhook-id": "msg_d"},
        }
        delivery = Delivery("msg_d", "h1", ACCOUNT, "channel_create", "msg_1.1", {"secret": 1}, 5.0)
        self.records = TraceRecords(
            [StoredAttempt(1, 6.0, document)],
            [StoredDelivery(1, delivery, "held", 9.0, 7.0, "disabled")],
        )

    def __call__(self, work: Any) -> Deferred[TraceRecords]:
        self.read.append(work.keywords)
        return succeed(self.records)


def test_the_answers_of_nodes_and_storage_are_joined() -> None:
    nodes, records = FakeNodes(NodeReply("a", {"events": [{"event_id": "msg_2"}, "odd"]})), Records()
    traced = result_of(Tracer(cast(NodeQueryClient, nodes), records).trace("c1", None))
    assert nodes.asked == [("trace", {"IDs": ["c1", "msg_1"]})]
    assert [one["event_ids"] for one in records.read] == [(), ["msg_2", "msg_1"]]
    assert traced["nodes"] == [{"node": "a", "events": [{"event_id": "msg_2"}], "sockets": []}]
    assert traced["attempts"] == [
        {
            "made_at": 6.0,
            "delivery_id": "msg_d",
            "hook_id": "h1",
            "event_id": "msg_1",
            "result": "failure",
        }
    ]
    (delivery,) = traced["deliveries"]
    assert (delivery["status"], delivery["reason"], delivery["next_attempt"]) == ("held", "disabled", None)
    assert "secret" not in str(traced)


def test_of_an_account() -> None:
    nodes, records = FakeNodes(NodeReply("a", None)), Records()
    traced = result_of(Tracer(cast(NodeQueryClient, nodes), records).trace("c1", {ACCOUNT}))
    assert nodes.asked[0][1]["Account-IDs"] == [ACCOUNT]
    assert [one["accounts"] for one in records.read] == [{ACCOUNT}]
    assert traced["nodes"] == [{"node": "a", "events": [], "sockets": []}]


def test_a_wrong_answer_of_one_node_spoils_no_other() -> None:
    nodes = FakeNodes(
        NodeReply("a", {"events": 5, "sockets": {"odd": {}}, "node": "other"}),
        NodeReply("b", {"events": [{"event_id": "msg_1"}]}),
    )
    traced = result_of(Tracer(cast(NodeQueryClient, nodes), Records()).trace("c1", None))
    assert [(one["node"], one["events"]) for one in traced["nodes"]] == [
        ("a", []),
        ("b", [{"event_id": "msg_1"}]),
    ]


def test_ids_that_are_left_out_are_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer, "MAX_IDS", 1)
    nodes = FakeNodes()
    with capturedLogs() as logs:
        result_of(Tracer(cast(NodeQueryClient, nodes), Records()).trace("c1", None))
    assert nodes.asked[0][1]["IDs"] == ["c1"]
    assert [(log["asked"], log["ids"]) for log in logs] == [(1, 2)]


def test_a_node_that_does_not_answer_in_time_is_named() -> None:
    nodes = FakeNodes(NodeReply("b", {"events": [{"event_id": "msg_1"}]}), silent=["a"])
    traced = result_of(Tracer(cast(NodeQueryClient, nodes), Records()).trace("c1", None))
    assert nodes.waits == [(ANSWER_TIMEOUT, {"a", "b"})]
    assert [(one["node"], one.get("problem")) for one in traced["nodes"]] == [
        ("b", None),
        ("a", "no answer within 10 s"),
    ]


def test_nodes_whose_names_are_not_known_have_the_usual_time() -> None:
    nodes = FakeNodes()
    result_of(Tracer(cast(NodeQueryClient, nodes), Records()).trace("c1", None))
    assert nodes.waits == [(REPLY_TIMEOUT, set())]


def test_accounts_that_are_left_out_are_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracer, "MAX_ACCOUNTS", 1)
    nodes = FakeNodes()
    with capturedLogs() as logs:
        result_of(Tracer(cast(NodeQueryClient, nodes), Records()).trace("c1", {ACCOUNT, "b" * 32}))
    assert nodes.asked[0][1]["Account-IDs"] == [ACCOUNT]
    assert [(log["asked"], log["accounts"]) for log in logs] == [(1, 2)]
