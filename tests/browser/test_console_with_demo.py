"""The operator console with the demo, whose simulated switch makes calls and executes commands."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from kazoo_bridge.kazoo import to_gregorian
from tests.browser.console_page import (
    accessibility_violations,
    call_row,
    call_rows,
    open_view,
    save_screenshot,
    sign_in,
    sign_in_and_connect,
    toasts,
)
from tests.browser.demo_process import DemoProcess


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProcess]:
    options = ("--calls-per-minute", "180", "--max-calls", "40", "--accounts", "2")
    process = DemoProcess(tmp_path_factory.mktemp("demo"), *options, seed=1)
    yield process
    process.stop()
    assert "Traceback" not in process.output()


def test_call_is_parked_and_hung_up(page: Page, demo: DemoProcess) -> None:
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    expect(page.get_by_text("No broker")).to_be_visible()  # the demo's bus is its own
    row = call_row(page, demo.held_call(demo.tenants[0]))
    expect(row).to_contain_text("On hold")
    row.get_by_role("button", name="Park").click()
    expect(row).to_contain_text(re.compile(r"Parked in \d+"))
    caller = row.get_by_role("gridcell").first.locator("b").inner_text()
    save_screenshot(page, "parked-call")
    open_view(page, "Parking")
    slot = page.get_by_role("list", name="Park slots").get_by_role("listitem").filter(has_text=caller)
    expect(slot).to_be_visible()
    assert accessibility_violations(page) == []

    open_view(page, "Live calls")
    row.get_by_role("button", name="Hang up").click()
    dialog = page.get_by_role("dialog", name="Hang up this call?")
    expect(dialog).to_contain_text(caller)
    dialog.get_by_role("button", name="Hang up").click()
    expect(row).to_have_attribute("data-state", "ended")
    expect(row).to_have_count(0)


def test_call_is_operated_from_its_dialog(page: Page, demo: DemoProcess) -> None:
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    row = call_row(page, demo.held_call(demo.tenants[0]))
    row.get_by_role("button", name="Resume").click()
    expect(row).to_contain_text("Talking")
    row.get_by_role("button", name="Hold").click()
    expect(row).to_contain_text("On hold")
    row.get_by_role("button", name="More…").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Resume").click()
    expect(dialog.locator(".properties .badge")).to_have_text("Talking")

    dialog.get_by_label("Recording").select_option(label="Start")
    dialog.get_by_role("button", name="Record").click()
    dialog.get_by_label("Text").fill("one moment please")
    dialog.get_by_role("button", name="Say").click()
    expect(toasts(page)).to_contain_text("Asked the switch to say this to")
    assert accessibility_violations(page) == []

    dialog.get_by_label("Extension or number").fill("zz zz")
    dialog.get_by_role("button", name="Transfer", exact=True).click()
    failure = toasts(page).locator(".error")
    expect(failure).to_contain_text(re.compile(r"Could not transfer .* to zz zz: nothing happened"))

    dialog.get_by_label("Extension or number").fill("2005")
    dialog.get_by_role("combobox", name="Type", exact=True).select_option(
        label="Attended: talk to the target first"
    )
    dialog.get_by_role("button", name="Transfer").click()
    expect(dialog.locator(".legs")).to_contain_text("(2005)")
    dialog.get_by_role("textbox", name="Target", exact=True).fill("2006")
    dialog.get_by_role("button", name="Intercept").click()
    expect(dialog.locator(".legs")).to_contain_text("(2006)")
    output = demo.output()
    for command in ("hold", "resume", "record_call", "say", "transfer", "intercept"):
        assert re.search(rf"command obeyed: {command} for .*", output), command

    dialog.get_by_role("button", name="Hang up").click()
    page.get_by_role("dialog", name="Hang up this call?").get_by_role("button", name="Hang up").click()
    expect(dialog.locator(".properties .badge")).to_have_text("Ended")
    expect(dialog.get_by_role("button", name="Transfer")).to_be_disabled()


def test_webhook_is_created_tested_edited_and_deleted(page: Page, demo: DemoProcess) -> None:
    reseller = demo.tenants[0]
    sign_in_and_connect(page, demo.address, reseller.api_key, kind="API key")
    open_view(page, "Webhooks")
    receiver = page.get_by_role("row", name="demo receiver").locator(".url").inner_text()
    page.get_by_role("button", name="New webhook").click()
    form = page.get_by_role("dialog", name="New webhook")
    form.get_by_label("Name", exact=True).fill("changed users")
    form.get_by_label("URL").fill("no address")
    form.get_by_label("Event", exact=True).select_option(label="Object")
    form.get_by_label("The type of the object").select_option("user")
    form.get_by_label("Signature of requests").select_option(label="Shared secret (HMAC)")
    expect(form.get_by_label("Sample payload")).to_contain_text('"action": "doc_created"')
    form.get_by_text("Receiver, custom data and headers").click()
    form.get_by_role("button", name="Add to Custom data").click()
    form.get_by_label("Custom data: Key").fill("desk")
    form.get_by_label("Custom data: Value").fill("north")
    form.get_by_label("Success codes").fill("200, 2xx")
    form.get_by_label("Retry after").fill("none")
    form.get_by_role("button", name="Add to Headers").click()
    form.get_by_label("Headers: Name").fill("X-Api-Key")
    form.get_by_label("Headers: Value").fill("hunter2")
    assert accessibility_violations(page) == []
    page.mouse.click(5, 400)
    box = form.bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] - 1, box["y"] + 200)
    expect(form.get_by_label("Name", exact=True)).to_have_value("changed users")
    form.get_by_role("button", name="Create").click()
    expect(form.get_by_label("URL")).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_label("URL")).to_be_focused()

    form.get_by_label("URL").fill(receiver)
    form.get_by_role("button", name="Create").click()
    secret = page.get_by_role("dialog", name="Save this secret")
    expect(secret.get_by_role("textbox", name="Secret")).to_have_value(re.compile(r"whsec_.+"))
    secret.get_by_role("button", name="Close").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("changed users")
    page.get_by_role("button", name="Send a test").click()
    outcome = page.get_by_role("dialog", name="The test succeeded")
    expect(outcome).to_contain_text('"type": "user"')
    expect(outcome).to_contain_text('"desk": "north"')
    expect(outcome).to_contain_text("webhook-timestamp")
    expect(outcome).to_contain_text("HTTP 200")
    save_screenshot(page, "webhook-test")
    outcome.get_by_role("button", name="Close").click()
    page.get_by_role("tabpanel", name="Attempts").locator("summary").first.click()
    expect(page.get_by_role("tabpanel", name="Attempts")).to_contain_text("HTTP 200")
    assert accessibility_violations(page) == []

    page.get_by_role("button", name="Edit").click()
    form = page.get_by_role("dialog", name="Edit changed users")
    expect(form.get_by_label("The type of the object")).to_have_value("user")
    expect(form.get_by_label("Success codes")).to_have_value("200, 2xx")
    expect(form.get_by_label("Retry after")).to_have_value("none")
    value = form.get_by_label("Headers: Value")
    expect(value).to_have_value("")
    expect(value).to_have_attribute("placeholder", "********")
    form.get_by_role("button", name="Add to Filters").click()
    form.get_by_label("Filters: Key").fill("id")
    form.get_by_label("Filters: Value").fill('{"$prefix": }')
    form.get_by_role("button", name="Save").click()
    expect(form.locator(".error-text", has_text="id: expected JSON")).to_be_visible()
    expect(form.get_by_label("Filters: Value")).to_have_attribute("aria-invalid", "true")
    form.get_by_label("Filters: Value").fill('{"$prefix": "a"}')
    form.get_by_label("Name", exact=True).fill("people")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("people")
    page.get_by_role("button", name="Duplicate").click()
    copy = page.get_by_role("dialog", name="New webhook")
    expect(copy.get_by_label("Name", exact=True)).to_have_value("people (copy)")
    expect(copy.get_by_label("Headers: Name")).to_have_count(0)
    copy.get_by_role("button", name="Cancel").click()
    page.get_by_role("button", name="Code").click()
    code = page.get_by_role("dialog", name="Code for the receiver")
    expect(code.get_by_label("curl", exact=True)).to_contain_text("curl -i -X POST")
    expect(code.get_by_label("Python", exact=True)).to_contain_text("def verify")
    assert accessibility_violations(page) == []
    code.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Webhooks")
    expect(page.get_by_role("row", name="people")).to_have_count(0)


def test_a_suspended_webhook_shows_what_waits_and_when_it_is_probed(page: Page, demo: DemoProcess) -> None:
    def suspend(route: Route) -> None:
        response = route.fetch()
        envelope = response.json()
        hooks = envelope["data"] if isinstance(envelope["data"], list) else [envelope["data"]]
        health = {
            "deliveries_waiting": 12,
            "events_missed": 3,
            "next_probe": to_gregorian(time.time()) + 300,
        }
        for hook in hooks:
            if route.request.url.partition("?")[0].endswith("/health"):
                hook |= health
            else:
                hook |= {"enabled": False, "disable_reason": "too many failed attempts"}
                hook["health"] = hook.get("health", {}) | health
        route.fulfill(response=response, json=envelope)

    page.route(re.compile(r"/accounts/\w+/webhooks(/health|/\w{32})?(\?.*)?$"), suspend)
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    open_view(page, "Webhooks")
    row = page.get_by_role("row", name="demo receiver")
    expect(row.locator(".badge")).to_have_text("Suspended")
    expect(row).to_contain_text(
        re.compile(r"its receiver fails; 12 events wait, next probe in [45]:\d\d, 3 missed")
    )
    assert accessibility_violations(page) == []
    page.get_by_role("link", name="demo receiver").click()
    expect(page.locator(".view-header .badge")).to_have_class("badge error")
    page.get_by_role("tab", name="Pending").click()
    expect(page.get_by_role("tabpanel", name="Pending")).to_contain_text(
        "suspended because its receiver fails"
    )
    assert accessibility_violations(page) == []
    page.unroute_all(behavior="wait")


def test_events_are_paused_filtered_and_opened(page: Page, demo: DemoProcess) -> None:
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    open_view(page, "Events")
    events = page.get_by_role("list", name="Events, newest first").get_by_role("listitem")
    expect(events.filter(has_text="CHANNEL_CREATE").first).to_be_visible()
    opened = events.filter(has=page.locator("details[open]"))
    events.first.locator("summary").click()
    expect(opened).to_have_count(1)
    place = opened.bounding_box()
    expect(page.get_by_role("button", name="Resume")).to_have_attribute("aria-pressed", "true")
    count = events.count()
    expect(page.locator(".toolbar")).to_contain_text(re.compile("[1-9][0-9]* more since the pause"))
    assert (events.count(), opened.bounding_box()) == (count, place)
    page.get_by_role("button", name="Resume").click()
    expect(opened).to_have_count(0)
    page.get_by_role("button", name="Pause").click()
    page.get_by_label("Search events").fill("channel_create")
    expect(events.first).to_contain_text("CHANNEL_CREATE")
    events.first.locator("summary").click()
    expect(events.first.locator("pre")).to_contain_text('"event_name": "CHANNEL_CREATE"')
    page.get_by_role("checkbox", name="Call").uncheck()
    expect(events).to_have_count(0)
    page.get_by_role("checkbox", name="Call").check()
    assert accessibility_violations(page) == []
    page.get_by_role("button", name="Resume").click()


def test_reseller_switches_to_a_sub_account_which_sees_only_itself(
    page: Page, browser: Browser, demo: DemoProcess
) -> None:
    reseller, sub = demo.tenants
    sign_in_and_connect(page, demo.address, reseller.token)
    open_view(page, "Webhooks")
    page.get_by_role("link", name="demo receiver").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("demo receiver")
    page.get_by_role("button", name=f"Account {reseller.name}").click()
    search = page.get_by_role("combobox", name="Search accounts")
    search.fill(sub.name[:6].lower())
    expect(page.get_by_role("listbox", name="Accounts").get_by_role("option")).to_have_count(1)
    assert accessibility_violations(page) == []
    search.press("Enter")
    expect(page.get_by_role("button", name=f"Account {sub.name}")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("Webhooks")
    open_view(page, "Live calls")
    expect(call_rows(page).first).to_be_visible()

    other = browser.new_context().new_page()
    sign_in(other, demo.address, sub.token)
    expect(call_rows(other).first).to_be_visible()
    expect(other.locator(".account")).to_have_text(sub.name)
    expect(other.get_by_role("banner").get_by_role("button", name="Account")).to_have_count(0)
    open_view(other, "Events")
    expect(other.get_by_role("list", name="Events, newest first")).to_contain_text("CHANNEL_CREATE")
    other.get_by_role("button", name="Pause").click()
    account_ids = set()
    for event in other.get_by_role("list", name="Events, newest first").get_by_role("listitem").all()[:20]:
        event.locator("summary").click()
        account_ids |= set(re.findall(r'"account_id": "(\w{32})"', event.locator("pre").inner_text()))
    assert account_ids == {sub.account_id}
    other.context.close()


def test_two_browsers_show_the_same_state(page: Page, browser: Browser, demo: DemoProcess) -> None:
    other = browser.new_context().new_page()
    for one in (page, other):
        sign_in_and_connect(one, demo.address, demo.tenants[0].token)
    call_id = demo.held_call(demo.tenants[0])
    row, other_row = call_row(page, call_id), call_row(other, call_id)
    expect(other_row).to_contain_text("On hold")
    row.get_by_role("button", name="Resume").click()
    expect(other_row).to_contain_text("Talking")
    row.get_by_role("button", name="Hold").click()
    expect(other_row).to_contain_text("On hold")
    other_row.get_by_role("button", name="Resume").click()
    expect(row).to_contain_text("Talking")
    for one in (page, other):
        open_view(one, "Sockets")
    expect(page.get_by_role("row", name="operator console")).to_have_count(2)
    for one in (page, other):
        expect(one.locator("tr[data-own=true]")).to_have_count(1)
        # From the second list on, ten seconds later.
        expect(one.locator("tr[data-own=true]")).to_contain_text(re.compile(r"\d/s"))
    assert accessibility_violations(page) == []
    other.context.close()


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 400), ("dark", 400)]
)
def test_views_have_no_serious_accessibility_violations(
    page: Page, demo: DemoProcess, scheme: str, width: int
) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": width, "height": 800})
    page.goto(demo.address)
    assert accessibility_violations(page) == []
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    expect(call_rows(page).first).to_be_visible()
    for view in ("Live calls", "Parking", "Events", "Webhooks", "Sockets", "Account"):
        open_view(page, view)
        assert accessibility_violations(page) == [], view
        assert page.locator("#app").evaluate("app => app.scrollWidth") <= width, view
        save_screenshot(page, f"{view}-{scheme}-{width}".lower().replace(" ", "-"))
