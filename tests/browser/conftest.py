"""A real Chromium for tests of what people see. Tests here are plain functions, and the service they look at is another process: Playwright
has an event loop of its own in the main thread while they run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page, expect, sync_playwright

#: Where every test leaves a picture of its page.
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"

SWITCHES = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Nothing but this machine can be reached.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)

#: Milliseconds that a page may take for anything a test waits for.
_PATIENCE = 20_000.0
expect.set_options(timeout=_PATIENCE)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """The browser, started with the first test that wants it and gone before the tests of other folders."""
    chromium = shutil.which("chromium")
    if chromium is None:
        raise RuntimeError(
            "these tests need Chromium: `make test` installs it, or `apt-get install chromium`"
        )
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=SWITCHES)
        yield started
        started.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser profile of the test's own: no cookies, no stored data."""
    made = browser.new_context(viewport={"width": 1280, "height": 800})
    made.set_default_timeout(_PATIENCE)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """An empty page. Its picture is kept when the test ends; an exception that its scripts did not catch, and anything that its
    security policy has kept from happening, fails the test."""
    made = context.new_page()
    uncaught: list[Error | str] = []
    made.on("pageerror", lambda error: uncaught.append(error))
    made.on(
        "console",
        lambda message: uncaught.append(message.text) if "Content Security Policy" in message.text else None,
    )
    yield made
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    made.screenshot(
        path=SCREENSHOTS / f"{re.sub('[^A-Za-z0-9_.-]+', '-', request.node.name)}.png", full_page=True
    )
    assert not uncaught, f"uncaught in the page: {uncaught}"
