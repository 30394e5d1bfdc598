"""The documentation and the page of the API in a browser, under the policies that they are served with."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from kazoo_bridge.rest.resources.documentation import DOCUMENTATION_POLICY
from tests.documentation.building import build
from tests.integration.node_process import NodeProcess

pytestmark = pytest.mark.timeout(300)


class _Handler(SimpleHTTPRequestHandler):
    """Serves the built pages as the node does."""

    def end_headers(self) -> None:
        self.send_header("Content-Security-Policy", DOCUMENTATION_POLICY)
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.fixture(scope="module")
def documentation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of the built pages."""
    folder = build(tmp_path_factory.mktemp("docs"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def assert_accessible(page: Page) -> None:
    violations = Axe().run(page).response["violations"]
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations] == []


def test_the_search_finds_a_page(page: Page, documentation: str) -> None:
    page.goto(f"{documentation}/index.html")
    assert_accessible(page)
    page.get_by_role("searchbox", name="Search").first.fill("dead letter")
    page.keyboard.press("Enter")
    page.locator("#search-results a", has_text="What is promised of deliveries").first.click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("What is promised of deliveries")
    assert_accessible(page)


def test_a_page_fits_a_phone(page: Page, documentation: str) -> None:
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto(f"{documentation}/reference/configuration.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.goto(f"{documentation}/explanation/architecture.html")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_api_page_shows_every_operation(page: Page, tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "embedded:")
    node.start()
    page.goto(f"http://127.0.0.1:{node.port}/docs/api/#createHook")
    paths = page.evaluate("fetch('../../openapi.json').then((response) => response.json())")["paths"]
    count = sum(map(len, paths.values()))
    expect(page.locator(".operation")).to_have_count(count)
    expect(page.locator("#state")).to_have_text(f"{count} operations.")

    hook = page.locator("#createHook")
    expect(hook).to_have_attribute("open", "")
    request = hook.locator("pre").first
    expect(request).to_contain_text('curl -X PUT -H "X-Auth-Token: $TOKEN"')
    expect(request).to_contain_text(f"http://127.0.0.1:{node.port}/v2/accounts/$ACCOUNT/webhooks")
    hook.locator(".schema summary", has_text="data").first.click()
    expect(hook.locator(".schema li", has_text="http_verb").first).to_be_visible()
    hook.get_by_text("The hook").first.click()
    assert_accessible(page)

    page.get_by_role("searchbox").fill("pivots delete")
    expect(page.locator(".operation:visible")).to_have_count(1)
    page.get_by_role("searchbox").fill("")
    page.evaluate("document.querySelectorAll('.operation').forEach((one) => { one.open = true; })")
    expect(page.locator(".operation > .code .copy")).to_have_count(count)
    page.set_viewport_size({"width": 360, "height": 700})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    # Else the screenshot is very high.
    page.evaluate("document.querySelectorAll('.operation').forEach((one) => { one.open = false; })")
    node.stop()


def test_a_checkout_without_built_pages_links_to_the_api(page: Page, tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "embedded:")
    node.start()
    page.goto(f"http://127.0.0.1:{node.port}/docs/")
    page.get_by_role("link", name=re.compile("API")).first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("API")
    node.stop()
