from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.interfaces import Occurrence, Requeue
from kazoo_bridge.webhooks.delivery import dispatcher
from kazoo_bridge.webhooks.delivery.destination_circuits import CIRCUIT_HOOKS
from kazoo_bridge.webhooks.delivery.dispatcher import delivery_id, make_delivery
from kazoo_bridge.webhooks.delivery.hook_queues import STALL_TIMEOUT
from kazoo_bridge.webhooks.egress import EgressPolicy, guarded_agent
from kazoo_bridge.webhooks.http.sender import Outcome
from tests.webhooks.fakes import respond
from tests.webhooks.harness import Harness, make_harness, results_of
from tests.webhooks.hook_factory import ACCOUNT, make_hook
from tests.webhooks.receiving import Receiver


class RealHarness(Harness):
    """With a real agent and a real receiver; only time is simulated."""

    receiver: Receiver


@pytest_twisted.async_yield_fixture
async def real() -> AsyncIterator[RealHarness]:
    agent, pool = guarded_agent(reactor, EgressPolicy.from_config([], []), 5)
    receiver = Receiver()
    harness = RealHarness(Clock(), agent, await receiver.start())
    harness.receiver = receiver
    yield harness
    await pool.close()
    await receiver.stop()


@pytest_twisted.ensureDeferred
async def test_a_delivery(real: RealHarness) -> None:
    hook = real.hook()
    await real.deliver(hook)
    (received,) = real.receiver.received
    assert (received.method, received.uri, received.body) == ("POST", b"/h1", b"call_id=1")
    assert received.headers["x-hook-id"] == "h1"
    assert received.headers["x-account-id"] == ACCOUNT
    assert received.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "accept-encoding" not in received.headers
    assert real.dispatcher.in_flight == 0
    assert real.deliveries.writes == 0


@pytest_twisted.ensureDeferred
async def test_the_uri_arrives_byte_by_byte_but_for_raw_brackets(real: RealHarness) -> None:
    await real.deliver(real.hook(uri=f"{real.url}/%7Ea/../b;c?x[y]=%zz", http_verb="get"))
    assert real.receiver.received[0].uri == b"/%7Ea/../b;c?x%5By%5D=%zz&call_id=1"


@pytest_twisted.ensureDeferred
async def test_a_redelivered_event_is_not_sent_again_to_a_hook_that_has_received_it(
    real: RealHarness,
) -> None:
    hook = real.hook()
    await real.deliver(hook, "same")
    await real.deliver(hook, "same", redelivered=True)
    assert len(real.receiver.received) == 1
    await real.deliver(hook, "same")  # published twice, not redelivered
    await real.deliver(hook, "other", redelivered=True)
    assert len(real.receiver.received) == 3


def test_a_failed_delivery_is_made_again_when_the_event_is_redelivered() -> None:
    agent, harness = make_harness(started=False)
    hook = harness.hook()
    harness.deliveries.down = True
    harness.deliver(hook, "same").addErrback(lambda failure: failure.trap(Requeue))
    harness.clock.advance(0.1)
    harness.deliver(hook, "same", redelivered=True).addErrback(lambda failure: failure.trap(Requeue))
    harness.clock.advance(0.1)
    assert len(agent.times) == 2


def test_a_failure_counts_once_however_often_it_could_not_be_stored() -> None:
    _, harness = make_harness()
    hook = harness.hook()
    harness.deliveries.down = True
    for number in range(3):
        harness.deliver(hook, redelivered=number > 0).addErrback(lambda failure: failure.trap(Requeue))
        harness.pump(1)
    harness.deliveries.down = False
    harness.deliver(hook, redelivered=True)
    harness.pump(1)
    assert [attempt.revision for attempt in harness.attempts.stored] == [hook.revision, "", "", ""]
    (row,) = harness.deliveries.rows.values()
    assert row.delivery.attempts == 2


def test_only_the_latest_deliveries_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "_MAX_REMEMBERED_DELIVERIES", 2)
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook()
    for event_id in ("e1", "e2", "e3"):
        harness.deliver(hook, event_id)
        respond(agent.hanging[-1], 200)
    for event_id in ("e2", "e3"):
        harness.deliver(hook, event_id, redelivered=True)
    assert len(agent.hanging) == 3
    harness.deliver(hook, "e1", redelivered=True)
    assert len(agent.hanging) == 4


