"""`Sender.begin`, on a pool in memory. What receivers do to it is tested with `Sender.send`."""

from __future__ import annotations

from typing import Any

import pytest
from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed
from twisted.logger import LogLevel, capturedLogs
from twisted.web.iweb import IAgent
from zope.interface import implementer

from kazoo_bridge.webhooks.egress.agent import PooledAgent
from kazoo_bridge.webhooks.egress.connection_pool import TICK_INTERVAL
from kazoo_bridge.webhooks.http.faults import Fault
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from kazoo_bridge.webhooks.http.wire_request import WireRequest, wire_request
from tests.webhooks.egress.memory_connections import OK, MemoryPool

REQUEST = HookRequest("POST", "http://hook.example/x", {"X-Hook-ID": "h"}, b"a=1")
TIMEOUT = 7.5


class Harness:
    """A sender on a pool in memory; `outcomes` are the results of all requests."""

    def __init__(self, **options: Any) -> None:
        self.memory = MemoryPool()
        self.clock = self.memory.clock
        agent = PooledAgent(self.memory.pool)
        self.sender = Sender(self.clock, agent, TIMEOUT, **options, pool=self.memory.pool)
        self.outcomes: list[Outcome] = []

    def begin(self, request: HookRequest = REQUEST) -> Any:
        return self.sender.begin(wire_request(request), self.outcomes.append)

    def answer(self, data: bytes, number: int = -1) -> None:
        self.memory.connections[number].dataReceived(data)


def test_a_request_is_written_at_once_and_its_result_follows() -> None:
    harness = Harness()
    for number in range(3):
        harness.begin()
        assert harness.memory.transport(0).value() == wire_request(REQUEST).data * (number + 1)
        assert len(harness.outcomes) == number
        harness.answer(OK)
    assert harness.outcomes == [Outcome(True, 200)] * 3


RESPONSE = b"HTTP/1.1 %d X\r\nX-Reply: 1\r\nContent-Length: 2\r\n\r\nok"


def test_successes_that_nothing_records_share_their_result() -> None:
    harness = Harness(keep_success_headers=False)
    for _ in range(2):
        harness.begin()
        harness.answer(RESPONSE % 200)
    assert harness.outcomes == [Outcome(True, 200)] * 2
    assert harness.outcomes[0] is harness.outcomes[1]


def test_any_status_may_be_a_success_that_nothing_records() -> None:
    harness = Harness(keep_success_headers=False)
    for status in (200, 204, 404, 500):
        harness.begin(evolve(REQUEST, success_statuses=frozenset({204, 404})))
        harness.answer(RESPONSE % status if status != 204 else b"HTTP/1.1 204 X\r\n\r\n")
    assert [(one.success, one.status) for one in harness.outcomes] == [
        (False, 200),
        (True, 204),
        (True, 404),
        (False, 500),
    ]
    assert [one.body for one in harness.outcomes] == [b"ok", b"", b"", b"ok"]
    assert harness.outcomes[3].headers["X-Reply"] == "1"


def test_successes_that_are_recorded_have_headers_and_body_of_their_own() -> None:
    harness = Harness()
    for _ in range(2):
        harness.begin()
        harness.answer(RESPONSE % 200)
    assert [(one.headers, one.body) for one in harness.outcomes] == [({"X-Reply": "1"}, b"ok")] * 2
    assert harness.outcomes[0].headers is not harness.outcomes[1].headers


