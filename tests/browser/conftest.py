"""Fixtures for tests in a real Chromium.

Playwright runs an event loop in the main thread, so these tests are plain functions, and the service under
test runs in another process.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Error, Page, expect, sync_playwright

from tests.browser.fake_switch import FakeSwitch
from tests.integration.web_receiver import WebReceiver

#: Every test saves a screenshot of its page here.
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"

CHROMIUM_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Tests must not reach other hosts.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)

_TIMEOUT_MS = 20_000.0
expect.set_options(timeout=_TIMEOUT_MS)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser, which stops before the tests of other folders: its event loop would disturb them."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise RuntimeError(
            "these tests need Chromium: `make test` installs it, or `apt-get install chromium`"
        )
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile without cookies and stored data."""
    profile = browser.new_context(viewport={"width": 1280, "height": 800})
    profile.set_default_timeout(_TIMEOUT_MS)
    yield profile
    profile.close()


@pytest.fixture
def page(context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """An empty page. Uncaught exceptions and violations of its security policy fail the test."""
    new_page = context.new_page()
    errors: list[Error | str] = []

    # Playwright needs a Python function: it sets an attribute on it.
    def on_error(error: Error) -> None:
        errors.append(error)

    def on_console(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            errors.append(message.text)

    new_page.on("pageerror", on_error)
    new_page.on("console", on_console)
    yield new_page
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    name = re.sub("[^A-Za-z0-9_.-]+", "-", request.node.name)
    new_page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)
    assert not errors, f"errors in the page: {errors}"


@pytest.fixture
def switch(vhost_uri: str) -> Iterator[FakeSwitch]:
    """A switch on the broker, whose calls the test begins and ends."""
    fake_switch = FakeSwitch(vhost_uri)
    yield fake_switch
    fake_switch.close()


@pytest.fixture
def receiver() -> Iterator[WebReceiver]:
    """A web server that webhooks are sent to."""
    web_receiver = WebReceiver()
    yield web_receiver
    web_receiver.stop()