@pytest.mark.parametrize("status", [500, 404, 204, 302, 201])
def test_a_bad_status_stores_the_delivery(status: int) -> None:
    agent, harness = make_harness(reachable=True, started=False)
    done = results_of(harness.deliver(harness.hook()))
    respond(agent.hanging[0], status)
    assert done == []
    harness.clock.advance(0.1)
    assert (done, harness.deliveries.statuses) == ([None], ["pending"])


def test_a_failed_delivery_is_stored_before_it_is_done() -> None:
    _, harness = make_harness(started=False)
    done = results_of(harness.deliver(harness.hook(retries=2)))
    assert (done, harness.deliveries.statuses) == ([], [])
    harness.clock.advance(0.1)
    assert (done, harness.deliveries.statuses) == ([None], ["pending"])
    (row,) = harness.deliveries.rows.values()
    assert (row.delivery.attempts, row.next_attempt) == (1, 2.0)


def test_a_delivery_that_cannot_be_stored_is_requeued() -> None:
    _, harness = make_harness(started=False)
    harness.deliveries.down = True
    done = results_of(harness.deliver(harness.hook()))
    harness.clock.advance(0.1)
    assert done[0].check(Requeue)
    assert "the disk is full" in str(done[0].value)
    assert harness.dispatcher.in_flight == 0


def test_a_failing_receiver_is_probed_from_memory_while_nothing_can_be_stored() -> None:
    agent, harness = make_harness(started=False)
    hook = harness.hook()
    harness.open_circuit(hook)
    harness.deliveries.down = True
    done = results_of(harness.deliver(hook, "while it fails"))
    harness.clock.advance(0.1)
    harness.clock.advance(0.1)
    assert done[0].check(Requeue)
    agent.reachable = True
    both = [results_of(harness.deliver(hook, f"once it is well {number}")) for number in range(2)]
    harness.clock.advance(0.1)
    assert len(agent.hanging) == 1
    respond(agent.hanging[0], 200)
    respond(agent.hanging[1], 200)
    assert both == [[None], [None]]


def test_only_a_few_deliveries_probe_from_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "_MAX_WAITING_PER_HOOK", 3)
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook()
    harness.open_circuit(hook)
    harness.deliveries.down = True
    for number in range(3):
        harness.deliver(hook, f"e{number}")
        harness.clock.advance(0.1)
    one_too_many = results_of(harness.deliver(hook, "e3"))
    harness.clock.advance(0.1)
    assert harness.scheduler.load(hook.id) == 3
    assert one_too_many[0].check(Requeue)
    assert len(agent.hanging) == 1


@pytest.mark.parametrize("ordered", [True, False])
def test_neither_an_ordered_hook_nor_a_draining_node_probes_from_memory(ordered: bool) -> None:
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook(ordered=ordered)
    harness.open_circuit(hook)
    harness.deliveries.down = True
    if not ordered:
        harness.dispatcher.drain()
    done = results_of(harness.deliver(hook))
    harness.clock.advance(0.1)
    assert done[0].check(Requeue)
    assert agent.hanging == []


def test_a_slow_store_gets_no_further_request_before_it_has_answered() -> None:
    """What is to be stored meanwhile is stored together afterwards."""
    _, harness = make_harness(started=False)
    hook = harness.hook()
    harness.deliveries.manual = True
    done = []
    for number in range(1000):
        done.append(results_of(harness.deliver(hook, f"e{number}")))
        harness.clock.advance(0.02)
    assert len(harness.deliveries.waiting) == 1
    harness.deliveries.answer()
    later = results_of(harness.deliver(hook, "later"))
    harness.clock.advance(0.02)
    assert done == [[None]] * 1000
    assert later == [None]
    assert harness.deliveries.writes <= 4


def test_many_failures_are_stored_together() -> None:
    _, harness = make_harness(started=False, total=100, per_hook=100, per_account=100)
    hook = harness.hook()
    done = [results_of(harness.deliver(hook, f"e{number}")) for number in range(50)]
    harness.clock.advance(0.1)
    assert done == [[None]] * 50
    assert harness.deliveries.writes == 1


def test_a_slow_receiver_delays_only_its_own_hook() -> None:
    agent, harness = make_harness(reachable=True, started=False, total=9, per_hook=2)
    slow, other = harness.hook("slow"), harness.hook("other")
    waiting = [results_of(harness.deliver(slow, f"e{number}")) for number in range(5)]
    harness.deliver(other, "e9")
    assert agent.hooks == ["slow", "slow", "other"]
    harness.clock.advance(dispatcher.SLOT_TIMEOUT)
    harness.clock.advance(0.1)
    assert waiting == [[], [], [None], [None], [None]]
    assert [(row.status, row.reason) for row in harness.deliveries.rows.values()] == [
        ("pending", "its receiver is slow")
    ] * 3


