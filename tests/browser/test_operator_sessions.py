"""An operator's session with the demo's switch: by keyboard alone, and by pointer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Locator, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from tests.browser.console_page import (
    accessibility_violations,
    call_row,
    sign_in_and_connect,
    toasts,
)
from tests.browser.demo_process import DemoProcess

#: The operator's extension: that of the front desk, who is never undisturbed.
MINE = "2001"

#: Telephones of the demo do not answer every call, and others answer calls while the test looks at them.
_ATTEMPTS = 12


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProcess]:
    options = ("--calls-per-minute", "45", "--max-calls", "30", "--accounts", "2")
    process = DemoProcess(tmp_path_factory.mktemp("demo"), *options, seed=1)
    yield process
    process.stop()
    assert "Traceback" not in process.output()


def test_an_operator_works_by_keyboard(page: Page, demo: DemoProcess) -> None:
    press = page.keyboard.press
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    page.get_by_role("button", name="Choose my phone…").focus()
    press("Enter")
    page.keyboard.type(MINE)
    press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("My phone: ")
    assert accessibility_violations(page) == []
    press("Escape")

    def answer(row: Locator) -> None:
        row.focus(timeout=2_000)
        press("a")

    row = _answer_a_ringing_call(page, answer)
    row.focus()
    press("h")
    expect(row).to_have_attribute("data-state", "held")
    press("h")
    expect(row).to_have_attribute("data-state", "answered")
    expect(row).to_be_focused()
    press("p")
    expect(row).to_have_attribute("data-lane", "parked")
    press("p")
    expect(row).to_have_attribute("data-lane", "mine")
    expect(row).to_have_attribute("data-state", "answered")

    expect(row).to_be_focused()

    def consult(colleague: str) -> None:
        press("t")
        dialog = page.get_by_role("dialog", name="Transfer")
        page.keyboard.type(colleague)
        expect(dialog.get_by_role("option").first).to_contain_text(colleague)
        assert accessibility_violations(page) == []
        press("Control+Enter")

    _until_consulting(page, row, consult)
    press("x")
    expect(toasts(page)).to_contain_text("is off hold")
    press("b")
    expect(toasts(page)).to_contain_text("is back")
    expect(row.get_by_role("button", name="Transfer…")).to_be_visible()
    expect(row).to_be_focused()
    colleague = _until_consulting(page, row, consult)
    press("j")
    expect(toasts(page)).to_contain_text(re.compile(rf"is connected to .*\({colleague}\)"))
    expect(row).not_to_have_attribute("data-lane", "mine")

    people = page.get_by_role("complementary", name="People")

    def call_a_colleague() -> None:
        people.get_by_role("searchbox").focus()
        press("Control+a")
        press("Delete")
        page.keyboard.type(_free_colleague(page))
        expect(people.get_by_role("listitem")).to_have_count(1)
        press("ArrowDown")
        press("Tab")
        press("Enter")

    _until_connected(page, call_a_colleague)

    page.get_by_role("button", name=re.compile(r"Recent \d")).focus()
    press("Enter")
    recent = page.get_by_role("complementary", name="Recent")
    recent.get_by_role("checkbox", name="Missed only").focus()
    press("Space")
    recent.get_by_role("button", name="Call ").first.focus()
    _until_connected(page, lambda: press("Enter"))
    assert accessibility_violations(page) == []


def test_an_operator_works_by_pointer(page: Page, demo: DemoProcess) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    page.get_by_role("button", name="Choose my phone…").click()
    preferences = page.get_by_role("dialog")
    preferences.get_by_role("combobox", name="Person, extension or number").fill(MINE)
    preferences.get_by_role("option").first.click()
    preferences.get_by_role("button", name="Use this phone").click()
    preferences.get_by_label("Park slots").fill("901-903")
    preferences.get_by_role("button", name="Close").click()

    row = _answer_a_ringing_call(
        page, lambda ringing: ringing.get_by_role("button", name="Pick up").click(timeout=2_000)
    )
    row.get_by_role("button", name="Hold").click()
    row.get_by_role("button", name="Resume").click()
    expect(row).to_have_attribute("data-state", "answered")
    row.get_by_role("button", name="Transfer…").click()
    dialog = page.get_by_role("dialog", name="Transfer")
    dialog.get_by_label("Park slot").select_option("902")
    dialog.get_by_role("button", name="Park").click()
    expect(row).to_contain_text("Parked in 902")
    expect(row).to_contain_text(f"({MINE})")
    row.get_by_role("button", name="Retrieve").click()
    expect(row).to_have_attribute("data-state", "answered")

    def consult(colleague: str) -> None:
        row.get_by_role("button", name="Transfer…").click()
        dialog.get_by_label("Extension or number").fill(colleague)
        dialog.get_by_role("option").first.click()
        dialog.get_by_role("button", name="Talk first").click()

    colleague = _until_consulting(page, row, consult)
    row.get_by_role("button", name="Swap").click()
    expect(toasts(page)).to_contain_text("is off hold")
    row.get_by_role("button", name="Complete").click()
    expect(toasts(page)).to_contain_text(re.compile(rf"is connected to .*\({colleague}\)"))

    people = page.get_by_role("complementary", name="People")
    held = call_row(page, demo.held_call(demo.tenants[0]))
    # Alone in the table, so that it does not move while it is dragged.
    caller = held.get_by_role("gridcell").first.inner_text().splitlines()[-1]
    search = page.get_by_role("searchbox", name="Search calls")
    search.fill(caller)
    colleague = _free_colleague(page)
    person = people.get_by_role("listitem").filter(has_text=colleague)
    held.get_by_role("gridcell").first.hover()
    page.mouse.down()
    person.hover()
    person.hover()
    expect(person).to_have_attribute("data-drop", "true")
    page.mouse.up()
    expect(toasts(page)).to_contain_text(re.compile(rf"\({colleague}\) is (ringing for|connected to)"))
    search.fill("")

    def call_a_colleague() -> None:
        person = people.get_by_role("listitem").filter(has_text=_free_colleague(page))
        person.get_by_role("button", name="Call").click()

    _until_connected(page, call_a_colleague)
    people.get_by_role("listitem").first.get_by_role("button").first.click()
    assert accessibility_violations(page) == []
    page.get_by_role("dialog").get_by_role("button", name="Close").click()
    page.get_by_role("button", name=re.compile(r"Recent \d")).click()
    recent = page.get_by_role("complementary", name="Recent")
    recent.get_by_role("checkbox", name="Missed only").check()
    _until_connected(page, recent.get_by_role("button", name="Call ").first.click)


def _free_colleague(page: Page) -> str:
    """Return the extension of a colleague who is free as soon as there is one: others may not want to be
    disturbed."""
    free = page.locator("li.person", has=page.locator(".dot.free")).filter(has_not_text=MINE)
    found = re.search(r"\b20\d\d\b", free.last.inner_text())
    assert found is not None
    return found[0]


def _answer_a_ringing_call(page: Page, answer: Callable[[Locator], None]) -> Locator:
    """Answer an incoming call at the operator's phone, and return its row."""
    for _ in range(_ATTEMPTS):
        ringing = page.locator("tr[data-lane=ringing][data-state=ringing]").first
        call_id = ringing.get_attribute("data-call-id")
        assert call_id is not None
        row = call_row(page, call_id)
        try:
            answer(row)
            # Another telephone may answer first.
            expect(row.get_by_text(MINE, exact=True)).to_be_visible(timeout=4_000)
        except (AssertionError, PlaywrightTimeoutError):
            continue
        return row
    raise AssertionError("no ringing call could be answered")


def _until_consulting(page: Page, row: Locator, consult: Callable[[str], None]) -> str:
    """Let the operator talk to a colleague first, and return the extension.

    Others may call the colleague before the operator does.
    """
    for _ in range(_ATTEMPTS):
        colleague = _free_colleague(page)
        consult(colleague)
        try:
            expect(row.get_by_role("button", name="Swap")).to_be_enabled()
        except AssertionError:
            expect(row.get_by_role("button", name="Transfer…")).to_be_visible()  # the caller is back
            continue
        return colleague
    raise AssertionError("no colleague could be consulted")


def _until_connected(page: Page, call: Callable[[], None]) -> None:
    """Call until the call is connected to the operator's phone."""
    results = (
        toasts(page)
        .locator(".success, .error")
        .filter(has_text=re.compile("is connected to your phone|No connection to"))
    )
    for _ in range(_ATTEMPTS):
        call()
        expect(results.first).to_be_visible()
        is_connected = "is connected" in results.first.inner_text()
        # Without a click, which would take the focus from what calls.
        results.first.evaluate("toast => toast.remove()")
        if is_connected:
            return
    raise AssertionError("no call was connected")
