"""Requests over real connections, to a stand-in that misbehaves."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater

from kazoo_bridge.directory.crossbar import http_client
from kazoo_bridge.directory.crossbar.availability import Availability, CrossbarAway
from kazoo_bridge.directory.crossbar.http_client import MAX_ANSWER_BYTES, CrossbarClient
from kazoo_bridge.interfaces import StorageUnavailable
from tests.directory.crossbar.stand_in import API_KEY, CUSTOMER, StandInCrossbar


def started(
    client: CrossbarClient, path: str = "/token_auth", token: str = "token-of-customer"
) -> Deferred[Any]:
    return Deferred.fromCoroutine(client.request("GET", path, token=token))


@pytest_twisted.ensureDeferred
async def test_an_answer(crossbar: StandInCrossbar, client: CrossbarClient) -> None:
    answer = await client.request("GET", "/token_auth", token="token-of-customer")
    assert (answer.status, answer.is_success, answer.data["account_id"]) == (200, True, CUSTOMER)
    assert crossbar.headers[0]["x-auth-token"] == "token-of-customer"
    assert crossbar.headers[0]["accept-encoding"] == "identity"
    assert client.availability.has_answered


@pytest_twisted.ensureDeferred
async def test_a_body(crossbar: StandInCrossbar, client: CrossbarClient) -> None:
    answer = await client.request("PUT", "/api_auth", body={"data": {"api_key": API_KEY}})
    assert (answer.status, answer.is_success) == (201, True)
    assert json.loads(crossbar.bodies[0]) == {"data": {"api_key": API_KEY}}
    assert "x-auth-token" not in crossbar.headers[0]


@pytest_twisted.ensureDeferred
async def test_a_refusal_is_an_answer(client: CrossbarClient) -> None:
    answer = await client.request("GET", "/token_auth", token="unknown")
    assert (answer.status, answer.is_success) == (401, False)
    assert client.availability.reason is None


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (200, b"<html>Welcome</html>", "no JSON object of its form"),
        (200, b"", "no JSON object of its form"),
        (200, b'"text"', "no JSON object of its form"),
        (200, b"[]", "no JSON object of its form"),
        (200, b'{"data":' + b"[" * 60 + b"]" * 60 + b"}", "no JSON object of its form"),
        (200, b'{"data":' + b"[" * 5000 + b"]" * 5000 + b"}", "no JSON object of its form"),
        (200, b'{"data":[' + b"1," * 300_000 + b"1]}", "no JSON object of its form"),
        (200, b'{"data":"' + b"x" * MAX_ANSWER_BYTES + b'"}', "more than"),
        (200, b'{"data": "\xff"}', "no JSON object of its form"),
        (500, b"{}", "status 500"),
        (429, b"{}", "status 429"),
        (302, b"{}", "status 302"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_answers_of_another_form(
    crossbar: StandInCrossbar, client: CrossbarClient, status: int, body: bytes, words: str
) -> None:
    crossbar.lie = lambda _method, _path: (status, body)
    with pytest.raises(StorageUnavailable, match=words):
        await client.request("GET", "/token_auth", token="token")
    assert client.availability.reason is None


@pytest.mark.parametrize("status", [502, 503, 504])
@pytest_twisted.ensureDeferred
async def test_a_proxy_without_crossbar(
    crossbar: StandInCrossbar, client: CrossbarClient, status: int
) -> None:
    crossbar.lie = lambda _method, _path: (status, b"<html>no server</html>")
    with pytest.raises(CrossbarAway):
        await client.request("GET", "/token_auth", token="token")
    assert client.availability.reason == f"crossbar answered with status {status}"
    crossbar.lie = lambda _method, _path: None
    await client.request("GET", "/token_auth", token="token")
    assert client.availability.reason is None


@pytest_twisted.ensureDeferred
async def test_a_crossbar_that_is_down(crossbar: StandInCrossbar, client: CrossbarClient) -> None:
    await crossbar.stop()
    with pytest.raises(CrossbarAway, match="crossbar cannot be asked: ConnectionRefusedError") as caught:
        await client.request("GET", "/token_auth", token="hunter2")
    assert "hunter2" not in str(caught.value)
    assert client.availability.reason is not None


@pytest_twisted.ensureDeferred
async def test_a_crossbar_that_is_too_slow(crossbar: StandInCrossbar, clock: Clock) -> None:
    crossbar.hold()
    client = CrossbarClient(reactor, crossbar.uri, Availability(clock), timeout=0.05, max_requests=4)
    with pytest.raises(CrossbarAway, match="crossbar did not answer in time"):
        await client.request("GET", "/token_auth", token="token")
    await client.close()


@pytest_twisted.ensureDeferred
async def test_a_caller_that_leaves_says_nothing_about_crossbar(
    crossbar: StandInCrossbar, client: CrossbarClient
) -> None:
    crossbar.hold()
    connecting, connected = started(client), started(client)
    while not crossbar.asked:
        await deferLater(reactor, 0.001)
    for leaving in (connecting, connected, started(client)):
        leaving.cancel()
        with pytest.raises(CancelledError):
            await leaving
    assert client.availability.reason is None


class Trickle(Protocol):
    """Begins an answer, and never ends it."""

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")

    def connectionLost(self, reason: Any = None) -> None:
        factory: Any = self.factory
        factory.lost.callback(None)


@pytest_twisted.ensureDeferred
async def test_an_answer_that_does_not_end_costs_no_connection(clock: Clock) -> None:
    factory: Any = Factory.forProtocol(Trickle)
    factory.lost = Deferred()
    listening: Any = reactor
    port = listening.listenTCP(0, factory, interface="127.0.0.1")
    uri = f"http://127.0.0.1:{port.getHost().port}/v2"
    client = CrossbarClient(reactor, uri, Availability(clock), timeout=0.1, max_requests=4)
    with pytest.raises(CrossbarAway, match="crossbar did not answer in time"):
        await client.request("GET", "/token_auth", token="token")
    await factory.lost
    await client.close()
    await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_requests_at_a_time_are_bounded(
    crossbar: StandInCrossbar, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "MAX_WAITING", 3)
    client = CrossbarClient(reactor, crossbar.uri, Availability(clock), timeout=5, max_requests=2)
    crossbar.hold()
    waiting = [started(client) for _ in range(5)]
    with pytest.raises(StorageUnavailable, match="too many requests to crossbar wait"):
        await started(client)
    assert client.availability.reason is None
    gone = waiting.pop()
    gone.cancel()
    with pytest.raises(CancelledError):
        await gone
    crossbar.release()
    assert [(await one).status for one in waiting] == [200] * 4
    assert crossbar.asked == {"GET /token_auth": 4}
    await client.close()


@pytest_twisted.ensureDeferred
async def test_a_request_waits_for_a_bounded_time(
    crossbar: StandInCrossbar, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_client, "WAIT_TIMEOUT", 0.05)
    client = CrossbarClient(reactor, crossbar.uri, Availability(clock), timeout=5, max_requests=1)
    crossbar.hold()
    first = started(client)
    with pytest.raises(StorageUnavailable, match="too many requests to crossbar wait"):
        await started(client)
    assert client.availability.reason is None
    crossbar.release()
    assert (await first).status == 200
    assert (await started(client)).status == 200
    await client.close()


@pytest_twisted.ensureDeferred
async def test_closing_gives_up_requests(crossbar: StandInCrossbar, clock: Clock) -> None:
    client = CrossbarClient(reactor, crossbar.uri, Availability(clock), timeout=5, max_requests=1)
    crossbar.hold()
    waiting = [started(client) for _ in range(2)]
    await client.close()
    for one in waiting:
        with pytest.raises(StorageUnavailable, match="given up"):
            await one
    with pytest.raises(StorageUnavailable):
        await started(client)


@pytest_twisted.ensureDeferred
async def test_no_cookie_of_an_answer_is_sent(crossbar: StandInCrossbar, client: CrossbarClient) -> None:
    await client.request("GET", "/token_auth", token="token-of-customer")
    await client.request("GET", "/token_auth", token="token-of-reseller")
    assert all("cookie" not in headers for headers in crossbar.headers)
