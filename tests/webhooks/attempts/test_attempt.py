from __future__ import annotations

import errno
from typing import Any
from unittest import mock

import pytest
from attrs import evolve
from prometheus_client import CollectorRegistry
from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectBindError
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import Delivery, Secret
from kazoo_bridge.webhooks.attempts.attempt import (
    AttemptInFlight,
    AttemptResult,
    ClusterId,
    FailureCount,
    RequestBuilder,
)
from kazoo_bridge.webhooks.delivery.hook_queues import Slot
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.faults import Fault
from kazoo_bridge.webhooks.http.sender import Outcome
from tests.webhooks.fakes import FakeAgent, respond
from tests.webhooks.harness import Harness, make_harness, results_of
from tests.webhooks.hook_factory import ACCOUNT, make_hook


def attempt(harness: Harness, hook: Hook, delivery: Delivery | None = None) -> list[Any]:
    """Begin an attempt; returns its results, as `results_of`."""
    work = harness.attempt_runner.attempt(hook, delivery or harness.delivery(hook), harness.acquire(hook))
    return results_of(Deferred.fromCoroutine(work))


def registry_of(harness: Harness) -> CollectorRegistry:
    """A registry with the metrics of attempts."""
    registry = CollectorRegistry()
    harness.attempt_runner.metrics.register(registry)
    return registry


def attempts_by_result(harness: Harness) -> dict[str, float | None]:
    registry, name = registry_of(harness), "kazoo_bridge_attempts_total"
    return {result: registry.get_sample_value(name, {"result": result}) for result in ("success", "failure")}


def attempt_with_status(
    status: int, attempts: int = 0, **document: Any
) -> tuple[FakeAgent, Harness, AttemptResult]:
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook(**document)
    results = attempt(harness, hook, evolve(harness.delivery(hook), attempts=attempts))
    harness.clock.advance(0.3)
    respond(agent.hanging[0], status)
    (result,) = results
    return agent, harness, result


def test_a_success() -> None:
    _, harness, result = attempt_with_status(200, attempts=2)
    assert result == AttemptResult(True, 3)
    assert harness.scheduler.in_flight == 0
    assert attempts_by_result(harness) == {"success": 1, "failure": 0}
    seconds = registry_of(harness).get_sample_value("kazoo_bridge_attempt_seconds_sum")
    assert seconds == pytest.approx(0.3)


def test_a_bad_status_is_followed_by_a_retry() -> None:
    with capturedLogs() as logs:
        _, harness, result = attempt_with_status(503, retries=1)
    assert result == AttemptResult(
        False, 1, harness.clock.seconds() + 2, "answered 503", status=503, counts_against_hook=True
    )
    assert attempts_by_result(harness) == {"success": 0, "failure": 1}
    assert [(log["hook_id"], log["account_id"], log["attempts"], log["reason"]) for log in logs] == [
        ("h1", ACCOUNT, 1, "answered 503")
    ]


def test_no_answer_is_followed_by_a_retry() -> None:
    _, harness = make_harness(started=False)
    (result,) = attempt(harness, harness.hook(retries=0))
    assert (result.delivered, result.attempts, result.next_attempt) == (False, 1, 10.0)
    assert result.reason
    assert harness.scheduler.in_flight == 0


def test_after_the_last_attempt_there_is_none() -> None:
    _, _, result = attempt_with_status(503, attempts=2, retries=0)
    assert (result.attempts, result.next_attempt) == (3, None)


def test_the_attempt_is_recorded_with_the_quick_retries_that_follow() -> None:
    _, harness, _ = attempt_with_status(503, attempts=1, retries=3)
    results_of(harness.recorder.flush())
    (recorded,) = harness.attempts.stored
    document = recorded.document
    assert (document["event_id"], document["retries"], document["retries_left"]) == ("e1", 3, 2)
    assert (document["attempt"], document["max_attempts"], document["duration_ms"]) == (2, 6, 300)


def test_failures_open_the_circuit_of_the_hook() -> None:
    _, harness = make_harness(started=False)
    hook = harness.hook()
    for _ in range(5):
        assert not harness.scheduler.circuit_open(hook.id)
        attempt(harness, hook)
    assert harness.scheduler.circuit_open(hook.id)


def test_410_disables_the_hook_and_makes_the_delivery_due_when_it_is_enabled() -> None:
    _, harness, result = attempt_with_status(410)
    assert harness.disabled == [(ACCOUNT, "h1", "1-x", "the receiver answered 410 Gone")]
    assert result.gone
    assert result == AttemptResult(
        False, 1, harness.clock.seconds() + 2.0, "answered 410", status=410, counts_against_hook=True
    )


