"""The console's page as a browser gets it."""

from __future__ import annotations

import re

import pytest
import pytest_twisted
import treq
from attrs import evolve

from kazoo_bridge.config import Config
from kazoo_bridge.console.files import PAGE, PageFiles
from kazoo_bridge.rest.resources.console import WebsocketLocation
from tests.rest.harness import RestHarness, running_node

pytestmark = pytest.mark.timeout(30)


def policy_of(response: treq.response._Response) -> dict[str, str]:
    header = response.headers.getRawHeaders("Content-Security-Policy")[0]
    return dict(part.split(" ", 1) for part in header.split("; "))


@pytest_twisted.ensureDeferred
async def test_the_page_and_all_that_it_names_are_served(rest: RestHarness) -> None:
    page = await rest("GET", "/console/", token="")
    assert page.code == 200
    assert page.headers.getRawHeaders("Content-Type") == ["text/html; charset=utf-8"]
    names = re.findall(r'(?:src|href)="([^"]+)"', page.text_body)
    assert len(names) >= 4
    for name in names:
        file = await rest("GET", f"/console/{name}", token="")
        assert file.code == 200, name
        is_permanent = "immutable" in file.headers.getRawHeaders("Cache-Control")[0]
        assert is_permanent == (name != "icon.svg"), name


@pytest_twisted.ensureDeferred
async def test_every_module_imports_what_there_is(rest: RestHarness) -> None:
    modules = [name for name in PageFiles.from_folder().files if name.endswith(".js")]
    assert len(modules) > 10
    for name in modules:
        response = await rest("GET", f"/console/{name}", token="")
        assert response.headers.getRawHeaders("Content-Type") == ["text/javascript; charset=utf-8"]
        for imported in re.findall(r'from "([^"]+)"', response.text_body):
            assert (PAGE / name).parent.joinpath(imported).resolve().is_file(), f"{name} imports {imported}"
        assert "innerHTML" not in response.text_body


@pytest_twisted.ensureDeferred
async def test_the_policy_admits_nothing_but_our_own(rest: RestHarness) -> None:
    response = await rest("GET", "/console/", token="")
    policy = policy_of(response)
    port = rest.node.websockets.port
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == f"'self' ws://127.0.0.1:{port} wss://127.0.0.1:{port}"
    assert policy["frame-ancestors"] == "'none'"
    assert response.headers.getRawHeaders("X-Content-Type-Options") == ["nosniff"]
    assert response.headers.getRawHeaders("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize("host", ["evil.example; script-src *", "a b", "[::1]:8000", "x" * 300, "évil", ""])
@pytest_twisted.ensureDeferred
async def test_no_host_name_gets_words_into_the_policy(rest: RestHarness, host: str) -> None:
    response = await rest("GET", "/console/", token="", headers={"Host": host})
    if response.code == 200:
        policy = policy_of(response)
        assert policy["script-src"] == "'self'"
        port = rest.node.websockets.port
        assert policy["connect-src"] == f"'self' ws://*:{port} wss://*:{port}"
    else:
        assert response.code == 400


@pytest_twisted.ensureDeferred
async def test_a_path_without_the_slash_leads_to_the_page(rest: RestHarness) -> None:
    response = await treq.get(f"{rest.base}/console", allow_redirects=False, persistent=False)
    assert (response.code, response.headers.getRawHeaders("Location")) == (302, ["console/"])


@pytest.mark.parametrize(
    "path",
    [
        "/console/nothing.js",
        "/console/r/",
        "/console/r/0123456789abcdef/nothing.js",
        "/console/../files.py",
        "/console/%2e%2e/files.py",
        "/console/app/",
        "/console/app//main.js",
    ],
)
@pytest_twisted.ensureDeferred
async def test_nothing_else_is_there(rest: RestHarness, path: str) -> None:
    response = await rest("GET", f"/console/{path}", token="")
    assert (response.code, response.json_body["message"]) == (404, "bad_identifier")


@pytest_twisted.ensureDeferred
async def test_the_page_can_only_be_read(rest: RestHarness) -> None:
    response = await rest("POST", "/console/", {}, token="")
    assert (response.code, response.headers.getRawHeaders("Allow")) == (405, ["GET, HEAD, OPTIONS"])


@pytest_twisted.ensureDeferred
async def test_settings_tell_where_the_websockets_are(rest: RestHarness) -> None:
    response = await rest("GET", "/console/settings.json", token="")
    assert response.json_body == {
        "websocket": {"uri": "", "secure": False, "port": rest.node.websockets.port},
        "embedded": True,
        "eavesdrop": False,
    }


@pytest_twisted.ensureDeferred
async def test_the_root_leads_to_the_console(rest: RestHarness) -> None:
    response = await rest("GET", "/", token="")
    assert "The operator console needs JavaScript" in response.text_body


@pytest_twisted.ensureDeferred
async def test_the_settings_say_whether_listening_is_allowed(config: Config) -> None:
    allowing = evolve(config, calls=evolve(config.calls, allow_eavesdrop=True))
    async with running_node(allowing) as rest:
        response = await rest("GET", "/console/settings.json", token="")
    assert response.json_body["eavesdrop"] is True


def test_a_configured_place_is_the_only_one() -> None:
    place = WebsocketLocation("wss://events.example.com/socket", False, lambda: 5555)
    assert place.connect_sources("portal.example.com") == "wss://events.example.com"


def test_an_endpoint_with_tls_is_reached_with_tls_only() -> None:
    assert (
        WebsocketLocation("", True, lambda: 5555).connect_sources("portal.example.com")
        == "wss://portal.example.com:5555"
    )
