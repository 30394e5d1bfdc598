from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, fail, gatherResults, succeed
from twisted.internet.interfaces import IHostnameResolver, IResolutionReceiver
from twisted.internet.task import Clock
from zope.interface.verify import verifyObject

from kazoo_bridge.webhooks.egress import (
    CoalescingResolver,
    EgressDenied,
    EgressPolicy,
    HostNotFound,
    ThreadedResolver,
    denial_reason,
    reactor_resolver,
)
from kazoo_bridge.webhooks.egress.own_faults import OwnWaitCancelled
from kazoo_bridge.webhooks.egress.resolver import LookupFailed, TooManyLookups, permitted_addresses
from tests.webhooks.harness import results_of
from tests.webhooks.hostile_uris import FORBIDDEN
from tests.webhooks.memory_agent import DEFAULT_POLICY, FakeNameResolver, RecordingReactor

OPEN = EgressPolicy.from_config([], [])
PUBLIC = ["8.8.8.8", "2606:4700::1111"]


@pytest.fixture
def release_slow_names(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Names below slow.example are looked up until this event is set; all others have `PUBLIC` at once."""
    event = threading.Event()

    def getaddrinfo(name: str, *_: Any, **__: Any) -> list[Any]:
        if name.endswith("slow.example"):
            event.wait(20)
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", (PUBLIC[0], 0))
        return [found, found, (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (PUBLIC[1], 0, 0, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield event
    event.set()


def resolver_of(*answers: Any) -> CoalescingResolver:
    """A resolver whose look-ups end with these results, one after another."""
    remaining = list(answers)

    def resolve(_name: str) -> Deferred[list[str]]:
        result = remaining.pop(0)
        return fail(result) if isinstance(result, Exception) else succeed(result)

    return CoalescingResolver(resolve)


# -- ThreadedResolver


@pytest_twisted.ensureDeferred
async def test_slow_names_occupy_the_threads_of_their_own_resolver_only(
    release_slow_names: threading.Event,
) -> None:
    first, second = ThreadedResolver(reactor, 2), ThreadedResolver(reactor, 2)
    stuck = [first(f"{number}.slow.example") for number in range(10)]
    with pytest.raises(TooManyLookups):
        await first("quick.example")
    assert await second("quick.example") == PUBLIC
    release_slow_names.set()
    assert await gatherResults(stuck) == [[]] * 10
    assert await first("quick.example") == PUBLIC
    first.stop()
    second.stop()


@pytest_twisted.ensureDeferred
async def test_the_threads_end_when_the_resolver_is_stopped(release_slow_names: threading.Event) -> None:
    before = set(threading.enumerate())
    resolver = ThreadedResolver(reactor, 2)
    assert await resolver("quick.example") == PUBLIC
    assert set(threading.enumerate()) > before
    resolver.stop()
    assert set(threading.enumerate()) <= before


@pytest_twisted.ensureDeferred
async def test_a_resolver_can_be_stopped_before_it_was_used_and_with_a_look_up_in_flight(
    release_slow_names: threading.Event,
) -> None:
    resolver = ThreadedResolver(reactor, 1)
    resolver.stop()
    stuck = resolver("0.slow.example")
    resolver.stop()
    release_slow_names.set()
    assert await stuck == []
    resolver.stop()


@pytest.mark.parametrize(
    "error",
    [
        socket.gaierror(socket.EAI_AGAIN, "temporary failure in name resolution"),
        socket.gaierror(socket.EAI_FAIL, "failure in name resolution"),
        socket.gaierror(socket.EAI_SYSTEM, "system error"),
        OSError(errno.EMFILE, "too many open files"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_an_error_that_says_nothing_about_the_name_is_no_empty_answer(
    monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    resolver = ThreadedResolver(reactor, 1)
    with pytest.raises(LookupFailed, match="could not be looked up"):
        await resolver("hook.example")
    resolver.stop()


def test_a_name_that_fails_while_others_are_answered_has_a_fault_of_its_own() -> None:
    failing: Deferred[list[str]] = Deferred()
    waiting = [failing, succeed(PUBLIC), fail(LookupFailed("no answer"))]
    resolver = CoalescingResolver(lambda _: waiting.pop(0))
    first = results_of(resolver.addresses("broken.example"))
    results_of(resolver.addresses("good.example"))
    second = results_of(resolver.addresses("other.example"))
    failing.errback(LookupFailed("no answer"))
    assert first[0].check(HostNotFound)
    assert second[0].check(LookupFailed)


@pytest.mark.parametrize("others_answered", [False, True])
def test_a_request_that_is_cancelled_during_a_look_up(others_answered: bool) -> None:
    answers: list[Deferred[list[str]]] = [Deferred(), succeed(PUBLIC)]
    resolver = CoalescingResolver(lambda _: answers.pop(0))
    resolving = Deferred.fromCoroutine(permitted_addresses(resolver, OPEN, "slow.example"))
    results = results_of(resolving)
    if others_answered:
        results_of(resolver.addresses("good.example"))
    resolving.cancel()
    assert results[0].check(CancelledError)
    assert bool(results[0].check(OwnWaitCancelled)) != others_answered


# -- reactor_resolver


def test_the_reactors_resolver_is_asked_and_repetitions_are_dropped() -> None:
    names = FakeNameResolver(["8.8.8.8", "8.8.8.8", "2606:4700::1111"])
    verifyObject(IHostnameResolver, names)
    assert results_of(reactor_resolver(RecordingReactor(names))("hook.example")) == [PUBLIC]
    assert names.names == ["hook.example"]


def test_the_receiver_of_addresses_implements_its_interface() -> None:
    receivers = []

    class Reactor:
        class nameResolver:  # noqa: N801 - the reactor's attribute
            @staticmethod
            def resolveHostName(receiver: Any, name: str, port: int) -> None:
                receivers.append(receiver)

    reactor_resolver(Reactor())("hook.example")
    verifyObject(IResolutionReceiver, receivers[0])


# -- CoalescingResolver


def test_numeric_addresses_are_not_looked_up() -> None:
    resolver = resolver_of()
    assert results_of(resolver.addresses("10.0.0.1")) == [["10.0.0.1"]]
    assert results_of(resolver.addresses("::1")) == [["::1"]]


def test_concurrent_look_ups_of_a_name_share_one() -> None:
    asked: list[str] = []
    pending: list[Deferred[list[str]]] = []

    def resolve(name: str) -> Deferred[list[str]]:
        asked.append(name)
        pending.append(Deferred())
        return pending[-1]

    resolver = CoalescingResolver(resolve)
    cancelled, first, second = (resolver.addresses("slow.example") for _ in range(3))
    other = results_of(resolver.addresses("other.example"))
    cancelled_results = results_of(cancelled)
    cancelled.cancel()
    results = results_of(first), results_of(second)
    pending[0].callback(["8.8.8.8"])
    assert asked == ["slow.example", "other.example"]
    assert results == ([["8.8.8.8"]], [["8.8.8.8"]])
    assert results[0][0] is not results[1][0]
    assert cancelled_results[0].check(CancelledError)
    assert other == []
    resolver.addresses("slow.example")
    assert asked[2:] == ["slow.example"]


def test_a_failed_look_up_fails_for_all_and_is_tried_again() -> None:
    resolver = resolver_of(TooManyLookups(), ["8.8.8.8"])
    assert results_of(resolver.addresses("hook.example"))[0].check(TooManyLookups)
    assert results_of(resolver.addresses("hook.example")) == [["8.8.8.8"]]


def test_names_below_localhost_are_localhost() -> None:
    asked: list[str] = []

    def resolve(name: str) -> Deferred[list[str]]:
        asked.append(name)
        return succeed(["127.0.0.1"])

    results_of(CoalescingResolver(resolve).addresses("hook.localhost"))
    assert asked == ["localhost"]


# -- permitted_addresses


@pytest_twisted.ensureDeferred
async def test_denied_addresses_are_left_out_and_eight_are_enough() -> None:
    found = ["10.0.0.1", *(f"8.8.{number}.1" for number in range(20)), "127.0.0.1"]
    permitted = await permitted_addresses(resolver_of(found), DEFAULT_POLICY, "many.example")
    assert permitted == [f"8.8.{number}.1" for number in range(8)]


@pytest_twisted.ensureDeferred
async def test_no_permitted_address_is_a_denial_without_addresses() -> None:
    with pytest.raises(EgressDenied) as denied:
        await permitted_addresses(resolver_of(["10.0.0.1"]), DEFAULT_POLICY, "inside.example")
    assert "inside.example" in str(denied.value)
    assert "10.0.0.1" not in str(denied.value)


@pytest_twisted.ensureDeferred
async def test_no_address_at_all_is_no_denial() -> None:
    with pytest.raises(HostNotFound, match=r"no-such\.example has no address"):
        await permitted_addresses(resolver_of([]), DEFAULT_POLICY, "no-such.example")


# -- denial_reason


@pytest.mark.parametrize("uri", FORBIDDEN)
@pytest_twisted.ensureDeferred
async def test_hooks_into_the_internal_network_are_denied(uri: str) -> None:
    resolver = CoalescingResolver(reactor_resolver(reactor))
    reason = await denial_reason(reactor, resolver, DEFAULT_POLICY, uri, 5)
    assert reason is not None
    assert "the operator forbids" in reason


@pytest_twisted.ensureDeferred
async def test_the_reason_names_the_host_and_no_address() -> None:
    resolver = CoalescingResolver(reactor_resolver(reactor))
    reason = await denial_reason(reactor, resolver, DEFAULT_POLICY, "http://localhost:8/", 5)
    assert reason is not None
    assert "localhost" in reason
    assert "127.0.0.1" not in reason


@pytest_twisted.ensureDeferred
async def test_a_malformed_uri_is_denied() -> None:
    reason = await denial_reason(reactor, resolver_of(), OPEN, "ftp://hook.example/", 5)
    assert reason is not None
    assert reason.startswith("expected an absolute URI")


@pytest.mark.parametrize("found", [PUBLIC, [], TooManyLookups()])
@pytest_twisted.ensureDeferred
async def test_public_and_unresolvable_hosts_are_not_denied(found: Any) -> None:
    reason = await denial_reason(reactor, resolver_of(found), DEFAULT_POLICY, "http://hook.example/", 5)
    assert reason is None


def test_a_slow_look_up_is_no_denial() -> None:
    clock = Clock()
    resolver = CoalescingResolver(lambda _name: Deferred())
    reason = results_of(
        Deferred.fromCoroutine(denial_reason(clock, resolver, DEFAULT_POLICY, "http://slow.example/", 2))
    )
    clock.advance(1.9)
    assert reason == []
    clock.advance(0.2)
    assert reason == [None]
