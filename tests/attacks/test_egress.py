"""Events whose requests would be huge, receivers whose responses are, and a host that is down."""

from __future__ import annotations

import gzip
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from typing import Any, cast

import pytest
import pytest_twisted
from attrs import define, field
from twisted.internet import reactor
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock, LoopingCall, deferLater
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse
from zope.interface import implementer

from kazoo_bridge.webhooks.attempts.attempt_in_flight import AttemptResult
from kazoo_bridge.webhooks.delivery.destination_circuits import CIRCUIT_HOOKS, PROBE_GROUP
from kazoo_bridge.webhooks.egress import ConnectionPool, EgressPolicy, guarded_agent
from kazoo_bridge.webhooks.egress.receiver_response import MAX_BODY_BYTES
from kazoo_bridge.webhooks.http.http_request import HookRequest, build_request
from kazoo_bridge.webhooks.http.payload_encoding import PayloadTooLarge
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from tests.webhooks.descriptors import no_descriptors
from tests.webhooks.doors import Door, by_begin, by_send
from tests.webhooks.fakes import FakeResponse
from tests.webhooks.harness import Harness, make_harness, results_of
from tests.webhooks.hook_factory import make_hook
from tests.webhooks.hostile_receiver import HostileConnection, HostileReceiver, assert_nothing_left
from tests.webhooks.receiving import Receiver

pytestmark = pytest.mark.timeout(60)

#: Seconds of CPU that an attack may cost.
MAX_CPU = 0.3

LIMIT = 1024 * 1024

OK = b"HTTP/1.1 200 OK\r\n"

FORMS = [{"http_verb": "get"}, {"http_verb": "post"}, {"http_verb": "put", "format": "json"}]


def chain(depth: int, inner: Any) -> Any:
    for _ in range(depth):
        inner = {"K" * 1000: inner}
    return inner


def wide(length: int, count: int, leaf: Any) -> dict[str, Any]:
    return {"K" * length: {f"a{number}": leaf for number in range(count)}}


#: Events that are short as JSON, but whose forms repeat the path of keys.
PAYLOADS: list[Callable[[], dict[str, Any]]] = [
    lambda: wide(20_000, 2_000, 1),
    lambda: wide(48_500, 4_500, 1),
    lambda: wide(73_000, 7_000, 1),
    lambda: wide(500_000, 50_000, 1),
    lambda: wide(48_500, 4_500, {}),
    lambda: wide(48_500, 4_500, []),
    lambda: wide(48_500, 4_500, None),
    lambda: {"K" * 50_000: [{"a": 1}] * 10_000},
    lambda: {"K" * 50_000: [[]] * 10_000},
    lambda: chain(90, {f"a{number}": 1 for number in range(10_000)}),
    lambda: {"a": "%" * 8_000_000},
    lambda: {"é" * 500_000: "é" * 500_000},
    lambda: {"a": [0] * 2_000_000},
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form["http_verb"])
@pytest.mark.parametrize("make_payload", PAYLOADS)
def test_no_event_makes_a_request_that_is_large_or_costs_much(
    form: dict[str, str], make_payload: Callable[[], dict[str, Any]]
) -> None:
    hook, payload = make_hook(uri="http://h/", **form), make_payload()
    began = time.process_time()
    size = 0
    try:
        request = build_request(hook, payload, "", LIMIT)
        size = len(request.url) + len(request.body)
    except PayloadTooLarge:
        pass
    assert time.process_time() - began < MAX_CPU
    assert size <= LIMIT + 100


def test_a_form_that_is_too_large_takes_little_memory() -> None:
    payload = wide(500_000, 50_000, 1)
    tracemalloc.start()
    with pytest.raises(PayloadTooLarge):
        build_request(make_hook(), payload, "", LIMIT)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * LIMIT


