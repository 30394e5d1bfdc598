from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import click
import pytest
import pytest_twisted
from attrs import evolve
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.resource import Resource
from twisted.web.server import Site

from kazoo_bridge.cli import rest_client
from kazoo_bridge.cli.nodes import RestNodes, rest_address
from kazoo_bridge.cli.rest_client import RestAddress
from kazoo_bridge.cli.tail import Printer, _stream
from kazoo_bridge.config import Config, Http


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("tcp:8000:interface=127.0.0.1", "http://127.0.0.1:8000"),
        ("tcp:8000", "http://127.0.0.1:8000"),
        ("tcp:port=81:interface=0.0.0.0", "http://127.0.0.1:81"),
        ("tcp6:80:interface=\\:\\:", "http://[::1]:80"),
        ("tcp:80:interface=192.0.2.7:backlog=9", "http://192.0.2.7:80"),
        ("ssl:443:privateKey=/k:certKey=/c", "https://127.0.0.1:443"),
    ],
)
def test_where_a_node_answers(endpoint: str, url: str) -> None:
    assert RestAddress.from_endpoint(endpoint) == RestAddress(url)
    assert RestAddress.from_endpoint(f"haproxy:{endpoint}") == RestAddress(url, proxy_protocol=True)


@pytest.mark.parametrize(
    "endpoint", ["unix:/run/x", "tcp:0", "systemd:domain=INET:index=0", "haproxy:unix:/x"]
)
def test_an_endpoint_without_an_address(endpoint: str) -> None:
    with pytest.raises(click.ClickException, match="--url"):
        RestAddress.from_endpoint(endpoint)


def test_a_url_stands_before_the_endpoint() -> None:
    config = evolve(Config(), http=Http(endpoint="haproxy:tcp:81"))
    assert rest_address(config, None) == RestAddress("http://127.0.0.1:81", proxy_protocol=True)
    assert rest_address(config, "https://b.example/") == RestAddress("https://b.example")


class Redirect(Resource):
    """Leads to another host, which keeps the tokens that it receives."""

    isLeaf = True

    def __init__(self, location: str) -> None:
        super().__init__()
        self._location = location.encode()

    def render(self, request: Any) -> bytes:
        request.setResponseCode(307)
        request.setHeader(b"Location", self._location)
        return b""


class Recorder(Resource):
    """Records the token of each request, and answers with `body` and `status`."""

    isLeaf = True

    def __init__(self, body: bytes = b'{"data": []}', status: int = 200) -> None:
        super().__init__()
        self.tokens: list[str | None] = []
        self.clients: list[Any] = []
        self._body, self._status = body, status

    def render(self, request: Any) -> bytes:
        self.tokens.append(request.getHeader("X-Auth-Token"))
        self.clients.append(request.getClientAddress())
        request.setResponseCode(self._status)
        return self._body


@asynccontextmanager
async def serving(resource: Resource) -> AsyncIterator[str]:
    """Serve a resource; yields the URL of the server."""
    port: Any = reactor.listenTCP(0, cast(Any, Site(resource)), interface="127.0.0.1")
    try:
        yield f"http://127.0.0.1:{port.getHost().port}"
    finally:
        await port.stopListening()


@pytest_twisted.ensureDeferred
async def test_a_token_follows_no_redirect() -> None:
    recorder = Recorder()
    async with serving(recorder) as other, serving(Redirect(f"{other}/elsewhere")) as url:
        with pytest.raises(click.ClickException, match=f"307.*{other}/elsewhere"):
            await RestNodes(RestAddress(url), "secret").statuses()
        with pytest.raises(click.ClickException, match=f"307.*{other}/elsewhere"):
            await _stream(RestAddress(url), "/v2/events", "secret", Printer(False, 1, lambda: 0.0))
    assert recorder.tokens == []


@pytest_twisted.ensureDeferred
async def test_answers_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest_client, "MAX_ANSWER_BYTES", 100)
    async with serving(Recorder(b" " * 98 + b"[]")) as url:
        assert await RestNodes(RestAddress(url), "secret").request("GET", "/x") is None
    for status in (200, 500):
        async with serving(Recorder(b" " * 101, status)) as url:
            with pytest.raises(click.ClickException, match=f"{url}/v2/nodes answered more than 100 bytes"):
                await RestNodes(RestAddress(url), "secret").statuses()
    async with serving(Recorder(b" " * 101, 500)) as url:
        with pytest.raises(click.ClickException, match=f"{url}/x answered more than 100 bytes"):
            await _stream(RestAddress(url), "/x", "secret", Printer(False, 1, lambda: 0.0))


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize(("kind", "host"), [("tcp", "127.0.0.1"), ("tcp6", "::1")])
async def test_a_node_that_expects_the_proxy_protocol_is_asked_directly(kind: str, host: str) -> None:
    recorder = Recorder()
    interface = host.replace(":", "\\:")
    endpoint = serverFromString(reactor, f"haproxy:{kind}:0:interface={interface}")
    port: Any = await cast(Any, endpoint).listen(Site(recorder))
    number = port.getHost().port
    try:
        address = RestAddress.from_endpoint(f"haproxy:{kind}:{number}:interface={interface}")
        assert await RestNodes(address, "secret").statuses() == []
        with pytest.raises(click.ClickException, match="no node answers at http"):
            await RestNodes(RestAddress(address.url), "secret").statuses()
    finally:
        await port.stopListening()
    assert recorder.tokens == ["secret"]
    assert [client.host for client in recorder.clients] == [host]