def test_410_of_an_inline_hook_makes_the_delivery_dead() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    results = attempt(harness, evolve(harness.hook(), revision=""))
    respond(agent.hanging[0], 410)
    assert results == [AttemptResult(False, 1, None, "answered 410", status=410, counts_against_hook=True)]
    assert harness.disabled == []


def test_a_payload_that_cannot_be_encoded_is_not_sent() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook(format="json")
    with capturedLogs() as logs:
        (result,) = attempt(harness, hook, harness.delivery(hook, odd=object()))
    assert (result.delivered, result.attempts, result.next_attempt) == (False, 1, None)
    assert "cannot be encoded" in result.reason
    assert agent.times == []
    assert harness.scheduler.in_flight == 0
    assert attempts_by_result(harness) == {"success": 0, "failure": 0}
    assert [(log["log_level"].name, log["hook_id"]) for log in logs] == [("critical", "h1")]
    assert not result.counts_against_hook


def test_a_delivery_that_is_too_large_is_dead_with_the_same_clear_reason_each_time() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook()
    delivery = harness.delivery(hook, text="x" * 1_048_576)
    with capturedLogs() as logs:
        results = [attempt(harness, hook, evolve(delivery, attempts=made))[0] for made in (0, 5)]
    reason = "the request would be larger than webhooks.max_body_bytes (1048576 bytes)"
    assert results == [AttemptResult(False, made, None, reason) for made in (1, 6)]
    assert agent.times == []
    assert not harness.scheduler.circuit_open(hook.queue_key)
    assert [log["log_level"].name for log in logs] == ["warn", "warn"]


def attempt_that_fails(error: Exception, created: float = 0.0) -> tuple[Harness, AttemptResult]:
    """An attempt at a delivery that was created so many seconds ago, and the failure of its request."""
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook(retries=0)
    delivery = evolve(harness.delivery(hook), created=harness.clock.seconds() - created, attempts=2)
    results = attempt(harness, hook, delivery)
    agent.hanging[0].errback(error)
    (result,) = results
    return harness, result


@pytest.mark.parametrize(("age", "delay"), [(0, 5), (60, 60), (86_400, 300)])
def test_a_fault_of_this_node_neither_counts_nor_uses_up_a_retry(age: float, delay: float) -> None:
    harness, result = attempt_that_fails(ConnectBindError(errno.EMFILE, "too many open files"), age)
    assert (result.delivered, result.attempts, result.counts_against_hook) == (False, 2, False)
    assert result.next_attempt == harness.clock.seconds() + delay
    assert "no connection at the moment" in result.reason
    harness.recorder.flush()
    assert harness.attempts.health_by_hook == {}
    assert [(one.revision, one.failed) for one in harness.attempts.stored] == [("", True)]


def test_faults_of_this_node_do_not_open_the_circuit() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook()
    for number in range(10):
        results = attempt(harness, hook)
        agent.hanging[number].errback(ConnectBindError(errno.EMFILE, "too many open files"))
        assert len(results) == 1
    assert not harness.scheduler.circuit_open(hook.queue_key)


def test_a_defect_in_sending_is_logged_once_and_makes_the_delivery_dead() -> None:
    with capturedLogs() as logs:
        _, result = attempt_that_fails(ZeroDivisionError("a defect"))
    assert (result.attempts, result.next_attempt, result.counts_against_hook) == (3, None, False)
    assert result.reason == "ZeroDivisionError: a defect"
    assert len([log for log in logs if "log_failure" in log]) == 1


def test_a_cancelled_attempt_releases_its_slot() -> None:
    _, harness = make_harness(reachable=True, started=False)
    hook = harness.hook()
    work = harness.attempt_runner.attempt(hook, harness.delivery(hook), harness.acquire(hook))
    running = Deferred.fromCoroutine(work)
    results = results_of(running)
    running.cancel()
    assert len(results) == 1
    assert harness.scheduler.in_flight == 0


# -- stages of a turn


