from __future__ import annotations

import pytest
from attrs import evolve
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from kazoo_bridge.webhooks.delivery import destination_circuits
from kazoo_bridge.webhooks.delivery.destination_circuits import (
    CIRCUIT_HOOKS,
    CIRCUIT_TIMEOUT,
    GROUP_TIMEOUT,
    PROBE_GROUP,
    PROBE_INTERVAL,
    DestinationCircuits,
)
from kazoo_bridge.webhooks.hooks.hook import Hook
from kazoo_bridge.webhooks.http.faults import Fault
from kazoo_bridge.webhooks.http.sender import Outcome
from tests.webhooks.hook_factory import ACCOUNT, make_hook

REFUSED = Outcome(False, error="refused", unreachable=True)


class Harness:
    """Circuits, and hooks to paths of one host."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.closed: list[float] = []
        self.circuits = DestinationCircuits(self.clock, lambda: self.closed.append(self.clock.seconds()))
        self.hooks = [make_hook(f"h{n:02}", uri=f"http://dead.example/{n}") for n in range(20)]

    def fail(self, *hooks: Hook) -> None:
        for hook in hooks:
            self.circuits.record(hook, REFUSED)

    def open(self) -> None:
        self.fail(*self.hooks[:CIRCUIT_HOOKS])
        assert self.circuits.is_open(self.hooks[-1])

    def allot(self, free: int = 32) -> dict[str, int]:
        return self.circuits.allot(self.hooks, lambda _: free)


def test_several_hooks_in_a_row_open_the_circuit_of_their_host_and_port() -> None:
    harness = Harness()
    harness.fail(*harness.hooks[: CIRCUIT_HOOKS - 1])
    assert not harness.circuits.is_open(harness.hooks[0])
    harness.open()
    for uri in ("http://DEAD.example./other?a=1", "http://user:x@dead.example:80/"):
        assert harness.circuits.is_open(make_hook("x", uri=uri))
    for uri in ("https://dead.example/", "http://dead.example:81/", "http://well.example/"):
        assert not harness.circuits.is_open(make_hook("x", uri=uri))


def test_one_hook_alone_does_not_open_it() -> None:
    harness = Harness()
    harness.fail(*harness.hooks[:1] * 100)
    assert not harness.circuits.is_open(harness.hooks[1])


@pytest.mark.parametrize("status", [200, 404, 503])
def test_any_response_in_between_starts_the_count_again(status: int) -> None:
    harness = Harness()
    harness.fail(*harness.hooks[: CIRCUIT_HOOKS - 1])
    harness.circuits.record(harness.hooks[9], Outcome(status == 200, status))
    assert not harness.circuits.circuits
    harness.fail(*harness.hooks[10 : 10 + CIRCUIT_HOOKS - 1])
    assert not harness.circuits.is_open(harness.hooks[0])
    assert harness.closed == []


@pytest.mark.parametrize(
    "outcome", [Outcome(False, error="no complete answer"), Outcome(False, error="ours", fault=Fault.OURS)]
)
def test_a_failure_that_is_none_to_connect_changes_nothing(outcome: Outcome) -> None:
    harness = Harness()
    for hook in harness.hooks:
        harness.circuits.record(hook, outcome)
    assert not harness.circuits.circuits
    harness.open()
    harness.circuits.record(harness.hooks[0], outcome)
    assert harness.circuits.is_open(harness.hooks[0])


def test_hooks_of_events_and_unusable_uris_take_no_part() -> None:
    harness = Harness()
    inline = Hook.from_event(ACCOUNT, "channel_create", {"uri": "http://dead.example/"})
    unusable = [evolve(hook, uri="http://bad host/") for hook in harness.hooks]
    harness.fail(*[inline] * CIRCUIT_HOOKS, *unusable)
    assert not harness.circuits.circuits
    harness.open()
    assert not harness.circuits.is_open(inline)
    harness.circuits.record(inline, Outcome(True, 200))
    assert harness.circuits.is_open(harness.hooks[0])


def test_a_group_of_attempts_is_made_each_second_and_the_hooks_take_turns() -> None:
    harness = Harness()
    harness.open()
    assert harness.allot() == {}
    groups = []
    for _ in range(3):
        harness.clock.advance(PROBE_INTERVAL + 0.01)
        groups.append(harness.allot())
        assert harness.allot() == {}
        harness.fail(harness.hooks[0])
    assert groups == [{"h00": PROBE_GROUP}, {"h01": PROBE_GROUP}, {"h02": PROBE_GROUP}]
    harness.clock.advance(PROBE_INTERVAL + 0.01)
    assert harness.allot(free=4) == {"h03": 4}
    harness.clock.advance(GROUP_TIMEOUT)
    assert harness.allot(free=0) == {}


def test_a_group_without_a_result_is_waited_for() -> None:
    harness = Harness()
    harness.open()
    harness.clock.advance(PROBE_INTERVAL + 0.01)
    assert harness.allot()
    harness.clock.advance(GROUP_TIMEOUT - 0.1)
    assert not harness.allot()
    harness.clock.advance(0.2)
    assert harness.allot()


def test_a_response_closes_it_and_what_waits_is_due() -> None:
    harness = Harness()
    with capturedLogs() as logs:
        harness.open()
        harness.fail(*harness.hooks)
        harness.circuits.record(harness.hooks[7], Outcome(False, 500))
    assert not harness.circuits.is_open(harness.hooks[0])
    assert harness.closed == [1000]
    assert [log["name"] for log in logs] == ["http://dead.example:80"] * 2


def test_it_is_forgotten_when_nothing_is_attempted() -> None:
    harness = Harness()
    harness.open()
    harness.clock.advance(CIRCUIT_TIMEOUT - 1)
    harness.fail(harness.hooks[0])
    harness.clock.advance(CIRCUIT_TIMEOUT - 1)
    assert harness.circuits.is_open(harness.hooks[0])
    harness.clock.advance(1)
    assert not harness.circuits.is_open(harness.hooks[0])
    assert not harness.circuits.circuits


def test_whether_an_attempt_has_just_failed() -> None:
    harness = Harness()
    harness.fail(harness.hooks[0])
    assert not harness.circuits.just_failed(harness.hooks[1])
    harness.open()
    assert harness.circuits.just_failed(harness.hooks[9])
    harness.clock.advance(PROBE_INTERVAL + 0.01)
    assert not harness.circuits.just_failed(harness.hooks[9])


def test_the_destinations_that_failed_longest_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destination_circuits, "_MAX_DESTINATIONS", 2)
    harness = Harness()
    harness.open()
    harness.fail(make_hook("a", uri="http://a.example/"))
    harness.fail(harness.hooks[0], make_hook("b", uri="http://b.example/"))
    assert harness.circuits.is_open(harness.hooks[0])
    harness.fail(*(make_hook(name, uri=f"http://{name}.example/") for name in ("c", "d")))
    assert not harness.circuits.is_open(harness.hooks[0])
