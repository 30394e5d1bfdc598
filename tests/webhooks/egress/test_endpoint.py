from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.testing import MemoryReactorClock

from kazoo_bridge.config import NON_PUBLIC_NETWORKS
from kazoo_bridge.webhooks.egress import (
    BadDestination,
    CoalescingResolver,
    EgressDenied,
    EgressPolicy,
    denial_reason,
    guarded_agent,
    mask_credentials,
    parse_destination,
    reactor_resolver,
)
from kazoo_bridge.webhooks.hooks.hook_document import uri_problem
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import Sender
from tests.webhooks.hostile_uris import INSIDE, UNREADABLE

CLOSED = EgressPolicy.from_config(NON_PUBLIC_NETWORKS, [])


class Names:
    """A resolver whose answers can change, and that answers when it is told to."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.held: list[Callable[[], None]] = []
        self.holding = False

    def resolveHostName(self, receiver: Any, host: str, port: int = 0, *rest: Any, **more: Any) -> Any:
        self.asked.append(host)

        def answer() -> None:
            addresses = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            for one in addresses:
                receiver.addressResolved(
                    IPv6Address("TCP", one, port) if ":" in one else IPv4Address("TCP", one, port)
                )
            receiver.resolutionComplete()

        receiver.resolutionBegan(None)
        if self.holding:
            self.held.append(answer)
        else:
            answer()
        return None


class StagedReactor(MemoryReactorClock):  # type: ignore[misc]
    """Connects nowhere, and remembers where to."""

    def __init__(self, names: Names) -> None:
        super().__init__()
        self.names = names
        self.installNameResolver(names)

    @property
    def connected_to(self) -> list[str]:
        return [one[0] for one in self.tcpClients]


def staged(*answers: list[str], policy: EgressPolicy = CLOSED) -> tuple[StagedReactor, Any]:
    clock = StagedReactor(Names(*answers))
    agent, _ = guarded_agent(clock, policy, 10)
    return clock, agent


@pytest.mark.parametrize("uri", UNREADABLE)
def test_unreadable_uris_are_refused_when_a_hook_is_made(uri: str) -> None:
    problem = uri_problem(uri)
    assert problem is not None
    assert problem.startswith("expected ")


@pytest.mark.parametrize("uri", [uri for uri in UNREADABLE if uri.isascii()])
def test_unreadable_uris_are_refused_before_anything_is_looked_up(uri: str) -> None:
    clock, agent = staged(["8.8.8.8"])
    results: list[Any] = []
    agent.request(b"POST", uri.encode()).addBoth(results.append)
    assert results[0].check(BadDestination)
    assert not clock.names.asked
    assert not clock.connected_to


@pytest.mark.parametrize("uri", INSIDE)
@pytest_twisted.ensureDeferred
async def test_the_inside_is_refused_when_a_hook_is_made(uri: str) -> None:
    assert uri_problem(uri) is None
    reason = await denial_reason(reactor, CoalescingResolver(reactor_resolver(reactor)), CLOSED, uri, 5)
    assert reason is not None
    assert "the operator forbids" in reason


@pytest.mark.parametrize("uri", INSIDE)
@pytest_twisted.ensureDeferred
async def test_the_inside_is_refused_at_the_moment_of_connecting(uri: str) -> None:
    agent, _ = guarded_agent(reactor, CLOSED, 5)
    with pytest.raises(EgressDenied):
        await agent.request(b"POST", uri.encode())
    outcome = await Sender(reactor, agent, 5).send(HookRequest("POST", uri, {}, b"a=1"))  # type: ignore[arg-type]
    assert outcome.error.startswith("EgressDenied: webhooks may not go to ")


@pytest.mark.parametrize(
    ("address", "allowed", "permitted"),
    [
        ("64:ff9b::808:808", ["64:ff9b::/96"], True),
        ("64:ff9b::7f00:1", ["64:ff9b::/96"], False),
        ("2002:7f00:1::", ["2002::/16"], False),
        ("2002:808:808::", ["2002::/16"], True),
        ("2001:0:808:808:0:0:f5ff:fffe", ["2001::/32"], False),
        ("64:ff9b:1::7f00:1", ["64:ff9b:1::/48"], False),
        ("64:ff9b:1::808:808", ["64:ff9b:1::/48"], True),
        ("::ffff:0:10.0.0.1", ["::/3"], False),
        ("::127.0.0.1", ["::/96"], False),
        ("::1", ["::1/128"], True),
        ("::1", ["127.0.0.0/8"], False),
    ],
)
def test_an_exception_for_a_tunnel_is_none_for_what_lies_behind(
    address: str, allowed: list[str], permitted: bool
) -> None:
    assert EgressPolicy.from_config(NON_PUBLIC_NETWORKS, allowed).permits(address) is permitted


def test_a_name_that_changes_its_mind_is_judged_by_what_is_connected_to() -> None:
    clock, agent = staged(["8.8.8.8"], ["127.0.0.1"])
    agent.request(b"GET", b"http://rebinding.example/").addErrback(lambda _: None)
    assert clock.connected_to == ["8.8.8.8"]
    results: list[Any] = []
    agent.request(b"GET", b"http://rebinding.example/").addBoth(results.append)
    assert results[0].check(EgressDenied)
    assert clock.connected_to == ["8.8.8.8"]
    # One look-up for each connection: there is none between the judgement and the connection.
    assert clock.names.asked == ["rebinding.example"] * 2


def test_of_mixed_addresses_only_the_permitted_are_tried_each_with_its_share_of_the_time() -> None:
    clock, agent = staged(["10.0.0.1", "2606:4700::1111", "127.0.0.1", "8.8.8.8"])
    results: list[Any] = []
    agent.request(b"GET", b"http://mixed.example/").addBoth(results.append)
    assert [one[0] for one in clock.tcpClients] == ["2606:4700::1111"]
    assert clock.tcpClients[0][3] == 5
    clock.tcpClients[0][2].clientConnectionFailed(clock.connectors[0], _refused())
    assert clock.connected_to == ["2606:4700::1111", "8.8.8.8"]
    assert clock.tcpClients[1][3] == 10
    assert not results


def _refused() -> Any:
    from twisted.internet.error import ConnectionRefusedError
    from twisted.python.failure import Failure

    return Failure(ConnectionRefusedError())


def test_a_name_with_a_thousand_addresses_makes_no_scanner_of_us() -> None:
    clock, agent = staged([f"8.8.{number}.1" for number in range(200)])
    agent.request(b"GET", b"http://many.example/").addErrback(lambda _: None)
    for tried in range(200):
        if len(clock.tcpClients) <= tried:
            break
        clock.tcpClients[tried][2].clientConnectionFailed(clock.connectors[tried], _refused())
    assert len(clock.connected_to) == 8


def test_a_slow_name_is_looked_up_once_for_all_who_wait_for_it() -> None:
    clock, agent = staged(["8.8.8.8"])
    clock.names.holding = True
    waiting: list[Deferred[Any]] = [agent.request(b"GET", b"http://slow.example/") for _ in range(3)]
    ended: list[Any] = []
    waiting[0].addErrback(ended.append)
    waiting[0].cancel()
    assert clock.names.asked == ["slow.example"]
    clock.names.held.pop()()
    assert clock.connected_to == ["8.8.8.8"] * 2
    assert len(ended) == 1
    for one in waiting[1:]:
        one.addErrback(lambda _: None)


def test_a_look_up_that_never_ends_costs_no_more_than_the_time_for_connecting() -> None:
    clock, agent = staged(["8.8.8.8"])
    clock.names.holding = True
    results: list[Any] = []
    agent.request(b"GET", b"http://never.example/").addBoth(results.append)
    clock.advance(10)
    assert "could not be looked up within 10 s" in str(results[0].value)
    assert not clock.getDelayedCalls()


@pytest.mark.parametrize(
    ("uri", "authority", "target"),
    [
        ("http://Hook.Example", "hook.example", "/"),
        ("https://hook.example.:443?a", "hook.example", "/?a"),
        ("https://hook.example:80/x#y", "hook.example:80", "/x"),
        ("http://_x.hook_1.example:/%7Ea/../b;c?x[y]=@", "_x.hook_1.example", "/%7Ea/../b;c?x[y]=@"),
        ("http://[2606:4700:0::1111]:8080/", "[2606:4700::1111]:8080", "/"),
        ("http://xn--mnchen-3ya.example//a//b", "xn--mnchen-3ya.example", "//a//b"),
        ("http://8.8.8.8/", "8.8.8.8", "/"),
        ("http://1.example/", "1.example", "/"),
        ("http://u@hook.example/", "hook.example", "/"),
    ],
)
def test_good_uris(uri: str, authority: str, target: str) -> None:
    destination = parse_destination(uri)
    assert (destination.authority, destination.target) == (authority, target)


def test_credentials() -> None:
    destination = parse_destination("https://me:s%65cret%40:x@hook.example/y")
    assert destination.authorization == b"Basic bWU6c2VjcmV0QDp4"
    assert destination.location == "https://hook.example/y"
    assert "cret" not in repr(destination)
    assert parse_destination("https://@hook.example/").authorization is None


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://me:secret@hook.example/y@z", "https://***@hook.example/y@z"),
        ("https://secret@a@hook.example", "https://***@hook.example"),
        ("https://hook.example/@y", "https://hook.example/@y"),
        ("no uri", "no uri"),
    ],
)
def test_masking(uri: str, shown: str) -> None:
    assert mask_credentials(uri) == shown
