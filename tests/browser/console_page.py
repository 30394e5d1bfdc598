"""The operator console as a person uses it: by what is written on it."""

from __future__ import annotations

from typing import Any

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import SCREENSHOTS

_FAULTS = ("serious", "critical")


def sign_in(page: Page, address: str, secret: str, kind: str = "Token") -> None:
    """Open the console and sign in with a token or an API key."""
    page.goto(address)
    page.get_by_role("radio", name=kind).check()
    page.get_by_role("textbox", name=kind).fill(secret)
    page.get_by_role("button", name="Sign in").click()


def signed_in(page: Page, address: str, secret: str, kind: str = "Token") -> None:
    """The same, until events come."""
    sign_in(page, address, secret, kind)
    expect(connection(page)).to_have_text("Live")


def picture(page: Page, name: str) -> None:
    """Keep a picture of the page as it is."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def connection(page: Page) -> Locator:
    """Whether the page is connected."""
    return page.locator(".connection")


def turn_to(page: Page, view: str) -> None:
    """Go to one of the views."""
    page.get_by_role("navigation").get_by_role("link", name=view).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(view)


def calls(page: Page) -> Locator:
    """The rows of live calls; those that have just ended are left out."""
    return page.locator("table.calls tbody tr:not([data-state=ended])")


def call_row(page: Page, call_id: str) -> Locator:
    """The row of one call."""
    return page.locator(f'table.calls tbody tr[data-call-id="{call_id}"]')


def said(page: Page) -> Locator:
    """The messages that the page shows, and reads out."""
    return page.locator("#said")


def faults(page: Page) -> list[str]:
    """What axe-core finds of serious accessibility faults, each in a line."""
    violations: list[dict[str, Any]] = Axe().run(page).response["violations"]
    return [
        f"{one['id']}: {one['help']}: {' '.join(node['html'].split())[:160]}: {node.get('failureSummary', '')[:300]}"
        for one in violations
        if one["impact"] in _FAULTS
        for node in one["nodes"]
    ]