def test_a_burst_for_a_fast_receiver_is_not_stored() -> None:
    agent, harness = make_harness(reachable=True, started=False, total=100, per_account=100, per_hook=4)
    hook = harness.hook()
    ends = [results_of(harness.deliver(hook, f"e{number}")) for number in range(400)]
    for number in range(400):
        harness.clock.advance(0.0025)
        respond(agent.hanging[number], 200)
    assert ends == [[None]] * 400
    assert harness.deliveries.writes == 0


def test_only_a_few_deliveries_of_a_hook_wait_for_a_receiver_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatcher, "_MAX_WAITING_PER_HOOK", 3)
    _, harness = make_harness(reachable=True, started=False)
    hook = harness.hook()
    waiting = [results_of(harness.deliver(hook, f"e{number}")) for number in range(7)]
    harness.clock.advance(0.1)
    assert waiting == [[]] * 7
    harness.pump(STALL_TIMEOUT)
    assert waiting == [[]] * 5 + [[None]] * 2
    assert {row.reason for row in harness.deliveries.rows.values()} == {"many others wait for its receiver"}
    late = results_of(harness.deliver(hook, "late"))
    harness.clock.advance(0.1)
    assert late == [None]


def test_a_delivery_that_would_wait_too_long_for_a_slow_receiver_is_stored() -> None:
    agent, harness = make_harness(reachable=True, started=False, per_hook=1)
    hook = harness.hook()
    first = results_of(harness.deliver(hook, "first"))
    waiting = [results_of(harness.deliver(hook, f"e{number}")) for number in range(6)]
    harness.clock.advance(0.5)
    respond(agent.hanging[0], 200)
    # Five wait for a receiver that takes half a second: two and a half seconds for the next one.
    late = results_of(harness.deliver(hook, "late"))
    harness.clock.advance(0.1)
    assert (first, waiting, late) == ([None], [[]] * 6, [None])
    assert [row.delivery.event_id for row in harness.deliveries.rows.values()] == ["late"]


def test_only_a_few_deliveries_of_all_hooks_wait_for_receivers_that_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(dispatcher, "_MAX_WAITING_TOTAL", 3)
    agent, harness = make_harness(reachable=True, started=False, total=100, per_account=100, per_hook=1)
    waiting = [
        results_of(harness.deliver(harness.hook(f"h{number}"), f"e{event}"))
        for number in range(4)
        for event in range(2)
    ]
    assert len(agent.times) == 4
    harness.clock.advance(STALL_TIMEOUT)
    harness.clock.advance(0.1)
    assert waiting == [[]] * 7 + [[None]]
    harness.deliver(harness.hook("other"))
    assert len(agent.times) == 5
    harness.clock.advance(dispatcher.SLOT_TIMEOUT)
    # Those that waited do no longer: others may.
    later = results_of(harness.deliver(harness.hook("other"), "later"))
    harness.clock.advance(STALL_TIMEOUT)
    harness.clock.advance(0.1)
    assert later == []


def test_a_delivery_whose_hook_is_disabled_while_it_waits_is_stored() -> None:
    agent, harness = make_harness(reachable=True, started=False, per_hook=1)
    hook = harness.hook()
    harness.deliver(hook, "e1")
    done = results_of(harness.deliver(hook, "e2"))
    harness.registry.remove("h1")
    agent.hanging[0].errback(ConnectionRefusedError())
    harness.clock.advance(0.1)
    assert len(agent.times) == 1
    assert done == [None]
    assert harness.deliveries.statuses == ["pending"] * 2
    assert harness.scheduler.in_flight == 0


def test_drain_stores_what_waits_and_lets_requests_end() -> None:
    agent, harness = make_harness(reachable=True, started=False, per_hook=1)
    hook = harness.hook()
    in_flight, waiting = results_of(harness.deliver(hook, "e1")), results_of(harness.deliver(hook, "e2"))
    drained = results_of(harness.dispatcher.drain())
    late = results_of(harness.deliver(hook, "e3"))
    harness.clock.advance(0.1)
    assert (in_flight, waiting, late, drained) == ([], [None], [None], [])
    assert {row.reason for row in harness.deliveries.rows.values()} == {"the service was stopping"}
    agent.hanging[0].errback(ConnectionRefusedError())
    harness.clock.advance(0.1)
    harness.clock.advance(0)
    assert (in_flight, drained) == ([None], [None])
    harness.stop()
    assert not harness.clock.getDelayedCalls()


