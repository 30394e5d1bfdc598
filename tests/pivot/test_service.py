"""Pivot points of a whole node: REST, websocket clients, and KAZOO's requests."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_twisted
import treq
from twisted.internet.defer import ensureDeferred
from twisted.web.http_headers import Headers

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
