from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from kazoo_bridge.interfaces import Occurrence, Unfinished
from kazoo_bridge.webhooks.attempts import AttemptRecorder
from kazoo_bridge.webhooks.dispatcher import RETRY_DELAY, Dispatcher, DispatchLimits
from kazoo_bridge.webhooks.egress import EgressPolicy, guarded_agent
from kazoo_bridge.webhooks.registry import HookRegistry
from kazoo_bridge.webhooks.sending import Sender
from tests.webhooks.hook_factory import ACCOUNT, make_hook
from tests.webhooks.kept_attempts import KeptAttempts
from tests.webhooks.receiving import Receiver

OCCURRENCE = Occurrence("channel_create", ACCOUNT, {"call_id": "1"})


class Stage:
    """A dispatcher over a real agent, with a clock of its own, and a real receiver."""

    def __init__(self, agent: Any, receiver: Receiver, url: str) -> None:
        self.clock = Clock()
        self.receiver = receiver
        self.url = url
        self.registry = HookRegistry()
        self.kept = KeptAttempts()
        self.recorder = AttemptRecorder(self.clock, self.kept, keeps_successes=False, body_limit=1000)
        self.dispatcher = Dispatcher(self.clock, Sender(self.clock, agent, 10.0), self.registry, DispatchLimits(8, 2), self.recorder)

    def hook(self, hook_id: str = "h1", **document: Any) -> Any:
        hook = make_hook(hook_id, uri=document.pop("uri", f"{self.url}/{hook_id}"), **document)
        self.registry.put(hook)
        return hook

    def deliver(self, hook: Any, event_id: str = "e1") -> Deferred[None]:
        return Deferred.fromCoroutine(self.dispatcher.deliver(hook, OCCURRENCE, event_id))


@pytest_twisted.async_yield_fixture
async def stage() -> AsyncIterator[Stage]:
    agent, pool = guarded_agent(reactor, EgressPolicy.of([], []), 5)
    receiver = Receiver()
    url = await receiver.start()
    yield Stage(agent, receiver, url)
    await pool.closeCachedConnections()
    await receiver.stop()


@pytest_twisted.ensureDeferred
async def test_a_delivery(stage: Stage) -> None:
    hook = stage.hook()
    await stage.deliver(hook)
    (received,) = stage.receiver.received
    assert (received.method, received.uri, received.body) == ("POST", b"/h1", b"call_id=1")
    assert received.headers["x-hook-id"] == "h1"
    assert received.headers["x-account-id"] == ACCOUNT
    assert received.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "accept-encoding" not in received.headers
    assert stage.dispatcher.under_way == 0


@pytest_twisted.ensureDeferred
async def test_the_uri_arrives_byte_by_byte(stage: Stage) -> None:
    await stage.deliver(stage.hook(uri=f"{stage.url}/%7Ea/../b;c?x[y]=%zz", http_verb="get"))
    assert stage.receiver.received[0].uri == b"/%7Ea/../b;c?x[y]=%zz&call_id=1"


@pytest.mark.parametrize("status", [500, 404, 204, 302, 201])
@pytest_twisted.ensureDeferred
async def test_a_bad_status_leaves_the_event_with_the_broker(stage: Stage, status: int) -> None:
    stage.receiver.statuses = [status]
    with pytest.raises(Unfinished):
        await stage.deliver(stage.hook())
    assert len(stage.receiver.received) == 1


@implementer(IAgent)
@define
class ScriptedAgent:
    """Fails or hangs as told, and remembers when it was asked."""

    clock: Clock
    reachable: bool = False
    asked: list[float] = field(factory=list)
    hanging: list[Deferred[IResponse]] = field(factory=list)

    def request(self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: Any = None) -> Deferred[IResponse]:
        self.asked.append(self.clock.seconds())
        if not self.reachable:
            return fail(ConnectionRefusedError())
        self.hanging.append(Deferred())
        return self.hanging[-1]


