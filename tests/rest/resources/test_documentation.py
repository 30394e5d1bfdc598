"""``/docs/`` as a browser gets it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_twisted
import treq

from kazoo_bridge.config import Config
from kazoo_bridge.documentation.files import documentation_files
from kazoo_bridge.rest import routes
from tests.rest.harness import RestHarness, running_node

pytestmark = pytest.mark.timeout(30)


@pytest_twisted.async_yield_fixture
async def built(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[RestHarness]:
    """A node with one built page."""
    pages = tmp_path / "pages"
    (pages / "how-to").mkdir(parents=True)
    (pages / "index.html").write_text("<p>Start" + " " * 1000)
    (pages / "how-to" / "install.html").write_text("<p>Install")
    (pages / "api").mkdir()
    (pages / "api" / "hidden.html").write_text("<p>Behind the page of the API")
    monkeypatch.setattr(routes, "documentation_files", lambda: documentation_files(pages))
    async with running_node(config) as harness:
        yield harness


def policy_of(response: treq.response._Response) -> str:
    policy: str = response.headers.getRawHeaders("Content-Security-Policy")[0]
    return policy


@pytest_twisted.ensureDeferred
async def test_pages_are_served_to_any_client(built: RestHarness) -> None:
    start = await built("GET", "/docs/", token="")
    assert (start.code, start.text_body.strip()) == (200, "<p>Start")
    assert start.headers.getRawHeaders("Cache-Control") == ["no-cache"]
    page = await built("GET", "/docs/how-to/install.html", token="")
    assert (page.code, page.text_body) == (200, "<p>Install")
    assert page.headers.getRawHeaders("Content-Type") == ["text/html; charset=utf-8"]
    tag = start.headers.getRawHeaders("ETag")[0]
    again = await built("GET", "/docs/", token="", headers={"If-None-Match": tag})
    assert (again.code, again.text_body) == (304, "")


@pytest_twisted.ensureDeferred
async def test_scripts_and_styles_come_from_the_node_only(built: RestHarness) -> None:
    for path in ("/docs/", "/docs/api/"):
        policy = policy_of(await built("GET", path, token=""))
        assert {"default-src 'none'", "script-src 'self'", "style-src 'self'", "connect-src 'self'"} <= set(
            policy.split("; ")
        )
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy


@pytest.mark.parametrize(("path", "location"), [("/docs", "docs/"), ("/docs/api", "api/")])
@pytest_twisted.ensureDeferred
async def test_a_path_without_the_slash_leads_to_the_page(
    built: RestHarness, path: str, location: str
) -> None:
    response = await treq.get(f"{built.base}{path}", allow_redirects=False, persistent=False)
    assert (response.code, response.headers.getRawHeaders("Location")) == (302, [location])


@pytest_twisted.ensureDeferred
async def test_the_page_of_the_api_and_all_that_it_names_are_served(built: RestHarness) -> None:
    page = await built("GET", "/docs/api/", token="")
    names = [name for name in re.findall(r'(?:src|href)="([^"#]+)"', page.text_body) if name[0] != "."]
    assert len(names) >= 6
    for name in names:
        file = await built("GET", f"/docs/api/{name}", token="")
        assert file.code == 200, name
        assert "immutable" in file.headers.getRawHeaders("Cache-Control")[0]


@pytest.mark.parametrize(
    "path",
    [
        "/docs/none.html",
        "/docs/how-to/",
        "/docs/%2e%2e/files.py",
        "/docs/api/none.js",
        "/docs/api/hidden.html",
    ],
)
@pytest_twisted.ensureDeferred
async def test_nothing_else_is_there(built: RestHarness, path: str) -> None:
    response = await built("GET", path, token="")
    assert (response.code, response.json_body["message"]) == (404, "bad_identifier")


@pytest_twisted.ensureDeferred
async def test_without_built_pages_the_node_says_how_to_build_them(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes, "documentation_files", lambda: documentation_files(tmp_path / "none"))
    async with running_node(config) as rest:
        response = await rest("GET", "/docs/", token="")
        style = await rest("GET", "/docs/unbuilt.css", token="")
    assert (response.code, style.code) == (200, 200)
    assert "make docs" in response.text_body
