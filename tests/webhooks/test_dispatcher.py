from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from kazoo_bridge.interfaces import Delivery, Requeue
from kazoo_bridge.webhooks.delivery import dispatcher
from kazoo_bridge.webhooks.egress import EgressPolicy, guarded_agent
from tests.webhooks.answers import answer
from tests.webhooks.hook_factory import ACCOUNT
from tests.webhooks.kept_deliveries import KeptDeliveries
from tests.webhooks.receiving import Receiver
from tests.webhooks.stage import Stage, ended, scripted


class RealStage(Stage):
    """A stage with a real agent and a real receiver; only time is played."""

    receiver: Receiver


@pytest_twisted.async_yield_fixture
async def stage() -> AsyncIterator[RealStage]:
    agent, pool = guarded_agent(reactor, EgressPolicy.from_config([], []), 5)
    receiver = Receiver()
    made = RealStage(Clock(), agent, await receiver.start())
    made.receiver = receiver
    yield made
    await pool.closeCachedConnections()
    await receiver.stop()


@pytest_twisted.ensureDeferred
async def test_a_delivery(stage: RealStage) -> None:
    hook = stage.hook()
    await stage.deliver(hook)
    (received,) = stage.receiver.received
    assert (received.method, received.uri, received.body) == ("POST", b"/h1", b"call_id=1")
    assert received.headers["x-hook-id"] == "h1"
    assert received.headers["x-account-id"] == ACCOUNT
    assert received.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "accept-encoding" not in received.headers
    assert stage.dispatcher.in_flight == 0
    assert stage.deliveries.writes == 0


@pytest_twisted.ensureDeferred
async def test_the_uri_arrives_byte_by_byte(stage: RealStage) -> None:
    await stage.deliver(stage.hook(uri=f"{stage.url}/%7Ea/../b;c?x[y]=%zz", http_verb="get"))
    assert stage.receiver.received[0].uri == b"/%7Ea/../b;c?x[y]=%zz&call_id=1"


@pytest.mark.parametrize("status", [500, 404, 204, 302, 201])
def test_after_a_bad_status_the_delivery_is_kept(status: int) -> None:
    agent, stage = scripted(reachable=True, started=False)
    done = ended(stage.deliver(stage.hook()))
    answer(agent.hanging[0], status)
    assert done == []
    stage.clock.advance(0.1)
    assert (done, stage.statuses) == ([None], ["pending"])


def test_what_fails_is_kept_before_the_event_is_done() -> None:
    _, stage = scripted(started=False)
    done = ended(stage.deliver(stage.hook(retries=2)))
    assert (done, stage.statuses) == ([], [])
    stage.clock.advance(0.1)
    assert (done, stage.statuses) == ([None], ["pending"])
    (row,) = stage.deliveries.rows.values()
    assert (row.delivery.attempts, row.next_attempt) == (1, 2.0)


def test_what_cannot_be_kept_stays_with_the_broker() -> None:
    _, stage = scripted(started=False)
    stage.deliveries.down = True
    done = ended(stage.deliver(stage.hook()))
    stage.clock.advance(0.1)
    assert done[0].check(Requeue)


def test_a_receiver_that_keeps_failing_is_tried_all_the_same_when_nothing_can_be_kept() -> None:
    agent, stage = scripted(started=False)
    hook = stage.hook()
    for number in range(5):
        stage.deliver(hook, f"e{number}")
    stage.clock.advance(0.1)
    assert stage.turns.circuit_open(hook.id)
    stage.deliveries.down = True
    done = ended(stage.deliver(hook, "while it fails"))
    stage.clock.advance(0.1)
    stage.clock.advance(0.1)
    assert done[0].check(Requeue)
    agent.reachable = True
    done = [ended(stage.deliver(hook, f"once it is well {number}")) for number in range(2)]
    stage.clock.advance(0.1)
    assert len(agent.hanging) == 1
    answer(agent.hanging[0], 200)
    answer(agent.hanging[1], 200)
    assert done == [[None], [None]]


