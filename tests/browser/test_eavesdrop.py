"""An operator listens to calls of colleagues, with the demo's switch."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.browser.console_page import sign_in_and_connect, toasts
from tests.browser.demo_process import DemoProcess
from tests.integration.node_process import eventually

#: Calls of the demo are answered, or not, at random.
_NEXT_CALL_S = 90

#: The operator's extension, and the pattern of the line that the demo prints about a command.
MINE = "2001"
_JOINED = re.compile(rf"call obeyed: .* \({MINE}\) joins, (\w+), (\S+)")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProcess]:
    options = ("--calls-per-minute", "60", "--max-calls", "40", "--accounts", "2")
    allowed = {"KAZOO_BRIDGE__CALLS__ALLOW_EAVESDROP": "true"}
    process = DemoProcess(tmp_path_factory.mktemp("demo"), *options, seed=3, settings=allowed)
    yield process
    process.stop()
    assert "Traceback" not in process.output()


def _choose_my_phone(page: Page) -> None:
    page.get_by_role("button", name="Choose my phone…").click()
    preferences = page.get_by_role("dialog")
    preferences.get_by_role("combobox", name="Person, extension or number").fill(MINE)
    preferences.get_by_role("option").first.click()
    preferences.get_by_role("button", name="Use this phone").click()
    preferences.get_by_role("button", name="Close").click()


def _open_a_talking_person(page: Page) -> None:
    """Open the dialog of a person whose call the operator may hear: one that is not the operator's own."""
    people = page.get_by_role("complementary", name="People").get_by_role("listitem")
    talking = people.filter(has=page.locator(".dot.talking")).filter(has_not_text=MINE)
    dialog = page.get_by_role("dialog")

    def is_open() -> bool:
        talking.first.get_by_role("button").first.click()
        # The call may have ended meanwhile.
        if dialog.get_by_role("button", name="Listen").count():
            return True
        page.keyboard.press("Escape")
        return False

    eventually(is_open, "a person whose call can be heard", _NEXT_CALL_S)


@pytest.mark.parametrize(
    ("button", "mode", "hint"),
    [
        ("Listen", "listen", "You hear both; they do not hear you"),
        ("Whisper", "whisper", "You hear both; only your colleague hears you"),
        ("Join", "full", "You hear both, and both hear you"),
    ],
)
def test_an_operator_listens_to_a_call(
    page: Page, demo: DemoProcess, button: str, mode: str, hint: str
) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    _choose_my_phone(page)
    _open_a_talking_person(page)
    before = len(_JOINED.findall(demo.output()))
    choice = page.get_by_role("dialog").get_by_role("button", name=button, exact=True)
    expect(choice).to_have_attribute("title", hint)
    choice.click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(toasts(page)).to_contain_text("Your phone rings: answer it to hear ")
    joined = eventually(lambda: _JOINED.findall(demo.output())[before:], "the demo's switch obeys")
    assert [one for one, _ in joined] == [mode]
    # The telephone is in the call now, so that the call is the operator's.
    mine = page.locator("tr[data-lane=mine]:not([data-state=ended])")
    expect(mine.first).to_be_visible()


def test_without_permission_or_a_phone_nothing_offers_to_listen(page: Page, demo: DemoProcess) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    people = page.get_by_role("complementary", name="People").get_by_role("listitem")
    people.filter(has=page.locator(".dot.talking")).first.get_by_role("button").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Call")).to_be_visible()
    expect(dialog.get_by_role("button", name="Listen")).to_have_count(0)
