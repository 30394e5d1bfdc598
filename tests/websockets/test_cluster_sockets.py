from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
import pytest_twisted
import treq
from twisted.internet import reactor
from twisted.internet.defer import DeferredQueue
from twisted.logger import LogLevel, capturedLogs
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from kazoo_bridge.interfaces import BusUnavailable, InvalidMessage, Queue, Topic
from kazoo_bridge.kazoo import Event
from kazoo_bridge.websockets.cluster_sockets import SocketQueryClient, SocketQueryResponder
from tests.deferreds import result_of
from tests.websockets import harness as live
from tests.websockets.fakes import CHILD, PARENT, STRANGER, FakeBus, PartsHarness


class QueryHarness(PartsHarness):
    """A responder over fakes."""

    def __init__(self) -> None:
        super().__init__()
        bus: Any = self.bus
        directory: Any = self.directory
        self.responder = SocketQueryResponder(bus, "node@host", self.registry, directory)
        self.responder.start()

    def query(self, name: str, **body: Any) -> Any:
        """The data of the reply to a query; fails if there is none or more than one."""
        self.send(name, **body)
        ((exchange, routing_key, reply),) = self.bus.published
        self.bus.published.clear()
        assert (exchange, routing_key) == ("targeted", "q1")
        assert reply["Event-Name"] == ("close_resp" if name == "close_req" else "get_resp")
        assert (reply["Event-Category"], reply["Msg-ID"], reply["Node"]) == ("websockets", "m1", "node@host")
        return reply["Data"]

    def send(self, name: str, **body: Any) -> Any:
        keys = {key.replace("_", "-"): value for key, value in body.items()}
        body = {"Event-Name": name, "Msg-ID": "m1", "Server-ID": "q1", **keys}
        handler = self.bus.handlers[-1]
        return handler(Event("sysconf", "websockets.get", body, b""))


class TestResponder:
    def test_it_consumes_kazoos_queries_and_its_own(self) -> None:
        its = QueryHarness()
        topics = {Topic("sysconf", "websockets.get"), Topic("sysconf", "websockets.close")}
        assert its.bus.queues[-1] == Queue(topics=frozenset(topics), acknowledge=False, federated=True)
        result_of(its.responder.stop())
        assert its.consumer.cancelled

    def test_it_lists_the_connected_sockets_of_the_account_and_of_the_requesting_one(self) -> None:
        its = QueryHarness()
        own, output = its.connect(PARENT, 1)
        child, _ = its.connect(CHILD, 2)
        its.connect(None, 3)
        assert its.query("get_req", Account_ID=PARENT) == [own.to_document()]
        assert its.query("get_req", Account_ID=STRANGER, Auth_Account_ID=CHILD) == [child.to_document()]
        assert its.query("get_req") == []
        its.registry.make_resumable(own, 1)
        its.registry.disconnected(own, output)
        assert its.query("get_req", Account_ID=PARENT) == []

    def test_it_finds_a_socket_of_the_account_or_below(self) -> None:
        its = QueryHarness()
        child, _ = its.connect(CHILD, 2)
        anonymous, _ = its.connect(None, 3)
        for permitted in (CHILD, PARENT, None):
            assert its.query("get_req", Account_ID=permitted, Socket_ID=child.id) == child.to_document()
        for other in (STRANGER, "no account id"):
            assert its.query("get_req", Account_ID=other, Socket_ID=child.id) == []
        assert its.query("get_req", Account_ID=CHILD, Socket_ID="192.0.2.9:1") == []
        for account_id in (CHILD, PARENT, STRANGER):
            assert its.query("get_req", Account_ID=account_id, Socket_ID=anonymous.id) == []

    def test_it_closes_such_a_socket(self) -> None:
        its = QueryHarness()
        child, output = its.connect(CHILD, 2)
        document = child.to_document()
        for account_id in (STRANGER, None):
            its.send("close_req", Account_ID=account_id, Socket_ID=child.id)
        assert (its.bus.published, output.closed) == ([], [])
        assert its.query("close_req", Account_ID=PARENT, Socket_ID=child.id) == document
        assert output.closed == [(4403, "closed by an operator")]
        assert child.ended

    @pytest.mark.parametrize(
        "body", [{"Server_ID": 5}, {"Server_ID": "x" * 256}, {"Socket_ID": 5}, {"Account_ID": [PARENT]}]
    )
    def test_a_query_with_a_value_of_another_type_is_invalid(self, body: dict[str, Any]) -> None:
        its = QueryHarness()
        its.connect(PARENT, 1)
        failed = its.send("get_req", **{"Account_ID": PARENT, **body})
        failures: list[Failure] = []
        failed.addErrback(failures.append)
        assert [failure.type for failure in failures] == [InvalidMessage]
        assert its.bus.published == []

    @pytest.mark.parametrize("body", [{"Server_ID": None}, {"Server_ID": ""}])
    def test_a_query_without_an_address_is_not_answered(self, body: dict[str, Any]) -> None:
        its = QueryHarness()
        its.send("get_req", **{"Account_ID": PARENT, **body})
        its.send("close_req", Account_ID=PARENT)
        its.send("other", Account_ID=PARENT)
        assert its.bus.published == []

    def test_a_reply_that_cannot_be_sent_is_logged(self) -> None:
        its = QueryHarness()
        its.bus.unavailable = True
        with capturedLogs() as logs:
            its.send("get_req", Account_ID=PARENT)
        assert [event["log_level"] for event in logs] == [LogLevel.warn]


