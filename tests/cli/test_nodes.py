from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import click
import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.web.resource import Resource
from twisted.web.server import Site

from kazoo_bridge.cli import nodes
from kazoo_bridge.cli.context import CliContext
from kazoo_bridge.cli.nodes import RestNodes, rest_url, superadmin_token
from kazoo_bridge.cli.tail import Printer, _stream
from tests.cli.harness import A, CliHarness, lookup_token


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
    assert rest_url(endpoint) == url


@pytest.mark.parametrize("endpoint", ["unix:/run/x", "tcp:0", "systemd:domain=INET:index=0"])
def test_an_endpoint_without_an_address(endpoint: str) -> None:
    with pytest.raises(click.ClickException, match="--url"):
        rest_url(endpoint)


def test_an_endpoint_behind_a_proxy() -> None:
    with pytest.raises(click.ClickException, match="asked through its proxy"):
        rest_url("haproxy:tcp:80")


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
        self._body, self._status = body, status

    def render(self, request: Any) -> bytes:
        self.tokens.append(request.getHeader("X-Auth-Token"))
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
            await RestNodes(url, "secret").statuses()
        with pytest.raises(click.ClickException, match=f"307.*{other}/elsewhere"):
            await _stream(f"{url}/v2/accounts/{A}/events", "secret", Printer(False, 1, lambda: 0.0))
    assert recorder.tokens == []


@pytest_twisted.ensureDeferred
async def test_answers_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nodes, "MAX_ANSWER_BYTES", 100)
    async with serving(Recorder(b" " * 98 + b"[]")) as url:
        assert await RestNodes(url, "secret").request("GET", "/x") is None
    for status in (200, 500):
        async with serving(Recorder(b" " * 101, status)) as url:
            with pytest.raises(click.ClickException, match=f"{url}/v2/nodes answered more than 100 bytes"):
                await RestNodes(url, "secret").statuses()
    async with serving(Recorder(b" " * 101, 500)) as url:
        with pytest.raises(click.ClickException, match=f"{url}/x answered more than 100 bytes"):
            await _stream(f"{url}/x", "secret", Printer(False, 1, lambda: 0.0))


def test_a_token_of_a_super_admin_ends_with_the_command(cli: CliHarness) -> None:
    cli.create("account", "create", "--id", A, "--superadmin")
    with superadmin_token(CliContext(None, may_create=True)) as token:
        stored: Any = lookup_token(token, 0)
        assert stored.account_id == A
    assert lookup_token(token, 0) is None


def test_a_token_of_a_super_admin_may_be_restricted(cli: CliHarness) -> None:
    cli.create("account", "create", "--id", A, "--superadmin")
    with superadmin_token(CliContext(None, may_create=True), 9.0, {"get": ["nodes"]}) as token:
        stored: Any = lookup_token(token, 0)
        assert json.loads(stored.restrictions) == {"get": ["nodes"]}


def test_a_storage_without_super_admins(cli: CliHarness) -> None:
    cli.create("account", "create", "--id", A)
    assert "account create --superadmin" in cli.error("status")


def test_no_node_answers(cli: CliHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of all commands that use the reactor, only the arguments are checked in this process.
    assert "6 to 255 characters" in cli.error("trace", "short", exit_code=2)
    assert "--binding" in cli.error("tail", exit_code=2)
    assert "expected --account" in cli.error("tail", "--binding", "x", exit_code=2)