def test_drain_of_an_idle_dispatcher_ends_at_once() -> None:
    _, harness = make_harness(started=False)
    assert results_of(harness.dispatcher.drain()) == [None]


def test_drain_ends_after_the_last_event_is_acknowledged() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    order: list[str] = []
    harness.deliver(harness.hook()).addCallback(lambda _: order.append("acknowledged"))
    harness.dispatcher.drain().addCallback(lambda _: order.append("drained"))
    respond(agent.hanging[0], 200)
    assert order == ["acknowledged"]
    harness.clock.advance(0)
    assert order == ["acknowledged", "drained"]


def test_a_drain_can_be_given_up() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    harness.deliver(harness.hook())
    drained = harness.dispatcher.drain()
    results = results_of(drained)
    drained.cancel()
    assert len(results) == 1
    respond(agent.hanging[0], 200)
    harness.clock.advance(0)
    assert results_of(harness.dispatcher.drain()) == [None]


def test_a_payload_that_cannot_be_encoded_is_a_dead_letter_with_one_traceback() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook(format="json")
    with capturedLogs() as logs:
        done = results_of(harness.deliver(hook, "odd", call_id={1, 2}))
        harness.clock.advance(0.1)
    assert (agent.times, done) == ([], [None])
    (row,) = harness.deliveries.rows.values()
    assert (row.status, row.delivery.attempts, row.delivery.payload["call_id"]) == ("dead", 1, "{1, 2}")
    assert "cannot be encoded" in row.reason
    assert [(log["hook_id"], log["event_id"]) for log in logs if "log_failure" in log] == [("h1", "odd")]


class DefectiveAttemptRunner:
    """Raises what nothing expects."""

    def __init__(self, harness: Harness) -> None:
        self.dropped, self.destinations = harness.dropped, harness.destinations

    def start(self, *_: Any) -> Any:
        raise ZeroDivisionError("division by zero")


def test_a_delivery_that_raises_is_a_dead_letter_with_one_traceback() -> None:
    _, harness = make_harness(reachable=True, started=False)
    hook = harness.hook()
    defective: Any = DefectiveAttemptRunner(harness)
    harness.dispatcher._attempt_runner = defective
    with capturedLogs() as logs:
        done = results_of(harness.deliver(hook, "odd"))
        harness.clock.advance(0.1)
    assert done == [None]
    (row,) = harness.deliveries.rows.values()
    assert (row.status, row.reason) == ("dead", "ZeroDivisionError: division by zero")
    assert len([log for log in logs if "log_failure" in log]) == 1


def test_a_delivery_that_raises_while_the_storage_is_unavailable_comes_again() -> None:
    _, harness = make_harness(reachable=True, started=False)
    hook = harness.hook(format="json")
    harness.deliveries.down = True
    with capturedLogs():
        results = results_of(harness.deliver(hook, "odd", call_id=object()))
        harness.clock.advance(0.1)
    assert results[0].check(Requeue)


def test_a_payload_that_cannot_be_stored_is_logged_and_dropped() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook(ordered=True)

    harness.deliveries.error = TypeError("not JSON serializable")
    with capturedLogs() as logs:
        done = results_of(harness.deliver(hook, "odd", call_id=object()))
        harness.clock.advance(0.1)
    assert (agent.times, done) == ([], [None])
    (error,) = [log for log in logs if log["log_level"].name == "error"]
    assert (error["hook_id"], error["event"], str(error["reason"])) == (
        "h1",
        "channel_create",
        "not JSON serializable",
    )


def test_an_inline_hook_needs_no_registry() -> None:
    agent, harness = make_harness(started=False)
    hook = evolve(harness.hook(), revision="")
    harness.registry.remove("h1")
    harness.deliver(hook)
    assert agent.times == [0]


def test_an_ordered_hook_receives_everything_by_way_of_the_store() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    done = results_of(harness.deliver(harness.hook(ordered=True)))
    harness.clock.advance(0.1)
    assert (agent.times, done) == ([], [None])
    (row,) = harness.deliveries.rows.values()
    assert row.delivery.ordering_key
    assert row.reason == "an ordered delivery waits for earlier ones"


def test_a_hook_with_open_circuit_receives_everything_by_way_of_the_store() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook()
    harness.open_circuit(hook)
    harness.deliver(hook)
    harness.clock.advance(0.1)
    assert agent.times == []
    assert [row.reason for row in harness.deliveries.rows.values()] == ["its receiver keeps failing"]


