"""Pivot points of a whole node: REST, websocket clients, and KAZOO's requests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers

from kazoo_bridge.bus.embedded import EmbeddedBus
from kazoo_bridge.interfaces import (
    BusUnavailable,
    KazooRequest,
    PivotAnswer,
    Queue,
    StoredPivot,
    Topic,
    UnknownPivotRequest,
)
from kazoo_bridge.pivot.cluster import ASK_TIMEOUT, RESULT_TIMEOUT
from kazoo_bridge.pivot.point import validate_document
from kazoo_bridge.pivot.service import PivotService
from tests.pivot.fakes import FakeClients, FakePivotStore
from tests.pivot.pivot_harness import FALLBACK, HANGUP, PivotHarness, answer, fetch
from tests.websockets.harness import CHILD, RESELLER, STRANGER, TOP, Harness

pytestmark = pytest.mark.timeout(60)


@pytest_twisted.async_yield_fixture
async def pivots(tmp_path: Path) -> AsyncIterator[PivotHarness]:
    harness = await Harness.start(tmp_path)
    yield PivotHarness(harness)
    await harness.stop()


class TestAsking:
    @pytest_twisted.ensureDeferred
    async def test_a_client_answers_with_a_flow(self, pivots: PivotHarness) -> None:
        point = await pivots.create()
        client = await pivots.connect()
        asking = ensureDeferred(pivots.kazoo(point["url"], Digits="4"))
        event = await client.event()
        assert (event["name"], event["subscribed_key"]) == ("pivot_request", "pivot.front-desk")
        assert event["subscription_key"] == event["routing_key"] == f"pivot.{RESELLER}.front-desk"
        data = event["data"]
        assert (data["call_id"], data["account_id"], data["digits"]) == ("c1", RESELLER, "4")
        assert data["caller_id_number"] == "+4722555019"
        assert 2000 < data["answer_within_ms"] <= 3000
        reply = await answer(client, event, flow={"module": "play", "data": {"id": "welcome"}})
        assert (reply["status"], reply["data"]["pivot_id"]) == ("success", data["pivot_id"])
        kazoo = await asking
        assert (kazoo.code, kazoo.content_type) == (200, "application/json")
        assert kazoo.json == {"module": "play", "data": {"id": "welcome"}}

    @pytest_twisted.ensureDeferred
    async def test_others_learn_who_has_answered(self, pivots: PivotHarness) -> None:
        point = await pivots.create()
        first, second = await pivots.connect(), await pivots.connect("pivot.*")
        asking = ensureDeferred(pivots.kazoo(point["url"]))
        event, same = await first.event(), await second.event()
        assert event["data"] == same["data"]
        assert (same["subscribed_key"], same["subscription_key"]) == ("pivot.*", f"pivot.{RESELLER}.*")
        await first.request("ping", name="Ingrid")
        await answer(first, event)
        assert (await asking).json == HANGUP
        answered = await second.event()
        assert answered["name"] == "pivot_answered"
        assert answered["data"]["result"] == "answered"
        assert answered["data"]["answered_by"]["name"] == "Ingrid"
        assert answered["data"]["flow"] == HANGUP
        late = await answer(second, same)
        assert (late["status"], late["data"]["errors"]) == (
            "error",
            [f"no request {same['data']['pivot_id']} waits for an answer: it has ended"],
        )

    @pytest_twisted.ensureDeferred
    async def test_without_a_client_the_fallback_comes_at_once(self, pivots: PivotHarness) -> None:
        point = await pivots.create(timeout_ms=10_000)
        assert (await pivots.kazoo(point["url"])).json == FALLBACK
        bare = await pivots.create(name="bare", fallback=None, timeout_ms=10_000)
        ended = await pivots.kazoo(bare["url"])
        assert (ended.code, ended.body) == (200, b"")
        listed = (await pivots.rest("GET", f"/{point['id']}/requests")).json["data"]
        assert [record["result"] for record in listed] == ["no_client"]

    @pytest_twisted.ensureDeferred
    async def test_a_client_that_has_gone_is_no_client(self, pivots: PivotHarness) -> None:
        point = await pivots.create(timeout_ms=10_000)
        client = await pivots.connect()
        await client.request("resume", {})
        client.drop()
        await pivots.harness.wait_until(lambda: not any(one.is_connected for one in pivots.harness.sessions))
        assert (await pivots.kazoo(point["url"])).json == FALLBACK

    @pytest_twisted.ensureDeferred
    async def test_after_its_time_the_fallback_counts(self, pivots: PivotHarness) -> None:
        point = await pivots.create(timeout_ms=100)
        client = await pivots.connect()
        assert (await pivots.kazoo(point["url"])).json == FALLBACK
        event, ended = await client.event(), await client.event()
        assert (ended["name"], ended["data"]["result"]) == ("pivot_answered", "timeout")
        assert (await answer(client, event))["status"] == "error"

    @pytest_twisted.ensureDeferred
    async def test_a_bad_flow_is_refused_to_its_sender_and_the_time_goes_on(
        self, pivots: PivotHarness
    ) -> None:
        point = await pivots.create(timeout_ms=10_000)
        client = await pivots.connect()
        asking = ensureDeferred(pivots.kazoo(point["url"]))
        event = await client.event()
        bad = {"module": "user", "children": {"_": {"module": "nonsense"}}}
        reply = await answer(client, event, flow=bad)
        assert reply["status"] == "error"
        assert set(reply["data"]["fields"]) == {"flow.data.id", "flow.children._.module"}
        for wrong in ({}, {"flow": "x"}, {"twiml": "<Response/>"}, {"flow": HANGUP, "twiml": "<Response/>"}):
            assert (await answer(client, event, **(wrong or {"flow": None})))["status"] == "error"
        assert (await answer(client, event))["status"] == "success"
        assert (await asking).json == HANGUP

    @pytest_twisted.ensureDeferred
    async def test_twiml_where_kazoo_has_asked_for_it(self, pivots: PivotHarness) -> None:
        point = await pivots.create(timeout_ms=10_000)
        client = await pivots.connect()
        form = f"CallSid=c1&AccountSid={RESELLER}&CallerNumber=2001".encode()
        asking = ensureDeferred(fetch("POST", point["url"], form))
        event = await client.event()
        assert (event["data"]["call_id"], event["data"]["caller_id_number"]) == ("c1", "2001")
        refused = await answer(client, event, twiml="<Nothing/>")
        assert refused["data"]["fields"]["twiml"]["wrong_format"]["message"].endswith("as the root")
        assert (await answer(client, event, twiml="<Response><Hangup/></Response>"))["status"] == "success"
        reply = await asking
        assert (reply.content_type, reply.body) == ("text/xml", b"<Response><Hangup/></Response>")

    @pytest_twisted.ensureDeferred
    async def test_json_and_a_query(self, pivots: PivotHarness) -> None:
        point = await pivots.create(timeout_ms=10_000)
        client = await pivots.connect()
        body = json.dumps({"Call-ID": "c1", "Custom-SIP-Headers": {"X-A": "1"}, "User-ID": ["u1", "u2"]})
        requests = [
            ensureDeferred(fetch("POST", point["url"], body.encode(), {"Content-Type": "application/json"})),
            ensureDeferred(fetch("GET", f"{point['url']}?Call-ID=c2&Custom-SIP-Headers[X-A]=1")),
        ]
        events = [await client.event(), await client.event()]
        by_call = {event["data"]["call_id"]: event["data"] for event in events}
        assert by_call["c1"]["custom_sip_headers"] == by_call["c2"]["custom_sip_headers"] == {"x_a": "1"}
        assert by_call["c1"]["user_id"] == ["u1", "u2"]
        for event in events:
            await answer(client, event)
        assert [(await one).json for one in requests] == [HANGUP, HANGUP]

    @pytest_twisted.ensureDeferred
    async def test_over_rest_and_server_sent_events(self, pivots: PivotHarness) -> None:
        point = await pivots.create(timeout_ms=10_000)
        node = pivots.harness.node
        url = f"http://{node.http_host}/v2/accounts/{RESELLER}/events?binding=pivot.front-desk"
        headers = Headers({"X-Auth-Token": [pivots.harness.tokens[RESELLER]]})
        stream = await treq.get(url, headers=headers, persistent=False, unbuffered=True)
        received: list[bytes] = []
        stream.collect(received.append)
        await pivots.harness.wait_until(lambda: b"".join(received).count(b"data: ") == 1)
        asking = ensureDeferred(pivots.kazoo(point["url"]))
        await pivots.harness.wait_until(lambda: b"".join(received).count(b"data: ") == 2)
        event = json.loads(b"".join(received).split(b"data: ")[2])
        path = f"/{point['id']}/requests/{event['data']['pivot_id']}"
        refused = await pivots.rest("POST", path, {"flow": {"module": "x"}})
        assert (refused.code, set(refused.json["data"])) == (400, {"flow.module"})
        assert (await pivots.rest("POST", path, {"flow": HANGUP, "name": "robot"})).code == 200
        assert (await asking).json == HANGUP
        assert (await pivots.rest("POST", path, {"flow": HANGUP})).code == 410
        record = (await pivots.rest("GET", f"/{point['id']}/requests")).json["data"][0]
        assert (record["result"], record["answered_by"]["name"], record["flow"]) == (
            "answered",
            "robot",
            HANGUP,
        )
        assert record["request"]["call_id"] == "c1"
        assert 0 <= record["duration_ms"] < 10_000

    @pytest_twisted.ensureDeferred
    async def test_other_accounts_see_and_answer_nothing(self, pivots: PivotHarness) -> None:
        point = await pivots.create(timeout_ms=10_000)
        client, stranger = await pivots.connect(), await pivots.connect("pivot.*", account=STRANGER)
        child = await pivots.connect("pivot.*", account=CHILD)
        top = await pivots.harness.connect(TOP)
        await top.request("subscribe", {"account_id": "*", "binding": "pivot.*"})
        asking = ensureDeferred(pivots.kazoo(point["url"]))
        event = await client.event()
        pivot_id = event["data"]["pivot_id"]
        assert (await top.event())["data"]["pivot_id"] == pivot_id
        for account, other in ((STRANGER, stranger), (CHILD, child)):
            for claimed in (account, RESELLER):
                data = {"account_id": claimed, "pivot_id": pivot_id, "flow": HANGUP}
                assert (await other.request("pivot", data))["status"] == "error"
            assert other.events.pending == []
            for path in (f"/{point['id']}", f"/{point['id']}/requests"):
                assert (await pivots.rest("GET", path, account=account)).code == 404
                token = pivots.harness.tokens[account]
                assert (await pivots.rest("GET", path, token=token)).code == 403
        await answer(client, event)
        assert (await asking).json == HANGUP


class TestTurns:
    @pytest_twisted.ensureDeferred
    async def test_clients_are_asked_one_after_another(self, pivots: PivotHarness) -> None:
        point = await pivots.create(strategy="rotate", timeout_ms=10_000)
        clients = [await pivots.connect(), await pivots.connect()]
        for number in range(3):
            asked, other = clients[number % 2], clients[(number + 1) % 2]
            asking = ensureDeferred(pivots.kazoo(point["url"], **{"Call-ID": f"c{number}"}))
            event = await asked.event()
            assert event["data"]["call_id"] == f"c{number}"
            assert [e for e in other.events.pending if e["name"] == "pivot_request"] == []
            await answer(asked, event)
            assert (await asking).json == HANGUP
            for client in clients:
                assert (await client.event())["name"] == "pivot_answered"

    @pytest_twisted.ensureDeferred
    async def test_a_call_keeps_its_client(self, pivots: PivotHarness) -> None:
        point = await pivots.create(timeout_ms=10_000)
        first, second = await pivots.connect(), await pivots.connect()
        asking = ensureDeferred(pivots.kazoo(point["url"]))
        await first.event()
        await answer(second, await second.event())
        await asking
        for client in (first, second):
            assert (await client.event())["name"] == "pivot_answered"
        again = ensureDeferred(pivots.kazoo(point["url"], Digits="1"))
        await answer(second, await second.event())
        assert (await again).json == HANGUP
        assert [event["name"] for event in first.events.pending] in ([], ["pivot_answered"])
        second.drop()
        await pivots.harness.wait_until(lambda: len(pivots.harness.sessions) == 1)
        third = ensureDeferred(pivots.kazoo(point["url"], Digits="2"))
        while (event := await first.event())["name"] != "pivot_request":
            pass
        await answer(first, event)
        assert (await third).json == HANGUP


class TestTheDoor:
    @pytest_twisted.ensureDeferred
    async def test_who_is_refused(self, pivots: PivotHarness) -> None:
        point = await pivots.create()
        base, secret = point["url"].rsplit("/", 1)
        wrong = [f"{base}/{secret[:-1]}", f"{base}/x", f"{base[:-1]}/{secret}"]
        for url in (*wrong, *(f"{url}/cdr" for url in wrong)):
            refused = await pivots.kazoo(url)
            assert (refused.code, refused.json["message"]) in [(404, "bad_identifier")]
        assert (await pivots.kazoo(point["url"], **{"Account-ID": CHILD})).code == 403
        assert (await fetch("POST", point["url"], b'{"Call-ID": ')).code == 400
        assert (await fetch("POST", point["url"], b"x=" + b"1" * 70_000)).code == 413

    @pytest_twisted.ensureDeferred
    async def test_source_networks(self, pivots: PivotHarness) -> None:
        point = await pivots.create(source_networks=["192.0.2.0/24"])
        assert (await pivots.kazoo(point["url"])).code == 403
        path = f"/{point['id']}"
        assert (await pivots.rest("PATCH", path, {"source_networks": ["127.0.0.0/8"]})).code == 200
        assert (await pivots.kazoo(point["url"])).json == FALLBACK

    @pytest_twisted.ensureDeferred
    async def test_a_renewed_url_ends_the_former(self, pivots: PivotHarness) -> None:
        point = await pivots.create()
        renewed = await pivots.rest("POST", f"/{point['id']}/secret")
        assert renewed.code == 201
        assert (await pivots.kazoo(point["url"])).code == 404
        assert (await pivots.kazoo(renewed.json["data"]["url"])).json == FALLBACK

    @pytest_twisted.ensureDeferred
    async def test_a_disabled_and_a_deleted_point(self, pivots: PivotHarness) -> None:
        point = await pivots.create(timeout_ms=10_000)
        client = await pivots.connect()
        path = f"/{point['id']}"
        await pivots.rest("PATCH", path, {"enabled": False})
        assert (await pivots.kazoo(point["url"])).json == FALLBACK
        assert client.events.pending == []
        assert (await pivots.rest("DELETE", path)).code == 200
        assert (await pivots.kazoo(point["url"])).code == 404

    @pytest_twisted.ensureDeferred
    async def test_the_cdr_reaches_clients(self, pivots: PivotHarness) -> None:
        point = await pivots.create()
        client = await pivots.connect()
        assert (await pivots.kazoo(point["cdr_url"], **{"Duration-Seconds": "12"})).code == 200
        event = await client.event()
        assert (event["name"], event["data"]["duration_seconds"]) == ("pivot_ended", "12")

    @pytest_twisted.ensureDeferred
    async def test_requests_of_one_account_are_bounded(self, pivots: PivotHarness) -> None:
        point = await pivots.create(timeout_ms=10_000)
        service: Any = pivots.harness.node.pivots
        service._max_requests = 2
        client = await pivots.connect()
        waiting = [ensureDeferred(pivots.kazoo(point["url"], **{"Call-ID": f"c{n}"})) for n in range(2)]
        events = [await client.event() for _ in waiting]
        assert (await pivots.kazoo(point["url"], **{"Call-ID": "c2"})).json == FALLBACK
        assert service.requests["busy"] == 1
        for event in events:
            await answer(client, event)
        assert [(await one).json for one in waiting] == [HANGUP, HANGUP]

    @pytest_twisted.ensureDeferred
    async def test_a_node_that_stops_answers_with_the_fallback(self, pivots: PivotHarness) -> None:
        point = await pivots.create(timeout_ms=10_000)
        client = await pivots.connect()
        asking = ensureDeferred(pivots.kazoo(point["url"]))
        await client.event()
        await pivots.harness.node.pivots.stop()
        assert (await asking).json == FALLBACK


class TestDocuments:
    @pytest_twisted.ensureDeferred
    async def test_names_are_unique_in_an_account(self, pivots: PivotHarness) -> None:
        await pivots.create()
        again = await pivots.rest("PUT", data={"name": "front-desk"})
        assert (again.code, again.json["data"]["name"]["unique"]["cause"]) == (400, "front-desk")
        other = await pivots.create(name="other")
        renamed = await pivots.rest("PATCH", f"/{other['id']}", {"name": "front-desk"})
        assert renamed.code == 400
        await pivots.create(account=CHILD)

    @pytest_twisted.ensureDeferred
    async def test_lists_have_no_urls(self, pivots: PivotHarness) -> None:
        point = await pivots.create()
        listed = (await pivots.rest("GET")).json["data"]
        assert listed == [
            {
                "id": point["id"],
                "name": "front-desk",
                "strategy": "first",
                "timeout_ms": 3000,
                "enabled": True,
            }
        ]
        read = await pivots.rest("GET", f"/{point['id']}")
        assert read.json["data"] == point
        replaced = await pivots.rest("POST", f"/{point['id']}", {**point, "timeout_ms": 200})
        assert (replaced.code, replaced.json["data"]["timeout_ms"]) == (200, 200)

    @pytest_twisted.ensureDeferred
    async def test_deleting_the_account_deletes_them(self, pivots: PivotHarness) -> None:
        point = await pivots.create(account=CHILD)
        assert (await pivots.kazoo(point["url"], **{"Account-ID": CHILD})).json == FALLBACK
        await pivots.harness.node.accounts.delete(CHILD)
        points: Any = pivots.harness.node.pivots.points_in_memory
        await pivots.harness.wait_until(lambda: not points._points)
        assert (await pivots.kazoo(point["url"], **{"Account-ID": CHILD})).code == 404


class NodesOnAClock:
    """Services of nodes that share a bus, a store and one pivot point; `events` are those on the bus."""

    ACCOUNT, POINT = "a" * 32, "1" * 32

    def __init__(self) -> None:
        self.clock = Clock()
        self.bus = EmbeddedBus(self.clock)
        self.bus.startService()
        document = validate_document({"name": "p", "timeout_ms": 1000})
        stored = StoredPivot(self.POINT, self.ACCOUNT, document, "s", "1-x", 1, 1)
        self.store = FakePivotStore({self.POINT: stored})
        self.events: list[dict[str, Any]] = []
        topics = frozenset({Topic("sysconf", "pivot.event.#")})
        self.bus.consume(Queue(topics=topics, acknowledge=False), lambda event: self._add(dict(event.body)))

    def _add(self, event: dict[str, Any]) -> None:
        self.events.append(event)

    def start(self, node_id: str, *connected: str) -> PivotService:
        service: Any = PivotService(self.clock, self.bus, self.store, 100, (), node_id)
        service.start(FakeClients(list(connected)))
        self.settle()
        started: PivotService = service
        return started

    def settle(self) -> None:
        for _ in range(5):
            self.clock.advance(0)

    def ask(self, service: PivotService) -> Deferred[Any]:
        request = KazooRequest([("Call-ID", "c1")], b"", "127.0.0.1")
        asking = ensureDeferred(service.ask(self.POINT, "s", request))
        self.settle()
        return asking

    def answer(self, service: PivotService, pivot_id: str, **more: Any) -> list[Any]:
        """Answer; return a list that receives None, or the exception."""
        ended: list[Any] = []
        answer = PivotAnswer({"module": "hangup"}, client="bob")
        answering: Deferred[Any] = ensureDeferred(service.answer(self.ACCOUNT, pivot_id, answer, **more))
        answering.addCallbacks(ended.append, lambda failure: ended.append(failure.value))
        self.settle()
        return ended

    async def records(self, service: Any) -> list[tuple[str, int]]:
        await service._recorder.flush()
        return [(one.document["result"], one.document["clients_asked"]) for one in self.store.written]

    def stop(self, *services: PivotService) -> None:
        for service in services:
            ensureDeferred(service.stop())
        self.settle()
        assert self.clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_an_answer_that_comes_before_a_killed_node_is_given_up_is_announced() -> None:
    nodes = NodesOnAClock()
    one, two = nodes.start("one"), nodes.start("two", "bob")
    one._cluster.others["dead"] = nodes.clock.seconds()
    asking = nodes.ask(one)
    pivot_id = next(iter(one._asker.questions))
    assert nodes.answer(two, pivot_id) == [None]
    assert asking.called
    assert await nodes.records(one) == [("answered", 1)]
    assert [event["Event-Name"] for event in nodes.events] == ["pivot_answered"]
    client = ("two", "bob")
    kept = [
        two._asker._clients_of_calls[nodes.ACCOUNT, "c1"],
        one._asker._clients_of_calls[nodes.ACCOUNT, "c1"],
    ]
    assert [(one.node, one.client) for one in kept] == [client, client]
    nodes.stop(one, two)


def test_a_question_that_ends_before_other_nodes_have_replied_is_announced() -> None:
    nodes = NodesOnAClock()
    one = nodes.start("one")
    one._cluster.others["slow"] = nodes.clock.seconds()
    asking = nodes.ask(one)
    asking.addErrback(lambda failure: failure.trap(CancelledError))
    asking.cancel()
    nodes.settle()
    assert [(event["Event-Name"], event["Result"]) for event in nodes.events] == [("pivot_answered", "gone")]
    nodes.clock.advance(ASK_TIMEOUT)
    nodes.stop(one)


@pytest_twisted.ensureDeferred
async def test_kazoo_gives_up() -> None:
    nodes = NodesOnAClock()
    one = nodes.start("one", "ann")
    asking = nodes.ask(one)
    asking.cancel()
    nodes.settle()
    with pytest.raises(CancelledError):
        await asking
    assert {kind: count for kind, count in one.requests.items() if count} == {"gone": 1}
    assert await nodes.records(one) == [("gone", 1)]
    assert [(event["Event-Name"], event["Result"]) for event in nodes.events] == [("pivot_answered", "gone")]
    nodes.stop(one)


@pytest_twisted.ensureDeferred
async def test_a_request_after_the_stop_gets_the_fallback_at_once() -> None:
    nodes = NodesOnAClock()
    one = nodes.start("one", "ann")
    nodes.stop(one)
    asking = nodes.ask(one)
    assert asking.called
    assert (await asking).body == b""
    assert (one.requests["stopped"], nodes.clock.getDelayedCalls()) == (1, [])


def test_answers_reach_a_node_that_is_not_known() -> None:
    nodes = NodesOnAClock()
    one, two = nodes.start("one"), nodes.start("two", "bob")
    asking = nodes.ask(one)
    two._cluster.others.clear()
    assert nodes.answer(two, next(iter(one._asker.questions))) == [None]
    assert asking.called
    nodes.stop(one, two)


def test_answers_to_nodes_that_do_not_exist() -> None:
    nodes = NodesOnAClock()
    one = nodes.start("one")
    for pivot_id in ("gone", "gone-12", "#-12", f"{'a' * 300}-12", "\ud800-1"):
        (error,) = nodes.answer(one, pivot_id)
        assert isinstance(error, UnknownPivotRequest)
    topics = frozenset({Topic("sysconf", "pivot.answer.hung")})
    nodes.bus.consume(Queue(topics=topics, acknowledge=False), lambda event: None)
    nodes.settle()
    ended = nodes.answer(one, "hung-12")
    nodes.clock.advance(RESULT_TIMEOUT)
    assert [type(error) for error in ended] == [BusUnavailable]
    nodes.stop(one)


def test_an_answer_through_another_pivot_point_is_refused_on_each_node() -> None:
    nodes = NodesOnAClock()
    one, two = nodes.start("one", "ann"), nodes.start("two")
    asking = nodes.ask(one)
    pivot_id = next(iter(one._asker.questions))
    for service in (one, two):
        (error,) = nodes.answer(service, pivot_id, pivot_point_id="2" * 32)
        assert isinstance(error, UnknownPivotRequest)
    assert nodes.answer(two, pivot_id, pivot_point_id=nodes.POINT) == [None]
    assert asking.called
    nodes.stop(one, two)


@pytest_twisted.ensureDeferred
async def test_rest_answers_only_requests_of_the_pivot_point_in_the_path(pivots: PivotHarness) -> None:
    point, other = await pivots.create(timeout_ms=10_000), await pivots.create(name="other")
    client = await pivots.connect()
    asking = ensureDeferred(pivots.kazoo(point["url"]))
    pivot_id = (await client.event())["data"]["pivot_id"]
    answer = {"flow": HANGUP}
    assert (await pivots.rest("POST", f"/{other['id']}/requests/{pivot_id}", answer)).code == 410
    assert (await pivots.rest("POST", f"/{point['id']}/requests/{pivot_id}", answer)).code == 200
    assert (await asking).json == HANGUP
