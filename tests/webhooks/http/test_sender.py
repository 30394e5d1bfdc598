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
from tests.webhooks.hostile_receiver import HostileConnection, HostileReceiver, assert_nothing_left
from tests.webhooks.receiving import Receiver

TIMEOUT = 0.5
OPEN = EgressPolicy.from_config([], [])
OK = b"HTTP/1.1 200 OK\r\n"


class Harness:
    """A sender, a good receiver, and as many bad ones as a test needs."""

    def __init__(self, agent: Any) -> None:
        self.sender = Sender(reactor, agent, TIMEOUT)  # type: ignore[arg-type]
        self.good = Receiver()
        self.good_url = ""
        self.bad: list[HostileReceiver] = []

    async def attempt(
        self, behave: Callable[[HostileConnection], None], *, at_once: bool = False, body: bytes = b"a=1"
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
        await receiver.all_closed()
        assert receiver.connections == 1
        return outcome


@pytest_twisted.async_yield_fixture
async def harness() -> AsyncIterator[Harness]:
    before = set(reactor.getDelayedCalls())  # type: ignore[attr-defined]
    agent, pool = guarded_agent(reactor, OPEN, 5)
    harness = Harness(agent)
    harness.good_url = await harness.good.start()
    yield harness
    for receiver in harness.bad:
        await receiver.stop()
    await harness.good.stop()
    await pool.closeCachedConnections()
    await assert_nothing_left(before)


def sends(data: bytes) -> Callable[[HostileConnection], None]:
    return lambda connection: connection.send(data)


def sends_and_closes(data: bytes) -> Callable[[HostileConnection], None]:
    def behave(connection: HostileConnection) -> None:
        connection.send(data)
        connection.close()

    return behave


def sends_and_resets(data: bytes) -> Callable[[HostileConnection], None]:
    def behave(connection: HostileConnection) -> None:
        if data:
            connection.send(data)
        connection.reset()

    return behave


def sends_forever(data: bytes, again: bytes) -> Callable[[HostileConnection], None]:
    def behave(connection: HostileConnection) -> None:
        connection.send(data)
        connection.send_forever(again)

    return behave


@pytest.mark.parametrize(
    "behave",
    [
        lambda connection: None,
        lambda connection: connection.trickle(OK + b"X: "),
        lambda connection: connection.trickle(b""),
        lambda connection: connection.trickle(OK + b"Content-Length: 1000000\r\n\r\n"),
        lambda connection: connection.trickle(OK + b"\r\n"),
        sends(OK + b"Content-Length: 5\r\n\r\nhal"),
        sends(OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhal"),
        sends(OK[:9]),
        sends(b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["silence", "slow head", "slow status", "slow body", "slow body without length", "half a body", "half a chunk", "half a status",
         "only 100"],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_the_whole_request_is_bounded_in_time(
    harness: Harness, behave: Callable[[HostileConnection], None]
) -> None:
    outcome = await harness.attempt(behave)
    assert (outcome.success, outcome.status, outcome.error) == (
        False,
        None,
        "no complete answer within 0.5 s",
    )


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (sends_forever(OK, b"X-Again: and again\r\n"), "HeadTooLong: the answer's headers are longer than 32 KiB"),
        (sends_forever(OK + b"X-Long: ", b"x" * 65536), "HeadTooLong: the answer's headers are longer than 32 KiB"),
        (sends_forever(OK + b"X: 1\r\n", b" folded\r\n"), "HeadTooLong: the answer's headers are longer than 32 KiB"),
        (sends_forever(b"", b"HTTP/1.1 100 Continue\r\n\r\n"), "HeadTooLong: the answer's headers are longer than 32 KiB"),
        (sends_forever(b"", b"x" * 65536), "HeadTooLong: the answer's headers are longer than 32 KiB"),
        (sends(OK + b"Transfer-Encoding: smoke\r\n\r\n"), "KeyError: the answer is not HTTP/1.1"),
        (sends(OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), "ValueError: the answer is not HTTP/1.1"),
        (sends(OK + b"Content-Length: -5\r\n\r\n"), "ValueError: the answer is not HTTP/1.1"),
        (sends(OK + b"no colon\r\n\r\n"), "ValueError: the answer is not HTTP/1.1"),
        (sends(OK + b" folded first\r\n\r\n"), "the answer is not HTTP/1.1"),
        (sends(b"<html>old</html>\r\n"), "ParseError: the answer is not HTTP/1.1"),
        (sends(b"\x00\xff\x00\n"), "ParseError: the answer is not HTTP/1.1"),
        (sends(b"HTTP/1.1 zweihundert OK\r\n\r\n"), "ParseError: the answer is not HTTP/1.1"),
        (sends(b"SSH-2.0-x y z\r\n\r\n"), "the answer is not HTTP/1.1"),
        (sends(b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n"), "the answer is not HTTP/1.1: it has no status"),
        (sends(b"HTTP/1.1 99999999 OK\r\nContent-Length: 0\r\n\r\n"), "the answer is not HTTP/1.1: it has no status"),
        (sends_and_closes(b""), "the receiver closed the connection before its answer was complete"),
        (sends_and_closes(OK + b"X: 1\r\n"), "the receiver closed the connection before its answer was complete"),
        (sends_and_resets(b""), "the receiver closed the connection before its answer was complete"),
        (sends_and_resets(OK + b"X: 1\r\n"), "the receiver closed the connection before its answer was complete"),
    ],
)  # fmt: skip
@pytest_twisted.ensureDeferred
async def test_an_answer_that_is_none_is_a_failure_in_words(
    harness: Harness, behave: Callable[[HostileConnection], None], words: str
) -> None:
    outcome = await harness.attempt(behave)
    assert outcome.status is None
    assert words in outcome.error
    # Nothing of what was sent is repeated in logs.
    assert "folded" not in outcome.error
    assert "html" not in outcome.error
    assert harness.bad[0].sent_bytes < 16 * 1024 * 1024


@pytest.mark.parametrize(
    "behave", [lambda connection: connection.close(), lambda connection: connection.reset()]
)
@pytest_twisted.ensureDeferred
async def test_connections_that_end_as_they_begin(
    harness: Harness, behave: Callable[[HostileConnection], None]
) -> None:
    outcome = await harness.attempt(behave, at_once=True)
    assert outcome.status is None
    assert "the receiver closed the connection" in outcome.error


@pytest.mark.parametrize(
    "behave",
    [
        sends_forever(OK + b"Content-Length: 8000000000\r\n\r\n", b"x" * 65536),
        sends_forever(OK + b"\r\n", b"x" * 65536),
        sends_forever(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n"),
        sends_forever(OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffffff\r\n", b"x" * 65536),
    ],
    ids=["length", "until the end", "chunks", "one chunk"],
)
@pytest_twisted.ensureDeferred
async def test_of_a_body_without_end_the_beginning_is_read(
    harness: Harness, behave: Callable[[HostileConnection], None]
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = await harness.attempt(behave)
    assert (outcome.success, outcome.status, len(outcome.body)) == (True, 200, MAX_BODY_BYTES)
    assert harness.bad[0].sent_bytes < 32 * 1024 * 1024
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 * 1024


@pytest_twisted.ensureDeferred
async def test_nothing_is_unpacked(harness: Harness) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)[:60_000]
    head = OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    outcome = await harness.attempt(sends_and_closes(head + bomb))
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
async def test_chunked_nonsense_after_a_good_head(harness: Harness, body: bytes, words: str) -> None:
    # The status has come, which is what counts: a success whose body is broken was taken by the receiver all the same.
    good = await harness.attempt(sends(OK + b"Transfer-Encoding: chunked\r\n\r\n" + body))
    assert (good.success, good.status, good.error) == (True, 200, "")
    bad = await harness.attempt(sends(b"HTTP/1.1 500 X\r\nTransfer-Encoding: chunked\r\n\r\n" + body))
    assert (bad.success, bad.status) == (False, 500)
    assert words in bad.error


@pytest_twisted.ensureDeferred
async def test_a_body_that_is_cut_short_by_a_reset(harness: Harness) -> None:
    outcome = await harness.attempt(sends_and_resets(b"HTTP/1.1 500 X\r\nContent-Length: 9\r\n\r\nhalf"))
    assert not outcome.success


@pytest_twisted.ensureDeferred
async def test_bytes_that_nobody_asked_for_end_the_connection(harness: Harness) -> None:
    twice = OK + b"Content-Length: 0\r\n\r\n" + b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"
    outcome = await harness.attempt(sends(twice))
    assert outcome.success


@pytest_twisted.ensureDeferred
async def test_a_receiver_that_reads_nothing_and_answers_nonsense(harness: Harness) -> None:
    def behave(connection: HostileConnection) -> None:
        connection.transport.pauseProducing()  # type: ignore[union-attr]
        connection.send(b"nonsense\r\n")

    receiver_pauses = await _never_read(harness, behave)
    assert receiver_pauses.status is None
    assert "not HTTP/1.1" in receiver_pauses.error


async def _never_read(harness: Harness, behave: Callable[[HostileConnection], None]) -> Outcome:
    receiver = HostileReceiver(behave, True)
    harness.bad.append(receiver)
    url = await receiver.start()
    outcome = await harness.sender.send(HookRequest("POST", url, {}, b"x" * 20_000_000))
    (connection,) = receiver.open_connections or {None}
    if connection is not None:
        # Its socket is paused: it can hear of the end only once it listens again.
        connection.transport.resumeProducing()
    await receiver.all_closed()
    return outcome
