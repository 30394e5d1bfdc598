from __future__ import annotations

import gzip
import resource
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from kazoo_bridge.webhooks.egress import EgressPolicy, guarded_agent
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http.sender import MAX_BODY_BYTES, Outcome, Sender
from tests.webhooks.hostile_receiver import HostileReceiver, Malice, nothing_left
from tests.webhooks.receiving import Receiver

TIMEOUT = 0.5
OPEN = EgressPolicy.from_config([], [])
OK = b"HTTP/1.1 200 OK\r\n"


class World:
    """A sender, a good receiver, and as many bad ones as a test needs."""

    def __init__(self, agent: Any) -> None:
        self.sender = Sender(reactor, agent, TIMEOUT)  # type: ignore[arg-type]
        self.good = Receiver()
        self.good_url = ""
        self.bad: list[HostileReceiver] = []

    async def attempt(
        self, behave: Callable[[Malice], None], *, at_once: bool = False, body: bytes = b"a=1"
    ) -> Outcome:
        """An attempt at a receiver that behaves so, with an attempt at a good one meanwhile; in the end no connection is open."""
        receiver = HostileReceiver(behave, at_once)
        self.bad.append(receiver)
        url = await receiver.start()
        attempt = Deferred.fromCoroutine(
            self.sender.send(HookRequest("POST", f"{url}/x", {"X-Hook-ID": "h"}, body))
        )
        meanwhile = await self.sender.send(HookRequest("POST", self.good_url, {}, b"b=2"))
        assert meanwhile.success
        outcome = await attempt
        await receiver.all_gone()
        assert receiver.connections == 1
        return outcome


@pytest_twisted.async_yield_fixture
async def world() -> AsyncIterator[World]:
    before = set(reactor.getDelayedCalls())  # type: ignore[attr-defined]
    agent, pool = guarded_agent(reactor, OPEN, 5)
    world = World(agent)
    world.good_url = await world.good.start()
    yield world
    for receiver in world.bad:
        await receiver.stop()
    await world.good.stop()
    await pool.closeCachedConnections()
    await nothing_left(before)


def says(data: bytes) -> Callable[[Malice], None]:
    return lambda malice: malice.say(data)


def says_and_closes(data: bytes) -> Callable[[Malice], None]:
    def behave(malice: Malice) -> None:
        malice.say(data)
        malice.close()

    return behave


def says_and_resets(data: bytes) -> Callable[[Malice], None]:
    def behave(malice: Malice) -> None:
        if data:
            malice.say(data)
        malice.reset()

    return behave


def says_for_ever(data: bytes, again: bytes) -> Callable[[Malice], None]:
    def behave(malice: Malice) -> None:
        malice.say(data)
        malice.say_for_ever(again)

    return behave


