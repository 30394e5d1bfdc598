"""Static files as clients get them: compressed, and sent once."""

from __future__ import annotations

import gzip

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.web.client import Agent, HTTPConnectionPool, readBody
from twisted.web.http_headers import Headers

from kazoo_bridge.console.files import PAGE
from tests.rest.harness import RestHarness

pytestmark = pytest.mark.timeout(30)


@pytest_twisted.ensureDeferred
async def test_files_are_revalidated_and_sent_once(rest: RestHarness) -> None:
    first = await rest("GET", "/console/app/main.js", token="")
    tag = first.headers.getRawHeaders("ETag")[0]
    assert first.headers.getRawHeaders("Cache-Control") == ["no-cache"]
    again = await rest("GET", "/console/app/main.js", token="", headers={"If-None-Match": tag})
    assert (again.code, again.text_body) == (304, "")
    head = await rest("HEAD", "/console/app/main.js", token="")
    assert (head.code, head.text_body) == (200, "")


@pytest_twisted.ensureDeferred
async def test_a_file_of_another_revision_may_change(rest: RestHarness) -> None:
    response = await rest("GET", "/console/r/0123456789abcdef/app/main.js", token="")
    assert response.code == 200
    assert response.headers.getRawHeaders("Cache-Control") == ["no-cache"]


@pytest.mark.parametrize(
    ("accepted", "is_compressed"),
    [
        ("gzip, deflate, br", True),
        ("br, GZIP;q=0.5", True),
        ("*", True),
        ("gzip;q=0", False),
        ("gzip; q=0.000, *", False),
        ("br", False),
        ("", False),
    ],
)
@pytest_twisted.ensureDeferred
async def test_files_are_compressed_for_clients_that_accept_it(
    rest: RestHarness, accepted: str, is_compressed: bool
) -> None:
    # Not treq, which decompresses, and asks for that itself.
    agent = Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False))
    url, headers = f"{rest.base}/console/app/main.js".encode(), {"Accept-Encoding": [accepted]}
    response = await agent.request(b"GET", url, Headers(headers))
    content = await readBody(response)
    assert response.headers.getRawHeaders("Vary") == ["Accept-Encoding"]
    encoding = response.headers.getRawHeaders("Content-Encoding")
    assert encoding == (["gzip"] if is_compressed else None)
    source = (PAGE / "app" / "main.js").read_bytes()
    assert (gzip.decompress(content) if is_compressed else content) == source
    tag = response.headers.getRawHeaders("ETag")[0]
    assert tag.endswith('-gzip"') == is_compressed
    again = await agent.request(b"GET", url, Headers({**headers, "If-None-Match": [tag]}))
    assert (again.code, await readBody(again)) == (304, b"")