class TestClient:
    def client(self, *replies: Any) -> tuple[FakeBus, SocketQueryClient]:
        bus: Any = FakeBus()
        bus.replies = [Event("targeted", "q", {"Data": data}, b"") for data in replies]
        return bus, SocketQueryClient(bus)

    def test_the_sockets_of_all_nodes_are_listed_once_the_newest_first(self) -> None:
        one, two = (
            {"websocket_session_id": "1", "timestamp": 5},
            {"websocket_session_id": "2", "timestamp": 7},
        )
        bus, client = self.client([one], [two, one], None, [{}])
        assert result_of(client.list(PARENT)) == [two, one]
        body = {"Event-Category": "websockets", "Event-Name": "get_req", "Account-ID": PARENT}
        assert bus.requests == [("sysconf", "websockets.get", body)]
        assert result_of(client.list(CHILD, PARENT)) == [two, one]
        asked = {**body, "Account-ID": CHILD, "Auth-Account-ID": PARENT}
        assert bus.requests[1:] == [("sysconf", "websockets.get", asked)]

    def test_one_socket(self) -> None:
        bus, client = self.client([], {"websocket_session_id": "1"})
        assert result_of(client.get(PARENT, "1")) == {"websocket_session_id": "1"}
        assert result_of(client.close(PARENT, "1")) == {"websocket_session_id": "1"}
        assert [(key, body["Event-Name"], body["Socket-ID"]) for _, key, body in bus.requests] == [
            ("websockets.get", "get_req", "1"),
            ("websockets.close", "close_req", "1"),
        ]

    def test_a_socket_that_no_node_has(self) -> None:
        _, client = self.client([], [])
        assert result_of(client.get(PARENT, "1")) is None

    def test_without_a_bus(self) -> None:
        bus, client = self.client()
        bus.unavailable = True
        for asking in (client.list(PARENT), client.close(PARENT, "1")):
            with pytest.raises(BusUnavailable):
                result_of(asking)


