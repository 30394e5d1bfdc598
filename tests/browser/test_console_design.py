"""The console's settings, its layout on phones, and the accessibility of its dialogs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.console_page import (
    accessibility_violations,
    open_view,
    save_screenshot,
    sign_in_and_connect,
)
from tests.browser.demo_process import DemoProcess

#: Pixels: the smallest target that a finger hits.
_TOUCH_TARGET = 44


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProcess]:
    """A demo with few calls, which are not what these tests are about."""
    process = DemoProcess(
        tmp_path_factory.mktemp("demo"), "--calls-per-minute", "30", "--accounts", "2", seed=5
    )
    yield process
    process.stop()


def test_theme_density_and_language_are_kept_in_the_browser(page: Page, demo: DemoProcess) -> None:
    page.emulate_media(color_scheme="light")
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    page.get_by_role("button", name="Settings").click()
    settings = page.get_by_role("dialog", name="Settings")
    settings.get_by_text("Dark", exact=True).click()
    settings.get_by_text("Compact", exact=True).click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    for name, value in (("data-theme", "dark"), ("data-density", "compact")):
        expect(page.locator("html")).to_have_attribute(name, value)
    background = page.locator("body").evaluate(
        "() => getComputedStyle(document.documentElement).backgroundColor"
    )
    assert max(map(int, background.removeprefix("rgb(").removesuffix(")").split(","))) < 64
    page.get_by_role("button", name="Settings").click()
    page.get_by_label("Language").select_option(label="Deutsch")
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.get_by_role("navigation").get_by_role("link", name="Ereignisse")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_dialogs_have_no_serious_accessibility_violations(page: Page, demo: DemoProcess, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.goto(demo.address)
    page.get_by_text("Where do I get a token").click()
    assert accessibility_violations(page) == []
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)

    def check(button: str) -> None:
        page.get_by_role("button", name=button).first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert accessibility_violations(page) == [], button
        save_screenshot(page, f"dialog-{button}-{scheme}".lower().replace(" ", "-"))
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_have_count(0)

    for button in ("Settings", "Keyboard shortcuts", f"Account {demo.tenants[0].name}"):
        check(button)
    open_view(page, "Webhooks")
    check("New webhook")
    page.get_by_role("link", name="demo receiver").click()
    expect(page.get_by_text("Last success")).to_be_visible()
    for button in ("Send a test", "Replay a span", "Edit", "Duplicate", "Code", "Sign requests", "Delete"):
        check(button)
    page.locator("main summary").first.click()
    expect(page.get_by_role("heading", name="Request")).to_be_visible()
    assert accessibility_violations(page) == []
    page.goto(f"{demo.address}#/attempts")
    expect(page.get_by_role("heading", level=1)).to_have_text("Attempts")
    assert accessibility_violations(page) == []


def test_a_phone_has_large_targets_and_its_navigation_at_the_bottom(page: Page, demo: DemoProcess) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    for view in ("Events", "Webhooks", "Sockets", "Account"):
        open_view(page, view)
        navigation = page.get_by_role("navigation").bounding_box()
        assert navigation is not None
        assert navigation["y"] > 700 - _TOUCH_TARGET
        # Of what is on the screen; text within lines, like the links of a list, is exempt.
        small = page.locator("button, nav a, input:not([type=checkbox], [type=radio]), select").evaluate_all(
            "(elements, least) => elements.filter((one) => one.checkVisibility() && one.clientHeight > 0"
            " && one.getBoundingClientRect().height < least).map((one) => one.outerHTML.slice(0, 120))",
            _TOUCH_TARGET,
        )
        assert small == [], view


def test_an_account_shows_its_tokens_and_revokes_one(page: Page, demo: DemoProcess) -> None:
    sub = demo.tenants[1]
    sign_in_and_connect(page, demo.address, sub.api_key, kind="API key")
    open_view(page, "Account")
    tokens = page.get_by_role("table", name="Tokens")
    expect(tokens.get_by_role("row").filter(has_text="this page")).to_contain_text("API key")
    issued = tokens.get_by_role("row").filter(has_text="issued")
    expect(issued).to_have_count(1)
    assert sub.token not in page.content()
    issued.get_by_role("button", name="Revoke").click()
    page.get_by_role("dialog", name="Revoke this token?").get_by_role("button", name="Revoke").click()
    expect(issued).to_have_count(0)


def test_content_and_header_begin_at_the_same_edge(page: Page, demo: DemoProcess) -> None:
    page.set_viewport_size({"width": 1920, "height": 900})
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    open_view(page, "Webhooks")
    left = [
        page.locator(place).evaluate("one => one.getBoundingClientRect().left")
        for place in (".account-name", "h1")
    ]
    assert abs(left[0] - left[1]) <= 1, left


def test_the_connection_is_seen_in_forced_colors(page: Page, demo: DemoProcess) -> None:
    page.emulate_media(forced_colors="active")
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    background, border = page.locator(".indicator").evaluate(
        "one => [getComputedStyle(one).backgroundColor, getComputedStyle(one).borderTopColor]"
    )
    assert background == border
    page_background = page.locator("body").evaluate(
        "() => getComputedStyle(document.documentElement).backgroundColor"
    )
    assert background != page_background