def test_a_storage_that_takes_its_time_is_not_asked_over_and_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long it takes, what is to be kept meanwhile is kept together afterwards."""
    _, stage = scripted(started=False)
    hook = stage.hook()
    asked: list[Deferred[None]] = []
    keep = stage.deliveries.enqueue

    def slow(_: KeptDeliveries, waiting: Sequence[tuple[Delivery, float | None, str]]) -> Deferred[None]:
        asked.append(Deferred())
        return asked[-1].addCallback(lambda _: keep(waiting))

    monkeypatch.setattr(KeptDeliveries, "enqueue", slow)
    done = []
    for number in range(1000):
        done.append(ended(stage.deliver(hook, f"e{number}")))
        stage.clock.advance(0.02)
    assert len(asked) == 1
    monkeypatch.undo()
    asked[0].callback(None)
    later = ended(stage.deliver(hook, "later"))
    stage.clock.advance(0.02)
    assert done == [[None]] * 1000
    assert later == [None]
    assert stage.deliveries.writes <= 4


def test_many_failures_are_kept_together() -> None:
    _, stage = scripted(started=False, total=100, per_hook=100, per_account=100)
    hook = stage.hook()
    done = [ended(stage.deliver(hook, f"e{number}")) for number in range(50)]
    stage.clock.advance(0.1)
    assert done == [[None]] * 50
    assert stage.deliveries.writes == 1


def test_a_slow_hook_has_its_own_bound_and_leaves_the_others_theirs() -> None:
    agent, stage = scripted(reachable=True, started=False, total=9, per_hook=2)
    slow, other = stage.hook("slow"), stage.hook("other")
    waiting = [ended(stage.deliver(slow, f"e{number}")) for number in range(5)]
    stage.deliver(other, "e9")
    assert agent.hooks == ["slow", "slow", "other"]
    stage.clock.advance(dispatcher.SLOT_TIMEOUT)
    stage.clock.advance(0.1)
    assert waiting == [[], [], [None], [None], [None]]
    assert stage.statuses == ["pending"] * 3


def test_more_than_a_few_do_not_even_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "_MAX_WAITING_PER_HOOK", 3)
    _, stage = scripted(reachable=True, started=False)
    hook = stage.hook()
    waiting = [ended(stage.deliver(hook, f"e{number}")) for number in range(7)]
    stage.clock.advance(0.1)
    assert waiting == [[]] * 5 + [[None]] * 2


def test_if_very_many_hooks_wait_theirs_do_not_even_wait_a_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dispatcher, "_MAX_WAITING_TOTAL", 3)
    agent, stage = scripted(reachable=True, started=False, total=100, per_account=100, per_hook=1)
    waiting = [
        ended(stage.deliver(stage.hook(f"h{number}"), f"e{event}"))
        for number in range(4)
        for event in range(2)
    ]
    stage.clock.advance(0.1)
    assert len(agent.asked) == 4
    assert waiting == [[]] * 7 + [[None]]
    stage.deliver(stage.hook("other"))
    assert len(agent.asked) == 5


def test_a_hook_that_is_disabled_while_its_delivery_waits() -> None:
    agent, stage = scripted(reachable=True, started=False, per_hook=1)
    hook = stage.hook()
    stage.deliver(hook, "e1")
    done = ended(stage.deliver(hook, "e2"))
    stage.registry.remove("h1")
    agent.hanging[0].errback(ConnectionRefusedError())
    stage.clock.advance(0.1)
    assert len(agent.asked) == 1
    assert done == [None]
    assert stage.statuses == ["pending"] * 2


def test_draining_keeps_what_waits_and_lets_the_rest_end() -> None:
    agent, stage = scripted(reachable=True, started=False, per_hook=1)
    hook = stage.hook()
    under_way, waiting = ended(stage.deliver(hook, "e1")), ended(stage.deliver(hook, "e2"))
    drained = ended(stage.dispatcher.drain())
    late = ended(stage.deliver(hook, "e3"))
    stage.clock.advance(0.1)
    assert (under_way, waiting, late, drained) == ([], [None], [None], [])
    agent.hanging[0].errback(ConnectionRefusedError())
    stage.clock.advance(0.1)
    stage.clock.advance(0)
    assert (under_way, drained) == ([None], [None])
    stage.stop()
    assert not stage.clock.getDelayedCalls()


@pytest_twisted.ensureDeferred
async def test_an_event_that_the_broker_hands_out_again_is_not_sent_again_to_who_had_it(
    stage: RealStage,
) -> None:
    hook = stage.hook()
    await stage.deliver(hook, "same")
    await stage.deliver(hook, "same", redelivered=True)
    assert len(stage.receiver.received) == 1
    await stage.deliver(hook, "same")  # the same words, said again
    await stage.deliver(hook, "other", redelivered=True)
    assert len(stage.receiver.received) == 3


@pytest_twisted.ensureDeferred
async def test_a_payload_that_cannot_be_written_is_reported_and_ended(stage: RealStage) -> None:
    hook = stage.hook(format="json")
    done = ended(stage.deliver(hook, "odd", call_id=object()))
    assert done == []
    stage.clock.advance(0.1)
    assert stage.receiver.received == []
    assert done == [None]


def test_a_hook_that_the_event_brought_along_needs_no_registry() -> None:
    agent, stage = scripted(started=False)
    hook = evolve(stage.hook(), revision="")
    stage.registry.remove("h1")
    stage.deliver(hook)
    assert agent.asked == [0]


def test_an_ordered_hook_gets_everything_by_way_of_the_storage() -> None:
    agent, stage = scripted(reachable=True, started=False)
    done: Any = ended(stage.deliver(stage.hook(ordered=True)))
    stage.clock.advance(0.1)
    assert (agent.asked, done) == ([], [None])
    (row,) = stage.deliveries.rows.values()
    assert row.delivery.ordering_key
