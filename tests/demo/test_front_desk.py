from __future__ import annotations

import json
import random
from collections.abc import Mapping

from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs

from kazoo_bridge.demo.call import Call
from kazoo_bridge.demo.front_desk import FrontDesk, PivotRoute
from kazoo_bridge.demo.phase import Phase
from tests.demo.harness import Harness

URL = "http://bridge/pivot/id/secret"


class FakeBridge:
    """`requests` are those that were made: URL, form, and the Deferred of the answer."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, Mapping[str, str], Deferred[bytes]]] = []

    def post(self, url: str, form: Mapping[str, str]) -> Deferred[bytes]:
        answer: Deferred[bytes] = Deferred()
        self.requests.append((url, form, answer))
        return answer


class DeskHarness:
    def __init__(self) -> None:
        self.demo = Harness()
        for call in self.demo.switchboard.calls:
            call.hang_up()
        self.bridge = FakeBridge()
        self.messages: list[str] = []
        self.route = PivotRoute(self.demo.tenants[0], URL, self.bridge.post)
        calls, rng = self.demo.switchboard.calls, random.Random(1)
        self.desk = FrontDesk(self.demo.clock, rng, calls, self.route, 10, self.messages.append)
        self.desk.start()
        self.demo.run_until(lambda: self.bridge.requests, 10)

    @property
    def call(self) -> Call:
        (call,) = self.demo.switchboard.calls
        return call


def test_a_call_waits_for_the_answer_and_the_flow_is_executed() -> None:
    harness = DeskHarness()
    (url, form, answer), tenant = harness.bridge.requests[0], harness.route.tenant
    call = harness.call
    assert url == URL
    assert form["Call-ID"] == call.first.id
    assert (form["Account-ID"], form["To"]) == (tenant.id, tenant.front_desk_number)
    assert form["Caller-ID-Name"] == call.first.caller.name
    assert call.phase is Phase.ROUTING
    person = tenant.people[4]
    answer.callback(json.dumps({"module": "user", "data": {"id": person.user_id}}).encode())
    assert call.ringing is not None
    assert call.ringing.party is person
    assert f"rings {person.name}" in harness.messages[0]


def test_a_failed_request_ends_the_call() -> None:
    harness = DeskHarness()
    call = harness.call
    harness.bridge.requests[0][2].errback(ConnectionError("HTTP status 404"))
    assert call.phase is Phase.OVER
    assert "HTTP status 404" in harness.messages[0]


def test_a_call_that_was_transferred_meanwhile_is_left_alone() -> None:
    harness = DeskHarness()
    call, tenant = harness.call, harness.route.tenant
    call.transfer(call.first, tenant.people[2])
    harness.bridge.requests[0][2].callback(b"")
    assert call.phase is Phase.RINGING
    assert harness.messages == []


def test_the_cdr_is_posted_at_the_end() -> None:
    harness = DeskHarness()
    call = harness.call
    call.hang_up()
    harness.desk.on_step(call)
    url, form, answer = harness.bridge.requests[1]
    assert url == f"{URL}/cdr"
    assert (form["Call-ID"], form["Call-Status"]) == (call.first.id, "completed")
    answer.callback(b"")
    harness.desk.on_step(call)
    assert len(harness.bridge.requests) == 2


def test_the_switch_is_busy_while_it_has_as_many_calls_as_it_may() -> None:
    harness = DeskHarness()
    harness.demo.run(30, 5)
    assert len(harness.bridge.requests) == 2  # the first call has ended unanswered; the second waits


def test_nothing_is_left_after_the_stop() -> None:
    harness = DeskHarness()
    with capturedLogs() as logs:
        harness.desk.stop()
        harness.demo.run(100, 5)
    assert len(harness.bridge.requests) == 1
    assert logs == []


def test_a_cdr_that_cannot_be_posted_is_logged() -> None:
    harness = DeskHarness()
    call = harness.call
    call.hang_up()
    harness.desk.on_step(call)
    url, _, answer = harness.bridge.requests[1]
    assert url == f"{URL}/cdr"
    with capturedLogs() as logs:
        answer.errback(OSError("no route"))
    assert [str(log["reason"]) for log in logs] == ["no route"]