class Turn:
    """Attempts at a hook, in stages; `results` are those of all of them, `released` says how slots ended."""

    def __init__(self, reachable: bool = True, **document: Any) -> None:
        self.agent, self.harness = make_harness(reachable=reachable, started=False, at_once=False)
        self.hook = self.harness.hook(**document)
        self.results: list[AttemptResult] = []
        self.released: list[bool | None] = []
        scheduler: Any = mock.Mock(wraps=self.harness.scheduler, release=self._release)
        self.harness.attempt_runner._scheduler = scheduler

    def _release(self, slot: Slot, success: bool | None, *arguments: Any) -> None:
        self.released.append(success)
        self.harness.scheduler.release(slot, success, *arguments)

    def begin(self, delivery: Delivery | None = None) -> AttemptInFlight:
        slot = self.harness.acquire(self.hook)
        delivery = delivery or self.harness.delivery(self.hook)
        return self.harness.attempt_runner.begin(self.hook, delivery, slot, self.results.append)

    def end(self) -> None:
        """End this turn, and those that follow at once."""
        self.harness.clock.advance(0)


def test_an_attempt_is_made_and_concluded_at_the_end_of_a_turn() -> None:
    turn = Turn()
    turn.begin()
    assert turn.agent.times == []
    turn.end()
    assert len(turn.agent.times) == 1
    respond(turn.agent.hanging[0], 200)
    assert (turn.results, turn.released) == ([], [])
    turn.end()
    assert turn.results == [AttemptResult(True, 1)]
    assert turn.released == [True]


def test_outcomes_are_concluded_before_requests_are_sent() -> None:
    turn = Turn()
    turn.begin()
    turn.end()
    sent: list[int] = []
    turn.harness.attempt_runner.answered._handle_all = lambda attempts: sent.append(len(turn.agent.times))
    turn.begin()
    respond(turn.agent.hanging[0], 200)
    turn.end()
    assert sent == [1]
    assert len(turn.agent.times) == 2


def test_all_requests_of_a_turn_are_made_before_one_is_sent() -> None:
    turn = Turn(format="json")
    with capturedLogs():
        for odd in (None, object()):
            turn.begin(turn.harness.delivery(turn.hook, odd=odd))
        turn.end()
    assert len(turn.agent.times) == 1
    (result,) = turn.results
    assert "cannot be encoded" in result.reason
    assert turn.released == [None]


def test_an_attempt_that_is_cancelled_before_its_request_is_made_is_not_sent() -> None:
    turn = Turn()
    attempt, other = turn.begin(), turn.begin()
    attempt.cancel()
    assert turn.released == [None]
    attempt.cancel()
    turn.end()
    assert len(turn.agent.times) == 1
    respond(turn.agent.hanging[0], 200)
    turn.end()
    assert (turn.released, len(turn.results), other.ended) == ([None, True], 1, True)
    assert turn.harness.scheduler.in_flight == 0


def test_an_attempt_that_is_cancelled_between_outcome_and_conclusion_is_not_concluded() -> None:
    turn = Turn()
    attempt = turn.begin()
    turn.end()
    respond(turn.agent.hanging[0], 500)
    attempt.cancel()
    attempt.cancel()
    turn.end()
    assert (turn.results, turn.released, turn.harness.scheduler.in_flight) == ([], [None], 0)
    assert attempts_by_result(turn.harness) == {"success": 0, "failure": 0}


def test_an_attempt_that_is_cancelled_while_its_request_is_on_its_way_has_no_result() -> None:
    turn = Turn()
    attempt = turn.begin()
    turn.end()
    attempt.cancel()
    turn.end()
    assert (turn.results, turn.released, turn.harness.scheduler.in_flight) == ([], [None], 0)


def test_an_attempt_that_has_ended_cannot_be_cancelled() -> None:
    turn = Turn()
    attempt = turn.begin()
    turn.end()
    respond(turn.agent.hanging[0], 200)
    turn.end()
    attempt.cancel()
    assert (len(turn.results), turn.released) == (1, [True])


def test_a_stopped_runner_makes_and_concludes_no_attempts() -> None:
    turn = Turn()
    turn.begin()
    turn.end()
    calls = turn.harness.clock.getDelayedCalls()
    turn.begin()
    respond(turn.agent.hanging[0], 200)
    turn.harness.attempt_runner.stop()
    assert set(turn.harness.clock.getDelayedCalls()) <= set(calls)
    turn.end()
    assert (len(turn.agent.times), turn.results) == (1, [])


def test_a_result_that_cannot_be_handled_harms_no_other_attempt() -> None:
    turn = Turn()
    raising = turn.begin()
    raising.done = mock.Mock(side_effect=ZeroDivisionError)
    turn.begin()
    turn.end()
    with capturedLogs() as logs:
        for hanging in turn.agent.hanging:
            respond(hanging, 200)
        turn.end()
    assert [log["log_failure"].type for log in logs if "log_failure" in log] == [ZeroDivisionError]
    assert (len(turn.results), turn.released) == (1, [True, True])