def test_the_source_is_asked_for_only_when_it_is_needed() -> None:
    harness, asked = Harness(max_redirects=1, redirect_bodies=True), []

    def source() -> HookRequest:
        asked.append(1)
        return REQUEST

    wire = evolve(wire_request(REQUEST), source=source)
    harness.sender.begin(wire, harness.outcomes.append)
    harness.answer(b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n")
    assert asked == []
    harness.sender.begin(wire, harness.outcomes.append)
    harness.answer(b"HTTP/1.1 307 X\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n")
    harness.answer(OK)
    harness.clock.advance(0)
    assert asked == [1]
    assert [outcome.status for outcome in harness.outcomes] == [500, 200]


@pytest.mark.parametrize(("own", "seconds"), [(None, TIMEOUT), (2.0, 2.0)])
def test_the_time_is_the_requests_or_the_senders(own: float | None, seconds: float) -> None:
    harness = Harness()
    harness.begin(evolve(REQUEST, timeout=own))
    harness.clock.advance(seconds - 0.01)
    assert harness.outcomes == []
    harness.clock.advance(0.01 + TICK_INTERVAL)
    assert harness.outcomes == [Outcome(False, error=f"no complete answer within {seconds:g} s")]
    assert harness.memory.states == ["lost"]


def test_redirects_share_the_time() -> None:
    harness = Harness(max_redirects=5, redirect_bodies=True)
    harness.begin()
    harness.clock.advance(TIMEOUT - 1)
    harness.answer(b"HTTP/1.1 307 X\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n")
    harness.clock.advance(0.9)
    assert harness.outcomes == []
    harness.clock.advance(0.2)
    harness.clock.advance(0)
    assert harness.outcomes == [Outcome(False, error="no complete answer within 7.5 s")]


@pytest.mark.parametrize("redirected", [False, True])
def test_a_cancelled_request_has_no_result_and_closes_its_connection(redirected: bool) -> None:
    harness = Harness(max_redirects=5, redirect_bodies=True)
    exchange = harness.begin()
    if redirected:
        harness.answer(b"HTTP/1.1 307 X\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n")
    exchange.cancel()
    exchange.cancel()
    harness.clock.advance(60)
    assert harness.outcomes == []
    assert harness.memory.states == ["lost"]
    assert harness.clock.getDelayedCalls() == []


def test_no_connection_is_a_result_after_begin_has_returned() -> None:
    harness = Harness()
    harness.memory.endpoint.error = OSError("refused")
    harness.begin()
    assert harness.outcomes == []
    harness.clock.advance(0)
    (outcome,) = harness.outcomes
    assert (outcome.status, outcome.error, outcome.fault) == (None, "OSError: refused", Fault.RECEIVER)


def test_defects_are_logged_and_harm_nothing_else() -> None:
    harness = Harness()

    def broken(outcome: Outcome) -> None:
        raise ZeroDivisionError

    with capturedLogs() as events:
        harness.sender.begin(wire_request(REQUEST), broken)
        harness.answer(OK)
        harness.memory.endpoint.error = ZeroDivisionError()
        harness.sender.begin(evolve_origin(wire_request(REQUEST)), harness.outcomes.append)
        harness.clock.advance(0)
    assert [event["log_format"] for event in events if event["log_level"] >= LogLevel.error] == [
        "the result of a request could not be handled",
        "sending a request failed unexpectedly",
    ]
    assert [outcome.fault for outcome in harness.outcomes] == [Fault.DEFECT]
    harness.begin()
    harness.answer(OK)
    assert harness.outcomes[-1].success
    assert harness.memory.pool.idle_count == 1


def no_source() -> HookRequest:
    raise ZeroDivisionError


@pytest.mark.parametrize("with_pool", [True, False])
def test_a_source_that_fails_is_a_defect(with_pool: bool) -> None:
    harness = Harness(max_redirects=1, redirect_bodies=True)
    sender = harness.sender if with_pool else evolve(harness.sender, pool=None)
    with capturedLogs() as events:
        sender.begin(evolve(wire_request(REQUEST), source=no_source), harness.outcomes.append)
        if with_pool:
            harness.answer(b"HTTP/1.1 307 X\r\nLocation: /y\r\nContent-Length: 0\r\n\r\n")
        harness.clock.advance(0)
    assert [outcome.fault for outcome in harness.outcomes] == [Fault.DEFECT]
    assert events


def test_a_response_that_cannot_be_judged_is_a_defect() -> None:
    harness = Harness()
    wire: Any = wire_request(REQUEST)
    wire.success_statuses = 200
    with capturedLogs():
        harness.sender.begin(wire, harness.outcomes.append)
        harness.answer(OK)
    assert [outcome.fault for outcome in harness.outcomes] == [Fault.DEFECT]


def evolve_origin(wire: WireRequest) -> WireRequest:
    return evolve(wire, origin=wire.origin._replace(host="other.example"))


def test_thousands_of_requests_that_follow_each_other_do_not_recurse() -> None:
    harness, wire, count = Harness(), wire_request(REQUEST), 0

    def again(outcome: Outcome) -> None:
        nonlocal count
        count += 1
        if count < 5000:
            harness.sender.begin(wire, again)

    harness.sender.begin(wire, again)
    for _ in range(5000):
        harness.answer(OK)
    assert count == 5000
    assert len(harness.memory.connections) == 1


@implementer(IAgent)
class OtherAgent:
    """Answers with `result`."""

    def __init__(self, result: Deferred[Any]) -> None:
        self.result = result

    def request(self, method: bytes, uri: bytes, headers: Any = None, bodyProducer: Any = None) -> Any:
        return self.result


def test_without_a_pool_the_agent_sends() -> None:
    memory, outcomes = MemoryPool(), list[Outcome]()
    sender = Sender(memory.clock, PooledAgent(memory.pool), TIMEOUT)
    sender.begin(wire_request(REQUEST), outcomes.append)
    cancelled = sender.begin(wire_request(REQUEST), outcomes.append)
    cancelled.cancel()
    memory.connections[0].dataReceived(OK)
    assert outcomes == [Outcome(True, 200)]
    for result in (fail(OSError("refused")), succeed(None)):
        Sender(memory.clock, OtherAgent(result), TIMEOUT).begin(wire_request(REQUEST), outcomes.append)
    assert [outcome.fault for outcome in outcomes[1:]] == [Fault.RECEIVER, Fault.DEFECT]
