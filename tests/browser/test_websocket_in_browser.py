"""Websockets and server-sent events in a real browser, over a real broker."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.fake_switch import ACCOUNT_ID, OTHER_ACCOUNT_ID, CallEventPublisher
from tests.integration.cutting_proxy import CuttingProxy
from tests.integration.node_process import NodeProcess

PAGES = Path(__file__).parent / "pages"


@pytest.fixture
def node(tmp_path: Path, vhost_uri: str) -> Iterator[NodeProcess]:
    process = NodeProcess(tmp_path, vhost_uri)
    process.command("account", "create", "--id", ACCOUNT_ID)
    process.command("account", "create", "--id", OTHER_ACCOUNT_ID)
    process.start()
    yield process
    process.stop()


@pytest.fixture
def switch(vhost_uri: str) -> Iterator[CallEventPublisher]:
    publisher = CallEventPublisher(vhost_uri)
    yield publisher
    publisher.close()


@pytest.fixture
def proxy(node: NodeProcess) -> Iterator[CuttingProxy]:
    """A proxy between the browser and REST whose connections can be cut."""
    cutting_proxy = CuttingProxy(node.port, lambda _number: (None, None))
    yield cutting_proxy
    cutting_proxy.stop()


def write_page(node: NodeProcess, name: str, token: str, rest_port: int = 0) -> str:
    """Fill in a page's placeholders, as in KAZOO's documentation, write it to a file, and return its URL."""
    text = (PAGES / name).read_text()
    for placeholder, value in {
        "{SOCKET}": f"ws://127.0.0.1:{node.websocket_port}",
        "{REST}": f"http://127.0.0.1:{rest_port or node.port}",
        "{ACCOUNT_ID}": ACCOUNT_ID,
        "{AUTH_TOKEN}": token,
    }.items():
        text = text.replace(placeholder, value)
    path = node.folder / name
    path.write_text(text)
    return path.as_uri()


def test_client_written_from_kazoos_documentation_receives_call_events(
    page: Page, node: NodeProcess, switch: CallEventPublisher
) -> None:
    page.goto(write_page(node, "calls.html", node.command("token", "create", "--account", ACCOUNT_ID)))
    expect(page.locator("#state")).to_have_text("subscribed to call.*.*")

    switch.event("CHANNEL_CREATE", "other-account", account_id=OTHER_ACCOUNT_ID)
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

    node.signal(signal.SIGTERM)
    expect(page.locator("#state")).to_have_text("closed with 1001 cleanly")
    assert node.ended() == 0


def test_client_with_invalid_token_receives_an_error(page: Page, node: NodeProcess) -> None:
    page.goto(write_page(node, "calls.html", "no-such-token"))
    expect(page.locator("#state")).to_contain_text("failed to authenticate token")


def test_browser_resumes_a_broken_event_stream(
    page: Page, node: NodeProcess, proxy: CuttingProxy, switch: CallEventPublisher
) -> None:
    page.goto(
        write_page(
            node,
            "stream.html",
            node.command("token", "create", "--account", ACCOUNT_ID),
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
