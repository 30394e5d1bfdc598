"""The operator console over a real broker: calls, lost connections, lost permissions, and replay."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.console_page import (
    accessibility_violations,
    call_row,
    call_rows,
    connection_status,
    console_url,
    open_view,
    save_screenshot,
    sign_in,
    sign_in_and_connect,
    toasts,
)
from tests.browser.fake_switch import ACCOUNT_ID, OTHER_ACCOUNT_ID, FakeSwitch
from tests.integration.cutting_proxy import CuttingProxy
from tests.integration.node_process import NodeProcess, eventually
from tests.integration.rabbitmq import RabbitNode
from tests.integration.web_receiver import WebReceiver


@pytest.fixture
def node(tmp_path: Path, vhost_uri: str) -> Iterator[NodeProcess]:
    process = NodeProcess(
        tmp_path,
        vhost_uri,
        "[calls]\nquery_timeout_ms = 300\n[webhooks]\nretry_schedule_s = [1]\nretry_bad_status = true\n",
    )
    for account in (ACCOUNT_ID, OTHER_ACCOUNT_ID):
        process.command("account", "create", "--id", account)
    process.start()
    yield process
    process.stop()


def test_shows_calls_that_began_before_the_console_was_opened(
    page: Page, node: NodeProcess, switch: FakeSwitch
) -> None:
    switch.begin("early", silent=True)
    switch.begin("other-account", OTHER_ACCOUNT_ID, silent=True)
    sign_in_and_connect(page, console_url(node), node.command("token", "create", "--account", ACCOUNT_ID))
    expect(call_row(page, "early")).to_contain_text("Talking")
    expect(call_rows(page)).to_have_count(1)
    page.reload()
    expect(call_row(page, "early")).to_be_visible()

    switch.begin("later")
    expect(call_row(page, "later")).to_contain_text("Caller later")
    call_row(page, "later").get_by_role("button", name="Hold").click()
    command = switch.commands.get(timeout=10)
    assert (command["Action"], command["Call-ID"]) == ("hold", "later")
    expect(toasts(page)).to_contain_text("Putting Caller later (+15550100) on hold…")
    switch.event("CHANNEL_HOLD", "later")
    expect(toasts(page)).to_contain_text("Caller later (+15550100) is on hold")
    call_row(page, "later").get_by_role("button", name="Transfer…").click()
    page.get_by_label("Extension or number").fill("2007")
    page.get_by_role("dialog").get_by_role("button", name="Transfer").click()
    command = switch.commands.get(timeout=10)
    assert (command["Action"], command["Data"]) == ("transfer", {"target": "2007", "transfer-type": "blind"})


def test_calls_are_searched_filtered_and_sorted(page: Page, node: NodeProcess, switch: FakeSwitch) -> None:
    sign_in_and_connect(page, console_url(node), node.command("token", "create", "--account", ACCOUNT_ID))
    expect(page.locator(".table-wrapper .empty")).to_have_text("No live calls.")
    hostile = "<img src=x onerror=alert(1)>" + 300 * "W"
    switch.begin("hostile", Caller_ID_Name=hostile)
    expect(call_row(page, "hostile")).to_contain_text(hostile)
    call_row(page, "hostile").get_by_role("button", name="More…").click()
    assert page.get_by_role("dialog").evaluate("dialog => dialog.scrollWidth <= dialog.clientWidth")
    page.keyboard.press("Escape")
    switch.end("hostile")
    expect(call_row(page, "hostile")).to_have_count(0)
    for name in ("Beate", "Carl", "Ada"):
        switch.begin(name.lower(), Caller_ID_Name=name)
    switch.event("CHANNEL_HOLD", "carl")
    expect(call_rows(page)).to_have_count(3)
    names = page.locator("table.calls tbody td:first-child b")
    # The call on hold is in a lane above those that talk.
    expect(names).to_have_text(["Carl", "Ada", "Beate"])
    page.get_by_role("button", name="From").click()
    expect(names).to_have_text(["Carl", "Ada", "Beate"])
    page.get_by_role("button", name="From").click()
    expect(names).to_have_text(["Carl", "Beate", "Ada"])
    expect(page.get_by_role("columnheader", name="From")).to_have_attribute("aria-sort", "descending")
    page.get_by_role("button", name="On hold").click()
    expect(call_rows(page)).to_have_count(1)
    open_view(page, "Parking")
    open_view(page, "Live calls")
    expect(page.get_by_role("button", name="1 On hold")).to_have_attribute("aria-pressed", "true")
    expect(call_rows(page)).to_have_count(1)
    page.get_by_role("button", name="3 All").click()
    page.get_by_role("searchbox", name="Search calls").fill("bea 0100")
    expect(call_rows(page)).to_have_count(1)
    expect(page.get_by_role("search")).to_contain_text("1 of 3 calls")
    page.get_by_role("searchbox", name="Search calls").fill("bea (555) 01-00")
    expect(call_rows(page)).to_have_count(1)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    call_row(page, "beate").get_by_text("+15550100").click()
    expect(toasts(page)).to_contain_text("+15550100 copied")
    assert page.evaluate("navigator.clipboard.readText()") == "+15550100"
    expect(page.get_by_role("dialog")).to_have_count(0)

    page.get_by_role("searchbox", name="Search calls").fill("")
    expect(call_rows(page)).to_have_count(3)
    call_row(page, "beate").hover()
    switch.begin("zoe", Caller_ID_Name="Zoe")
    switch.end("carl")
    expect(names).to_have_text(["Carl", "Beate", "Ada", "Zoe"])
    expect(call_row(page, "carl")).to_have_attribute("data-state", "ended")
    page.mouse.move(5, 5)
    expect(call_row(page, "carl")).to_have_count(0)
    expect(names).to_have_text(["Zoe", "Beate", "Ada"])


def test_calls_are_operated_with_the_keyboard(page: Page, node: NodeProcess, switch: FakeSwitch) -> None:
    page.goto(console_url(node))
    page.keyboard.type(node.command("token", "create", "--account", ACCOUNT_ID))
    page.keyboard.press("Enter")
    for call_id in ("first", "second", "third"):
        switch.begin(call_id)
        expect(call_row(page, call_id)).to_contain_text("Talking")
    expect(call_row(page, "first")).to_be_focused()
    for _ in range(3):
        page.keyboard.down("2")
    page.keyboard.up("2")
    expect(page.get_by_role("heading", level=1)).to_have_text("Parking")
    page.keyboard.press("?")
    shortcuts = page.get_by_role("dialog", name="Keyboard shortcuts")
    expect(shortcuts).to_contain_text("hold or resume")
    assert accessibility_violations(page) == []
    page.keyboard.press("1")
    page.keyboard.press("Escape")
    expect(shortcuts).to_have_count(0)
    expect(page.get_by_role("heading", level=1)).to_have_text("Parking")
    page.keyboard.press("1")
    expect(call_row(page, "first")).to_be_focused()
    page.keyboard.press("/")
    search = page.get_by_role("searchbox", name="Search calls")
    expect(search).to_be_focused()
    page.keyboard.type("1/?")
    expect(search).to_have_value("1/?")
    search.fill("caller t")
    page.keyboard.press("Enter")
    expect(call_row(page, "third")).to_be_focused()
    page.keyboard.press("/")
    search.fill("")
    expect(call_rows(page)).to_have_count(3)
    page.keyboard.press("ArrowDown")
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
    switch.event("CHANNEL_UNHOLD", "second")
    expect(row).to_contain_text("Talking")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
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
    confirmation = page.get_by_role("dialog", name="Hang up this call?")
    expect(confirmation).to_be_visible()
    switch.end("first")
    expect(call_row(page, "first")).to_have_count(0)
    page.keyboard.press("Enter")
    expect(toasts(page)).to_contain_text("the call has already ended")
    expect(confirmation).to_have_count(0)
    expect(page.get_by_role("main")).to_be_focused()
    assert switch.commands.empty()


def test_transfer_of_a_parked_call_is_an_intercept(page: Page, node: NodeProcess, switch: FakeSwitch) -> None:
    sign_in_and_connect(page, console_url(node), node.command("token", "create", "--account", ACCOUNT_ID))
    switch.begin("waits")
    switch.event("PARK_PARKED", "waits", Parking_Slot="101")
    open_view(page, "Parking")
    page.get_by_role("button", name="Transfer…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Talk first")).to_have_count(0)
    dialog.get_by_label("Extension or number").fill("2007")
    dialog.get_by_label("Extension or number").press("Enter")
    command = switch.commands.get(timeout=10)
    assert (command["Action"], command["Data"]) == (
        "intercept",
        {"target_type": "number", "target_id": "2007"},
    )
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Transfer…").focus()
    switch.end("waits")
    expect(page.get_by_role("main")).to_be_focused()


def test_a_command_is_sent_once_and_its_outcome_is_shown(
    page: Page, node: NodeProcess, switch: FakeSwitch
) -> None:
    sign_in_and_connect(page, console_url(node), node.command("token", "create", "--account", ACCOUNT_ID))
    switch.begin("waits")
    row = call_row(page, "waits")
    expect(row).to_contain_text("Talking")
    row.get_by_role("button", name="Park").dblclick()
    expect(row.get_by_role("button", name="Hold")).to_be_disabled()
    for _ in range(6):
        page.keyboard.down("h")
    page.keyboard.up("h")
    assert switch.commands.get(timeout=10)["Action"] == "park"
    expect(toasts(page).locator(".pending")).to_contain_text("Parking Caller waits")
    expect(row.locator(".status.pending")).to_have_text("Parking…")
    assert _covered_buttons(page) == []
    failure = toasts(page).locator(".error")
    expect(failure).to_contain_text("Could not park Caller waits (+15550100): nothing happened")
    expect(row.locator(".status.error")).to_have_text("Nothing happened")
    assert accessibility_violations(page) == []
    assert switch.commands.empty()

    row.focus()
    for _ in range(6):
        page.keyboard.down("h")
    assert switch.commands.get(timeout=10)["Action"] == "hold"
    place = row.get_by_role("button", name="Hang up").bounding_box()
    switch.event("CHANNEL_HOLD", "waits")
    expect(toasts(page).locator(".success").filter(has_text="is on hold")).to_be_visible()
    expect(row.locator(".status.success")).to_have_text("Put on hold")
    assert row.get_by_role("button", name="Hang up").bounding_box() == place
    # The key is still held, and would resume the call.
    page.keyboard.down("h")
    page.keyboard.up("h")
    row.get_by_role("button", name="Hang up").focus()
    for _ in range(3):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")
    expect(page.get_by_role("dialog", name="Hang up this call?")).to_be_visible()
    assert switch.commands.empty()


def _covered_buttons(page: Page) -> list[str]:
    """Return the labels of visible buttons of the view below a toast."""
    covered: list[str] = page.locator("#view button").evaluate_all(
        """buttons => {
          const top = document.getElementById("toasts").getBoundingClientRect().top;
          const end = document.getElementById("app").getBoundingClientRect().bottom;
          const isCovered = (button) => Math.min(button.getBoundingClientRect().bottom, end) > top;
          return buttons.filter(isCovered).map((button) => button.textContent);
        }"""
    )
    return covered


def test_the_dialog_of_a_call_follows_a_transfer(page: Page, node: NodeProcess, switch: FakeSwitch) -> None:
    sign_in_and_connect(page, console_url(node), node.command("token", "create", "--account", ACCOUNT_ID))
    called: dict[str, Any] = {
        "Call_Direction": "outbound",
        "Caller_ID_Name": "Ines",
        "Caller_ID_Number": "2001",
    }
    yusuf = {**called, "Callee_ID_Name": "Yusuf", "Callee_ID_Number": "+15550149"}
    switch.begin("ines", Caller_ID_Name="Ines", Caller_ID_Number="2001", Other_Leg_Call_ID="yusuf")
    switch.begin("yusuf", **yusuf, Other_Leg_Call_ID="ines", Channel_Created_Time="1795528830000000")
    row = call_rows(page).first
    expect(row).to_contain_text("Yusuf")
    row.get_by_role("button", name="More…").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", level=2)).to_have_text("Ines (2001) to Yusuf (+15550149)")
    dialog.get_by_label("Extension or number").fill("2009")
    dialog.get_by_role("button", name="Transfer", exact=True).click()
    assert switch.commands.get(timeout=10)["Action"] == "transfer"
    expect(toasts(page)).to_contain_text("Transferring Yusuf (+15550149) to 2009…")
    bjarne = {**called, "Callee_ID_Name": "Bjarne", "Callee_ID_Number": "2009"}
    switch.end("ines")
    switch.begin("bjarne", **bjarne, Other_Leg_Call_ID="yusuf", Channel_Created_Time="1795528860000000")
    expect(toasts(page)).to_contain_text("Bjarne (2009) is connected to Yusuf (+15550149)")
    expect(dialog.get_by_role("heading", level=2)).to_have_text("Yusuf (+15550149) to Bjarne (2009)")
    expect(dialog.locator(".properties")).to_contain_text(":00:30")
    page.keyboard.press("Escape")
    # The call stays the same, and keeps its row.
    row = call_row(page, "ines")
    expect(row).not_to_contain_text("Ines")
    page.get_by_role("searchbox", name="Search calls").fill("0149")
    expect(row).to_be_visible()
    row.get_by_role("button", name="Hang up").click()
    expect(page.get_by_role("dialog", name="Hang up this call?")).to_contain_text(
        "Yusuf (+15550149) to Bjarne (2009)"
    )


def test_shows_that_the_server_has_lost_the_switch(
    page: Page, tmp_path: Path, vhost_uri: str, rabbit: RabbitNode
) -> None:
    proxy = CuttingProxy(rabbit.port, lambda _: (None, None))
    node = NodeProcess(
        tmp_path,
        vhost_uri.replace(f":{rabbit.port}/", f":{proxy.port}/"),
        "[calls]\nquery_timeout_ms = 300\n",
    )
    node.command("account", "create", "--id", ACCOUNT_ID)
    node.start()
    switch = FakeSwitch(vhost_uri)
    try:
        switch.begin("ends")
        sign_in_and_connect(page, console_url(node), node.command("token", "create", "--account", ACCOUNT_ID))
        expect(call_row(page, "ends")).to_be_visible()
        expect(page.get_by_text("No broker")).to_have_count(0)
        proxy.cut = lambda _: (0, 0)
        proxy.cut_all()
        expect(connection_status(page)).to_have_text("No switch")
        expect(page.get_by_role("alert")).to_contain_text("Live calls are shown as of")
        assert accessibility_violations(page) == []
        switch.end("ends")
        switch.begin("begins")
        proxy.cut = lambda _: (None, None)
        expect(connection_status(page)).to_have_text("Live")
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(call_row(page, "begins")).to_be_visible()
        expect(call_row(page, "ends")).to_have_count(0)
    finally:
        switch.close()
        node.stop()
        proxy.stop()


def test_shows_that_it_is_offline_and_recovers_by_itself(
    page: Page, node: NodeProcess, switch: FakeSwitch
) -> None:
    sign_in_and_connect(page, console_url(node), node.command("token", "create", "--account", ACCOUNT_ID))
    switch.begin("stays")
    switch.begin("goes")
    expect(call_rows(page)).to_have_count(2)
    expect(toasts(page)).not_to_contain_text("Reconnected")

    node.signal(signal.SIGKILL)
    node.ended()
    expect(connection_status(page)).to_have_text("Offline")
    expect(page.get_by_role("alert")).to_contain_text("Offline: the data shown is from")
    assert accessibility_violations(page) == []
    save_screenshot(page, "offline")
    switch.end("goes")
    switch.begin("new")

    page.get_by_role("button", name="Retry now").click()
    expect(connection_status(page)).to_have_text("Offline")

    node.start()
    # The browser's event for a restored network: the console reconnects without delay.
    page.evaluate("dispatchEvent(new Event('online'))")
    expect(connection_status(page)).to_have_text("Live")
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(call_row(page, "new")).to_be_visible()
    expect(call_row(page, "goes")).to_have_count(0)
    expect(call_row(page, "stays")).to_be_visible()
    open_view(page, "Events")
    expect(page.get_by_role("list", name="Events, newest first")).to_contain_text("events are missing")


def test_notices_a_hung_server_and_fails_commands_at_once(
    page: Page, node: NodeProcess, switch: FakeSwitch
) -> None:
    sign_in_and_connect(page, console_url(node), node.command("token", "create", "--account", ACCOUNT_ID))
    switch.begin("stays")
    expect(call_row(page, "stays")).to_contain_text("Talking")
    node.signal(signal.SIGSTOP)
    try:
        expect(connection_status(page)).to_have_text("Offline", timeout=8_000)
        call_row(page, "stays").get_by_role("button", name="Hold").click()
        expect(toasts(page).locator(".error")).to_contain_text("not connected to the server", timeout=1_000)
    finally:
        node.signal(signal.SIGCONT)
    expect(connection_status(page)).to_have_text("Live")


def test_revoked_token_ends_the_session(page: Page, node: NodeProcess) -> None:
    token = node.command("token", "create", "--account", ACCOUNT_ID)
    sign_in(page, console_url(node), "no-such-token")
    expect(page.get_by_role("alert")).to_contain_text("Invalid token")
    sign_in(page, console_url(node), "no-such-key", kind="API key")
    expect(page.get_by_role("alert")).to_contain_text("Invalid API key")
    sign_in_and_connect(page, console_url(node), token)
    node.command("token", "revoke", token)
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    # The reason stays until the user comes back.
    expect(page.locator(".sign-in").get_by_role("alert").first).to_contain_text("expired or was revoked")
    expect(toasts(page)).to_be_empty()
    assert accessibility_violations(page) == []
    assert page.evaluate("sessionStorage.length") == 0


def test_an_api_key_renews_the_sign_in_until_it_is_revoked(page: Page, node: NodeProcess) -> None:
    key = node.command("api-key", "create", "--account", ACCOUNT_ID)
    sign_in_and_connect(page, console_url(node), key, kind="API key")

    def stored(name: str) -> str:
        session = page.evaluate("JSON.parse(sessionStorage.getItem(Object.keys(sessionStorage)[0]))")
        return str(session[name])

    first = stored("token")
    assert key not in page.evaluate("JSON.stringify([sessionStorage, localStorage])")
    with page.expect_response("**/v2/api_auth"):
        node.command("token", "revoke", first)
    expect(connection_status(page)).to_have_text("Live")
    assert stored("token") != first
    open_view(page, "Sockets")
    expect(page.get_by_role("row", name="operator console")).to_have_count(1)

    # It ends the tokens too that were made with it.
    node.command("api-key", "revoke", key)
    expect(page.locator(".sign-in").get_by_role("alert").first).to_contain_text(
        "the API key is no longer valid"
    )


def test_shows_that_access_to_the_account_was_lost(page: Page, node: NodeProcess) -> None:
    sign_in_and_connect(page, console_url(node), node.command("token", "create", "--account", ACCOUNT_ID))
    page.evaluate(
        """other => {
            const [key] = Object.keys(sessionStorage);
            const session = JSON.parse(sessionStorage.getItem(key));
            session.account = { id: other, name: "other" };
            sessionStorage.setItem(key, JSON.stringify(session));
            location.hash = "#/%";
        }""",
        OTHER_ACCOUNT_ID,
    )
    page.reload()
    expect(page.locator(".table-wrapper .empty")).to_have_text(
        "Live calls are unavailable: unauthorized account id."
    )
    open_view(page, "Webhooks")
    expect(page.locator(".table-wrapper .empty-state")).to_contain_text("Cannot list the webhooks")


def test_dead_letters_are_replayed(
    page: Page, node: NodeProcess, switch: FakeSwitch, receiver: WebReceiver
) -> None:
    receiver.status = 500
    token = node.command("token", "create", "--account", ACCOUNT_ID)
    document = {
        "name": "fragile",
        "uri": receiver.url,
        "hook": "channel_create",
        "retries": 0,
        "format": "json",
    }
    node.rest("PUT", f"/v2/accounts/{ACCOUNT_ID}/webhooks", token, document)
    switch.begin("call-1")
    sign_in_and_connect(page, console_url(node), token)
    open_view(page, "Webhooks")
    expect(page.get_by_role("row", name="fragile")).to_contain_text("0 % of 2")
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
    dead = page.get_by_role("tabpanel", name="Dead letters")
    expect(dead.locator("summary")).to_have_count(2)
    assert accessibility_violations(page) == []

    receiver.status = 200
    dead.get_by_role("button", name="Replay all").click()
    page.get_by_role("dialog").get_by_role("button", name="Replay", exact=True).click()
    expect(toasts(page)).to_contain_text("Replaying 2 deliveries")
    expect(dead).to_contain_text("No dead letters")
    expect(page.locator(".properties")).to_contain_text(re.compile("2 succeeded"))
    ids = [
        value
        for arrival in receiver.arrivals
        for name, value in arrival.headers.items()
        if name.lower() == "webhook-id"
    ]
    assert (len(ids), len(set(ids))) == (6, 2)


def test_webhooks_disabled_after_failures_are_enabled_again(
    page: Page, node: NodeProcess, switch: FakeSwitch, receiver: WebReceiver
) -> None:
    receiver.status = 410
    token = node.command("token", "create", "--account", ACCOUNT_ID)
    document = {"name": "gone", "uri": receiver.url, "hook": "channel_create", "retries": 0}
    node.rest("PUT", f"/v2/accounts/{ACCOUNT_ID}/webhooks", token, document)
    switch.begin("call-1")
    sign_in_and_connect(page, console_url(node), token)
    expect(page.get_by_role("link", name="Webhooks 1 down")).to_be_visible()
    open_view(page, "Webhooks")
    row = page.get_by_role("row", name="gone")
    expect(row).to_contain_text("Disabled")
    expect(row.locator(".badge")).to_have_class("badge error")
    receiver.status = 200
    page.get_by_role("button", name="Re-enable all failed webhooks").click()
    expect(row).to_contain_text("Enabled")
    expect(toasts(page)).to_contain_text("Re-enabled 1 webhook")
    expect(page.get_by_role("link", name="Webhooks", exact=True)).to_be_visible()


def test_what_waits_for_a_disabled_webhook_is_sent_once_it_is_enabled(
    page: Page, node: NodeProcess, switch: FakeSwitch, receiver: WebReceiver
) -> None:
    receiver.status = 500
    token = node.command("token", "create", "--account", ACCOUNT_ID)
    document = {"name": "paused", "uri": receiver.url, "hook": "channel_create", "retries": 0}
    path = f"/v2/accounts/{ACCOUNT_ID}/webhooks"
    hook_id = node.rest("PUT", path, token, document).json()["data"]["id"]
    switch.begin("call-1")
    eventually(lambda: node.rest("GET", f"{path}/{hook_id}/deliveries?status=dead", token).json()["data"], "")
    node.rest("PATCH", f"{path}/{hook_id}", token, {"enabled": False})
    arrivals = len(receiver.arrivals)
    sign_in_and_connect(page, console_url(node), token)
    page.goto(f"{console_url(node)}#/webhooks/{hook_id}")
    expect(page.locator(".view-header .badge")).to_have_class("badge error")
    expect(page.locator(".view-header .badge")).to_have_text("Disabled")
    page.get_by_role("tab", name="Pending").click()
    expect(page.get_by_role("tabpanel", name="Pending")).to_contain_text(
        "The webhook is disabled, so what waits is not sent"
    )
    page.get_by_role("tab", name="Dead letters").click()
    dead = page.get_by_role("tabpanel", name="Dead letters")
    expect(dead.locator("summary")).to_contain_text("2 attempts")
    assert len(receiver.arrivals) == arrivals

    receiver.status = 200
    dead.get_by_role("button", name="Enable and send").click()
    expect(toasts(page).locator(".success").filter(has_text="The delivery was sent")).to_be_visible()
    assert len(receiver.arrivals) == arrivals + 1
    expect(page.locator(".view-header .badge")).to_have_text(re.compile("Enabled|Failing"))
    expect(dead).to_contain_text("No dead letters")


def test_a_call_that_is_dropped_on_a_person_is_transferred(
    page: Page, node: NodeProcess, switch: FakeSwitch
) -> None:
    page.set_viewport_size({"width": 1440, "height": 900})
    sign_in_and_connect(page, console_url(node), node.command("token", "create", "--account", ACCOUNT_ID))
    owned = {"Account-ID": ACCOUNT_ID, "Owner-ID": "o" * 32}
    colleague: dict[str, Any] = {
        "Caller_ID_Name": "Ines",
        "Caller_ID_Number": "2003",
        "Custom_Channel_Vars": owned,
    }
    switch.begin("colleague", **colleague)
    people = page.get_by_role("complementary", name="People")
    ines = people.get_by_role("listitem").filter(has_text="Ines")
    expect(ines).to_contain_text("2003")

    def drag(call_id: str) -> None:
        """Begin a call, and drag its name, which is no button, to the person."""
        # Alone in the table, so that it does not move while it is dragged.
        page.get_by_role("searchbox", name="Search calls").fill(f"Caller {call_id}")
        switch.begin(call_id)
        expect(call_row(page, call_id)).to_have_attribute("data-state", "answered")
        expect(call_rows(page)).to_have_count(1)
        call_row(page, call_id).get_by_text(f"Caller {call_id}").hover()
        page.mouse.down()
        ines.hover()
        ines.hover()
        expect(ines).to_have_attribute("data-drop", "true")

    drag("first")
    page.mouse.up()
    command = switch.commands.get(timeout=10)
    assert (command["Action"], command["Call-ID"]) == ("transfer", "first")
    assert command["Data"] == {"target": "2003", "transfer-type": "blind"}
    expect(toasts(page)).to_contain_text("Transferring Caller first (+15550100) to Ines…")
    expect(ines).not_to_have_attribute("data-drop", "true")
    page.keyboard.down("Control")
    drag("second")
    page.mouse.up()
    command = switch.commands.get(timeout=10)
    page.keyboard.up("Control")
    assert command["Data"] == {"target": "2003", "transfer-type": "attended"}

    # What ends while it is dragged is not transferred.
    drag("third")
    switch.end("third")
    expect(call_row(page, "third")).to_have_count(0)
    page.mouse.up()
    assert switch.commands.empty()


def test_of_hundreds_of_calls_those_near_what_is_in_sight_have_rows(
    page: Page, node: NodeProcess, switch: FakeSwitch
) -> None:
    ids = [f"c{number:03}" for number in range(300)]
    for call_id in ids:
        switch.begin(call_id, silent=True)
    sign_in_and_connect(page, console_url(node), node.command("token", "create", "--account", ACCOUNT_ID))
    table = page.get_by_role("grid")
    all_calls = page.locator(".lane-filter[data-lane=all] strong")
    expect(all_calls).to_have_text("300")
    expect(call_row(page, ids[0])).to_be_in_viewport()
    expect(call_row(page, ids[150])).to_have_count(0)
    # Its head, the heads of five lanes (that of a phone is missing), and the calls.
    expect(table).to_have_attribute("aria-rowcount", str(1 + 4 + 300))
    assert call_rows(page).count() < 100

    call_row(page, ids[0]).focus()
    page.keyboard.press("ArrowDown")
    expect(call_row(page, ids[1])).to_be_focused()
    page.keyboard.press("End")
    expect(call_row(page, ids[299])).to_be_focused()
    expect(call_row(page, ids[299])).to_be_in_viewport()
    expect(call_row(page, ids[290])).to_be_in_viewport()
    expect(call_row(page, ids[299])).to_have_attribute("aria-rowindex", str(1 + 4 + 300))
    for index in range(298, 278, -1):
        page.keyboard.press("ArrowUp")
        expect(call_row(page, ids[index])).to_be_focused()
        expect(call_row(page, ids[index])).to_be_in_viewport()

    # The focus stays where it is while the user scrolls, and the keys go on from there.
    page.locator("#app").evaluate("element => element.scrollTo(0, 0)")
    expect(call_row(page, ids[3])).to_be_in_viewport()
    expect(call_row(page, ids[200])).to_have_count(0)
    expect(call_row(page, ids[279])).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(call_row(page, ids[278])).to_be_focused()
    expect(call_row(page, ids[278])).to_be_in_viewport()

    # A call that ends elsewhere moves nothing in sight by more than its row.
    switch.end(ids[0])
    expect(all_calls).to_have_text("299")
    expect(call_row(page, ids[278])).to_be_in_viewport()
    switch.event("CHANNEL_HOLD", ids[278])
    expect(call_row(page, ids[278])).to_have_attribute("data-lane", "held")
    expect(call_row(page, ids[278])).to_be_focused()
    page.keyboard.press("Home")
    expect(call_row(page, ids[278])).to_be_focused()
    assert accessibility_violations(page) == []

    # A list that is no longer long has all its rows.
    for call_id in ids[100:278]:
        switch.end(call_id)
    expect(call_rows(page)).to_have_count(299 - 178)
    expect(table).not_to_have_attribute("aria-rowcount", re.compile(""))
