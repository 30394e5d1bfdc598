"""The page of the tutorial answers KAZOO's requests, as it stands there."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from attrs import frozen
from playwright.sync_api import Page, expect

from tests.browser.fake_switch import ACCOUNT_ID
from tests.integration.node_process import NodeProcess

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial" / "route-calls-from-a-browser.md"

CALL = {"Call-ID": "c1", "Account-ID": ACCOUNT_ID, "Caller-ID-Name": "Ingrid", "Caller-ID-Number": "2001"}


@frozen
class Shell:
    """Runs commands of the page, with variables, at a node's port."""

    variables: Mapping[str, str]
    port: str

    def run(self, script: str) -> str:
        command = ["bash", "-euc", script.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")]
        return subprocess.run(
            command, env={**os.environ, **self.variables}, capture_output=True, text=True, check=True
        ).stdout


def test_a_page_of_forty_lines_routes_a_call(page: Page, tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "embedded:")
    node.command("account", "create", "--id", ACCOUNT_ID)
    token = node.command("token", "create", "--account", ACCOUNT_ID)
    node.start()
    create, play = re.findall(r"```sh\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    shell = Shell({"TOKEN": token, "ACCOUNT": ACCOUNT_ID}, str(node.port))
    url = shell.run(f'{create}echo "$URL"').strip()
    assert url.startswith(f"http://127.0.0.1:{node.port}/pivot/")
    found = re.search(r"```html\n(.*?)```", TUTORIAL.read_text(), re.DOTALL)
    assert found is not None
    file = tmp_path / "desk.html"
    file.write_text(found[1])
    page.goto(f"{file.as_uri()}#{token},{ACCOUNT_ID},ws://127.0.0.1:{node.websocket_port}")
    caller = page.locator("#caller")
    with ThreadPoolExecutor() as kazoo:
        sockets = f"/v2/accounts/{ACCOUNT_ID}/websockets"
        while not node.rest("GET", sockets, token).json()["data"]:
            page.wait_for_timeout(50)
        asking = kazoo.submit(requests.post, url, data={**CALL, "To": "100"}, timeout=20)
        expect(caller).to_have_text("Ingrid 2001 calls 100")
        page.get_by_role("button", name="Voicemail").click()
        answer = asking.result()
    assert answer.json() == {"module": "voicemail", "data": {"action": "compose"}}
    expect(caller).to_have_text("Waiting for calls")
    page.goto("about:blank")
    while node.rest("GET", sockets, token).json()["data"]:
        page.wait_for_timeout(50)
    assert json.loads(shell.run(f"URL={url}\n{play}"))["module"] == "hangup"
    node.stop()
