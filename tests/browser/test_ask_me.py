"""The console asks the operator where calls go, with the demo's switch, which a pivot point routes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from playwright.sync_api import Locator, Page, expect

from tests.browser.console_page import accessibility_violations, open_view, sign_in_and_connect, toasts
from tests.browser.demo_process import DemoProcess
from tests.integration.node_process import eventually

#: Calls to the front desk come every 10 to 25 seconds.
_NEXT_CALL_MS = 60_000


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoProcess]:
    options = ("--calls-per-minute", "40", "--accounts", "2")
    process = DemoProcess(tmp_path_factory.mktemp("demo"), *options, seed=5)
    yield process
    process.stop()
    assert "Traceback" not in process.output()


def _wait_for_caller(page: Page) -> Locator:
    """Return the dialog of the next caller, as soon as its keys choose."""
    dialog = page.get_by_role("dialog", name=re.compile(" calls$"))
    expect(dialog).to_be_visible(timeout=_NEXT_CALL_MS)
    expect(dialog.locator(".ask[data-quiet]")).to_have_count(0)
    return dialog


def test_an_operator_says_where_calls_go(page: Page, demo: DemoProcess) -> None:
    sign_in_and_connect(page, demo.address, demo.tenants[0].token)
    page.get_by_role("button", name="Ask me").click()
    settings = page.get_by_role("dialog", name="Ask me")
    settings.get_by_label("Announcement").fill("We call you back.")
    settings.get_by_role("checkbox", name="front-desk").check()
    assert accessibility_violations(page) == []
    settings.get_by_role("button", name="Close").click()
    expect(page.get_by_role("button", name="Ask me")).to_have_attribute("aria-pressed", "true")

    dialog = _wait_for_caller(page)
    page.keyboard.press("p")
    page.keyboard.type("2003")
    expect(dialog.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(dialog).to_have_count(0)
    expect(toasts(page)).to_contain_text(re.compile(r"\(\+1 .*\): \w+"))
    eventually(lambda: re.search(r"pivot: .* rings .*\(2003\)", demo.output()), "the switch rings 2003")

    dialog = _wait_for_caller(page)
    page.keyboard.press("k")
    expect(dialog).to_have_count(0)
    expect(page.locator("tr[data-lane=parked]").first).to_be_visible()
    eventually(lambda: re.search(r"pivot: .* parked in", demo.output()), "the switch parks the call")

    dialog = _wait_for_caller(page)
    assert accessibility_violations(page) == []
    dialog.get_by_role("button", name="Announcement").click()
    expect(dialog).to_have_count(0)
    eventually(lambda: "hears We call you back." in demo.output(), "the caller hears the announcement")

    open_view(page, "Account")
    page.get_by_role("button", name="Requests: front-desk").click()
    latest = page.get_by_role("dialog", name="Latest requests to front-desk").get_by_role("listitem")
    expect(latest.first).to_contain_text("→ announcement")
    expect(latest.first).to_contain_text("answered · operator console")


def test_what_another_client_answers_closes_the_dialog(page: Page, demo: DemoProcess) -> None:
    tenant = demo.tenants[0]
    sign_in_and_connect(page, demo.address, tenant.token)
    page.get_by_role("button", name="Ask me").click()
    page.get_by_role("checkbox", name="all pivot points").check()
    page.keyboard.press("Escape")
    pivots = demo.address.replace("/console/", f"/v2/accounts/{tenant.account_id}/pivots")
    headers = {"X-Auth-Token": tenant.token}
    (point,) = requests.get(pivots, headers=headers, timeout=10).json()["data"]
    asked: list[str] = []

    def remember(payload: str | bytes) -> None:
        found = re.search(r'"pivot_id":"([\w-]+)"', str(payload))
        if found and "pivot_request" in str(payload):
            asked.append(found[1])

    page.on("websocket", lambda socket: socket.on("framereceived", remember))
    page.reload()
    dialog = _wait_for_caller(page)
    answer = json.dumps({"data": {"name": "Desk 2", "flow": {"module": "park"}}})
    url = f"{pivots}/{point['id']}/requests/{asked[-1]}"
    assert requests.post(url, headers=headers, data=answer, timeout=10).status_code == 200
    expect(dialog).to_have_count(0)
    expect(toasts(page)).to_contain_text("parked, by Desk 2")


def test_pivot_points_are_created_renewed_and_deleted(page: Page, demo: DemoProcess) -> None:
    sign_in_and_connect(page, demo.address, demo.tenants[1].token)
    open_view(page, "Account")
    page.get_by_role("button", name="New pivot point").click()
    form = page.get_by_role("dialog", name="New pivot point")
    form.get_by_label("Name").fill("night desk")
    form.get_by_label("Fallback").fill('{"module": "hang up"}')
    form.get_by_role("button", name="Create").click()
    expect(form).to_contain_text("expected 1 to 64 letters, digits and hyphens")
    expect(form).to_contain_text("KAZOO has no callflow action of this name")
    assert accessibility_violations(page) == []
    form.get_by_label("Name").fill("night-desk")
    form.get_by_label("Fallback").fill('{"module": "hangup"}')
    form.get_by_role("button", name="Create").click()
    urls = page.get_by_role("dialog", name="URL of night-desk")
    first = urls.get_by_label("voice_url", exact=True).input_value()
    assert re.fullmatch(r"http://.*/pivot/\w{32}/[\w-]{43}", first)
    urls.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Renew: night-desk").click()
    page.get_by_role("dialog").get_by_role("button", name="Renew").click()
    renewed = urls.get_by_label("voice_url", exact=True)
    expect(renewed).not_to_have_value(first)
    urls.get_by_role("button", name="Close").click()
    assert accessibility_violations(page) == []
    page.get_by_role("button", name="Delete: night-desk").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(toasts(page)).to_contain_text("night-desk deleted")
    expect(page.get_by_text("No pivot points.")).to_be_visible()


def test_pivot_points_are_edited_and_conflicts_are_shown(page: Page, demo: DemoProcess) -> None:
    tenant = demo.tenants[1]
    pivots = demo.address.replace("/console/", f"/v2/accounts/{tenant.account_id}/pivots")
    headers = {"X-Auth-Token": tenant.token}

    def send(method: str, path: str = "", **data: Any) -> dict[str, Any]:
        response = requests.request(
            method, f"{pivots}{path}", headers=headers, json={"data": data}, timeout=10
        )
        response.raise_for_status()
        document: dict[str, Any] = response.json()["data"]
        return document

    fallback = {"module": "park", "data": {"action": "park"}, "children": {}}
    point = send("PUT", name="lobby", fallback=fallback, source_networks=["192.0.2.0/24"])
    sign_in_and_connect(page, demo.address, tenant.token)
    open_view(page, "Account")
    page.get_by_role("button", name="Edit: lobby").click()
    form = page.get_by_role("dialog", name="Edit lobby")
    expect(form.get_by_label("Name")).to_have_value("lobby")
    assert json.loads(form.get_by_label("Fallback").input_value()) == fallback
    assert accessibility_violations(page) == []
    form.get_by_label("Fallback").fill("{")
    form.get_by_role("button", name="Save").click()
    expect(form).to_contain_text("not JSON")
    form.get_by_label("Fallback").fill("")
    form.get_by_label("Time for an answer").fill("50")
    form.get_by_role("button", name="Save").click()
    expect(form.get_by_label("Time for an answer")).to_have_attribute("aria-invalid", "true")
    form.get_by_label("Time for an answer").fill("5000")
    form.get_by_label("Who is asked").select_option("rotate")
    form.get_by_role("checkbox", name="enabled").uncheck()

    # Another client changes what is not changed here, and one of the same keys.
    send("PATCH", f"/{point['id']}", name="front", timeout_ms=4000)
    form.get_by_role("button", name="Save").click()
    expect(form).to_contain_text("Another client has changed this meanwhile.")
    expect(form).to_contain_text("timeout_ms (now 4000)")
    form.get_by_role("button", name="Save").click()
    expect(form).to_have_count(0)
    expect(toasts(page)).to_contain_text("front saved")
    row = page.get_by_role("row").filter(has_text="front")
    expect(row).to_contain_text("5,000 ms")
    expect(row).to_contain_text("disabled")
    expect(page.get_by_role("button", name="Edit: front")).to_be_focused()
    stored = send("GET", f"/{point['id']}")
    shown = {
        key: stored.get(key) for key in ("timeout_ms", "strategy", "enabled", "fallback", "source_networks")
    }
    assert shown == {
        "timeout_ms": 5000,
        "strategy": "rotate",
        "enabled": False,
        "fallback": None,
        "source_networks": ["192.0.2.0/24"],
    }
    send("DELETE", f"/{point['id']}")
