"""Name servers that are slow on purpose."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import gatherResults

from kazoo_bridge.webhooks.egress import CoalescingResolver, EgressPolicy, ThreadedResolver, denial_reason
from kazoo_bridge.webhooks.egress.resolver import TooManyLookups

OPEN = EgressPolicy.from_config([], [])


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Names below slow.example are looked up for as long as this is not set; others are 8.8.8.8 at once."""
    event = threading.Event()

    def getaddrinfo(name: str, *_: Any, **__: Any) -> list[Any]:
        if name.endswith("slow.example"):
            event.wait(20)
            raise socket.gaierror
        found = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("8.8.8.8", 0))
        return [found, found, (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("2606:4700::1111", 0, 0, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    yield event
    event.set()


@pytest_twisted.ensureDeferred
async def test_slow_names_hold_the_threads_of_whoever_asks_for_them(answer: threading.Event) -> None:
    theirs, ours = ThreadedResolver(reactor, 2), ThreadedResolver(reactor, 2)
    stuck = [theirs(f"{number}.slow.example") for number in range(10)]
    with pytest.raises(TooManyLookups):
        await theirs("quick.example")
    assert await ours("quick.example") == ["8.8.8.8", "2606:4700::1111"]
    answer.set()
    assert await gatherResults(stuck) == [[]] * 10
    assert await theirs("quick.example") == ["8.8.8.8", "2606:4700::1111"]
    theirs.stop()
    ours.stop()


@pytest_twisted.ensureDeferred
async def test_a_hook_is_not_refused_because_others_are_looked_up(answer: threading.Event) -> None:
    look_up = ThreadedResolver(reactor, 1)
    stuck = [look_up(f"{number}.slow.example") for number in range(5)]
    assert await denial_reason(reactor, CoalescingResolver(look_up), OPEN, "http://quick.example/", 5) is None
    answer.set()
    await gatherResults(stuck)
    look_up.stop()


@pytest_twisted.ensureDeferred
async def test_addresses_need_no_thread(answer: threading.Event) -> None:
    lookups = CoalescingResolver(ThreadedResolver(reactor, 0))
    assert await lookups.addresses("10.0.0.1") == ["10.0.0.1"]
    assert await lookups.addresses("::1") == ["::1"]
