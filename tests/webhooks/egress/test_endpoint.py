from __future__ import annotations

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.error import ConnectingCancelledError, ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface.verify import verifyObject

from kazoo_bridge.webhooks.egress import (
    CoalescingResolver,
    EgressDenied,
    TlsClient,
    guarded_agent,
    reactor_resolver,
)
from kazoo_bridge.webhooks.egress.destination import Origin
from kazoo_bridge.webhooks.egress.endpoint import (
    EgressContext,
    PermittedEndpoints,
)
from tests.webhooks.harness import results_of
from tests.webhooks.hostile_uris import FORBIDDEN
from tests.webhooks.memory_agent import CONNECT_TIMEOUT, DEFAULT_POLICY, RecordingReactor, make_memory_agent


def refuse(clock: RecordingReactor, number: int) -> None:
    """Let a connection attempt fail."""
    factory = clock.tcpClients[number][2]
    factory.clientConnectionFailed(clock.connectors[number], Failure(ConnectionRefusedError()))


def test_the_endpoints_implement_their_interfaces() -> None:
    clock, _ = make_memory_agent(["8.8.8.8"])
    resolver = CoalescingResolver(reactor_resolver(clock))
    context = EgressContext(clock, DEFAULT_POLICY, resolver, TlsClient.from_config(), None, 1)
    for origin in (Origin("http", "hook.example", 80), Origin("https", "hook.example", 443)):
        verifyObject(IStreamClientEndpoint, PermittedEndpoints(context).endpoint_for(origin))


@pytest.mark.parametrize("uri", FORBIDDEN)
@pytest_twisted.ensureDeferred
async def test_the_internal_network_is_denied_when_a_connection_is_opened(uri: str) -> None:
    agent, _ = guarded_agent(reactor, DEFAULT_POLICY, 5)
    with pytest.raises(EgressDenied, match="webhooks may not go to "):
        await agent.request(b"POST", uri.encode())


def test_the_judged_address_is_connected_to_when_a_name_changes() -> None:
    clock, agent = make_memory_agent(["8.8.8.8"], ["127.0.0.1"])
    results_of(agent.request(b"GET", b"http://rebinding.example/"))
    assert clock.connected_to == ["8.8.8.8"]
    results = results_of(agent.request(b"GET", b"http://rebinding.example/"))
    clock.advance(0)
    assert results[0].check(EgressDenied)
    assert clock.connected_to == ["8.8.8.8"]
    # One look-up for each connection: there is none between the judgement and the connection.
    assert clock.names.names == ["rebinding.example"] * 2


def test_permitted_addresses_are_tried_in_turn_and_share_the_time() -> None:
    clock, agent = make_memory_agent(["10.0.0.1", "2606:4700::1111", "127.0.0.1", "8.8.8.8"])
    results = results_of(agent.request(b"GET", b"http://mixed.example/"))
    assert clock.connected_to == ["2606:4700::1111"]
    assert clock.tcpClients[0][3] == CONNECT_TIMEOUT / 2
    refuse(clock, 0)
    assert clock.connected_to == ["2606:4700::1111", "8.8.8.8"]
    assert clock.tcpClients[1][3] == CONNECT_TIMEOUT
    assert not results
    refuse(clock, 1)
    assert results[0].check(ConnectionRefusedError)


def test_a_look_up_takes_from_the_time_for_connecting() -> None:
    clock, agent = make_memory_agent(["8.8.8.8"])
    clock.names.paused = True
    results_of(agent.request(b"GET", b"http://slow.example/"))
    clock.advance(7)
    clock.names.pending.pop()()
    assert clock.tcpClients[0][3] == CONNECT_TIMEOUT - 7


def test_at_most_eight_addresses_are_tried() -> None:
    clock, agent = make_memory_agent([f"8.8.{number}.1" for number in range(200)])
    results = results_of(agent.request(b"GET", b"http://many.example/"))
    for number in range(8):
        refuse(clock, number)
    assert len(clock.connected_to) == 8
    assert results[0].check(ConnectionRefusedError)


def test_a_cancelled_request_tries_no_other_address() -> None:
    clock, agent = make_memory_agent(["8.8.8.8", "8.8.4.4"])
    request = agent.request(b"GET", b"http://hook.example/")
    results = results_of(request)
    request.cancel()
    assert clock.connected_to == ["8.8.8.8"]
    assert results[0].check(ConnectingCancelledError)


def test_a_look_up_that_never_ends_fails_after_the_time_for_connecting() -> None:
    clock, agent = make_memory_agent(["8.8.8.8"])
    clock.names.paused = True
    results = results_of(agent.request(b"GET", b"http://never.example/"))
    clock.advance(CONNECT_TIMEOUT)
    assert "could not be looked up within 10 s" in str(results[0].value)
    assert not clock.getDelayedCalls()
