"""A broker that leaves requests unanswered is noticed, a slow or blocked one is not disturbed."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.bus.amqp.connection.channel import ResponseQueue
from kazoo_bridge.bus.amqp.connection.request_watch import CHECK_INTERVAL, REQUEST_TIMEOUT, RequestWatch
from kazoo_bridge.bus.amqp.wire.errors import ConnectionGone
from tests.bus.amqp.fake_broker import ConnectionHarness, method, result_of


class Harness:
    """A watch over two channels."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.responses = {1: ResponseQueue(), 2: ResponseQueue()}
        self.paused = False
        self.stuck: list[int] = []
        channels = {number: SimpleNamespace(responses=one) for number, one in self.responses.items()}
        self.watch = RequestWatch(self.clock, channels, lambda: self.paused, self.stuck.append)
        self.watch.start()

    def request(self, channel: int) -> None:
        self.responses[channel].get()

    def advance(self, seconds: float) -> None:
        self.clock.pump([CHECK_INTERVAL] * int(seconds // CHECK_INTERVAL))


def test_a_request_without_an_answer_is_noticed_once() -> None:
    harness = Harness()
    harness.request(2)
    harness.advance(REQUEST_TIMEOUT)
    assert harness.stuck == []
    harness.advance(CHECK_INTERVAL)
    assert harness.stuck == [2]
    assert harness.clock.getDelayedCalls() == []


def test_nothing_is_expected_without_a_request() -> None:
    harness = Harness()
    harness.advance(10 * REQUEST_TIMEOUT)
    assert harness.stuck == []
    harness.watch.stop()
    assert harness.clock.getDelayedCalls() == []


def test_many_requests_may_take_long_as_long_as_answers_come() -> None:
    harness = Harness()
    for _ in range(10):
        harness.request(1)
    for _ in range(9):
        harness.advance(REQUEST_TIMEOUT)
        harness.responses[1].put("an answer")
    assert harness.stuck == []
    harness.advance(REQUEST_TIMEOUT + CHECK_INTERVAL)
    assert harness.stuck == [1]


def test_a_blocked_broker_is_not_stuck_and_has_its_time_when_it_continues() -> None:
    harness = Harness()
    harness.request(1)
    harness.paused = True
    harness.advance(10 * REQUEST_TIMEOUT)
    harness.paused = False
    harness.advance(REQUEST_TIMEOUT)
    assert harness.stuck == []
    harness.advance(CHECK_INTERVAL)
    assert harness.stuck == [1]


@pytest.mark.parametrize("heartbeat", [0, 30])
def test_a_connection_with_a_stuck_broker_is_closed_although_heartbeats_arrive(heartbeat: int) -> None:
    harness = ConnectionHarness(heartbeat=heartbeat, wanted_heartbeat=heartbeat)
    result_of(harness.logged_in)
    opening: Deferred[object] = Deferred.fromCoroutine(harness.connection.open_channel())
    failures: list[object] = []
    opening.addErrback(lambda failure: failures.append(failure.type))
    for _ in range(int((REQUEST_TIMEOUT + 2 * CHECK_INTERVAL) // CHECK_INTERVAL)):
        harness.receive(b"\x08\x00\x00\x00\x00\x00\x00\xce")
        harness.clock.advance(CHECK_INTERVAL)
    assert failures == [ConnectionGone]
    assert harness.transport.aborted
    assert "has not answered a request on channel 1 for 60 seconds" in str(harness.connection.close_reason)
    assert harness.clock.getDelayedCalls() == []


def test_an_answered_connection_stays() -> None:
    harness = ConnectionHarness()
    harness.open_channel()
    harness.clock.pump([CHECK_INTERVAL] * 50)
    assert harness.connection.close_reason is None
    harness.receive(method("connection.close", 320, "bye", 0, 0))
    assert harness.clock.getDelayedCalls() == []
