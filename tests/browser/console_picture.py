"""Make the screenshot of the console for the documentation: ``make picture``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.browser.conftest import CHROMIUM_FLAGS
from tests.browser.console_page import call_row, sign_in_and_connect, toasts
from tests.browser.demo_process import DemoProcess

SCREENSHOT = Path(__file__).parents[2] / "docs" / "images" / "console.png"

#: The operator's extension.
_PHONE = "2004"

#: After this long there are calls in several lanes, and recent ones.
_WARM_UP_MS = 40_000


def main() -> None:
    """Let the demo run for a while, leave calls connected, parked and on hold, and save a screenshot."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        demo = DemoProcess(Path(folder), "--calls-per-minute", "40", "--accounts", "2", seed=12)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1440, "height": 860})
        sign_in_and_connect(page, demo.address, demo.tenants[0].token)
        page.get_by_role("button", name="Choose my phone…").click()
        number = page.get_by_role("combobox", name="Person, extension or number")
        number.fill(_PHONE)
        expect(page.get_by_role("dialog").get_by_role("listbox").get_by_role("option")).to_have_count(1)
        number.press("ArrowDown")
        number.press("Enter")
        page.keyboard.press("Escape")
        page.wait_for_timeout(_WARM_UP_MS)
        for command, state in (("Resume", "Talking"), ("Park", "Parked in")):
            row = call_row(page, demo.held_call(demo.tenants[0]))
            row.get_by_role("button", name=command).click()
            expect(row).to_contain_text(state)
        expect(call_row(page, demo.held_call(demo.tenants[0]))).to_contain_text("On hold")
        expect(toasts(page)).to_be_empty()
        page.mouse.move(0, 0)
        page.evaluate("document.querySelectorAll('*').forEach((element) => element.scrollTo(0, 0))")
        page.screenshot(path=SCREENSHOT)
        browser.close()
        demo.stop()


if __name__ == "__main__":
    main()
