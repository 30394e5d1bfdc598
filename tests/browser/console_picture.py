"""Makes the picture of the console that the documentation shows: ``make picture``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

from tests.browser.conftest import SWITCHES
from tests.browser.console_page import calls, said, signed_in
from tests.browser.demo_process import DemoProcess

PICTURE = Path(__file__).parents[2] / "docs" / "images" / "console.png"


def main() -> None:
    """Let the demonstration run for a while, so that there is something of everything."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        demo = DemoProcess(Path(folder), "--calls-per-minute", "120", "--accounts", "2", "--seed", "12")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=SWITCHES)
        page = browser.new_page(viewport={"width": 1320, "height": 820})
        signed_in(page, demo.address, demo.tenants[0].token)
        page.wait_for_timeout(100_000)
        expect(calls(page).nth(4)).to_be_visible()
        for command in ("Hold", "Park"):
            calls(page).filter(has_text="Talking").last.get_by_role("button", name=command).click()
            expect(said(page)).to_contain_text(f"{command.lower()} initiated")
        expect(calls(page).filter(has_text="Parked in").first).to_be_visible()
        expect(said(page)).to_be_empty()
        page.evaluate("scrollTo(0, 0)")
        page.screenshot(path=PICTURE)
        browser.close()
        demo.stop()


if __name__ == "__main__":
    main()