def ordering_key(payload: dict[str, Any], event: str = "channel_create", *, ordered: bool = True) -> str:
    occurrence = Occurrence(event, ACCOUNT, payload)
    return make_delivery(make_hook(ordered=ordered), occurrence, "e1", 0.0).ordering_key


def test_a_delivery_id_depends_on_the_event_and_the_hook() -> None:
    assert delivery_id("e1", "h1") == delivery_id("e1", "h1")
    assert len({delivery_id("e1", "h1"), delivery_id("e2", "h1"), delivery_id("e1", "h2")}) == 3


def test_a_delivery_has_what_the_request_needs() -> None:
    occurrence = Occurrence("channel_create", "b" * 32, {"call_id": "1"}, inline_hook={"uri": "http://x/"})
    made = make_delivery(make_hook("h7"), occurrence, "e1", 12.5)
    assert made.id == delivery_id("e1", "h7")
    assert (made.hook_id, made.account_id, made.event, made.event_id) == (
        "h7",
        ACCOUNT,
        "channel_create",
        "e1",
    )
    assert (made.payload, made.created, made.attempts) == ({"call_id": "1"}, 12.5, 0)
    assert (made.inline_hook, made.ordering_key) == ({"uri": "http://x/"}, "")


@pytest.mark.parametrize("name", ["call_id", "conference_id", "job_id", "id"])
def test_events_of_one_subject_have_one_ordering_key(name: str) -> None:
    first = ordering_key({name: "1", "number": 1})
    assert first == ordering_key({name: "1", "number": 2})
    assert first != ordering_key({name: "2", "number": 1})


def test_the_most_specific_subject_counts() -> None:
    assert ordering_key({"call_id": "1", "id": "2"}) == ordering_key({"call_id": "1", "id": "3"})
    assert ordering_key({"call_id": "", "id": "2"}) == ordering_key({"id": "2"})


def test_events_without_subject_are_ordered_by_their_kind() -> None:
    assert ordering_key({}) == ordering_key({"number": 1})
    assert ordering_key({}) != ordering_key({}, "channel_answer")


def test_without_order_there_is_no_ordering_key() -> None:
    assert ordering_key({"call_id": "1"}, ordered=False) == ""


# -- destinations that cannot be connected to


def fail_to_connect(harness: Harness) -> None:
    """Open the circuit of the receivers' host by other hooks."""
    for number in range(CIRCUIT_HOOKS):
        other = make_hook(f"other{number}", uri=f"{harness.url}/other")
        harness.destinations.record(other, Outcome(False, unreachable=True))


def test_a_delivery_to_an_unreachable_destination_is_stored_without_an_attempt() -> None:
    agent, harness = make_harness(started=False)
    fail_to_connect(harness)
    done = results_of(harness.deliver(harness.hook()))
    harness.clock.advance(0.1)
    assert (done, agent.times) == ([None], [])
    (row,) = harness.deliveries.rows.values()
    assert (row.status, row.delivery.attempts) == ("pending", 0)
    assert row.reason == "the host of its receiver cannot be connected to"
    assert harness.attempts.health_by_hook == {}


def test_what_waits_for_a_slot_is_stored_when_others_cannot_connect() -> None:
    agent, harness = make_harness(reachable=True, started=False, per_hook=1)
    hook = harness.hook()
    done = [results_of(harness.deliver(hook, f"e{number}")) for number in range(2)]
    fail_to_connect(harness)
    agent.hanging[0].errback(ConnectionRefusedError())
    harness.clock.advance(0.1)
    assert done == [[None], [None]]
    assert len(agent.hanging) == 1
    assert sorted(row.delivery.attempts for row in harness.deliveries.rows.values()) == [0, 1]
    assert harness.scheduler.in_flight == 0


def test_an_unreachable_destination_is_attempted_from_memory_while_nothing_can_be_stored() -> None:
    agent, harness = make_harness(reachable=True, started=False)
    hook = harness.hook()
    fail_to_connect(harness)
    harness.deliveries.down = True
    done = results_of(harness.deliver(hook))
    harness.clock.advance(0.1)
    respond(agent.hanging[0], 200)
    assert done == [None]
    assert not harness.destinations.circuits


def test_drain_waits_for_an_event_that_is_still_to_be_started() -> None:
    _, harness = make_harness(started=False)
    with harness.dispatcher.busy():
        idle = results_of(harness.dispatcher.drain())
        harness.clock.advance(0)
        assert idle == []
    harness.clock.advance(0)
    assert idle == [None]
