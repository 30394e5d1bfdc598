"""Locators and actions of the operator console, by the texts that users see."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import SCREENSHOTS
from tests.integration.node_process import NodeProcess

_SERIOUS_IMPACTS = ("serious", "critical")


def console_url(node: NodeProcess) -> str:
    """Return the URL of a node's console."""
    return f"http://127.0.0.1:{node.port}/console/"


def sign_in(page: Page, address: str, secret: str, kind: str = "Token") -> None:
    """Open the console and sign in with a token or an API key."""
    page.goto(address)
    page.get_by_role("radio", name=kind).check()
    page.get_by_role("textbox", name=kind).fill(secret)
    page.get_by_role("button", name="Sign in").click()


def sign_in_and_connect(page: Page, address: str, secret: str, kind: str = "Token") -> None:
    """Sign in and wait until the console receives events."""
    sign_in(page, address, secret, kind)
    expect(connection_status(page)).to_have_text("Live")


def save_screenshot(page: Page, name: str) -> None:
    """Save a screenshot of the visible part of the page."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def connection_status(page: Page) -> Locator:
    """Locate the connection status."""
    return page.locator(".connection")


def open_view(page: Page, view: str) -> None:
    """Open a view from the navigation."""
    page.get_by_role("navigation").get_by_role("link", name=view).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(view)


def call_rows(page: Page) -> Locator:
    """Locate the rows of live calls, without calls that have just ended."""
    return page.locator("table.calls tr[data-call-id]:not([data-state=ended])")


def call_row(page: Page, call_id: str) -> Locator:
    """Locate the row of one call."""
    return page.locator(f'table.calls tbody tr[data-call-id="{call_id}"]')


def toasts(page: Page) -> Locator:
    """Locate the region of the toasts."""
    return page.locator("#toasts")


def accessibility_violations(page: Page) -> list[str]:
    """Return axe-core's serious and critical violations, each as one line."""
    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{violation['id']}: {violation['help']}: {_describe(node)}"
        for violation in violations
        if violation["impact"] in _SERIOUS_IMPACTS
        for node in violation["nodes"]
    ]


def _describe(node: dict[str, Any]) -> str:
    return f"{' '.join(node['html'].split())[:160]}: {node.get('failureSummary', '')[:300]}"