def scripted(*, reachable: bool = False, **limits: Any) -> tuple[ScriptedAgent, Stage]:
    clock = Clock()
    agent = ScriptedAgent(clock, reachable)
    stage = Stage(agent, Receiver(), "http://receiver.example")
    stage.clock = clock
    stage.recorder = AttemptRecorder(clock, stage.kept, keeps_successes=False, body_limit=1000)
    allowed = DispatchLimits(**{"max_requests": 8, "max_requests_per_hook": 2, **limits})
    stage.dispatcher = Dispatcher(clock, Sender(clock, agent, 10.0), stage.registry, allowed, stage.recorder)
    return agent, stage


def ended(delivery: Deferred[None]) -> list[Any]:
    results: list[Any] = []
    delivery.addBoth(results.append)
    return results


def test_no_connection_is_tried_again_two_seconds_apart_and_then_left_to_the_broker() -> None:
    agent, stage = scripted()
    results = ended(stage.deliver(stage.hook(retries=2)))
    stage.clock.pump([RETRY_DELAY] * 2)
    assert agent.asked == [0, 2, 4]
    assert results[0].check(Unfinished)
    stage.recorder.stopService()
    assert not stage.clock.getDelayedCalls()


def test_a_hook_that_goes_is_tried_no_more() -> None:
    agent, stage = scripted()
    results = ended(stage.deliver(stage.hook(retries=4)))
    stage.registry.remove("h1")
    stage.clock.pump([RETRY_DELAY] * 4)
    assert agent.asked == [0]
    assert results == [None]


def test_a_silent_receiver_costs_the_request_time_out() -> None:
    agent, stage = scripted(reachable=True)
    results = ended(stage.deliver(stage.hook(retries=0)))
    stage.clock.advance(9.9)
    assert results == []
    stage.clock.advance(0.2)
    assert results[0].check(Unfinished)
    assert agent.asked == [0]


def test_a_slow_hook_has_its_own_bound_and_leaves_the_others_theirs() -> None:
    agent, stage = scripted(reachable=True, max_requests=3, max_requests_per_hook=2)
    slow, other = stage.hook("slow"), stage.hook("other")
    started = [stage.deliver(slow, f"e{number}") for number in range(5)]
    started.append(stage.deliver(other, "e9"))
    assert len(agent.asked) == 3
    assert stage.dispatcher.under_way == 6
    for delivery in started:
        delivery.addErrback(lambda _: None)
        delivery.cancel()
    assert stage.dispatcher.under_way == 0


def test_draining_ends_the_pauses() -> None:
    agent, stage = scripted()
    results = ended(stage.deliver(stage.hook(retries=4)))
    drained = ended(stage.dispatcher.drain())
    assert results[0].check(Unfinished)
    assert drained == [None]
    stage.recorder.stopService()
    assert not stage.clock.getDelayedCalls()
    assert agent.asked == [0]


def test_draining_waits_for_what_is_under_way() -> None:
    agent, stage = scripted(reachable=True)
    results = ended(stage.deliver(stage.hook()))
    drained = ended(stage.dispatcher.drain())
    assert drained == []
    agent.hanging[0].errback(ConnectionRefusedError())
    assert results[0].check(Unfinished)
    assert drained == []
    stage.clock.advance(0)
    assert drained == [None]


@pytest_twisted.ensureDeferred
async def test_an_event_that_comes_again_is_not_sent_again_to_who_had_it(stage: Stage) -> None:
    hook = stage.hook()
    await stage.deliver(hook, "same")
    await stage.deliver(hook, "same")
    await stage.deliver(hook, "other")
    assert len(stage.receiver.received) == 2


@pytest_twisted.ensureDeferred
async def test_a_payload_that_cannot_be_written_is_reported_and_ended(stage: Stage) -> None:
    odd = Occurrence("channel_create", ACCOUNT, {"call_id": object()})
    await stage.dispatcher.deliver(stage.hook(format="json"), odd, "e")
    assert stage.receiver.received == []
