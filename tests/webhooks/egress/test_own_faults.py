from __future__ import annotations

import errno

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectBindError, ConnectError, NoRouteError

from kazoo_bridge.webhooks.egress import EgressPolicy, Proxy, guarded_agent
from kazoo_bridge.webhooks.egress.own_faults import OwnWaitCancelled, WaitTimedOut, is_own_fault
from kazoo_bridge.webhooks.http.faults import Fault
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Outcome, Sender
from tests.webhooks.descriptors import no_descriptors
from tests.webhooks.doors import Door
from tests.webhooks.harness import results_of
from tests.webhooks.hostile_receiver import HostileConnection, HostileReceiver
from tests.webhooks.memory_agent import CONNECT_TIMEOUT, make_memory_agent

LOOPBACK_OPEN = EgressPolicy.from_config([], [])


@pytest.mark.parametrize(
    "error",
    [
        ConnectBindError(errno.EMFILE, "too many open files"),
        NoRouteError(errno.ENETUNREACH, "network is unreachable"),
        ConnectError(errno.EADDRNOTAVAIL, "cannot assign requested address"),
        ConnectError(errno.EACCES, "permission denied"),
        OSError(errno.ENFILE, "too many open files in system"),
        WaitTimedOut(),
        OwnWaitCancelled(),
        MemoryError(),
    ],
)
def test_faults_of_this_node(error: BaseException) -> None:
    assert is_own_fault(error)


@pytest.mark.parametrize(
    "error", [ConnectError(errno.ECONNREFUSED, ""), ConnectError(), OSError(errno.EPIPE, ""), ValueError()]
)
def test_other_errors(error: BaseException) -> None:
    assert not is_own_fault(error)


@pytest_twisted.ensureDeferred
async def test_a_node_without_descriptors_does_not_blame_the_receiver(door: Door) -> None:
    agent, pool = guarded_agent(reactor, LOOPBACK_OPEN, 5)
    request = HookRequest("POST", "http://127.0.0.1:9/", {}, b"a=1")
    with no_descriptors():
        sending = door(Sender(reactor, agent, 5, pool=pool), request)
    outcome = await sending
    assert (outcome.fault, outcome.counts_against_hook) == (Fault.OURS, False)
    assert "no connection at the moment" in outcome.error


def outcomes_of(sender: Sender, url: str) -> list[Outcome]:
    work = sender.send(HookRequest("POST", url, {}, b"a=1"))
    outcomes: list[Outcome] = results_of(Deferred.fromCoroutine(work))
    return outcomes


@pytest.mark.parametrize("request_timeout", [5.0, CONNECT_TIMEOUT, 60.0])
@pytest.mark.parametrize("others_are_answered", [False, True])
def test_a_name_server_that_hangs_is_no_fault_of_receivers(
    request_timeout: float, others_are_answered: bool
) -> None:
    clock, agent = make_memory_agent(["8.8.8.8"])
    sender = Sender(clock, agent, request_timeout)
    clock.names.paused = True
    outcomes = outcomes_of(sender, "http://slow.example/")
    if others_are_answered:
        clock.names.paused = False
        outcomes_of(sender, "http://quick.example/")
    clock.advance(min(request_timeout, CONNECT_TIMEOUT))
    assert outcomes[0].fault is (Fault.RECEIVER if others_are_answered else Fault.OURS)


def test_a_receiver_that_hangs_is_at_fault() -> None:
    clock, agent = make_memory_agent(["8.8.8.8"])
    outcomes = outcomes_of(Sender(clock, agent, 5.0), "http://hook.example/")
    clock.advance(5)
    assert (outcomes[0].fault, outcomes[0].counts_against_hook) == (Fault.RECEIVER, True)


@pytest.mark.parametrize("others_are_answered", [False, True])
@pytest_twisted.ensureDeferred
async def test_a_proxy_that_hangs_is_no_fault_of_receivers(others_are_answered: bool, door: Door) -> None:
    hanging = HostileReceiver(lambda connection: None)
    await hanging.start()
    proxy = Proxy.from_config(f"http://127.0.0.1:{hanging.port}")
    assert proxy is not None
    if others_are_answered:

        def count_answer(_: HostileConnection) -> None:
            proxy.answers.count += 1

        hanging.behave = count_answer
    agent, pool = guarded_agent(reactor, LOOPBACK_OPEN, 5, proxy=proxy)
    # The time for the request is over before the time for connecting.
    sender = Sender(reactor, agent, 0.2, pool=pool)
    outcome = await door(sender, HookRequest("POST", "http://127.0.0.1:9/", {}, b"a=1"))
    assert outcome.fault is (Fault.RECEIVER if others_are_answered else Fault.OURS)
    await pool.close()
    await hanging.all_closed()
    await hanging.stop()
