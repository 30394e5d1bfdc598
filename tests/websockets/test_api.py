"""The front door of websockets, on a real node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet.interfaces import IPushProducer
from zope.interface.verify import verifyObject

from kazoo_bridge.config import Config, Storage
from kazoo_bridge.interfaces import (
    BindingRefused,
    IEventStream,
    IStreamTransport,
    IWebsockets,
    Principal,
    StreamRequest,
)
from kazoo_bridge.websockets.api import WebsocketApi
from tests.rest.harness import ACCOUNT, CHILD, LOOPBACK, RestHarness, running_node
from tests.storage.sqlite_template import make_migrated_database
from tests.websockets.fakes import FakeTransport


@pytest_twisted.async_yield_fixture
async def harness(tmp_path: Path) -> AsyncIterator[RestHarness]:
    config = evolve(Config(), storage=Storage(make_migrated_database(tmp_path / "b.sqlite3")), http=LOOPBACK)
    async with running_node(config) as harness:
        yield harness


@pytest.fixture
def api(harness: RestHarness) -> WebsocketApi:
    return harness.node.websockets.api


def make_request(harness: RestHarness, *bindings: str) -> StreamRequest:
    return StreamRequest(ACCOUNT, bindings, harness.token, Principal(ACCOUNT), ("192.0.2.1", 40_000), {})


def test_it_provides_its_interface(api: WebsocketApi) -> None:
    assert verifyObject(IWebsockets, api)
    assert "call.CHANNEL_CREATE.{CALL_ID}" in api.bindings()["call"]


@pytest_twisted.ensureDeferred
async def test_a_stream_is_opened_listed_and_closed(harness: RestHarness, api: WebsocketApi) -> None:
    transport = FakeTransport()
    assert verifyObject(IStreamTransport, transport)
    stream = await api.open_stream(transport, make_request(harness, "call.*.*"))
    assert verifyObject(IEventStream, stream)
    assert verifyObject(IPushProducer, stream.producer)
    (socket,) = await api.sockets(ACCOUNT)
    assert socket["bindings"] == ["call.*.*"]
    socket_id = socket["websocket_session_id"]
    assert await api.socket(ACCOUNT, socket_id) == socket
    assert await api.socket(CHILD, socket_id) is None
    assert await api.close_socket(ACCOUNT, socket_id) == socket
    assert transport.is_aborted
    stream.closed()
    assert await api.sockets(ACCOUNT) == []
    assert await api.close_socket(ACCOUNT, socket_id) is None


@pytest_twisted.ensureDeferred
async def test_an_unknown_binding_is_refused(harness: RestHarness, api: WebsocketApi) -> None:
    with pytest.raises(BindingRefused):
        await api.open_stream(FakeTransport(), make_request(harness, "no.such.binding"))
    assert await api.sockets(ACCOUNT) == []
