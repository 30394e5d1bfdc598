"""The operator console on a real broker: what it shows when it comes late, loses the server, or loses its rights; and replaying."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.console_page import (
    call_row,
    calls,
    connection,
    faults,
    picture,
    said,
    sign_in,
    signed_in,
    turn_to,
)
from tests.browser.switch_node import SwitchNode
from tests.browser.world import ACCOUNT, OTHER
from tests.integration.bridge_process import BridgeProcess
from tests.integration.cutting_proxy import CuttingProxy
from tests.integration.rabbitmq import RabbitNode
from tests.integration.web_receiver import WebReceiver


@pytest.fixture
def bridge(tmp_path: Path, vhost_uri: str) -> Iterator[BridgeProcess]:
    made = BridgeProcess(
        tmp_path,
        vhost_uri,
        "[calls]\nquery_timeout_ms = 300\n[webhooks]\nretry_schedule_s = [1]\nretry_bad_status = true\n",
    )
    for account in (ACCOUNT, OTHER):
        made.command("account", "create", "--id", account)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def switch(vhost_uri: str) -> Iterator[SwitchNode]:
    made = SwitchNode(vhost_uri)
    yield made
    made.close()


@pytest.fixture
def receiver() -> Iterator[WebReceiver]:
    made = WebReceiver()
    yield made
    made.stop()


def address(bridge: BridgeProcess) -> str:
    return f"http://127.0.0.1:{bridge.port}/console/"


def test_what_began_before_the_console_was_opened_is_there(
    page: Page, bridge: BridgeProcess, switch: SwitchNode
) -> None:
    switch.begin("early", silent=True)
    switch.begin("of-another", OTHER, silent=True)
    signed_in(page, address(bridge), bridge.command("token", "create", "--account", ACCOUNT))
    expect(call_row(page, "early")).to_contain_text("Talking")
    expect(calls(page)).to_have_count(1)
    page.reload()
    expect(call_row(page, "early")).to_be_visible()

    switch.begin("later")
    expect(call_row(page, "later")).to_contain_text("Caller later")
    call_row(page, "later").get_by_role("button", name="Hold").click()
    expect(said(page)).to_contain_text("hold initiated")
    command = switch.commands.get(timeout=10)
    assert (command["Action"], command["Call-ID"]) == ("hold", "later")
    call_row(page, "later").get_by_role("button", name="Transfer…").click()
    page.get_by_label("Extension or number").fill("2007")
    page.get_by_role("dialog").get_by_role("button", name="Transfer").click()
    command = switch.commands.get(timeout=10)
    assert (command["Action"], command["Data"]) == ("transfer", {"target": "2007", "transfer-type": "blind"})


def test_the_table_is_searched_filtered_and_sorted(
    page: Page, bridge: BridgeProcess, switch: SwitchNode
) -> None:
    signed_in(page, address(bridge), bridge.command("token", "create", "--account", ACCOUNT))
    expect(page.locator(".table-box .empty")).to_have_text("There are no calls just now.")
    hostile = "<img src=x onerror=alert(1)>" + 300 * "W"
    switch.begin("hostile", Caller_ID_Name=hostile)
    expect(call_row(page, "hostile")).to_contain_text(hostile)
    call_row(page, "hostile").get_by_role("button", name="More…").click()
    assert page.get_by_role("dialog").evaluate("sheet => sheet.scrollWidth <= sheet.clientWidth")
    page.keyboard.press("Escape")
    switch.end("hostile")
    expect(call_row(page, "hostile")).to_have_count(0)
    for name in ("Beate", "Carl", "Ada"):
        switch.begin(name.lower(), Caller_ID_Name=name)
    switch.event("CHANNEL_HOLD", "carl")
    expect(calls(page)).to_have_count(3)
    page.get_by_role("button", name="From").click()
    assert [text.split()[0] for text in calls(page).all_inner_texts()] == ["Ada", "Beate", "Carl"]
    page.get_by_role("button", name="From").click()
    assert [text.split()[0] for text in calls(page).all_inner_texts()] == ["Carl", "Beate", "Ada"]
    expect(page.get_by_role("columnheader", name="From")).to_have_attribute("aria-sort", "descending")
    page.get_by_label("Any state").select_option("held")
    expect(calls(page)).to_have_count(1)
    page.get_by_label("Any state").select_option("")
    page.get_by_role("searchbox", name="Search calls").fill("bea 0100")
    expect(calls(page)).to_have_count(1)
    expect(page.locator(".toolbar")).to_contain_text("1 of 3 calls")


def test_everything_works_with_the_keyboard_alone(
    page: Page, bridge: BridgeProcess, switch: SwitchNode
) -> None:
    page.goto(address(bridge))
    page.keyboard.type(bridge.command("token", "create", "--account", ACCOUNT))
    page.keyboard.press("Enter")
    for call_id in ("first", "second", "third"):
        switch.begin(call_id)
        expect(call_row(page, call_id)).to_contain_text("Talking")
    while not page.evaluate("document.activeElement.matches('table.calls tbody tr')"):
        page.keyboard.press("Tab")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    row = call_row(page, "second")
    expect(row).to_be_focused()
    page.keyboard.press("h")
    assert switch.commands.get(timeout=10)["Action"] == "hold"
    switch.event("CHANNEL_HOLD", "second")
    expect(row).to_contain_text("On hold")
    page.keyboard.press("ArrowRight")
    expect(row.get_by_role("button", name="Resume")).to_be_focused()
    page.keyboard.press("Enter")
    assert switch.commands.get(timeout=10)["Action"] == "resume"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    sheet = page.get_by_role("dialog")
    expect(sheet).to_be_visible()
    page.keyboard.press("Escape")
    expect(sheet).to_have_count(0)
    expect(row).to_be_focused()
    page.keyboard.press("Delete")
    expect(page.get_by_role("dialog", name="Hang up this call?")).to_be_visible()
    page.keyboard.press("Enter")
    command = switch.commands.get(timeout=10)
    assert (command["Action"], command["Call-ID"]) == ("hangup", "second")
    expect(row).to_be_focused()
    switch.end("second")
    expect(row).to_have_count(0)
    expect(call_row(page, "third")).to_be_focused()

    page.keyboard.press("ArrowRight")
    page.keyboard.press("Tab")
    call_row(page, "third").get_by_role("button", name="Hang up").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    assert switch.commands.get(timeout=10)["Call-ID"] == "third"
    switch.end("third")
    expect(call_row(page, "third")).to_be_focused()
    expect(call_row(page, "third")).to_have_count(0)
    expect(call_row(page, "first")).to_be_focused()
    page.keyboard.press("Delete")
    asked = page.get_by_role("dialog", name="Hang up this call?")
    expect(asked).to_be_visible()
    switch.end("first")
    expect(call_row(page, "first")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(said(page)).to_contain_text("the call has ended already")
    expect(asked).to_have_count(0)
    expect(page.get_by_role("main")).to_be_focused()
    assert switch.commands.empty()


def test_who_is_parked_is_given_to_an_extension(
    page: Page, bridge: BridgeProcess, switch: SwitchNode
) -> None:
    signed_in(page, address(bridge), bridge.command("token", "create", "--account", ACCOUNT))
    switch.begin("waits")
    switch.event("PARK_PARKED", "waits", Parking_Slot="101")
    turn_to(page, "Parking")
    page.get_by_role("button", name="Transfer…").click()
    sheet = page.get_by_role("dialog")
    expect(sheet.get_by_label("Kind")).to_be_disabled()
    sheet.get_by_label("Extension or number").fill("2007")
    sheet.get_by_label("Extension or number").press("Enter")
    command = switch.commands.get(timeout=10)
    assert (command["Action"], command["Data"]) == (
        "intercept",
        {"target_type": "number", "target_id": "2007"},
    )
    switch.end("waits")
    expect(sheet.get_by_role("status").first).to_have_text("Ended")
    expect(sheet.get_by_role("button", name="Close")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("main")).to_be_focused()


def test_it_says_that_the_server_hears_nothing_of_the_switch(
    page: Page, tmp_path: Path, vhost_uri: str, rabbit: RabbitNode
) -> None:
    proxy = CuttingProxy(rabbit.port, lambda _: (None, None))
    bridge = BridgeProcess(
        tmp_path,
        vhost_uri.replace(f":{rabbit.port}/", f":{proxy.port}/"),
        "[calls]\nquery_timeout_ms = 300\n",
    )
    bridge.command("account", "create", "--id", ACCOUNT)
    bridge.start()
    switch = SwitchNode(vhost_uri)
    try:
        switch.begin("ends")
        signed_in(page, address(bridge), bridge.command("token", "create", "--account", ACCOUNT))
        expect(call_row(page, "ends")).to_be_visible()
        proxy.cut = lambda _: (0, 0)
        proxy.cut_all()
        expect(connection(page)).to_have_text("No switch")
        expect(page.get_by_role("alert")).to_contain_text("live calls are as they were at")
        assert faults(page) == []
        switch.end("ends")
        switch.begin("begins")
        proxy.cut = lambda _: (None, None)
        expect(connection(page)).to_have_text("Live")
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(call_row(page, "begins")).to_be_visible()
        expect(call_row(page, "ends")).to_have_count(0)
    finally:
        switch.close()
        bridge.stop()
        proxy.stop()


def test_it_says_that_it_is_offline_and_catches_up_by_itself(
    page: Page, bridge: BridgeProcess, switch: SwitchNode
) -> None:
    signed_in(page, address(bridge), bridge.command("token", "create", "--account", ACCOUNT))
    switch.begin("stays")
    switch.begin("goes")
    expect(calls(page)).to_have_count(2)
    expect(said(page)).not_to_contain_text("Connected again")

    bridge.signal(signal.SIGKILL)
    bridge.ended()
    expect(connection(page)).to_have_text("Offline")
    expect(page.get_by_role("alert")).to_contain_text("what you see is from")
    assert faults(page) == []
    picture(page, "offline")
    switch.end("goes")
    switch.begin("new")

    page.get_by_role("button", name="Try now").click()
    expect(connection(page)).to_have_text("Offline")

    bridge.start()
    page.evaluate(
        "dispatchEvent(new Event('online'))"
    )  # which the browser says when a cable is plugged in; the page does not wait then
    expect(connection(page)).to_have_text("Live")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(call_row(page, "new")).to_be_visible()
    expect(call_row(page, "goes")).to_have_count(0)
    expect(call_row(page, "stays")).to_be_visible()
    turn_to(page, "Events")
    expect(page.get_by_role("list", name="Events, the latest first")).to_contain_text("events are missing")


def test_a_token_that_is_revoked_ends_the_session(page: Page, bridge: BridgeProcess) -> None:
    token = bridge.command("token", "create", "--account", ACCOUNT)
    sign_in(page, address(bridge), "no-such-token")
    expect(page.get_by_role("alert")).to_contain_text("not good")
    sign_in(page, address(bridge), "no-such-key", kind="API key")
    expect(page.get_by_role("alert")).to_contain_text("This API key is not good")
    signed_in(page, address(bridge), token)
    bridge.command("token", "revoke", token)
    expect(said(page)).to_contain_text("expired or was revoked")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0


def test_an_account_that_may_be_looked_at_no_longer_is_told(page: Page, bridge: BridgeProcess) -> None:
    signed_in(page, address(bridge), bridge.command("token", "create", "--account", ACCOUNT))
    page.evaluate(
        """other => {
            const [key] = Object.keys(sessionStorage);
            const session = JSON.parse(sessionStorage.getItem(key));
            sessionStorage.setItem(key, JSON.stringify({ ...session, account: { id: other, name: "other" } }));
            location.hash = "#/%";
        }""",
        OTHER,
    )
    page.reload()
    expect(page.locator(".table-box .empty")).to_have_text(
        "Live calls cannot be shown: unauthorized account id."
    )
    turn_to(page, "Webhooks")
    expect(page.locator(".table-box .empty")).to_contain_text("The webhooks cannot be listed")


def test_deliveries_that_were_given_up_are_replayed(
    page: Page, bridge: BridgeProcess, switch: SwitchNode, receiver: WebReceiver
) -> None:
    receiver.status = 500
    token = bridge.command("token", "create", "--account", ACCOUNT)
    document = {
        "name": "fragile",
        "uri": receiver.url,
        "hook": "channel_create",
        "retries": 0,
        "format": "json",
    }
    bridge.rest("PUT", f"/v2/accounts/{ACCOUNT}/webhooks", token, document)
    switch.begin("call-1")
    signed_in(page, address(bridge), token)
    turn_to(page, "Webhooks")
    expect(page.get_by_role("row", name="fragile")).to_contain_text("2 failed")
    page.get_by_role("link", name="fragile").click()
    attempts = page.get_by_role("tabpanel", name="Attempts")
    opened = attempts.locator("details").filter(has_text="500").last
    opened.locator("summary").click()
    expect(attempts).to_contain_text("HTTP 500")
    expect(attempts).to_contain_text('"call_id": "call-1"')
    switch.begin("call-2")
    expect(attempts.locator("summary")).to_have_count(4)
    expect(opened.locator("summary")).to_be_focused()
    expect(opened).to_contain_text('"call_id": "call-1"')
    page.get_by_role("tab", name="Attempts").press("ArrowLeft")
    dead = page.get_by_role("tabpanel", name="Given up")
    expect(dead.locator("summary")).to_have_count(2)
    assert faults(page) == []

    receiver.status = 200
    dead.get_by_role("button", name="Replay all").click()
    page.get_by_role("dialog").get_by_role("button", name="Replay", exact=True).click()
    expect(said(page)).to_contain_text("2 deliveries are made again")
    expect(dead).to_contain_text("No delivery was given up.")
    expect(page.locator(".facts")).to_contain_text(re.compile("2 succeeded"))
    ids = [
        value
        for arrival in receiver.arrivals
        for name, value in arrival.headers.items()
        if name.lower() == "webhook-id"
    ]
    assert (len(ids), len(set(ids))) == (6, 2)


def test_hooks_that_were_disabled_for_failing_are_enabled_again(
    page: Page, bridge: BridgeProcess, switch: SwitchNode, receiver: WebReceiver
) -> None:
    receiver.status = 410
    token = bridge.command("token", "create", "--account", ACCOUNT)
    document = {"name": "gone", "uri": receiver.url, "hook": "channel_create", "retries": 0}
    bridge.rest("PUT", f"/v2/accounts/{ACCOUNT}/webhooks", token, document)
    switch.begin("call-1")
    signed_in(page, address(bridge), token)
    turn_to(page, "Webhooks")
    row = page.get_by_role("row", name="gone")
    expect(row).to_contain_text("Disabled")
    receiver.status = 200
    page.get_by_role("button", name="Re-enable all that failed").click()
    expect(row).to_contain_text("Enabled")
    expect(said(page)).to_contain_text("1 webhook is enabled again")
