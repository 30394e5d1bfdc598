from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectBindError, ConnectError, NoRouteError

from kazoo_bridge.webhooks.egress import EgressPolicy, guarded_agent
from kazoo_bridge.webhooks.egress.own_faults import OwnWaitCancelled, WaitTimedOut, is_own_fault
from kazoo_bridge.webhooks.http.faults import Fault
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Sender

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
def test_troubles_of_this_node(error: BaseException) -> None:
    assert is_own_fault(error)


@pytest.mark.parametrize(
    "error", [ConnectError(errno.ECONNREFUSED, ""), ConnectError(), OSError(errno.EPIPE, ""), ValueError()]
)
def test_other_errors(error: BaseException) -> None:
    assert not is_own_fault(error)


@contextmanager
def no_descriptors() -> Iterator[None]:
    """The process can open no file and no socket."""
    free = os.dup(0)
    os.close(free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


@pytest_twisted.ensureDeferred
async def test_a_node_without_descriptors_does_not_blame_the_receiver() -> None:
    agent, _ = guarded_agent(reactor, LOOPBACK_OPEN, 5)
    request = HookRequest("POST", "http://127.0.0.1:9/", {}, b"a=1")
    with no_descriptors():
        sending = Deferred.fromCoroutine(Sender(reactor, agent, 5).send(request))
    outcome = await sending
    assert (outcome.fault, outcome.counts_against_hook) == (Fault.OURS, False)
    assert "no connection at the moment" in outcome.error
