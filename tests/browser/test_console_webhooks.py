"""Webhooks in the operator console, whose events come from a real broker and go to a real web server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, expect

from tests.browser.console_page import (
    accessibility_violations,
    console_url,
    open_view,
    save_screenshot,
    sign_in_and_connect,
    toasts,
)
from tests.browser.fake_switch import ACCOUNT_ID, FakeSwitch
from tests.integration.node_process import NodeProcess
from tests.integration.web_receiver import Arrival, WebReceiver

_HOOKS = f"/v2/accounts/{ACCOUNT_ID}/webhooks"


@pytest.fixture
def node(tmp_path: Path, vhost_uri: str) -> Iterator[NodeProcess]:
    """A node that stores successful attempts too, and of large events no payload."""
    options = "log_successful_attempts = true\nattempt_payload_limit = 4000\n"
    process = NodeProcess(tmp_path, vhost_uri, f"[webhooks]\nretry_schedule_s = [60]\n{options}")
    process.command("account", "create", "--id", ACCOUNT_ID)
    process.start()
    yield process
    process.stop()


def make_hook(node: NodeProcess, token: str, uri: str, **options: Any) -> str:
    document = {"name": "desk", "uri": uri, "hook": "channel_create", "retries": 0, "format": "json"}
    return str(node.rest("PUT", _HOOKS, token, {**document, **options}).json()["data"]["id"])


def read_hook(node: NodeProcess, token: str, hook_id: str) -> dict[str, Any]:
    document: dict[str, Any] = node.rest("GET", f"{_HOOKS}/{hook_id}", token).json()["data"]
    return document


def header(arrival: Arrival, name: str) -> str:
    return {key.lower(): value for key, value in arrival.headers.items()}[name]


def open_hook(page: Page, node: NodeProcess, token: str, hook_id: str) -> None:
    sign_in_and_connect(page, console_url(node), token)
    page.goto(f"{console_url(node)}#/webhooks/{hook_id}")
    expect(page.get_by_role("heading", level=1)).to_have_text("desk")


def _field_heights(page: Page) -> list[float]:
    heights: list[float] = page.locator(".hook-form input, .hook-form select").evaluate_all(
        "inputs => inputs.map(input => input.getBoundingClientRect().height)"
    )
    return heights


def hold_enter(page: Page) -> None:
    """Press Enter until the browser repeats it."""
    for _ in range(6):
        page.keyboard.down("Enter")
    page.keyboard.up("Enter")


def test_a_hook_with_a_key_pair_shows_its_public_key_and_replays_what_it_has_delivered(
    page: Page, node: NodeProcess, switch: FakeSwitch, receiver: WebReceiver
) -> None:
    token = node.command("token", "create", "--account", ACCOUNT_ID)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    sign_in_and_connect(page, console_url(node), token)
    open_view(page, "Webhooks")
    page.get_by_role("button", name="New webhook").click()
    form = page.get_by_role("dialog", name="New webhook")
    form.get_by_label("Name", exact=True).fill("desk")
    form.get_by_label("URL").fill(receiver.url)
    form.get_by_label("Signature of requests").select_option(label="Key pair (ed25519)")
    expect(form).to_contain_text("The private key never leaves the server")
    assert accessibility_violations(page) == []
    form.get_by_role("button", name="Create").click()

    dialog = page.get_by_role("dialog", name="Give the receiver this public key")
    shown = dialog.get_by_role("textbox", name="Public key")
    expect(shown).to_be_focused()
    expect(shown).to_have_value(re.compile("^whpk_.{40,}"))
    public_key = shown.input_value()
    assert accessibility_violations(page) == []
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(toasts(page)).to_contain_text("Public key copied")
    assert page.evaluate("navigator.clipboard.readText()") == public_key
    save_screenshot(page, "public-key")
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)

    expect(page.get_by_role("heading", level=1)).to_have_text("desk")
    expect(page.locator(".properties")).to_contain_text("Key pair (ed25519)")
    expect(page.get_by_role("textbox", name="Public key")).to_have_value(public_key)

    switch.begin("call-1")
    [first] = receiver.wait_for(1)
    assert header(first, "webhook-signature").startswith("v1a,")
    attempts = page.get_by_role("tabpanel", name="Attempts")
    expect(attempts.locator("summary")).to_have_count(1)
    expect(attempts).to_contain_text("Success")
    assert accessibility_violations(page) == []
    receiver.release.clear()
    replay = attempts.get_by_role("button", name="Replay", exact=True)
    replay.focus()
    hold_enter(page)
    expect(toasts(page).locator(".pending")).to_contain_text("Sending the delivery…")
    expect(replay).to_have_attribute("aria-busy", "true")
    replay.click()
    receiver.wait_for(2)
    receiver.release.set()
    expect(toasts(page).locator(".success").last).to_contain_text(
        "The delivery was sent: the receiver answered 200"
    )
    expect(attempts.locator("summary")).to_have_count(2)
    expect(replay.last).to_be_focused()
    assert [header(arrival, "webhook-id") for arrival in receiver.arrivals] == 2 * [
        header(first, "webhook-id")
    ]
    assert [arrival.body for arrival in receiver.arrivals] == 2 * [first.body]


def test_a_double_click_replays_once_and_a_replay_that_fails_says_why(
    page: Page, node: NodeProcess, switch: FakeSwitch, receiver: WebReceiver
) -> None:
    token = node.command("token", "create", "--account", ACCOUNT_ID)
    hook_id = make_hook(node, token, receiver.url)
    open_hook(page, node, token, hook_id)
    replays: list[str] = []

    # Playwright needs a Python function: it sets an attribute on it.
    def on_request(request: Request) -> None:
        if request.url.endswith("/replay"):
            replays.append(request.url)

    page.on("request", on_request)
    attempts = page.get_by_role("tabpanel", name="Attempts")
    switch.begin("call-1")
    expect(attempts.locator("summary")).to_have_count(1)
    receiver.status = 503
    attempts.get_by_role("button", name="Replay", exact=True).dblclick(delay=150)
    failure = toasts(page).locator(".error")
    expect(failure).to_contain_text(re.compile("The delivery failed: .*503.*; next attempt "))
    assert len(replays) == 1
    assert accessibility_violations(page) == []
    expect(attempts.locator("summary")).to_have_count(2)
    expect(attempts.locator("summary").first).to_contain_text("Failure")

    # The one that waits for its next attempt is made now.
    receiver.status = 200
    attempts.get_by_role("button", name="Replay", exact=True).first.click()
    expect(toasts(page).locator(".success").last).to_contain_text("the receiver answered 200")
    assert len({header(arrival, "webhook-id") for arrival in receiver.wait_for(3)}) == 1

    # Of a large event the payload is not kept.
    switch.begin("call-2", Caller_ID_Name=5000 * "W")
    expect(attempts.locator("summary")).to_have_count(4)
    attempts.get_by_role("button", name="Replay", exact=True).first.click()
    expect(failure.last).to_contain_text(
        "The delivery was not sent: the attempt cannot be replayed: the payload"
    )

    # A sample is no delivery.
    page.get_by_role("button", name="Send a test").click()
    page.get_by_role("dialog", name="The test succeeded").get_by_role("button", name="Close").click()
    expect(attempts.locator("summary")).to_have_count(5)
    expect(attempts.get_by_role("button", name="Replay", exact=True)).to_have_count(4)


def test_a_replay_enables_a_disabled_webhook(
    page: Page, node: NodeProcess, switch: FakeSwitch, receiver: WebReceiver
) -> None:
    token = node.command("token", "create", "--account", ACCOUNT_ID)
    hook_id = make_hook(node, token, receiver.url)
    switch.begin("call-1")
    receiver.wait_for(1)
    open_hook(page, node, token, hook_id)
    page.get_by_role("button", name="Disable").click()
    attempts = page.get_by_role("tabpanel", name="Attempts")
    attempts.get_by_role("button", name="Enable and send").click()
    expect(toasts(page).locator(".success").last).to_contain_text("The delivery was sent")
    assert len(receiver.arrivals) == 2
    expect(attempts.get_by_role("button", name="Replay", exact=True)).to_have_count(2)
    assert read_hook(node, token, hook_id)["enabled"] is True

    # It was disabled meanwhile, and the console has not heard of that.
    page.route(re.compile(rf"/webhooks/{hook_id}$"), lambda route: route.abort())
    node.rest("PATCH", f"{_HOOKS}/{hook_id}", token, {"enabled": False})
    attempts.get_by_role("button", name="Replay", exact=True).first.click()
    expect(toasts(page).locator(".pending")).to_contain_text("Sending the delivery…")
    page.unroute_all(behavior="wait")
    expect(toasts(page).locator(".info")).to_contain_text("The delivery waits until the webhook is enabled")
    assert len(receiver.arrivals) == 2


def test_a_secret_is_renewed_as_another_kind_and_signing_ends(
    page: Page, node: NodeProcess, switch: FakeSwitch, receiver: WebReceiver
) -> None:
    token = node.command("token", "create", "--account", ACCOUNT_ID)
    hook_id = make_hook(node, token, receiver.url)
    open_hook(page, node, token, hook_id)
    expect(page.get_by_role("button", name="Stop signing")).to_be_hidden()
    page.get_by_role("button", name="Sign requests").press("Enter")
    dialog = page.get_by_role("dialog", name="Sign the requests")
    expect(dialog.get_by_role("radio", name="Shared secret (HMAC)")).to_be_focused()
    expect(dialog.get_by_label("The current secret stays valid")).to_have_count(0)
    assert accessibility_violations(page) == []
    dialog.get_by_label("Own secret or private key").fill("whsec_short")
    page.keyboard.press("Enter")
    expect(dialog.get_by_role("alert")).to_contain_text("after whsec_")
    expect(dialog.get_by_label("Own secret or private key")).to_be_focused()
    dialog.get_by_label("Own secret or private key").fill("")
    dialog.get_by_role("button", name="Create secret").click()
    revealed = page.get_by_role("dialog", name="Save this secret")
    secret = revealed.get_by_role("textbox", name="Secret").input_value()
    assert secret.startswith("whsec_")
    page.keyboard.press("Escape")
    expect(page.locator(".properties")).to_contain_text("Shared secret (HMAC)")
    # It is shown this once.
    assert secret not in page.content()
    assert secret not in str(read_hook(node, token, hook_id))

    page.get_by_role("button", name="New secret").press("Enter")
    dialog = page.get_by_role("dialog", name="Create a new secret")
    page.keyboard.press("ArrowDown")
    expect(dialog.get_by_role("radio", name="Key pair (ed25519)")).to_be_checked()
    dialog.get_by_label("The current secret stays valid").select_option(label="for one more hour")
    assert accessibility_violations(page) == []
    save_screenshot(page, "new-secret")
    dialog.get_by_role("button", name="Create secret").click()
    expect(page.get_by_role("dialog", name="Give the receiver this public key")).to_be_visible()
    page.keyboard.press("Escape")
    public_key = page.get_by_role("textbox", name="Public key").input_value()
    assert read_hook(node, token, hook_id)["public_key"] == public_key
    page.set_viewport_size({"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert accessibility_violations(page) == []
    page.set_viewport_size({"width": 1280, "height": 800})
    switch.begin("call-1")
    [arrival] = receiver.wait_for(1)
    kinds = [signature.partition(",")[0] for signature in header(arrival, "webhook-signature").split()]
    assert sorted(kinds) == ["v1", "v1a"]

    page.get_by_role("button", name="Stop signing").click()
    page.get_by_role("dialog", name="Stop signing the requests?").get_by_role("button", name="Stop").click()
    expect(toasts(page)).to_contain_text("Requests are no longer signed")
    expect(page.get_by_role("button", name="Sign requests")).to_be_focused()
    expect(page.get_by_role("textbox", name="Public key")).to_have_count(0)
    switch.begin("call-2")
    assert "webhook-signature" not in {name.lower() for name in receiver.wait_for(2)[1].headers}


def test_every_option_is_set_and_changed_and_values_of_headers_stay_where_they_are(
    page: Page, node: NodeProcess, receiver: WebReceiver
) -> None:
    token = node.command("token", "create", "--account", ACCOUNT_ID)
    headers = {"X-Api-Key": "hunter2", "X-Old": "old"}
    hook_id = make_hook(node, token, receiver.url, headers=headers, group="g")
    open_hook(page, node, token, hook_id)
    page.get_by_role("button", name="Edit").click()
    form = page.get_by_role("dialog", name="Edit desk")
    # Open, because the webhook has headers.
    expect(form.get_by_label("Headers: Name")).to_have_count(2)
    for label, text in {
        "Group": "",
        "Success codes": "200 2xx",
        "Time-out": "0",
        "Retry after": "5, soon",
        "Drop events older": "60",
        "Rate limit": "7.5",
    }.items():
        form.get_by_label(label).fill(text)
    form.get_by_role("button", name="Add to Filters").click()
    form.get_by_label("Filters: Value").fill('{"$prefix": "Caller", "$like": 1}')
    heights = _field_heights(page)
    form.get_by_role("button", name="Save").click()
    expect(form).to_contain_text("codes from 200 to 599")
    assert _field_heights(page) == heights
    expect(form).to_contain_text("expected whole seconds")
    expect(form).to_contain_text("expected a name beside each value")
    for label in ("Success codes", "Retry after", "Filters: Key"):
        expect(form.get_by_label(label)).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_label("Filters: Key")).to_be_focused()
    assert accessibility_violations(page) == []
    save_screenshot(page, "webhook-form-errors")
    form.get_by_label("Success codes").fill("200, 2XX")
    form.get_by_label("Retry after").fill("5, 60")
    form.get_by_label("Filters: Key").fill("caller_id_name")
    expect(form.locator("[aria-invalid]")).to_have_count(0)
    expect(form.locator(".error-text:not(:empty)")).to_have_count(0)
    page.keyboard.press("Escape")
    question = page.get_by_role("dialog", name="Discard your changes?")
    question.get_by_role("button", name="Cancel").click()
    expect(form.get_by_label("Success codes")).to_have_value("200, 2XX")
    node.rest("PATCH", f"{_HOOKS}/{hook_id}", token, {"name": "reception", "group": "h"})
    form.get_by_role("button", name="Save").click()
    expect(form).to_contain_text('Both of you have changed group (now "h")')
    form.get_by_role("button", name="Save").click()
    expect(form).to_contain_text("expected at least 100")
    expect(form).to_contain_text("caller_id_name.$like: ")
    for label in ("Time-out", "Filters: Value"):
        expect(form.get_by_label(label)).to_have_attribute("aria-invalid", "true")
    expect(form.get_by_label("Filters: Key")).to_be_focused()
    form.get_by_label("Time-out").fill("500")
    form.get_by_label("Filters: Value").fill('{"$prefix": "Caller"}')
    # The value of a header that gets another name must be entered again.
    names = form.get_by_label("Headers: Name")
    assert [names.nth(0).input_value(), names.nth(1).input_value()] == ["x-api-key", "x-old"]
    names.nth(1).fill("X-New")
    form.get_by_role("button", name="Save").click()
    expect(form).to_contain_text("X-New: enter the value again")
    form.get_by_label("Headers: Value").nth(1).fill("new")
    with page.expect_request(lambda request: request.method == "PATCH") as patch:
        form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    changes = json.loads(patch.value.post_data or "")["data"]
    assert "*" not in json.dumps(changes)
    assert changes["headers"] == {"x-new": "new", "x-old": None}
    expect(page.locator(".properties")).to_contain_text("x-api-key, x-new")
    save_screenshot(page, "webhook-options")

    document = read_hook(node, token, hook_id)
    expected = {
        "success_codes": ["200", "2xx"],
        "timeout_ms": 500,
        "retry_schedule_s": [5, 60],
        "max_age_s": 60,
        "rate_limit": 7.5,
        "modifiers": {"caller_id_name": {"$prefix": "Caller"}},
    }
    assert {name: document[name] for name in expected} == expected
    assert (document["name"], "group" in document) == ("reception", False)
    assert accessibility_violations(page) == []
    page.get_by_role("button", name="Send a test").click()
    [arrival] = receiver.wait_for(1)
    assert (header(arrival, "x-api-key"), header(arrival, "x-new")) == ("hunter2", "new")
