from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from kazoo_bridge.config.couch_uri import CouchUri
from kazoo_bridge.couchdb.http import MAX_REQUESTS, AnswerNotJson, CouchAnswer, CouchHttp
from kazoo_bridge.interfaces import StorageUnavailable
from tests.couchdb.fake_couch import FakeCouch
from tests.storage.record_factories import until
from tests.webhooks.hostile_receiver import HostileConnection, HostileReceiver

_now = SynchronousTestCase()
result_of, failure_of, no_result = _now.successResultOf, _now.failureResultOf, _now.assertNoResult

URI = CouchUri("http://couch.example:15984", "kazoo", "s3cret")


class Harness:
    """A fake CouchDB, and requests to it."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock()
        self.couch = FakeCouch()
        self.http = CouchHttp(self.couch, self.clock, URI, **options)

    def get(self, path: str = "/") -> Deferred[CouchAnswer]:
        return ensureDeferred(self.http.request("GET", path))

    def error(self, request: Deferred[Any]) -> str:
        return str(failure_of(request, StorageUnavailable).value)


def test_requests_have_the_credentials_and_answers_are_json() -> None:
    harness = Harness()
    assert result_of(harness.get()).json() == {"couchdb": "Welcome"}
    headers = harness.couch.headers[0]
    assert headers is not None
    assert headers.getRawHeaders(b"authorization") == [b"Basic a2F6b286czNjcmV0"]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (500, "status 500 'out of order'"),
        (503, "status 503"),
        (429, "status 429"),
        (302, "status 302"),
        (401, "the user or password of couchdb.uri is refused"),
        (403, "the user or password of couchdb.uri is refused"),
    ],
)
def test_a_bad_status_says_that_the_storage_is_unavailable(status: int, words: str) -> None:
    harness = Harness()
    harness.couch.answer_instead = lambda _: (status, b'{"reason": "out of order"}')
    error = harness.error(harness.get())
    assert words in error
    assert "http://couch.example:15984" in error
    assert "s3cret" not in error


def test_no_connection_says_so() -> None:
    harness = Harness()
    harness.couch.away = True
    assert "refused" in harness.error(harness.get())


def test_an_answer_that_takes_too_long_is_given_up() -> None:
    harness = Harness(timeout=15.0)
    harness.couch.frozen = True
    request = harness.get()
    harness.clock.advance(14.9)
    no_result(request)
    harness.clock.advance(0.2)
    assert "no whole answer within 15 s" in harness.error(request)
    assert harness.clock.getDelayedCalls() == []


def test_an_answer_that_is_too_large_is_given_up() -> None:
    harness = Harness(max_answer_bytes=1000)
    harness.couch.answer_instead = lambda _: (200, b"x" * 1001)
    assert "more than 1000 bytes" in harness.error(harness.get())
    harness.couch.answer_instead = lambda _: (200, b"x" * 1000)
    assert len(result_of(harness.get()).body) == 1000


@pytest.mark.parametrize("number", [1, 2**70])
def test_a_number_of_any_size_is_sent(number: int) -> None:
    harness = Harness()
    harness.couch.create("db")
    result_of(ensureDeferred(harness.http.request("PUT", "/db/one", body={"_id": "one", "number": number})))
    assert harness.couch.databases["db"]["one"]["number"] == number


def test_an_answer_that_is_no_json_is_no_answer() -> None:
    for body in (b"<html>", b"[" * 5000):
        with pytest.raises(AnswerNotJson, match="JSON"):
            CouchAnswer(200, body).json()
    assert CouchAnswer(500, b"<html>").reason == ""
    assert CouchAnswer(500, b'["x"]').reason == ""


def test_requests_wait_for_their_turn_and_too_many_fail_at_once() -> None:
    harness = Harness(max_waiting=20)
    harness.couch.frozen = True
    requests = [harness.get() for _ in range(MAX_REQUESTS + 20)]
    assert len(harness.couch.headers) == MAX_REQUESTS
    assert "20 requests wait for it already" in harness.error(harness.get())
    requests[0].cancel()
    failure_of(requests[0])
    assert len(harness.couch.headers) == MAX_REQUESTS + 1
    harness.clock.advance(16)
    for request in requests[1:]:
        failure_of(request, StorageUnavailable)
    harness.couch.frozen = False
    assert result_of(harness.get()).status == 200


def test_closing_gives_up_requests_and_refuses_new_ones() -> None:
    harness = Harness()
    harness.couch.frozen = True
    requests = [harness.get() for _ in range(MAX_REQUESTS + 1)]
    opening = ensureDeferred(harness.http.open("/accounts/_changes", {}, more_time=5))
    asked = len(harness.couch.headers)
    result_of(ensureDeferred(harness.http.close()))
    given_up: list[Deferred[Any]] = [*requests, opening, harness.get()]
    for request in given_up:
        assert "the client is closed" in harness.error(request)
    assert "closed" in harness.error(ensureDeferred(harness.http.open("/accounts/_changes", {}, more_time=5)))
    assert len(harness.couch.headers) == asked
    assert harness.clock.getDelayedCalls() == []


def test_a_body_under_way_is_given_up() -> None:
    harness = Harness()
    harness.couch.hold("GET ")
    request = harness.get()
    result_of(ensureDeferred(harness.http.close()))
    assert "the client is closed" in harness.error(request)


def test_a_caller_that_leaves_is_no_failure_of_couchdb() -> None:
    harness = Harness()
    harness.couch.frozen = True
    request = harness.get()
    request.cancel()
    failure_of(request, CancelledError)


def test_a_body_is_in_no_log() -> None:
    assert "s3cret" not in repr(CouchAnswer(200, b"s3cret"))


def _half(connection: HostileConnection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    connection.close()


def _reset(connection: HostileConnection) -> None:
    connection.reset()


def _endless(connection: HostileConnection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
    connection.send_forever(b"x" * 65536)


def _compressed(connection: HostileConnection) -> None:
    body = gzip.compress(b" " * 4_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    connection.send(head.encode() + body)


def _half_then_silence(connection: HostileConnection) -> None:
    connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")


def _no_http(connection: HostileConnection) -> None:
    connection.send(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")


@pytest.mark.parametrize(
    ("behave", "words"),
    [
        (_half, None),
        (_reset, None),
        (_endless, "more than 1000000 bytes"),
        (_half_then_silence, "no whole answer within 15 s"),
        (_no_http, None),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_hostile_server_costs_one_failed_request(
    behave: Callable[[HostileConnection], None], words: str | None
) -> None:
    receiver = HostileReceiver(behave)
    uri = CouchUri(await receiver.start(), "kazoo", "s3cret")
    http = CouchHttp.from_uri(reactor, uri, timeout=15.0, max_answer_bytes=1_000_000)
    # However slow the machine is, only silence ends by its time-out.
    clock = http._clock = Clock()
    try:
        with capturedLogs() as logged:
            request = ensureDeferred(http.request("GET", "/"))
            if behave is _half_then_silence:
                await until(lambda: receiver.sent_bytes > 0)
                clock.advance(15.0)
            with pytest.raises(StorageUnavailable, match=words) as raised:
                await request
        assert logged == []
        assert uri.base in str(raised.value)
        assert clock.getDelayedCalls() == []
        await receiver.all_closed()
    finally:
        await http.close()
        await receiver.stop()


@pytest_twisted.ensureDeferred
async def test_what_a_server_has_compressed_is_not_made_large() -> None:
    receiver = HostileReceiver(_compressed)
    http = CouchHttp.from_uri(reactor, CouchUri(await receiver.start()), max_answer_bytes=1_000_000)
    try:
        answer = await http.request("GET", "/")
        assert len(answer.body) < 10_000
        with pytest.raises(StorageUnavailable, match="JSON"):
            answer.json()
    finally:
        await http.close()
        await receiver.stop()