def test_a_sender_that_raises_ends_the_attempt_once() -> None:
    turn = Turn()

    def begin(request: object, done: Any) -> None:
        done(Outcome(True, 200))
        raise ZeroDivisionError("a defect")

    sender: Any = mock.Mock(begin=begin)
    turn.harness.attempt_runner._sender = sender
    with capturedLogs():
        turn.begin()
        turn.end()
    assert [result.delivered for result in turn.results] == [False]
    assert turn.released == [None]


def test_a_slot_that_a_conclusion_releases_is_used_in_the_same_turn() -> None:
    turn = Turn()
    for _ in range(2):
        turn.begin()
    turn.end()
    waiting = results_of(turn.harness.deliver(turn.hook, "next"))
    turn.end()
    assert len(turn.agent.times) == 2
    sent: list[int] = []
    respond(turn.agent.hanging[0], 200)
    turn.harness.clock.callLater(0, lambda: sent.append(len(turn.agent.times)))
    turn.end()
    assert (sent, waiting) == ([3], [])
    respond(turn.agent.hanging[2], 200)
    turn.end()
    assert waiting == [None]


def build(hook: Hook, cluster_id: str = "") -> Any:
    clock = Clock()
    clock.advance(1_700_000_000)
    delivery = Delivery("msg_1", hook.id, ACCOUNT, hook.event, "e1", {"call_id": "1"}, 0.0)
    return RequestBuilder(clock, ClusterId(cluster_id, Deferred)).build(hook, delivery)


def test_an_unsigned_request_has_the_id_of_its_delivery() -> None:
    request = build(make_hook())
    assert request.headers["webhook-id"] == "msg_1"
    assert "webhook-signature" not in request.headers
    assert request.body == b"call_id=1"


def test_a_signed_request_has_the_time_of_the_attempt() -> None:
    secret = Secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    request = build(evolve(make_hook(), secrets=(secret,)))
    assert request.headers["webhook-id"] == "msg_1"
    assert request.headers["webhook-timestamp"] == "1700000000"
    assert request.headers["webhook-signature"].startswith("v1,")


def test_a_request_names_the_cluster() -> None:
    assert build(make_hook(), "c1").body == b"call_id=1&cluster_id=c1"


def test_the_stored_cluster_id() -> None:
    cluster_id = ClusterId("", lambda: succeed("stored"))
    assert cluster_id.value == ""
    results_of(Deferred.fromCoroutine(cluster_id.load()))
    assert cluster_id.value == "stored"


def test_the_configured_cluster_id_overrides_the_stored_one() -> None:
    cluster_id = ClusterId("configured", lambda: succeed("stored"))
    results_of(Deferred.fromCoroutine(cluster_id.load()))
    assert cluster_id.value == "configured"


REFUSED, BAD_STATUS = Outcome(False, error="refused"), Outcome(False, 500)
OURS = Outcome(False, error="no descriptor", fault=Fault.OURS)


@pytest.mark.parametrize(
    ("every_connection", "attempts", "replayed", "outcome", "expected"),
    [
        (False, 0, False, REFUSED, True),
        (False, 0, False, BAD_STATUS, True),
        (False, 1, False, REFUSED, False),
        (False, 0, True, REFUSED, False),
        (False, 0, False, OURS, False),
        (True, 1, False, REFUSED, True),
        (True, 2, False, REFUSED, False),
        (True, 1, False, BAD_STATUS, False),
        (True, 0, False, BAD_STATUS, True),
        (True, 1, True, REFUSED, False),
    ],
)
def test_which_failures_count_against_a_hook(
    every_connection: bool, attempts: int, replayed: bool, outcome: Outcome, expected: bool
) -> None:
    _, harness = make_harness(started=False)
    hook = harness.hook(retries=2)
    delivery = evolve(harness.delivery(hook), attempts=attempts, replayed_at=5.0 if replayed else None)
    assert FailureCount(every_connection).counts(hook, delivery, outcome) is expected


def test_without_retries_the_only_attempt_that_kazoo_makes_counts() -> None:
    _, harness = make_harness(started=False)
    hook = harness.hook(retries=0)
    delivery = harness.delivery(hook)
    assert FailureCount(every_connection=True).counts(hook, delivery, REFUSED)
    assert not FailureCount(every_connection=True).counts(hook, evolve(delivery, attempts=1), REFUSED)