def test_a_delivery_that_is_too_large_costs_its_bound_once_and_is_dead() -> None:
    agent, harness = make_harness(reachable=True)
    hook = harness.hook()
    done = results_of(harness.deliver(hook, variables=wide(48_500, 4_500, 1)))
    harness.pump(90_000, step=600)
    assert done == [None]
    assert agent.times == []
    (row,) = harness.deliveries.rows.values()
    assert row.status == "dead"
    assert row.reason == "the request would be larger than webhooks.max_body_bytes (1048576 bytes)"
    assert harness.attempts.health_by_hook == {}


def test_a_replay_of_it_ends_the_same_way() -> None:
    _, harness = make_harness(reachable=True, started=False)
    hook = harness.hook()
    delivery = harness.delivery(hook, variables=wide(48_500, 4_500, 1))
    reasons = set()
    for _ in range(2):
        work = harness.attempt_runner.attempt(hook, delivery, harness.acquire(hook))
        (result,) = results_of(Deferred.fromCoroutine(work))
        assert isinstance(result, AttemptResult)
        assert (result.next_attempt, result.counts_against_hook) == (None, False)
        reasons.add(result.reason)
    assert len(reasons) == 1


# -- a node without descriptors


@pytest_twisted.ensureDeferred
async def test_a_lack_of_descriptors_costs_no_hook_anything() -> None:
    receiver = Receiver()
    agent, pool = guarded_agent(reactor, EgressPolicy.from_config([], []), 5)
    harness = Harness(Clock(), agent, await receiver.start())
    hook = harness.hook(retries=0)
    done = []
    for number in range(20):
        with no_descriptors():
            done.append(results_of(harness.deliver(hook, f"e{number}")))
        await deferLater(reactor, 0)
    harness.clock.advance(0.1)
    assert done == [[None]] * 20
    assert receiver.received == []
    assert not harness.scheduler.circuit_open(hook.queue_key)
    assert {attempt.revision for attempt in harness.attempts.stored} <= {""}
    assert {row.delivery.attempts for row in harness.deliveries.rows.values()} == {0}
    harness.start()
    for _ in range(200):
        harness.clock.advance(1)
        await deferLater(reactor, 0)
        if not harness.deliveries.rows:
            break
    assert len(receiver.received) == 20
    harness.stop()
    await pool.close()
    await receiver.stop()


# -- a host that is down


@implementer(IAgent)
@define(eq=False)
class HostAgent:
    """Refuses connections to the hosts in `down`; others answer 200 at once."""

    down: set[bytes]
    connections: Counter[bytes] = field(factory=Counter)
    accepted: set[tuple[bytes, str]] = field(factory=set)

    def request(
        self, method: bytes, uri: bytes, headers: Headers | None = None, bodyProducer: Any = None
    ) -> Deferred[IResponse]:
        assert headers is not None
        host = uri.split(b"/")[2]
        self.connections[host] += 1
        if host in self.down:
            return fail(ConnectionRefusedError())
        (name,) = headers.getRawHeaders("webhook-id") or [""]
        self.accepted.add((host, name))
        return succeed(cast(IResponse, FakeResponse(200, Headers({}))))


def test_many_hooks_to_one_host_that_is_down_cost_few_connections_and_no_event() -> None:
    agent = HostAgent({b"down.example"})
    harness = Harness(Clock(), agent, total=256, per_account=64, per_hook=32)
    harness.start()
    victim = harness.hook("victim", "b" * 32, uri="http://well.example/")
    hooks = [harness.hook(f"h{number:03}", uri=f"http://down.example/{number}") for number in range(300)]
    done = [results_of(harness.deliver(hook, f"e{event}")) for event in range(10) for hook in hooks]
    for second in range(15):
        assert results_of(harness.deliver(victim, f"v{second}")) == [None]
        harness.pump(1, step=0.1)
    assert done == [[None]] * 3000
    assert len(harness.deliveries.rows) == 3000
    assert agent.connections[b"down.example"] <= CIRCUIT_HOOKS + 15 * PROBE_GROUP
    assert sum(map(len, harness.deliveries.claims)) <= 15 * PROBE_GROUP
    assert agent.connections[b"well.example"] == 15
    agent.down.clear()
    harness.pump(15, step=0.1)
    assert harness.deliveries.rows == {}
    assert len([name for host, name in agent.accepted if host == b"down.example"]) == 3000
    assert agent.connections[b"down.example"] <= 3000 + CIRCUIT_HOOKS + 16 * PROBE_GROUP