@pytest.mark.parametrize(
    "behave",
    [
        lambda malice: None,
        lambda malice: malice.trickle(OK + b"X: "),
        lambda malice: malice.trickle(b""),
        lambda malice: malice.trickle(OK + b"Content-Length: 1000000\r\n\r\n"),
        lambda malice: malice.trickle(OK + b"\r\n"),
        says(OK + b"Content-Length: 5\r\n\r\nhal"),
        says(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhal"),
        says(OK[:9]),
        says(b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "slow head", "slow status", "slow body", "slow body without length", "half a body", "half a chunk", "half a status",
         "only 100"],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_the_whole_request_is_bounded_in_time(world: World, behave: Callable[[Malice], None]) -> None:
    outcome = await world.attempt(behave)
    assert (outcome.success, outcome.status, outcome.error) == (
        False,
        None,
        "no complete answer within 0.5 s",
    )


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (says_for_ever(OK, b"X-Again: and again\r\n"), "HeadTooLong: the answer's headers are longer than 32 KiB"),
        (says_for_ever(OK + b"X-Long: ", b"x" * 65536), "HeadTooLong: the answer's headers are longer than 32 KiB"),
        (says_for_ever(OK + b"X: 1\r\n", b" folded\r\n"), "HeadTooLong: the answer's headers are longer than 32 KiB"),
        (says_for_ever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "HeadTooLong: the answer's headers are longer than 32 KiB"),
        (says_for_ever(b"", b"x" * 65536), "HeadTooLong: the answer's headers are longer than 32 KiB"),
        (says(OK + b"Transfer-Encoding: smoke\r\n\r\n"), "KeyError: the answer is not HTTP/1.1"),
        (says(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), "ValueError: the answer is not HTTP/1.1"),
        (says(OK + b"Content-Length: -5\r\n\r\n"), "ValueError: the answer is not HTTP/1.1"),
        (says(OK + b"no colon\r\n\r\n"), "ValueError: the answer is not HTTP/1.1"),
        (says(OK + b" folded first\r\n\r\n"), "the answer is not HTTP/1.1"),
        (says(b"<html>old</html>\r\n"), "ParseError: the answer is not HTTP/1.1"),
        (says(b"\x00\xff\x00\n"), "ParseError: the answer is not HTTP/1.1"),
        (says(b"HTTP/1.1 zweihundert OK\r\n\r\n"), "ParseError: the answer is not HTTP/1.1"),
        (says(b"SSH-2.0-x y z\r\n\r\n"), "the answer is not HTTP/1.1"),
        (says(b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n"), "the answer is not HTTP/1.1: it has no status"),
        (says(b"HTTP/1.1 99999999 OK\r\nContent-Length: 0\r\n\r\n"), "the answer is not HTTP/1.1: it has no status"),
        (says_and_closes(b""), "the receiver closed the connection before its answer was complete"),
        (says_and_closes(OK + b"X: 1\r\n"), "the receiver closed the connection before its answer was complete"),
        (says_and_resets(b""), "the receiver closed the connection before its answer was complete"),
        (says_and_resets(OK + b"X: 1\r\n"), "the receiver closed the connection before its answer was complete"),
    ],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_none_is_a_failure_in_words(
    world: World, behave: Callable[[Malice], None], words: str
) -> None:
    outcome = await world.attempt(behave)
    assert outcome.status is None
    assert words in outcome.error
    # Nothing of what was sent is repeated in logs.
    assert "folded" not in outcome.error
    assert "html" not in outcome.error
    assert world.bad[0].said < 16 * 1024 * 1024


@pytest.mark.parametrize("behave", [lambda malice: malice.close(), lambda malice: malice.reset()])
@pytest_twisted.ensureDeferred
async def test_connections_that_end_as_they_begin(world: World, behave: Callable[[Malice], None]) -> None:
    outcome = await world.attempt(behave, at_once=True)
    assert outcome.status is None
    assert "the receiver closed the connection" in outcome.error


@pytest.mark.parametrize(
    "behave",
    [
        says_for_ever(OK + b"Content-Length: 8000000000\r\n\r\n", b"x" * 65536),
        says_for_ever(OK + b"\r\n", b"x" * 65536),
        says_for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        says_for_ever(OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffff\r\n", b"x" * 65536),
    ],
    ids=["length", "until the end", "chunks", "one chunk"],
)
@pytest_twisted.ensureDeferred
async def test_of_a_body_without_end_the_beginning_is_read(
    world: World, behave: Callable[[Malice], None]
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = await world.attempt(behave)
    assert (outcome.success, outcome.status, len(outcome.body)) == (True, 200, MAX_BODY_BYTES)
    assert world.bad[0].said < 32 * 1024 * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest_twisted.ensureDeferred
async def test_nothing_is_unpacked(world: World) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)[:60_000]
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    outcome = await world.attempt(says_and_closes(head + bomb))
    assert outcome.success
    assert outcome.body == bomb


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"5\r\nhalloWELT\r\n0\r\n\r\n", "not HTTP/1.1"),
        (b"zebra\r\nhallo\r\n0\r\n\r\n", "not HTTP/1.1"),
        (b"-5\r\nhallo\r\n0\r\n\r\n", "not HTTP/1.1"),
        (b"x" * 5000, "not HTTP/1.1"),
        (b"0\r\n" + b"T: x\r\n" * 40000, "not HTTP/1.1"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_chunked_nonsense_after_a_good_head(world: World, body: bytes, words: str) -> None:
    # The status has come, which is what counts: a success whose body is broken was taken by the receiver all the same.
    good = await world.attempt(says(OK + b"Transfer-Encoding: chunked\r\n\r\n" + body))
    assert (good.success, good.status, good.error) == (True, 200, "")
    bad = await world.attempt(says(b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n" + body))
    assert (bad.success, bad.status) == (False, 500)
    assert words in bad.error


@pytest_twisted.ensureDeferred
async def test_a_body_that_is_cut_short_by_a_reset(world: World) -> None:
    outcome = await world.attempt(says_and_resets(b"HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\nhalf"))
    assert not outcome.success


@pytest_twisted.ensureDeferred
async def test_bytes_that_nobody_asked_for_end_the_connection(world: World) -> None:
    twice = OK + b"Content-Length: 0\r\n\r\n" + b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"
    outcome = await world.attempt(says(twice))
    assert outcome.success


@pytest_twisted.ensureDeferred
async def test_a_receiver_that_reads_nothing_and_answers_nonsense(world: World) -> None:
    def behave(malice: Malice) -> None:
        malice.transport.pauseProducing()  # type: ignore[union-attr]
        malice.say(b"nonsense\r\n")

    receiver_pauses = await _never_read(world, behave)
    assert receiver_pauses.status is None
    assert "not HTTP/1.1" in receiver_pauses.error


async def _never_read(world: World, behave: Callable[[Malice], None]) -> Outcome:
    receiver = HostileReceiver(behave, True)
    world.bad.append(receiver)
    url = await receiver.start()
    outcome = await world.sender.send(HookRequest("POST", url, {}, b"x" * 20_000_000))
    (malice,) = receiver.open or {None}
    if malice is not None:
        # Its socket is paused: it can hear of the end only once it listens again.
        malice.transport.resumeProducing()
    await receiver.all_gone()
    return outcome
