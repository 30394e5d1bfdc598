"""Websockets and streams as a browser speaks them, over a real broker."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.world import ACCOUNT, OTHER, Switch
from tests.integration.bridge_process import BridgeProcess
from tests.integration.cutting_proxy import CuttingProxy

PAGES = Path(__file__).parent / "pages"


@pytest.fixture
def bridge(tmp_path: Path, vhost_uri: str) -> Iterator[BridgeProcess]:
    made = BridgeProcess(tmp_path, vhost_uri)
    made.command("account", "create", "--id", ACCOUNT)
    made.command("account", "create", "--id", OTHER)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def switch(vhost_uri: str) -> Iterator[Switch]:
    made = Switch(vhost_uri)
    yield made
    made.close()


@pytest.fixture
def proxy(bridge: BridgeProcess) -> Iterator[CuttingProxy]:
    """Between the browser and REST."""
    made = CuttingProxy(bridge.port, lambda _number: (None, None))
    yield made
    made.stop()


def filled_in(bridge: BridgeProcess, name: str, token: str, rest_port: int = 0) -> str:
    """The URL of a page with the tester's own data in it, opened from a file as KAZOO's documentation proposes."""
    text = (PAGES / name).read_text()
    for placeholder, value in {
        "{SOCKET}": f"ws://127.0.0.1:{bridge.websocket_port}",
        "{REST}": f"http://127.0.0.1:{rest_port or bridge.port}",
        "{ACCOUNT_ID}": ACCOUNT,
        "{AUTH_TOKEN}": token,
    }.items():
        text = text.replace(placeholder, value)
    filled = bridge.folder / name
    filled.write_text(text)
    return filled.as_uri()


def test_a_page_written_from_kazoos_documentation_sees_a_call(
    page: Page, bridge: BridgeProcess, switch: Switch
) -> None:
    page.goto(filled_in(bridge, "calls.html", bridge.command("token", "create", "--account", ACCOUNT)))
    expect(page.locator("#state")).to_have_text("subscribed to call.*.*")

    switch.event("CHANNEL_CREATE", "of-another", account_id=OTHER)
    switch.event("CHANNEL_CREATE", "f00@10.0.0.1", Caller_ID_Name="Žofie 🎧")
    switch.event("CHANNEL_ANSWER", "f00@10.0.0.1")
    switch.event("CHANNEL_BRIDGE", "f00@10.0.0.1", Other_Leg_Call_ID="bar")
    switch.event("CHANNEL_DESTROY", "f00@10.0.0.1", Hangup_Cause="NORMAL_CLEARING")

    call = "f00@10.0.0.1alice@example.com2001@example.com"
    expected = [
        f"CHANNEL_CREATE{call}",
        f"CHANNEL_ANSWER{call}",
        f"CHANNEL_BRIDGE{call}",
        f"CHANNEL_DESTROY{call}NORMAL_CLEARING",
    ]
    expect(page.locator("#calls tr")).to_have_text(expected)

    bridge.signal(signal.SIGTERM)
    expect(page.locator("#state")).to_have_text("closed with 1001 cleanly")
    assert bridge.ended() == 0


def test_a_page_with_a_bad_token_is_told_so(page: Page, bridge: BridgeProcess) -> None:
    page.goto(filled_in(bridge, "calls.html", "no-such-token"))
    expect(page.locator("#state")).to_contain_text("failed to authenticate token")


def test_a_stream_that_breaks_is_taken_up_by_the_browser(
    page: Page, bridge: BridgeProcess, proxy: CuttingProxy, switch: Switch
) -> None:
    page.goto(
        filled_in(
            bridge,
            "stream.html",
            bridge.command("token", "create", "--account", ACCOUNT),
            rest_port=proxy.port,
        )
    )
    expect(page.locator("#opened")).to_have_text("1")
    switch.event("CHANNEL_CREATE", "before")
    expect(page.locator("#calls li")).to_have_text(["before"])
    proxy.cut_all()
    for number in range(3):
        switch.event("CHANNEL_CREATE", f"missed-{number}")
    expect(page.locator("#opened")).to_have_text("2")
    expect(page.locator("#calls li")).to_have_text(["before", "missed-0", "missed-1", "missed-2"])
    expect(page.locator("#gap")).to_have_text("false")