# -- responses


@define(eq=False)
class Client:
    """Sends requests to hostile receivers."""

    sender: Sender
    pool: ConnectionPool

    async def attempt(
        self, behave: Callable[[HostileConnection], None], door: Door = by_send
    ) -> tuple[Outcome, HostileReceiver]:
        receiver = HostileReceiver(behave)
        url = await receiver.start()
        outcome = await door(self.sender, HookRequest("POST", f"{url}/x", {}, b"a=1"))
        await self.pool.close()
        await receiver.all_closed()
        await receiver.stop()
        return outcome, receiver


@pytest_twisted.async_yield_fixture
async def client() -> AsyncIterator[Client]:
    before = set(reactor.getDelayedCalls())
    agent, pool = guarded_agent(reactor, EgressPolicy.from_config([], []), 5)
    yield Client(Sender(reactor, agent, 1.0, max_redirects=0, pool=pool), pool)
    await pool.close()
    await assert_nothing_left(before)


def sends(first: bytes, forever: bytes = b"") -> Callable[[HostileConnection], None]:
    def behave(connection: HostileConnection) -> None:
        connection.send(first)
        if forever:
            connection.send_forever(forever)

    return behave


CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
BOMB = gzip.compress(bytes(20_000_000))


@pytest.mark.parametrize(
    "behave",
    [
        sends(OK + b"X: " + b"\xff" * 28_000 + b"\r\nContent-Length: 0\r\n\r\n"),
        sends(OK, b"X: y\r\n" * 5000),
        sends(OK, b"\r\n" * 1 + b"y" * 60_000),
        sends(b"", b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" * 1000),
        sends(b"", b"x" * 60_000),
        sends(CHUNKED, b"1;extension=" + b"x" * 1000 + b"\r\na\r\n"),
        sends(CHUNKED + b"1;", b"x" * 60_000),
        sends(CHUNKED, b"1\r\na\r\n" * 5000),
        sends(CHUNKED + b"0\r\n", b"Trailer: x\r\n" * 5000),
        sends(OK + b"\r\n", b"x" * 60_000),
        sends(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB),
        lambda connection: connection.trickle(OK + b"X: "),
    ],
    ids=["28 KB of header", "headers", "folded", "1xx", "no HTTP", "extensions", "one extension", "chunks",
         "trailers", "body", "gzip bomb", "slow drip"],
)  # fmt: skip
@pytest.mark.parametrize("door", [by_send, by_begin])
@pytest_twisted.ensureDeferred
async def test_no_response_costs_much(
    client: Client, behave: Callable[[HostileConnection], None], door: Door
) -> None:
    began = time.process_time()
    outcome, receiver = await client.attempt(behave, door)
    assert len(outcome.body) <= MAX_BODY_BYTES
    assert sum(map(len, outcome.headers.values())) <= 40_000
    assert receiver.sent_bytes < 8 * LIMIT
    # The receiver runs in this process too.
    assert time.process_time() - began < 2 * MAX_CPU


@pytest_twisted.ensureDeferred
async def test_many_slow_receivers_delay_nothing_else(client: Client) -> None:
    ticks: list[float] = []
    loop = LoopingCall(lambda: ticks.append(time.process_time()))
    loop.start(0.01)
    receiver = HostileReceiver(lambda connection: connection.trickle(OK + b"X: "))
    url = await receiver.start()
    requests = [
        Deferred.fromCoroutine(client.sender.send(HookRequest("POST", url, {}, b"a=1"))) for _ in range(100)
    ]
    outcomes = [await request for request in requests]
    loop.stop()
    await receiver.stop()
    await deferLater(reactor, 0)
    assert not any(outcome.success for outcome in outcomes)
    gaps = [later - earlier for earlier, later in pairwise(ticks)]
    assert max(gaps) < 0.1
