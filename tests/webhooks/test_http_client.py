from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_twisted
from twisted.internet import reactor

from kazoo_bridge.config import Config, Egress, Webhooks
from kazoo_bridge.webhooks.http.http_request import HookRequest
from kazoo_bridge.webhooks.http_client import HookHttpClient
from tests.webhooks.doors import Door
from tests.webhooks.receiving import Receiver


@pytest_twisted.async_yield_fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    yield made
    await made.stop()


@pytest_twisted.ensureDeferred
async def test_the_configured_networks_are_denied(receiver: Receiver) -> None:
    url = await receiver.start()
    client = HookHttpClient.from_config(reactor, Config(egress=Egress(denied_networks=("127.0.0.0/8",))))
    outcome = await client.sender.send(HookRequest("POST", url, {}, b"a=1"))
    assert (outcome.success, outcome.status, receiver.received) == (False, None, [])
    assert await client.check_uri(url) is not None
    await client.close()


@pytest_twisted.ensureDeferred
async def test_a_permitted_receiver_answers(receiver: Receiver, door: Door) -> None:
    url = await receiver.start()
    client = HookHttpClient.from_config(reactor, Config(egress=Egress(denied_networks=())))
    assert await client.check_uri(url) is None
    assert client.sender.persistent
    for _ in range(3):
        outcome = await door(client.sender, HookRequest("POST", url, {}, b"a=1"))
        assert outcome.success
    assert client._pool.open_count == 1
    await client.close()
    assert client._pool.open_count == 0


@pytest_twisted.ensureDeferred
async def test_a_host_that_cannot_be_looked_up_is_refused_in_commands_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    client = HookHttpClient.from_config(reactor, Config())
    assert await client.check_uri("http://unknown.example/") is None
    assert await client.check_command_url("http://unknown.example/") == "the host name cannot be looked up"
    assert await client.check_command_url("http://8.8.8.8/") is None
    for url in ("http://127.0.0.1/", "http://[::1]/", "http://0x7f000001/", "http://h\\@x/"):
        assert await client.check_command_url(url) is not None
    await client.close()


@pytest_twisted.ensureDeferred
async def test_the_configured_timeout_ends_a_request(receiver: Receiver) -> None:
    receiver.statuses = [0]
    url = await receiver.start()
    config = Config(egress=Egress(denied_networks=()), webhooks=Webhooks(request_timeout_ms=50))
    client = HookHttpClient.from_config(reactor, config)
    assert client.sender.request_timeout == 0.05
    outcome = await client.sender.send(HookRequest("POST", url, {}, b"a=1"))
    assert (outcome.success, outcome.status) == (False, None)
    await client.close()