@pytest.mark.timeout(30)
class TestOverRest:
    async def rest(
        self, harness: live.Harness, method: str, path: str, account: str | None = live.RESELLER
    ) -> tuple[int, Any]:
        headers = Headers({"X-Auth-Token": [harness.tokens[account]]} if account else {})
        url = f"http://{harness.node.http_host}{path}"
        response = await treq.request(method, url, headers=headers, persistent=False)
        return response.code, (await response.json())

    @pytest_twisted.ensureDeferred
    async def test_the_bindings_are_public(self, harness: live.Harness) -> None:
        code, answer = await self.rest(harness, "GET", "/v2/websockets", None)
        assert code == 200
        assert "call.CHANNEL_CREATE.{CALL_ID}" in answer["data"]["call"]
        assert "version" not in answer

    @pytest_twisted.ensureDeferred
    async def test_sockets_are_listed_read_and_closed(self, harness: live.Harness) -> None:
        own, child = await harness.connect(), await harness.connect(live.CHILD)
        data = {"account_id": live.RESELLER, "binding": "call.*.*"}
        await own.request("subscribe", data, name="desk")
        code, answer = await self.rest(harness, "GET", f"/v2/accounts/{live.RESELLER}/websockets")
        (listed,) = answer["data"]
        assert (code, listed["name"], listed["bindings"]) == (200, "desk", ["call.*.*"])
        assert set(listed) == {
            "websocket_session_id",
            "bindings",
            "timestamp",
            "name",
            "destination",
            "source",
            "events",
        }
        path = f"/v2/accounts/{live.RESELLER}/websockets/{quote(listed['websocket_session_id'])}"
        assert (await self.rest(harness, "GET", path))[1]["data"] == listed
        assert (await self.rest(harness, "GET", path, live.STRANGER))[0] == 403
        strangers = path.replace(live.RESELLER, live.STRANGER)
        assert (await self.rest(harness, "GET", strangers, live.STRANGER))[0] == 404
        _, children = await self.rest(harness, "GET", f"/v2/accounts/{live.CHILD}/websockets", live.CHILD)
        below = quote(children["data"][0]["websocket_session_id"])
        path = f"/v2/accounts/{live.RESELLER}/websockets/{below}"
        code, answer = await self.rest(harness, "DELETE", path)
        assert (code, answer["data"]) == (200, children["data"][0])
        assert (await child.notice())["data"] == {"errors": ["the socket is closed by an operator"]}
        assert await child.close_code() == 4403
        # The caller's own sockets are in the list of an account below, too.
        _, of_child = await self.rest(harness, "GET", f"/v2/accounts/{live.CHILD}/websockets")
        assert of_child["data"] == [listed]
        through_child = f"/v2/accounts/{live.CHILD}/websockets/{quote(listed['websocket_session_id'])}"
        assert (await self.rest(harness, "GET", through_child))[1]["data"] == listed
        assert (await self.rest(harness, "GET", through_child, live.CHILD))[0] == 404
        _, own_view = await self.rest(harness, "GET", f"/v2/accounts/{live.CHILD}/websockets", live.CHILD)
        assert own_view["data"] == []
        assert (await self.rest(harness, "GET", path))[0] == 404
        assert (await own.request("ping"))["status"] == "success"

    @pytest_twisted.ensureDeferred
    async def test_kazoos_own_rest_is_answered(self, harness: live.Harness) -> None:
        client = await harness.connect()
        await client.request("subscribe", {"account_id": live.RESELLER, "binding": "call.*.*"})
        answers: DeferredQueue[Event] = DeferredQueue()
        topics = frozenset({Topic("targeted", "crossbar-1")})
        harness.node.bus.consume(Queue("crossbar-1", topics, acknowledge=False), answers.put)
        query = {
            "Event-Category": "websockets",
            "Event-Name": "get_req",
            "Msg-ID": "m1",
            "Server-ID": "crossbar-1",
            "Account-ID": live.STRANGER,
            "Auth-Account-ID": live.RESELLER,
        }
        await harness.publish("sysconf", "websockets.get", **query)
        body = (await answers.get().addTimeout(5, reactor)).body
        assert (body["Event-Category"], body["Event-Name"], body["Msg-ID"]) == (
            "websockets",
            "get_resp",
            "m1",
        )
        assert [socket["bindings"] for socket in body["Data"]] == [["call.*.*"]]
