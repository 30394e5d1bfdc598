from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from attrs import define
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater

from kazoo_bridge.interfaces import (
    Account,
    BindingRefused,
    BindingUnavailable,
    HandshakeRejected,
    Principal,
)
from kazoo_bridge.rest.resources.events import KEEP_ALIVE_INTERVAL, EventStreamResource
from tests.rest.fakes import OPENED, FakeDirectory, FakeStream, FakeWebsockets
from tests.rest.harness import ACCOUNT, CHILD, STRANGER
from tests.rest.site_harness import SiteHarness, running_site

PATH = f"/v2/accounts/{CHILD}/events"


@define
class StreamHarness:
    """A site with streams of a fake, whose keep-alive timers run on a clock."""

    site: SiteHarness
    websockets: FakeWebsockets
    clock: Clock

    async def open(self, path: str, *, headers: dict[str, str] | None = None) -> tuple[Any, FakeStream]:
        """Return the response and the stream that it receives."""
        response = await self.site.open(path, token="good", headers=headers)
        (stream,) = self.websockets.streams
        return response, stream


@pytest_twisted.async_yield_fixture
async def harness() -> AsyncIterator[StreamHarness]:
    directory = FakeDirectory(
        accounts={
            ACCOUNT: Account(ACCOUNT, "", ""),
            CHILD: Account(CHILD, "", "", (ACCOUNT,)),
            STRANGER: Account(STRANGER, "", ""),
        },
        tokens={"good": Principal(ACCOUNT)},
    )
    websockets, clock = FakeWebsockets(), Clock()
    async with running_site(EventStreamResource(directory, websockets, clock)) as site:
        yield StreamHarness(site, websockets, clock)


@pytest_twisted.ensureDeferred
async def test_a_stream_is_written_until_the_service_ends_it(harness: StreamHarness) -> None:
    response, stream = await harness.open(
        f"{PATH}?binding=call.*.*&binding=&binding=call.*.*&last_event_id=x-1"
    )
    assert response.headers.getRawHeaders("content-type") == ["text/event-stream"]
    request = stream.request
    assert (request.account_id, request.bindings) == (CHILD, ["call.*.*"])
    assert (request.token, request.principal) == ("good", Principal(ACCOUNT))
    assert (request.peer[0], request.last_event_id) == ("127.0.0.1", "x-1")
    assert request.headers["x-auth-token"] == "good"
    stream.transport.write(b"data: 1\n\n")
    harness.clock.advance(KEEP_ALIVE_INTERVAL)
    stream.transport.abort()
    stream.transport.write(b"data: too late\n\n")
    assert await response.content() == OPENED + b"data: 1\n\n: \n\n"
    assert stream.is_closed
    assert harness.clock.getDelayedCalls() == []


@pytest_twisted.ensureDeferred
async def test_the_header_of_the_last_event_overrides_the_query(harness: StreamHarness) -> None:
    path = f"{PATH}?binding=x&last_event_id=x-1"
    response, stream = await harness.open(path, headers={"Last-Event-ID": "y-2"})
    assert stream.request.last_event_id == "y-2"
    stream.transport.abort()
    await response.content()


@pytest_twisted.ensureDeferred
async def test_a_client_that_disconnects_closes_its_stream(harness: StreamHarness) -> None:
    response, stream = await harness.open(f"{PATH}?binding=x")
    disconnected: Deferred[None] = response.content().addErrback(lambda _: None)
    response.original._transport.loseConnection()  # treq has no way to disconnect
    await disconnected
    deadline = reactor.seconds() + 10
    while not stream.is_closed:
        assert reactor.seconds() < deadline
        await deferLater(reactor, 0.01)
    assert harness.clock.getDelayedCalls() == []


@pytest.mark.parametrize(
    ("error", "status", "word"),
    [
        (BindingRefused("no such binding"), 400, "validation error"),
        (BindingUnavailable("the broker does not answer"), 503, "datastore_fault"),
        (HandshakeRejected(403, "the origin is not allowed"), 403, "forbidden"),
        (HandshakeRejected(429, "too many"), 429, "too_many_requests"),
        (HandshakeRejected(503, "too many"), 503, "datastore_fault"),
    ],
)
@pytest_twisted.ensureDeferred
async def test_a_refused_stream_is_an_error(
    harness: StreamHarness, error: Exception, status: int, word: str
) -> None:
    harness.websockets.error = error
    response = await harness.site(f"{PATH}?binding=x", token="good")
    assert (response.code, response.json_body["message"]) == (status, word)
    assert str(error) in str(response.json_body["data"])


@pytest.mark.parametrize("query", ["", "?binding=", "?bindings=x"])
@pytest_twisted.ensureDeferred
async def test_a_stream_needs_a_binding(harness: StreamHarness, query: str) -> None:
    response = await harness.site(f"{PATH}{query}", token="good")
    assert response.code == 400
    assert list(response.json_body["data"]["binding"]) == ["required"]


@pytest_twisted.ensureDeferred
async def test_head_opens_no_stream(harness: StreamHarness) -> None:
    response = await harness.site(f"{PATH}?binding=x", verb="HEAD", token="good")
    assert response.headers.getRawHeaders("content-type") == ["text/event-stream"]
    assert harness.websockets.streams == []


@pytest_twisted.ensureDeferred
async def test_a_stream_needs_a_token_for_the_account(harness: StreamHarness) -> None:
    assert (await harness.site(f"{PATH}?binding=x")).code == 401
    assert (await harness.site(f"/v2/accounts/{STRANGER}/events?binding=x", token="good")).code == 403
    assert harness.websockets.streams == []
