"""The operator console with the demonstration behind it, whose switchboard makes calls and obeys."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Error, Locator, Page, expect

from tests.browser.console_page import call_row, calls, faults, picture, said, sign_in, signed_in, turn_to
from tests.browser.demo_process import DemoProcess


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProcess]:
    made = DemoProcess(
        tmp_path_factory.mktemp("demo"), "--calls-per-minute", "180", "--max-calls", "40", "--accounts", "2"
    )
    yield made
    made.stop()
    assert "Traceback" not in made.said()


def commanded(page: Page, command: str, outcome: str) -> Locator:
    """The row of a call from outside, after a command. Calls go on by themselves, so another one is taken when one was too quick;
    after its first command, a call is left alone for a while."""
    for _ in range(5):
        page.get_by_label("Any direction").select_option(label="Inbound")
        page.get_by_label("Any state").select_option(label="Talking")
        newest = calls(page).last
        expect(newest).to_be_visible(timeout=60_000)  # which calls there are just now is by chance
        row = call_row(page, str(newest.get_attribute("data-call-id")))
        page.get_by_label("Any state").select_option(value="")
        try:
            row.get_by_role("button", name=command).click(timeout=3000)
            expect(row).to_contain_text(re.compile(outcome), timeout=5000)
        except (AssertionError, Error):
            continue
        return row
    raise AssertionError(f"no call could be commanded to {command}")


def test_a_call_appears_is_parked_and_hung_up(page: Page, demo: DemoProcess) -> None:
    signed_in(page, demo.address, demo.tenants[0].token)
    row = commanded(page, "Park", r"Parked in \d+")
    caller = row.get_by_role("gridcell").first.locator("b").inner_text()
    picture(page, "parked-call")
    turn_to(page, "Parking")
    slot = page.get_by_role("list", name="Park slots").get_by_role("listitem").filter(has_text=caller)
    expect(slot).to_be_visible()
    assert faults(page) == []

    turn_to(page, "Live calls")
    row.get_by_role("button", name="Hang up").click()
    dialog = page.get_by_role("dialog", name="Hang up this call?")
    expect(dialog).to_contain_text(caller)
    dialog.get_by_role("button", name="Hang up").click()
    expect(row).to_have_attribute("data-state", "ended")
    expect(row).to_have_count(0)


def test_a_call_is_commanded_from_its_sheet(page: Page, demo: DemoProcess) -> None:
    signed_in(page, demo.address, demo.tenants[0].token)
    row = commanded(page, "Hold", "On hold")
    row.get_by_role("button", name="More…").click()
    sheet = page.get_by_role("dialog")
    sheet.get_by_role("button", name="Resume").click()
    expect(sheet.locator(".facts .badge")).to_have_text("Talking")

    sheet.get_by_label("Recording").select_option(label="Start")
    sheet.get_by_role("button", name="Record").click()
    sheet.get_by_label("Text").fill("one moment please")
    sheet.get_by_role("button", name="Say").click()
    expect(said(page)).to_contain_text("say initiated")
    assert faults(page) == []

    sheet.get_by_label("Extension or number").fill("2005")
    sheet.get_by_label("Kind").select_option(label="Attended: speak first")
    sheet.get_by_role("button", name="Transfer").click()
    expect(sheet.locator(".legs")).to_contain_text("(2005)")
    sheet.get_by_label("Which").fill("2006")
    sheet.get_by_role("button", name="Intercept").click()
    expect(sheet.locator(".legs")).to_contain_text("(2006)")
    told = demo.said()
    for command in ("hold", "resume", "record_call", "say", "transfer", "intercept"):
        assert re.search(rf"command obeyed: {command} for .*", told), command

    sheet.get_by_role("button", name="Hang up").click()
    page.get_by_role("dialog", name="Hang up this call?").get_by_role("button", name="Hang up").click()
    expect(sheet.locator(".facts .badge")).to_have_text("Ended")
    expect(sheet.get_by_role("button", name="Transfer")).to_be_disabled()


def test_a_hook_is_created_tested_and_its_attempt_seen(page: Page, demo: DemoProcess) -> None:
    reseller = demo.tenants[0]
    signed_in(page, demo.address, reseller.api_key, kind="API key")
    turn_to(page, "Webhooks")
    receiver = page.get_by_role("row", name="demo receiver").locator(".uri").inner_text()
    page.get_by_role("button", name="New webhook").click()
    form = page.get_by_role("dialog", name="New webhook")
    form.get_by_label("Name", exact=True).fill("changed users")
    form.get_by_label("Goes to").fill("no address")
    form.get_by_label("Event", exact=True).select_option(label="Object")
    form.get_by_label("The type of the object").select_option("user")
    form.get_by_label("Signed").check()
    form.get_by_role("button", name="Add to Sent along").click()
    form.get_by_label("Sent along: Key").fill("desk")
    form.get_by_label("Sent along: Value").fill("north")
    assert faults(page) == []
    page.mouse.click(5, 400)
    box = form.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] - 1, box["y"] + 200)
    expect(form.get_by_label("Name", exact=True)).to_have_value("changed users")
    form.get_by_role("button", name="Create").click()
    expect(form.get_by_label("Goes to")).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_label("Goes to")).to_be_focused()

    form.get_by_label("Goes to").fill(receiver)
    form.get_by_role("button", name="Create").click()
    secret = page.get_by_role("dialog", name="Keep this secret")
    expect(secret.get_by_label("Secret")).to_have_value(re.compile(r"whsec_.+"))
    secret.get_by_role("button", name="Close").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("changed users")
    page.get_by_role("button", name="Send a test").click()
    outcome = page.get_by_role("dialog", name="The test succeeded")
    expect(outcome).to_contain_text("type = user")
    expect(outcome).to_contain_text("desk = north")
    expect(outcome).to_contain_text("webhook-timestamp")
    expect(outcome).to_contain_text("HTTP 200")
    picture(page, "test-of-a-hook")
    outcome.get_by_role("button", name="Close").click()
    page.get_by_role("tabpanel", name="Attempts").locator("summary").first.click()
    expect(page.get_by_role("tabpanel", name="Attempts")).to_contain_text("HTTP 200")
    assert faults(page) == []

    page.get_by_role("button", name="Edit").click()
    form = page.get_by_role("dialog", name="Edit changed users")
    expect(form.get_by_label("The type of the object")).to_have_value("user")
    form.get_by_label("Name", exact=True).fill("people")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("people")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Webhooks")
    expect(page.get_by_role("row", name="people")).to_have_count(0)


def test_events_are_stopped_narrowed_down_and_opened(page: Page, demo: DemoProcess) -> None:
    signed_in(page, demo.address, demo.tenants[0].token)
    turn_to(page, "Events")
    events = page.get_by_role("list", name="Events, the latest first").get_by_role("listitem")
    expect(events.filter(has_text="CHANNEL_CREATE").first).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    count = events.count()
    expect(page.locator(".toolbar")).to_contain_text(re.compile("[1-9][0-9]* more since the pause"))
    assert events.count() == count
    page.get_by_label("Search events").fill("channel_create")
    expect(events.first).to_contain_text("CHANNEL_CREATE")
    events.first.locator("summary").click()
    expect(events.first.locator("pre")).to_contain_text('"event_name": "CHANNEL_CREATE"')
    page.get_by_role("checkbox", name="Call").uncheck()
    expect(events).to_have_count(0)
    page.get_by_role("checkbox", name="Call").check()
    assert faults(page) == []
    page.get_by_role("button", name="Go on").click()


def test_a_reseller_looks_at_those_below_and_they_see_nothing_of_others(
    page: Page, browser: Browser, demo: DemoProcess
) -> None:
    reseller, sub = demo.tenants
    signed_in(page, demo.address, reseller.token)
    turn_to(page, "Webhooks")
    page.get_by_role("link", name="demo receiver").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("demo receiver")
    page.get_by_role("button", name=f"Account {reseller.name}").click()
    search = page.get_by_role("combobox", name="Search accounts")
    search.fill(sub.name[:6].lower())
    expect(page.get_by_role("listbox", name="Accounts").get_by_role("option")).to_have_count(1)
    assert faults(page) == []
    search.press("Enter")
    expect(page.get_by_role("button", name=f"Account {sub.name}")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Webhooks")
    turn_to(page, "Live calls")
    expect(calls(page).first).to_be_visible()

    other = browser.new_context().new_page()
    sign_in(other, demo.address, sub.token)
    expect(calls(other).first).to_be_visible()
    expect(other.locator(".account")).to_have_text(sub.name)
    expect(other.get_by_role("button", name="Account")).to_have_count(0)
    turn_to(other, "Events")
    ids = set()
    for event in (
        other.get_by_role("list", name="Events, the latest first").get_by_role("listitem").all()[:20]
    ):
        event.locator("summary").click()
        ids |= set(re.findall(r'"account_id": "(\w{32})"', event.locator("pre").inner_text()))
    assert ids <= {sub.account_id}
    other.context.close()


def test_two_browsers_stay_in_step(page: Page, browser: Browser, demo: DemoProcess) -> None:
    other = browser.new_context().new_page()
    for one in (page, other):
        signed_in(one, demo.address, demo.tenants[0].token)
    row = commanded(page, "Hold", "On hold")
    same = call_row(other, str(row.get_attribute("data-call-id")))
    expect(same).to_contain_text("On hold")
    same.get_by_role("button", name="Resume").click()
    expect(row).to_contain_text("Talking")
    for one in (page, other):
        turn_to(one, "Sockets")
    expect(page.get_by_role("row", name="operator console")).to_have_count(2)
    assert faults(page) == []
    other.context.close()


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 400), ("dark", 400)]
)
def test_no_view_has_a_serious_accessibility_fault(
    page: Page, demo: DemoProcess, scheme: str, width: int
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(demo.address)
    assert faults(page) == []
    signed_in(page, demo.address, demo.tenants[0].token)
    expect(calls(page).first).to_be_visible()
    for view in ("Live calls", "Parking", "Events", "Webhooks", "Sockets"):
        turn_to(page, view)
        assert faults(page) == [], view
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        picture(page, f"{view}-{scheme}-{width}".lower().replace(" ", "-"))
